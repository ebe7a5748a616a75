"""Figures inside of a page, as data and not as files beside it."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Literal

from napari_dl4smlm.backend.report.markup import Html, element

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# sharp on paper and on most screens; the size of the page grows with its square
_DOTS_PER_INCH = 160

_MEDIA_TYPES = {"png": "image/png", "svg": "image/svg+xml"}


def picture(
    figure: Figure, caption: str, *, alternative: str, kind: Literal["png", "svg"] = "svg"
) -> Html:
    """Put a figure with its caption into a page.

    Parameters
    ----------
    figure
        Any figure.
    caption
        What is seen below it.
    alternative
        What is read to those who do not see it.
    kind
        ``"svg"`` for curves, ``"png"`` for images of many pixels.
    """
    buffer = io.BytesIO()
    # without the date: equal results are equal files
    metadata = {"Date": None} if kind == "svg" else None
    figure.savefig(buffer, format=kind, dpi=_DOTS_PER_INCH, metadata=metadata)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    image = element("img", src=f"data:{_MEDIA_TYPES[kind]};base64,{data}", alt=alternative)
    return element("figure", image, element("figcaption", caption))
