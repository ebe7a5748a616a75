"""Predict a large frame tile by tile, with the result of the whole frame."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork
    from napari_dl4smlm.backend.prediction.backends.candidates import RunnableNetwork


class Span(NamedTuple):
    """Part of one axis of a frame, in camera pixels.

    Attributes
    ----------
    seen
        What the network is given: the kept pixels with a halo on both sides, cut at the borders
        of the frame.
    kept
        The pixels whose density is kept.
    """

    seen: slice
    kept: slice


class Tile(NamedTuple):
    """Part of a frame that is predicted by itself."""

    rows: Span
    columns: Span


def plan_tiles(height: int, width: int, *, tile_size: int, halo: int, alignment: int) -> list[Tile]:
    """Cut a frame into tiles of about equal size.

    Parameters
    ----------
    height, width
        Size of the frame in camera pixels.
    tile_size
        Longest side of the kept part of a tile, in camera pixels.
    halo
        Camera pixels around the kept part that change its density; see
        :attr:`SuperResolutionNetwork.halo`.
    alignment
        What the network sees of a tile starts at a multiple of it, so that the cells of its
        pooling layers are those of the whole frame.

    Returns
    -------
    list of Tile
        In reading order. The kept parts cover the frame without overlap.
    """
    rows, columns = (list(_spans(length, tile_size, halo, alignment)) for length in (height, width))
    return [Tile(*spans) for spans in product(rows, columns)]


def predict_tiled(
    network: SuperResolutionNetwork | RunnableNetwork, frames: Tensor, *, tile_size: int
) -> Tensor:
    """Predict density maps tile by tile; they are those of the whole frames.

    The memory for the activations is that of one tile. "Are those" holds to rounding: a
    convolution may add up in another order for another size of its input.

    Parameters
    ----------
    network
        In evaluation mode.
    frames
        Shape (N, 1, Y, X), normalized.
    tile_size
        Longest side of the kept part of a tile, in camera pixels.

    Returns
    -------
    Tensor
        Shape (N, 1, f Y, f X), as the network gives it.
    """
    height, width = frames.shape[-2:]
    factor = network.upsampling_factor
    maps = frames.new_empty((len(frames), 1, factor * height, factor * width))
    tiles = plan_tiles(
        height, width, tile_size=tile_size, halo=network.halo, alignment=network.alignment
    )
    for rows, columns in tiles:
        density = network(frames[..., rows.seen, columns.seen])
        maps[..., _enlarged(rows.kept, factor), _enlarged(columns.kept, factor)] = density[
            ..., _kept_of_seen(rows, factor), _kept_of_seen(columns, factor)
        ]
    return maps


def _spans(length: int, tile_size: int, halo: int, alignment: int) -> Iterator[Span]:
    n_tiles = -(-length // tile_size)
    for k in range(n_tiles):
        # equal shares: a last tile of a few pixels would cost almost a whole one
        start, stop = k * length // n_tiles, (k + 1) * length // n_tiles
        first = max(0, start - halo)
        yield Span(
            seen=slice(first - first % alignment, min(stop + halo, length)),
            kept=slice(start, stop),
        )


def _enlarged(pixels: slice, factor: int) -> slice:
    return slice(factor * pixels.start, factor * pixels.stop)


def _kept_of_seen(span: Span, factor: int) -> slice:
    origin = span.seen.start
    return _enlarged(slice(span.kept.start - origin, span.kept.stop - origin), factor)
