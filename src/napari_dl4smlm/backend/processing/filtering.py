"""Leave out localizations by what a column says, or by where they are."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, Field, model_validator

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from napari_dl4smlm.backend.localizations.table import Localizations

_COMPARISON = re.compile(r"\s*(?P<column>[^<>=]+?)\s*(?P<sign><=?|>=?)\s*(?P<limit>[^<>=]+?)\s*")


class Filter(BaseModel, frozen=True, extra="forbid"):
    """Keep localizations whose value in a column lies between two limits.

    Those without a value (NaN) are not kept.
    """

    kind: Literal["filter"] = Field("filter", description="keep values between two limits")
    column: str = Field(
        "photons", title="Column", description="name of the column, such as photons or sigma_nm"
    )
    minimum: float | None = Field(
        None, allow_inf_nan=False, title="Minimum", description="lowest value that is kept"
    )
    maximum: float | None = Field(
        None, allow_inf_nan=False, title="Maximum", description="highest value that is kept"
    )
    include_limits: bool = Field(
        True, title="Include limits", description="keep values that are equal to a limit"
    )

    @model_validator(mode="after")
    def _limits_in_order(self) -> Filter:
        if self.minimum is None and self.maximum is None:
            raise ValueError("give a minimum or a maximum")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is above maximum {self.maximum:g}")
        return self

    @classmethod
    def from_text(cls, text: str) -> Filter:
        """Read a comparison such as ``photons > 500`` or ``uncertainty_nm<=30``.

        Raises
        ------
        InputError
            The text is no comparison of a column with a finite number.
        """
        match = _COMPARISON.fullmatch(text)
        try:
            if match is None:
                raise ValueError
            limit = float(match["limit"])
            if not math.isfinite(limit):
                raise ValueError
        except ValueError:
            raise InputError(
                f"{text!r} is not a filter. Compare a column with a number that is finite, as in "
                "'photons > 500'."
            ) from None
        return cls(
            column=match["column"],
            minimum=limit if ">" in match["sign"] else None,
            maximum=limit if "<" in match["sign"] else None,
            include_limits="=" in match["sign"],
        )

    def apply(self, localizations: Localizations) -> Localizations:
        """Return the localizations that are kept, in their order.

        Raises
        ------
        InputError
            There is no such column; the message suggests one.
        """
        values = localizations.column(self.column)
        above, below = (
            (np.greater_equal, np.less_equal) if self.include_limits else (np.greater, np.less)
        )
        # a comparison with NaN is false
        kept = np.ones(len(values), bool)
        if self.minimum is not None:
            kept &= above(values, self.minimum)
        if self.maximum is not None:
            kept &= below(values, self.maximum)
        return localizations[kept]

    def __str__(self) -> str:
        equal = "=" if self.include_limits else ""
        limits = {f">{equal}": self.minimum, f"<{equal}": self.maximum}
        return " and ".join(
            f"{self.column} {sign} {limit:g}" for sign, limit in limits.items() if limit is not None
        )


class Region(BaseModel, frozen=True, extra="forbid"):
    """Keep localizations inside a rectangle, its upper and left edge included.

    Positions count from the outer corner of camera pixel (0, 0).
    """

    kind: Literal["region"] = Field("region", description="keep what lies in a rectangle")
    top_nm: float = Field(0.0, allow_inf_nan=False, title="Top", description="smallest y in nm")
    left_nm: float = Field(0.0, allow_inf_nan=False, title="Left", description="smallest x in nm")
    height_nm: float = Field(
        5000.0, gt=0, allow_inf_nan=False, title="Height", description="extent along y in nm"
    )
    width_nm: float = Field(
        5000.0, gt=0, allow_inf_nan=False, title="Width", description="extent along x in nm"
    )

    def apply(self, localizations: Localizations) -> Localizations:
        """Return the localizations inside, in their order; their positions stay as they are."""
        inside = (localizations.y_nm >= self.top_nm) & (localizations.x_nm >= self.left_nm)
        inside &= localizations.y_nm < self.top_nm + self.height_nm
        inside &= localizations.x_nm < self.left_nm + self.width_nm
        return localizations[inside]

    def __str__(self) -> str:
        return (
            f"region of {self.height_nm:g} x {self.width_nm:g} nm at y {self.top_nm:g}, "
            f"x {self.left_nm:g} nm"
        )
