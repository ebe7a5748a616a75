"""The steps of a processing: what a form, a YAML file and the command line have in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from napari_dl4smlm.backend.errors import unknown_name
from napari_dl4smlm.backend.processing.cross_correlation import CrossCorrelation
from napari_dl4smlm.backend.processing.fiducials import Fiducials
from napari_dl4smlm.backend.processing.filtering import Filter, Region
from napari_dl4smlm.backend.processing.intersections import Intersections
from napari_dl4smlm.backend.processing.merging import Merge
from napari_dl4smlm.backend.processing.rendering import Rendering
from napari_dl4smlm.backend.processing.saved_drift import SavedDrift

Selection = Filter | Region | Merge
"""What leaves out or joins localizations; ``apply`` returns a new table."""

DriftCorrection = CrossCorrelation | Intersections | Fiducials | SavedDrift
"""What tells the drift of a table with rows; ``estimate`` returns it."""

STEPS: dict[str, type[Selection | DriftCorrection]] = {
    "filter": Filter,
    "region": Region,
    "merge": Merge,
    "rcc": CrossCorrelation,
    "aim": Intersections,
    "fiducials": Fiducials,
    "saved_drift": SavedDrift,
}
"""All steps by name."""


def _by_name(value: Any) -> Any:
    if isinstance(value, str):
        value = {"kind": value}
    kind = value.get("kind") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind not in STEPS:
        raise unknown_name("step", kind, STEPS)
    return value


Step = Annotated[
    Selection | DriftCorrection, Field(discriminator="kind"), BeforeValidator(_by_name)
]
"""Any step; its name alone stands for its defaults."""


class ProcessingConfig(BaseModel, frozen=True, extra="forbid"):
    """What is done to a table of localizations, and how it is drawn in the end."""

    steps: tuple[Step, ...] = Field(
        (), title="Steps", description="one after the other, each on what the one before has left"
    )
    render: Rendering = Field(
        Rendering(), title="Image", description="how the localizations that are left are drawn"
    )

    def to_dict(self) -> dict[str, Any]:
        """Return what :meth:`model_validate` reads back, in plain JSON types."""
        return self.model_dump(mode="json", exclude_none=True)
