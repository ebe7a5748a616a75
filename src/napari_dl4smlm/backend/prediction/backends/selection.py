"""What a given prediction can be run with, and the choice among it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from napari_dl4smlm import __version__
from napari_dl4smlm.backend.models.compiled import openvino_version
from napari_dl4smlm.backend.models.device import describe_device
from napari_dl4smlm.backend.prediction.backends.candidates import (
    REFERENCE,
    Candidate,
    build_network,
    candidates_for,
)
from napari_dl4smlm.backend.prediction.backends.choice import Choice, choose, is_worth_a_trial
from napari_dl4smlm.backend.prediction.backends.comparison import Comparison

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import JsonValue

    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.backend.models.model_file import ModelCard, TrainedModel
    from napari_dl4smlm.backend.models.prepared import PreparedNetwork
    from napari_dl4smlm.backend.prediction.backends.candidates import RunnableNetwork
    from napari_dl4smlm.backend.prediction.config import PredictionConfig
    from napari_dl4smlm.backend.prediction.memory import Portion


class Selection:
    """The candidates for a prediction.

    Those of a short movie are what is asked for, or else the reference: a trial would take longer
    than it saves.

    Parameters
    ----------
    model
        Its network is copied, if it is going to be needed.
    config, device, portion
        How it is predicted.
    n_frames
        Frames to be predicted, as far as they are known.
    size
        Height and width of a frame in camera pixels.

    Raises
    ------
    InputError
        What is asked for cannot be used here.
    """

    def __init__(
        self,
        model: TrainedModel,
        config: PredictionConfig,
        device: torch.device,
        portion: Portion,
        *,
        n_frames: int,
        size: tuple[int, int],
    ) -> None:
        self._device = device
        self._portion = portion
        self._asked = " ".join(
            name for name in (config.backend, config.precision) if name != "auto"
        )
        self._conditions = _conditions(model.card, device, portion, size)
        height, width = size
        is_long = is_worth_a_trial(
            model.network,
            pixels=n_frames * height * width,
            on_gpu=device.type != "cpu",
            threads=torch.get_num_threads(),
        )
        self._candidates = [REFERENCE]
        if self._asked or is_long:
            candidates = candidates_for(config, device)
            self._candidates = candidates if is_long else candidates[:1]
        if self._candidates != [REFERENCE]:
            self._network = copy.deepcopy(model.network)

    def choose(
        self,
        reference: PreparedNetwork,
        localize: Callable[[RunnableNetwork, range], Localizations],
        frames: range,
        *,
        pixel_size_nm: float,
    ) -> Choice:
        """Try the candidates, for some seconds, on the first frames.

        Parameters
        ----------
        reference
            The network as all others have to agree with it.
        localize
            Finds the localizations in frames with a network.
        frames
            All that are to be predicted.
        pixel_size_nm
            Camera pixel of the localizations.

        Raises
        ------
        RuntimeError, MemoryError
            The reference cannot be run.
        """
        if self._candidates == [REFERENCE]:
            return Choice(REFERENCE, reference)

        def build(candidate: Candidate) -> RunnableNetwork:
            if candidate == REFERENCE:
                return reference
            return build_network(candidate, self._network, self._device, at_a_time=at_a_time)

        # as many as are going to run side by side
        step = self._portion.batch_size * self._portion.streams
        at_a_time = min(step, torch.get_num_threads())
        # a shorter batch at the end would be something new for a compiled network
        batches = [frames[k : k + step] for k in range(0, len(frames) - step + 1, step)]
        if frames and not batches:
            batches = [frames]
        comparison = Comparison(self._candidates, build, localize, batches)
        choice = choose(
            self._candidates,
            comparison,
            tolerance_nm=pixel_size_nm / reference.upsampling_factor,
            conditions=self._conditions,
        )
        if choice.is_refusal:
            return choice._replace(reason=f"{self._asked} is not used: {choice.reason}")
        return choice


def _conditions(
    card: ModelCard, device: torch.device, portion: Portion, size: tuple[int, int]
) -> dict[str, JsonValue] | None:
    """Name all that the speed of a network depends on; ``None`` for one without a file."""
    if not card.weights_sha256:
        return None
    return {
        "device": describe_device(device),
        "threads": torch.get_num_threads(),
        "napari-dl4smlm": __version__,
        "torch": torch.__version__,
        "openvino": openvino_version(),
        "architecture": card.architecture,
        "options": dict(card.options),
        "upsampling_factor": card.upsampling_factor,
        "weights_sha256": card.weights_sha256,
        "batch_size": portion.batch_size,
        "tile_size": portion.tile_size,
        "streams": portion.streams,
        "size_px": list(size),
    }
