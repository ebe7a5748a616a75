"""What the Data widget hands on: how its data are opened once a training needs them.

Data are opened off the GUI thread. Modules that import PyTorch are imported there, too.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.acquisition.frames import parse_frame_range
from napari_dl4smlm.backend.training.config import DEFAULT_UPSAMPLING_FACTOR, DataConfig
from napari_dl4smlm.backend.training.division import split_frames
from napari_dl4smlm.backend.training.pairs import check_lengths, infer_upsampling_factor
from napari_dl4smlm.backend.training.truth import image_truth, position_truth
from napari_dl4smlm.widgets.data.events import about
from napari_dl4smlm.widgets.session import TrainingSource
from napari_dl4smlm.widgets.torch_loading import load_torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.backend.training.data import TrainingData
    from napari_dl4smlm.backend.training.filmed import FilmedData
    from napari_dl4smlm.backend.training.truth import Truth
    from napari_dl4smlm.widgets.sources.choices import MovieChoice

    Factor = Literal[1, 2, 4, 8]


@dataclass(frozen=True)
class Division:
    """Which frames are used, and which of them validate, as the user wrote it."""

    frames: str | None = None
    validation_frames: str | None = None

    def of(self, n_frames: int, *, seed: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the frames that train and those that validate.

        Raises
        ------
        RefusalError
            A range is none, or there are too few frames.
        """
        with about("frames"):
            used = parse_frame_range(self.frames, n_frames)
        validating = self.validation_frames
        with about("validation_frames" if validating else "frames"):
            kept = None if validating is None else parse_frame_range(validating, n_frames)
            fraction = DataConfig.model_fields["validation_fraction"].default
            return split_frames(
                used, validation_fraction=fraction, validation_frames=kept, seed=seed
            )


@dataclass(frozen=True)
class Filmed:
    """A movie that was checked, and what is the same whatever its ground truth is.

    Attributes
    ----------
    movie, division
        As they were chosen.
    pixel_size_nm
        Camera pixel; ``None`` where it is not known.
    config
        What the command line would open; ``None`` for layers that are not in any file.
    summary
        For the user, without the upsampling.
    """

    movie: MovieChoice
    division: Division
    pixel_size_nm: float | None
    config: DataConfig | None
    summary: str

    def with_positions(self, table: Localizations, factor: Factor) -> TrainingSource:
        """Return data that learn from positions, at any upsampling."""
        config = self.config and self.config.model_copy(update=_upsampling(factor))

        def truth(frames: FrameStack, files: ExitStack) -> tuple[Truth, int]:
            return position_truth(frames, table, upsampling_factor=factor), factor

        return self._source(
            config, truth, factor, at_upsampling=partial(self.with_positions, table)
        )

    def with_images(self, images: MovieChoice, factor: int) -> TrainingSource:
        """Return data that learn from true images, whose size fixes the upsampling."""

        def truth(frames: FrameStack, files: ExitStack) -> tuple[Truth, int]:
            truth_frames = files.enter_context(images.open(None))
            check_lengths(frames, truth_frames)
            factor = infer_upsampling_factor(frames, truth_frames)
            return image_truth(truth_frames, upsampling_factor=factor), factor

        return self._source(self.config, truth, factor, at_upsampling=None)

    def _source(
        self,
        config: DataConfig | None,
        truth: Callable[[FrameStack, ExitStack], tuple[Truth, int]],
        factor: int,
        at_upsampling: Callable[[Factor], TrainingSource] | None,
    ) -> TrainingSource:
        return TrainingSource(
            open=partial(self._open_layers, truth)
            if config is None
            else partial(_open_files, config),
            config=config,
            movie_layer_name=None if self.movie.layer_frames is None else self.movie.name,
            summary=f"{self.summary} · ×{factor}",
            upsampling_factor=factor,
            pixel_size_nm=self.pixel_size_nm,
            at_upsampling=at_upsampling,
        )

    def _open_layers(
        self, truth: Callable[[FrameStack, ExitStack], tuple[Truth, int]], seed: int
    ) -> FilmedData:
        load_torch()
        from napari_dl4smlm.backend.training.filmed import FilmedData

        with ExitStack() as files:
            frames = files.enter_context(self.movie.open(self.pixel_size_nm))
            labels, factor = truth(frames, files)
            training, validation = self.division.of(frames.n_frames, seed=seed)
            kept_open = files.pop_all()
        return FilmedData(
            frames, labels, factor, frames.pixel_size_nm, training, validation, kept_open
        )


def simulated_source(config: DataConfig, summary: str, factor: Factor) -> TrainingSource:
    """Return patches that are simulated as long as training lasts, at any upsampling.

    Parameters
    ----------
    config
        With a simulation.
    summary
        For the user, without the upsampling.
    factor
        Fine pixels per camera pixel.
    """
    simulation = config.simulation
    assert simulation is not None
    config = config.model_copy(update=_upsampling(factor))
    return TrainingSource(
        open=partial(_open_files, config),
        config=config,
        movie_layer_name=None,
        summary=f"{summary} · ×{factor}",
        upsampling_factor=factor,
        pixel_size_nm=simulation.pixel_size_nm,
        at_upsampling=partial(simulated_source, config, summary),
    )


def _upsampling(factor: Factor) -> dict[str, int | None]:
    # what is the default need not be said
    return {"upsampling_factor": None if factor == DEFAULT_UPSAMPLING_FACTOR else factor}


def _open_files(config: DataConfig, seed: int) -> TrainingData:
    load_torch()
    from napari_dl4smlm.backend.training.data import open_training_data

    return open_training_data(config, seed=seed)


def on_layer(source: TrainingSource, layer_name: str) -> TrainingSource:
    """Return the same data, with the layer on which previews belong, at any upsampling."""
    at_upsampling = source.at_upsampling
    return replace(
        source,
        movie_layer_name=layer_name,
        at_upsampling=at_upsampling
        and (lambda factor: on_layer(at_upsampling(factor), layer_name)),
    )
