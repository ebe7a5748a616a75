"""Predict a large frame tile by tile, with the result of the whole frame."""

from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork
    from napari_dl4smlm.backend.prediction.backends.candidates import RunnableNetwork


class Span(NamedTuple):
    """Part of one axis of a frame, in camera pixels.

    Attributes
    ----------
    seen
        What the network is given: the kept pixels with a halo on both sides, or up to the border
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
    """Cut a frame into tiles of which the network sees equal sizes.

    So it is compiled, or recorded on a GPU, for one size of input.

    Parameters
    ----------
    height, width
        Size of the frame in camera pixels.
    tile_size
        Side of a tile without its halo, in camera pixels: the longest on average. At the border of
        the frame, where a tile needs no halo, it keeps the more.
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
    rows, columns = (_spans(length, tile_size, halo, alignment) for length in (height, width))
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
        As in `plan_tiles`.

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


def _spans(length: int, tile_size: int, halo: int, alignment: int) -> list[Span]:
    n_tiles = -(-length // tile_size)
    # each is seen to overlap with the next by two halos, from an aligned start on
    overlap = 2 * halo + alignment - 1
    side = -(-(length + (n_tiles - 1) * overlap) // n_tiles)
    # the last one ends with the frame and is aligned as well
    side += (length - side) % alignment
    if side >= length:
        return [Span(slice(0, length), slice(0, length))]
    evenly = (k * (length - side) // (n_tiles - 1) for k in range(n_tiles))
    # of tiles that are smaller than a pooling cell, some begin at the same one
    starts = sorted({start - start % alignment for start in evenly})
    borders = [0, *(start + halo for start in starts[1:]), length]
    return [
        Span(seen=slice(start, start + side), kept=slice(*kept))
        for start, kept in zip(starts, pairwise(borders), strict=True)
    ]


def _enlarged(pixels: slice, factor: int) -> slice:
    return slice(factor * pixels.start, factor * pixels.stop)


def _kept_of_seen(span: Span, factor: int) -> slice:
    origin = span.seen.start
    return _enlarged(slice(span.kept.start - origin, span.kept.stop - origin), factor)
