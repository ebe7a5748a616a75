"""What the validation frames told about a network's peaks: which to trust, and how far."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_dl4smlm.backend.localizations.table import Localizations


def _check_table(densities: Sequence[float], rising: Sequence[float]) -> None:
    """Raise ValueError for what cannot be interpolated, or would be without any sense."""
    if len(densities) != len(rising):
        raise ValueError(f"the table has {len(densities)} densities, but {len(rising)} values")
    for column in (densities, rising):
        # also false for what is no number
        if not all(low <= high for low, high in pairwise(column)):
            raise ValueError("the table is not in the order of densities")


class ConfidenceCalibration(BaseModel, frozen=True, extra="forbid"):
    """How probable it is that a peak of some density is an emitter.

    Attributes
    ----------
    densities, probabilities
        A table, by rising density; neither falls. Between its entries it is interpolated, beyond
        its ends constant.
    expected_calibration_error
        Of a table fitted to one half of the validation frames, on the localizations of the other
        half; see :func:`.expected_calibration_error`.
    predicted, actual, counts
        The reliability curve behind that number: mean predicted probability, share of emitters and
        number of localizations of each bin.
    """

    densities: tuple[float, ...] = Field(min_length=1)
    probabilities: tuple[float, ...] = Field(min_length=1)
    expected_calibration_error: float = Field(ge=0, le=1)
    predicted: tuple[float, ...]
    actual: tuple[float, ...]
    counts: tuple[int, ...]

    @model_validator(mode="after")
    def _is_a_table(self) -> ConfidenceCalibration:
        _check_table(self.densities, self.probabilities)
        if self.probabilities[0] < 0 or self.probabilities[-1] > 1:
            raise ValueError("probabilities are below 0 or above 1")
        return self


class UncertaintyCalibration(BaseModel, frozen=True, extra="forbid"):
    """How far from its emitter a peak of some density lies.

    Attributes
    ----------
    densities, uncertainties_nm
        A table as in `ConfidenceCalibration`; uncertainties never rise.
    expected_normalized_calibration_error
        Of a table fitted to one half of the validation frames, on the pairs of the other half; see
        :func:`.expected_normalized_calibration_error`.
    predicted_nm, actual_nm, counts
        The error curve behind that number: root mean squares, along one axis, of the predicted
        uncertainties and of the actual errors, and number of pairs of each bin.
    """

    densities: tuple[float, ...] = Field(min_length=1)
    uncertainties_nm: tuple[float, ...] = Field(min_length=1)
    expected_normalized_calibration_error: float = Field(ge=0)
    predicted_nm: tuple[float, ...]
    actual_nm: tuple[float, ...]
    counts: tuple[int, ...]

    @model_validator(mode="after")
    def _is_a_table(self) -> UncertaintyCalibration:
        _check_table(self.densities, [-value for value in self.uncertainties_nm])
        if self.uncertainties_nm[-1] < 0:
            raise ValueError("uncertainties are below 0")
        return self


class Calibration(BaseModel, frozen=True, extra="forbid"):
    """How threshold, precision and recall go together on the validation frames.

    Attributes
    ----------
    tolerance_nm
        Largest distance between a localization and its emitter.
    threshold
        Smallest density of a localization at which the Jaccard index is highest.
    thresholds, precision, recall
        The whole curve, by rising threshold.
    jaccard, rmse_nm
        At ``threshold``; the error is the lateral one, and ``None`` if nothing was found.
    confidence, uncertainty
        ``None`` if the validation frames had too few peaks or pairs to tell, or in a model of a
        version that did not ask.
    """

    tolerance_nm: float = Field(gt=0)
    threshold: float = Field(gt=0)
    thresholds: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    jaccard: float = Field(ge=0, le=1)
    rmse_nm: float | None
    confidence: ConfidenceCalibration | None = None
    uncertainty: UncertaintyCalibration | None = None

    def apply(self, peaks: Localizations, *, magnification: float = 1.0) -> Localizations:
        """Tell of each peak how sure and how precise it is, as far as that is known.

        Parameters
        ----------
        peaks
            As `find_peaks` returns them: their ``confidence`` is the density.
        magnification
            Pixel size of the movie over that of the training: errors are of so many pixels.

        Returns
        -------
        Localizations
            ``confidence`` is the probability that an emitter lies within the tolerance, and the
            extra column ``peak_density`` what it was read from. ``uncertainty_nm`` is the standard
            deviation of the position along each of x and y, if it is an emitter. What is not
            calibrated stays as it was.
        """
        columns = peaks.columns()
        density = peaks.column("confidence")
        if self.confidence is not None:
            columns["confidence"] = np.interp(
                density, self.confidence.densities, self.confidence.probabilities
            )
            columns["peak_density"] = density
        if self.uncertainty is not None:
            columns["uncertainty_nm"] = magnification * np.interp(
                density, self.uncertainty.densities, self.uncertainty.uncertainties_nm
            )
        return type(peaks).from_columns(columns)


def describe_columns(calibration: Calibration | None) -> str:
    """Say in a sentence what the columns of a model's localizations mean."""
    if calibration is None or calibration.confidence is None:
        return (
            "The confidence is the density around the peak, in emitters, and no probability; "
            "uncertainties are not known. The model was trained without positions, on too few, or "
            "by an older version."
        )
    sure = calibration.confidence.expected_calibration_error
    told = (
        f"The confidence is the probability of an emitter within {calibration.tolerance_nm:g} nm "
        f"(calibration error {100 * sure:.1f} %)"
    )
    if calibration.uncertainty is None:
        return f"{told}; uncertainties are not known: too few emitters were found in validation."
    precise = calibration.uncertainty.expected_normalized_calibration_error
    return f"{told}, the uncertainty that of x and of y (calibration error {100 * precise:.1f} %)."
