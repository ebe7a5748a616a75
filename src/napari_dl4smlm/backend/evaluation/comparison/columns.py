"""What the columns of a comparison are: label, unit, which direction is better, what it assumes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_dl4smlm.backend.metrics.measured import Measured

Better = Literal["higher", "lower", "closer to 0", ""]


@dataclass(frozen=True)
class Column:
    """One number of each model.

    Attributes
    ----------
    name
        In files.
    label, unit
        For people; the unit of a pure number is empty.
    better
        In which direction; empty where neither is.
    decimals
        How many are shown.
    assumption
        One or two plain sentences: what the number rests on, and when not to believe it.
    limits
        The least and the most that it can be: intervals end there.
    """

    name: str
    label: str
    unit: str
    better: Better
    decimals: int
    assumption: str
    limits: tuple[float, float] = (-math.inf, math.inf)

    @property
    def title(self) -> str:
        """Label and unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def text(self, value: float) -> str:
        """Write a number of this column, a small one with more decimals, but not many more."""
        if not math.isfinite(value):
            return "∞" if value > 0 else "−∞"
        decimals = self.decimals
        if self.decimals and 0 < abs(value) < 1:
            two_digits = 1 - math.floor(math.log10(abs(value)))
            decimals = min(max(decimals, two_digits), decimals + 2)
        return f"{value:,.{decimals}f}".replace("-", "−")


@dataclass(frozen=True)
class ColumnGroup:
    """Columns that belong together.

    Attributes
    ----------
    title
        What they are about.
    assumption
        What all of them rest on.
    columns
        The columns.
    """

    title: str
    assumption: str
    columns: tuple[Column, ...]


_DETECTION = (
    Column(
        "jaccard",
        "Jaccard index",
        "",
        "higher",
        3,
        "Found emitters over found, missed and spurious ones together.",
    ),
    Column(
        "precision",
        "precision",
        "",
        "higher",
        3,
        "Share of the localizations that have an emitter. A higher threshold raises it.",
    ),
    Column(
        "recall",
        "recall",
        "",
        "higher",
        3,
        "Share of the emitters that were found. A lower threshold raises it.",
    ),
    Column(
        "rmse_nm",
        "lateral RMSE",
        "nm",
        "lower",
        1,
        "Of the pairs only, and never more than the tolerance: a model that finds nothing but the "
        "easy emitters has a small one. Read it together with recall.",
    ),
    Column(
        "bias_y_nm",
        "mean error in y",
        "nm",
        "closer to 0",
        2,
        "Of the pairs only. A constant shift of the whole image, as between tables of different "
        "origins, shows here.",
    ),
    Column("bias_x_nm", "mean error in x", "nm", "closer to 0", 2, "As the mean error in y."),
    Column(
        "efficiency",
        "efficiency",
        "",
        "higher",
        1,
        "Jaccard index and RMSE in one number, with 1 nm weighted as 1 % (Sage et al. 2019); 100 "
        "is perfect. It depends on the tolerance as both do.",
    ),
)

_IMAGES = (
    Column(
        "nmse_percent",
        "NMSE",
        "%",
        "lower",
        1,
        "Misplaced by a pixel, the same structure counts as wrong.",
        limits=(0, math.inf),
    ),
    Column(
        "pearson",
        "correlation",
        "",
        "higher",
        3,
        "It does not depend on the scale.",
        limits=(-1, 1),
    ),
    Column(
        "psnr_db",
        "PSNR",
        "dB",
        "higher",
        2,
        "The peak is the range of the truth, so that one very bright pixel raises it.",
    ),
    Column(
        "ssim",
        "SSIM",
        "",
        "higher",
        3,
        "The emptier the field, the closer to 1 it is whatever is predicted: compare "
        "models on one movie only.",
        limits=(-1, 1),
    ),
    Column(
        "ms_ssim",
        "MS-SSIM",
        "",
        "higher",
        3,
        "As SSIM, on five scales; images with a side of less than 176 pixels have none.",
        limits=(0, 1),
    ),
)

_SIZE = (
    Column("parameters", "parameters", "", "lower", 0, "Numbers that are learned."),
    Column(
        "gflop_per_frame",
        "GFLOP per frame",
        "",
        "lower",
        2,
        "Two per multiplication of all convolutions as they are written down, for a frame of this "
        "size. A faster form of the same network may need fewer, and time does not follow them "
        "strictly: it is measured below.",
    ),
    Column("file_megabytes", "file", "MB", "lower", 2, "10⁶ bytes of the model file."),
)

DETECTION = ColumnGroup(
    "Detection",
    "A localization is paired with at most one emitter of its frame, within the tolerance. All "
    "frames count together, so that a crowded one counts more than an empty one.",
    _DETECTION,
)
IMAGES = ColumnGroup(
    "Image",
    "The sum of all density maps, scaled to the sum of the truth, against the emitters drawn with "
    "one pixel of blur; both on the common grid.",
    _IMAGES,
)
SIZE = ColumnGroup("Size", "Exact, and the same on every machine.", _SIZE)

# the measures without truth in which one direction is better
_BETTER_WITHOUT_TRUTH: dict[str, Better] = {
    "frc_resolution": "lower",
    "decorrelation_resolution": "lower",
    "precision": "lower",
    "rsp": "higher",
    "rse": "lower",
}


def quality_group(measured: Mapping[str, Measured]) -> ColumnGroup:
    """Describe what is measured without truth, as ``Quality.measured`` names it."""
    columns = tuple(
        Column(
            name,
            one.label,
            one.unit,
            _BETTER_WITHOUT_TRUTH.get(name, ""),
            3 if name == "rsp" else 1,
            one.assumption,
        )
        for name, one in measured.items()
    )
    note = (
        "Measured once: nothing tells how much of a difference is chance. None of them sees what "
        "a model leaves out or invents as the truth would."
    )
    return ColumnGroup("Without ground truth", note, columns)


def speed_group(device: str) -> ColumnGroup:
    """Describe the measurements on one device."""
    memory = {
        "cuda": "Most that PyTorch had allocated on the device (max_memory_allocated).",
        "cpu": "Largest size of the whole process, Python and its libraries included (VmHWM); "
        "measured under Linux only.",
    }
    time_per_frame = Column(
        f"ms_per_frame_{device}",
        f"time per frame on {device}",
        "ms",
        "lower",
        2,
        "Median over the timed batches, with the fastest and the slowest below it.",
    )
    speed = Column(
        f"frames_per_second_{device}",
        f"speed on {device}",
        "frames/s",
        "higher",
        1,
        "The same the other way round.",
    )
    peak = Column(
        f"peak_megabytes_{device}",
        f"peak memory on {device}",
        "MB",
        "lower",
        0,
        memory.get(device.partition(":")[0], "Not measured on this kind of device."),
    )
    note = (
        "Of a model that is warm: normalization, network, sum and localization, without reading "
        "or writing files. Whatever else the machine did at the time is in it."
    )
    return ColumnGroup(f"Speed on {device}", note, (time_per_frame, speed, peak))
