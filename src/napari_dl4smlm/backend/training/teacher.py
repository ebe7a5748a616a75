"""The network that another one learns from: it only predicts, and is followed where it is good."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.gaussian_blur import GaussianBlur
from napari_dl4smlm.backend.losses.attentive_imitation import attention
from napari_dl4smlm.backend.models.layers import layer_outputs
from napari_dl4smlm.backend.training.events import TeacherTested

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from torch import Tensor

    from napari_dl4smlm.backend.models.model_file import TrainedModel
    from napari_dl4smlm.backend.training.arithmetic import Arithmetic


class Teacher:
    """A trained network that does not change any more.

    Frames are normalized, of shape (N, 1, y, x). The truth of them is given, and their density maps
    are returned, as all losses see them: (N, 1, f y, f x), in emitters per fine pixel, each emitter
    a Gaussian of one fine pixel. That is what some losses make a network draw; the maps of the
    others are sharper, and are blurred here.

    Parameters
    ----------
    model
        Its network is moved to the device.
    arithmetic
        How its maps are computed.
    attentive
        Follow the teacher where its error is small. Its errors have to be measured first.

    Attributes
    ----------
    error_range
        Smallest and largest error that were measured; ``None`` before that.
    """

    def __init__(self, model: TrainedModel, arithmetic: Arithmetic, *, attentive: bool) -> None:
        self._network = arithmetic.place(model.network).eval().requires_grad_(False)
        sigma_px = model.card.blur_sigma_px
        self._blur = GaussianBlur(sigma_px) if sigma_px > 0 else None
        self._arithmetic = arithmetic
        self._attentive = attentive
        self.error_range: tuple[float, float] | None = None

    def measure_errors(
        self,
        batches: Iterable[tuple[Tensor, Tensor]],
        total: int,
        is_late: Callable[[], bool],
    ) -> Iterator[TeacherTested]:
        """Find the range of the errors, once.

        Parameters
        ----------
        batches
            Frames and their truth, as seen.
        total
            Samples in all batches.
        is_late
            Asked after each batch: if so, the errors so far are those that count.

        Yields
        ------
        TeacherTested
            After each batch. Unless the last one is asked for, nothing was measured. Its total
            is what was tested.

        Raises
        ------
        InputError
            The teacher's maps are not numbers.
        """
        if not self._attentive or self.error_range is not None:
            return
        errors: list[float] = []
        for frames, truth in batches:
            errors += self._errors(self.maps(frames), truth).tolist()
            if not all(map(math.isfinite, errors)):
                raise InputError(
                    "The density maps of the teacher are not numbers. Check it with "
                    "'dl4smlm test', or choose another one."
                )
            is_last = len(errors) == total or is_late()
            if is_last:
                self.error_range = min(errors), max(errors)
            yield TeacherTested(len(errors), len(errors) if is_last else total)
            if is_last:
                return

    @torch.no_grad()
    def maps(self, frames: Tensor) -> Tensor:
        """Return density maps."""
        return self._as_seen(self._arithmetic.density(self._network, frames))

    @torch.no_grad()
    def attention(self, maps: Tensor, truth: Tensor) -> Tensor:
        """Return how far to follow each of its density maps: shape (N,), from 0 to 1."""
        if self.error_range is None:
            return torch.ones(len(maps), device=maps.device)
        return attention(self._errors(maps, truth), *self.error_range)

    @torch.no_grad()
    def hints(
        self, frames: Tensor, layers: Collection[str], truth: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return what layers put out, by name, and how far to follow each sample.

        Without the truth, every sample is followed alike.
        """
        followed = torch.ones(len(frames), device=self._arithmetic.device)
        # only the error takes more than the layers
        needs_maps = truth is not None and self._attentive
        with layer_outputs(self._network, layers, skip_rest=not needs_maps) as features:
            maps = self.maps(frames)
            if truth is not None:
                followed = self.attention(maps, truth)
        return features, followed

    @torch.no_grad()
    def shown(self, frames: Tensor) -> Tensor:
        """Return density maps to look at, which are never negative."""
        return self._as_seen(self._arithmetic.density(self._network, frames).clamp_min(0))

    def _as_seen(self, maps: Tensor) -> Tensor:
        return maps if self._blur is None else self._blur(maps)

    def _errors(self, maps: Tensor, truth: Tensor) -> Tensor:
        return (maps - truth.to(maps.device)).square().mean(dim=(1, 2, 3))
