"""Scores as people read them, and as programs do."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FRACTIONS = ("precision", "recall", "f1", "jaccard")
_LABELS = {
    "true_positives": "found",
    "false_positives": "spurious",
    "false_negatives": "missed",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "jaccard": "Jaccard index",
    "rmse_nm": "RMSE (nm)",
    "mad_nm": "mean absolute error |y| + |x| (nm)",
    "bias_y_nm": "mean error in y (nm)",
    "bias_x_nm": "mean error in x (nm)",
    "efficiency": "efficiency (100 is perfect)",
    "map_nmse_percent": "NMSE of a frame's map (%)",
    "map_pearson": "correlation of a frame's map",
    "map_ssim": "SSIM of a frame's map",
    "nmse_percent": "NMSE of the image, equal sums (%)",
    "pearson": "correlation of the image",
    "psnr_db": "PSNR of the image, equal sums (dB)",
    "ssim": "SSIM of the image, equal sums",
    "ms_ssim": "MS-SSIM of the image, equal sums",
}


def as_json(scores: object) -> str:
    """Write scores as one JSON object; what cannot be told is null."""
    return json.dumps(_finite(scores), indent=1)


def as_table(rows: Mapping[str, Sequence[float | None]], *, head: Sequence[str] = ()) -> str:
    """Write scores with their labels, one line each.

    Parameters
    ----------
    rows
        By the name of the score, its value in every column; ``None`` leaves the place empty.
    head
        Titles of the columns; no line for them by default.
    """
    width = max(len(_LABELS[name]) for name in rows)
    lines = [("", head)] if head else []
    lines += [
        (_LABELS[name], [_as_text(name, value) for value in values])
        for name, values in rows.items()
    ]
    return "\n".join(
        "  ".join([f"{label:<{width}}", *(f"{text:>10}" for text in texts)]).rstrip()
        for label, texts in lines
    )


def _as_text(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    if math.isnan(value):
        return "none"
    return f"{value:.3f}" if name in _FRACTIONS or name.endswith("ssim") else f"{value:.2f}"


def _finite(scores: Any) -> Any:
    """Replace NaN and infinity, which JSON does not have."""
    if isinstance(scores, dict):
        return {name: _finite(value) for name, value in scores.items()}
    if isinstance(scores, list):
        return [_finite(value) for value in scores]
    if isinstance(scores, float) and not math.isfinite(scores):
        return None
    return scores
