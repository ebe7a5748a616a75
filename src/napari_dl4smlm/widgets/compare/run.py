"""One comparison that another thread runs; what was found of each model so far stays."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.evaluation.comparison.events import ComparisonEvent
    from napari_dl4smlm.backend.evaluation.comparison.result import Comparison
    from napari_dl4smlm.backend.evaluation.comparison.table import ComparisonTable
    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.widgets.compare.options import ComparisonOptions


@dataclass(frozen=True, eq=False)
class ComparisonGrown:
    """One more model is done.

    Attributes
    ----------
    comparison, table
        Of the models that are done.
    """

    comparison: Comparison
    table: ComparisonTable


@dataclass(frozen=True, eq=False)
class ComparisonRun:
    """What is compared.

    Attributes
    ----------
    models
        Their files.
    movie
        Raw frames; they are closed by the run.
    read_truth
        Reads the true positions; ``None`` without truth.
    options
        What else the user decided.
    devices
        Where the models are timed, at least one.
    """

    models: tuple[Path, ...]
    movie: FrameStack
    read_truth: Callable[[], Localizations] | None
    options: ComparisonOptions
    devices: tuple[str, ...]

    def events(self, stop: threading.Event) -> Iterator[ComparisonEvent | ComparisonGrown]:
        """Compare until the end, or until the step at which ``stop`` is set.

        Raises
        ------
        InputError
            A file cannot be read, or for what `compare_models` refuses.
        """
        # they import torch, which takes more than a second
        from napari_dl4smlm.backend.evaluation.comparison.candidates import open_candidates
        from napari_dl4smlm.backend.evaluation.comparison.compare import compare_models
        from napari_dl4smlm.backend.evaluation.comparison.events import ModelCompared
        from napari_dl4smlm.backend.evaluation.comparison.table import tabulate

        # what shows the results, and would hold the viewer for a second
        importlib.import_module("napari_dl4smlm.backend.evaluation.comparison.drawing")
        options = self.options
        with self.movie:
            candidates = open_candidates(self.models)
            truth = None if self.read_truth is None else self.read_truth()
            for event in compare_models(
                candidates,
                self.movie,
                truth,
                options.prediction().model_copy(update={"device": self.devices[0]}),
                devices=self.devices,
                tolerance_nm=options.tolerance_nm,
                border_nm=options.border_nm,
                seed=options.seed,
                repeats=options.repeats,
                stop=stop,
            ):
                yield event
                if isinstance(event, ModelCompared):
                    yield ComparisonGrown(event.comparison, tabulate(event.comparison))
