"""What all networks share: frames in, density map out, and how far a pixel's influence reaches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.gaussian_blur import GaussianBlur
from napari_dl4smlm.backend.models.options import LARGEST_COUNTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UPSAMPLING_FACTORS = (1, 2, 4, 8)


class SuperResolutionNetwork(nn.Module, ABC):
    """A network that turns camera frames into density maps on a finer grid.

    Parameters
    ----------
    upsampling_factor
        Fine pixels per camera pixel along each axis: 1, 2, 4 or 8. 1 is for frames that were
        interpolated beforehand.
    **options
        What else the subclass needs to be built again; kept in ``options``.

    Attributes
    ----------
    name
        The network's name in ``MODELS``.
    options
        ``create_model(network.name, upsampling_factor=network.upsampling_factor,
        **network.options)`` builds the same network with new weights. JSON can hold them.
    hint_layer
        The layer, about half of the way through, that gives and takes hints in distillation.

    Raises
    ------
    InputError
        An option has a value that the network cannot be built with.
    """

    name: ClassVar[str]
    hint_layer: ClassVar[str]

    def __init__(self, upsampling_factor: int, **options: int | float | str | bool) -> None:
        super().__init__()
        check_choice("upsampling_factor", upsampling_factor, UPSAMPLING_FACTORS)
        self.upsampling_factor = upsampling_factor
        self.options = options

    def forward(self, frames: Tensor) -> Tensor:
        """Predict the density map of every frame.

        Parameters
        ----------
        frames
            Shape (N, 1, Y, X), normalized, of any size from 1 x 1 px.

        Returns
        -------
        Tensor
            Shape (N, 1, f·Y, f·X) with f the upsampling factor; not clamped, so it can be
            negative. Fine pixel (f·y, f·x) shares its outer corner with camera pixel (y, x).

        Raises
        ------
        InputError
            The frames do not have that shape.

        Notes
        -----
        A frame whose sides are no multiples of ``alignment`` is continued with zeros at its bottom
        and right, and the map is cropped back. Zero is what every convolution sees beyond the
        other two borders, and nothing moves at the top left, so the pooling cells of a tile that
        starts at a multiple of ``alignment`` are those of the whole frame.
        """
        if frames.ndim != 4 or frames.shape[1] != 1:
            raise InputError(
                f"The frames have shape {tuple(frames.shape)}; the network takes (N, 1, Y, X). "
                "Give N single-channel frames, for example frames[:, None]."
            )
        height, width = frames.shape[-2:]
        padding = (0, -width % self.alignment, 0, -height % self.alignment)
        density = self._density(F.pad(frames, padding) if any(padding) else frames)
        factor = self.upsampling_factor
        return density[..., : factor * height, : factor * width]

    @cached_property
    def alignment(self) -> int:
        """Camera pixels per cell of the coarsest grid inside the network, at least 1.

        A tile must start at a multiple of it for its pooling cells to be those of the whole frame.
        """
        pixel = coarsest = 1.0
        for step in self.footprints:
            pixel *= step.pooling / step.enlargement
            coarsest = max(coarsest, pixel)
        return int(coarsest)

    @cached_property
    def halo(self) -> int:
        """Camera pixels that a tile needs around the part of its map that is kept.

        The largest distance, over all positions within a pooling cell, at which a camera pixel can
        still change the map of another one. A tile gives the map of the whole frame if it begins at
        least ``halo`` pixels before the kept part, at a multiple of ``alignment``, and ends at
        least ``halo`` pixels after it; or at the borders of the frame.
        """
        reach = 0
        for pixel in range(self.alignment):
            first = pixel * self.upsampling_factor
            last = first + self.upsampling_factor - 1
            for step in reversed(self.footprints):
                first, last = step.source(first, last)
            reach = max(reach, pixel - first, last - pixel)
        return reach

    @cached_property
    def footprints(self) -> list[Footprint]:
        """What each layer that is not pointwise does to the grid, from input to output."""
        return footprints(self._layers())

    @abstractmethod
    def _density(self, frames: Tensor) -> Tensor:
        """Map frames, whose sides are multiples of ``alignment``, to their density maps."""

    @abstractmethod
    def _layers(self) -> Iterable[nn.Module]:
        """List all layers in the order of execution.

        As one chain: a skip connection, which only leaves layers out, reaches no farther.
        """


class Footprint(NamedTuple):
    """A layer seen as nearest enlargement, then a window of 2 ``reach`` + 1, then pooling.

    ``weights`` is the number of multiplications per position of the window.
    """

    enlargement: int = 1
    reach: int = 0
    pooling: int = 1
    weights: int = 0

    def source(self, first: int, last: int) -> tuple[int, int]:
        """First and last input pixel, along one axis, behind the given range of output pixels."""
        first, last = first * self.pooling, last * self.pooling + self.pooling - 1
        return (first - self.reach) // self.enlargement, (last + self.reach) // self.enlargement


def footprints(layers: Iterable[nn.Module]) -> list[Footprint]:
    """Describe a chain of layers, leaving out those that are pointwise.

    Raises
    ------
    TypeError
        For a layer of unknown reach: taken for pointwise it would make tiles wrong in silence.
    """
    steps: list[Footprint] = []
    for layer in layers:
        match layer:
            case nn.Sequential():
                steps += footprints(layer)
            case UpsampleConv(weight=weight):
                steps.append(Footprint(enlargement=2, reach=1, weights=weight.numel()))
            case nn.Conv2d(kernel_size=(size, _), weight=weight):
                steps.append(Footprint(reach=size // 2, weights=weight.numel()))
            case GaussianBlur(radius=radius, kernel=kernel):
                steps.append(Footprint(reach=radius, weights=2 * len(kernel)))
            case nn.MaxPool2d(kernel_size=int(size)) | nn.AvgPool2d(kernel_size=int(size)):
                steps.append(Footprint(pooling=size))
            case nn.Upsample(mode="nearest", scale_factor=float(factor)):
                steps.append(Footprint(enlargement=int(factor)))
            case nn.Upsample(mode="bicubic", scale_factor=float(factor)):
                # two camera pixels on either side of the position (i + 1/2)/f - 1/2
                steps.append(Footprint(enlargement=int(factor), reach=int(3 * factor / 2)))
            case nn.BatchNorm2d() | nn.ReLU() | nn.LeakyReLU() | nn.Identity():
                pass
            case _:
                raise TypeError(f"the reach of {type(layer).__name__} is not known")
    return steps


class UpsampleConv(nn.Conv2d):
    """Nearest-neighbour enlargement by 2, then a 3 x 3 convolution without bias.

    Computed as the equal transposed convolution with a 4 x 4 kernel, which never makes the
    enlarged input and needs 4 instead of 9 multiplications per output pixel. The weights stay those
    of the 3 x 3 convolution, so that training and model files know nothing of it.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Shape (N, in_channels, Y, X) to (N, out_channels, 2·Y, 2·X)."""
        kernel = self.weight.flip(2, 3).transpose(0, 1)
        # what both copies of a coarse pixel add to the fine grid, along x and then along y
        kernel = F.pad(kernel, (0, 1, 0, 0)) + F.pad(kernel, (1, 0, 0, 0))
        kernel = F.pad(kernel, (0, 0, 0, 1)) + F.pad(kernel, (0, 0, 1, 0))
        return F.conv_transpose2d(input, kernel, stride=2, padding=1)


def conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    """3 x 3 convolution without bias; the grid stays, and beyond its borders it counts as zero."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)


