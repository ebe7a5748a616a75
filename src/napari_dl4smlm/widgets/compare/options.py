"""What a user decides about a comparison, beside models, data and devices."""

from __future__ import annotations

from pydantic import Field

from napari_dl4smlm.backend.prediction.config import PredictionConfig


class ComparisonOptions(PredictionConfig):
    """How all models predict, what counts as found, and how often they are timed."""

    frames: str | None = Field(
        None,
        title="Frames",
        description="frames to compare on, A:B from 0 with B excluded; default: all that trained "
        "none of the models",
    )
    threshold: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        title="Threshold",
        description="lowest confidence of a localization, the same for all models, which is rarely "
        "fair; default: calibrated, each its own",
    )
    tolerance_nm: float = Field(
        100.0,
        gt=0,
        allow_inf_nan=False,
        title="Tolerance",
        description="largest distance between a localization and its emitter",
    )
    border_nm: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        title="Border",
        description="rim of the field in which nothing is counted as found, spurious or missed",
    )
    repeats: int = Field(
        5,
        ge=1,
        title="Timed batches",
        description="batches that are timed on each device, after one that is not",
    )
    seed: int = Field(
        0, ge=0, title="Seed", description="of the frames that are drawn for the intervals"
    )

    def prediction(self) -> PredictionConfig:
        """Return the part that the models predict with."""
        return PredictionConfig(**self.model_dump(include=set(PredictionConfig.model_fields)))
