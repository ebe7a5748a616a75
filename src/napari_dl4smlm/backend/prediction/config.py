"""What a user decides about a prediction; the rest comes from the model file and the movie."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SMALLEST_TILE_PX = 16
"""Side in camera pixels below which tiles are hardly anything but halo."""

UNCALIBRATED_THRESHOLD = 0.3
"""For models whose validation data had no positions to calibrate a threshold with.

Below one half, since networks shrink what they are unsure of. On crowded frames the Jaccard index
of the trained networks was highest between 0.2 and 0.4.
"""


class PredictionConfig(BaseModel):
    """Which frames are predicted, where, and from what density on a peak is a localization."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = Field(
        "auto",
        title="Device",
        description="cpu, cuda, cuda:1 or mps; auto takes the fastest one there is",
    )
    backend: Literal["auto", "torch", "openvino"] = Field(
        "auto",
        title="Backend",
        description="torch, or openvino on a CPU; auto takes the faster one, found by a trial of "
        "some seconds if the movie is long",
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        title="Precision",
        description="numbers of 32 bits, or of 16, which are taken only if the localizations in "
        "the first frames stay the same; auto takes what is fastest",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        title="Batch",
        description="frames at a time; default: as many as the device computes fastest",
    )
    tile_size: int | None = Field(
        None,
        ge=SMALLEST_TILE_PX,
        title="Tile size",
        description="side in camera pixels of the tiles that frames are cut into; default: whole "
        "frames, unless one takes more than 4 GiB",
    )
    threshold: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        title="Threshold",
        description="lowest density around the peak of a localization, in emitters; default: the "
        "one calibrated in training, or else "
        f"{UNCALIBRATED_THRESHOLD}",
    )
    frames: str | None = Field(
        None,
        title="Frames",
        description="frames to predict, A:B from 0 with B excluded; default: all",
    )
    pixel_size_nm: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        title="Pixel size",
        description="camera pixel in nm; default: the movie's, or else the model's",
    )
