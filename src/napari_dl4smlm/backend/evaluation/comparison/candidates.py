"""The models that are compared, each under a name of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.models.model_file import load_model

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from napari_dl4smlm.backend.models.model_file import TrainedModel


@dataclass(frozen=True)
class Candidate:
    """A model that is compared with others.

    Attributes
    ----------
    label
        What it is called in tables and figures.
    model
        It is not changed.
    path
        Its file; ``None`` for a model that was never saved.
    """

    label: str
    model: TrainedModel
    path: Path | None = None


def open_candidates(paths: Iterable[str | os.PathLike[str]]) -> list[Candidate]:
    """Read model files; each is called by its name, with as many folders as tell it from others.

    Raises
    ------
    InputError
        There is no file, one is given twice, or one cannot be read.
    """
    files = [Path(path) for path in paths]
    resolved = [file.resolve() for file in files]
    for number, file in enumerate(files):
        if resolved[number] in resolved[:number]:
            raise InputError(f"{file} is given twice. A model is compared once: leave one out.")
    candidates = [
        Candidate(label, load_model(file), file)
        for label, file in zip(_labels(resolved), files, strict=True)
    ]
    check_candidates(candidates)
    return candidates


def check_candidates(candidates: Sequence[Candidate]) -> None:
    """Make sure that there are models, and that no two are the same or have the same name.

    Raises
    ------
    InputError
        It is not so.
    """
    if not candidates:
        raise InputError("There is no model to compare. Give at least one model file.")
    by_label: set[str] = set()
    by_weights: dict[str, str] = {}
    for candidate in candidates:
        if candidate.label in by_label:
            raise InputError(f"Two models are called {candidate.label!r}. Rename one of them.")
        by_label.add(candidate.label)
        weights = candidate.model.card.weights_sha256
        if weights and weights in by_weights:
            raise InputError(
                f"{candidate.label} and {by_weights[weights]} are the same model: they hold the "
                "same weights. Leave one out."
            )
        by_weights[weights] = candidate.label


def _labels(files: Sequence[Path]) -> list[str]:
    """Name files by their stems, and those with equal ones by their folders, too."""
    labels = [file.stem for file in files]
    for depth in range(1, max((len(file.parts) for file in files), default=0)):
        if len(set(labels)) == len(labels):
            break
        labels = [
            "/".join([*file.parts[-1 - depth : -1], file.stem])
            if labels.count(label) > 1
            else label
            for file, label in zip(files, labels, strict=True)
        ]
    return labels