def enlarge(factor: int, mode: str) -> nn.Module:
    """Interpolation of frames onto the fine grid, with the outer corners in place.

    Parameters
    ----------
    factor
        Fine pixels per camera pixel.
    mode
        ``"nearest"`` or ``"bicubic"``.
    """
    return nn.Identity() if factor == 1 else nn.Upsample(scale_factor=factor, mode=mode)


def named_layers(**layers: nn.Module) -> nn.Sequential:
    """Chain layers under names that say what they are for."""
    return nn.Sequential(OrderedDict(layers))


def check_choice(option: str, value: object, choices: Sequence[object]) -> None:
    """Raise InputError unless the value is one of the choices and of their type."""
    # 8.0 == 8 and True == 1, yet neither counts pixels
    if value not in choices or type(value) is not type(choices[0]):
        listed = ", ".join(repr(choice) for choice in choices)
        raise InputError(f"{option} must be one of {listed}; got {value!r}.")


def check_count(option: str, value: object) -> None:
    """Raise InputError unless the value is a whole number from 1 to that of LARGEST_COUNTS."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{option} must be a whole number of at least 1; got {value!r}.")
    if value > LARGEST_COUNTS[option]:
        raise InputError(f"{option} must be at most {LARGEST_COUNTS[option]}; got {value}.")
