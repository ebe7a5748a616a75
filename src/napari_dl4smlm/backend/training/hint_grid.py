"""Which layers have a grid on which hints can be compared."""

from __future__ import annotations

from napari_dl4smlm.backend.errors import InputError


def check_grid(name: str, whose: str, *, scale: float, patch_px: int) -> None:
    """Refuse a layer of which a patch holds no whole cell.

    Any other two layers can be compared: their grids differ by a power of 2, over which features
    are averaged or interpolated.

    Parameters
    ----------
    name, whose
        The layer and the network that it is of, for the message.
    scale
        Pixels of the layer's grid per camera pixel along each axis.
    patch_px
        Side of a training patch in camera pixels.

    Raises
    ------
    InputError
        A cell is larger than a patch.
    """
    if patch_px * scale < 1:
        raise InputError(
            f"The layer {name!r} {whose} has one cell for {1 / scale:g} camera pixels, but the "
            f"patches are {patch_px} px wide: there is nothing to compare. Choose larger patches "
            "or a layer with a finer grid."
        )
