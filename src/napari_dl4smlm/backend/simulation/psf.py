"""The image of one emitter: a Gaussian spot, or the measured image of a bead."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

import numpy as np
import scipy
from pydantic import AfterValidator, BaseModel, Field

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.simulation.kinds import by_kind
from napari_dl4smlm.backend.simulation.lognormal import lognormal_around_one
from napari_dl4smlm.backend.simulation.ranges import AboveZero, NotNegative, Range, draw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_FAINT = 1e-3
"""Share of an emitter's light that may be missing in the field."""

_MOST_LIGHT_ON_BORDER = 0.02
"""Of the peak. A Gaussian spot cut off at less than 2.6 standard deviations has more."""

_EMITTERS_AT_ONCE = 128


class SpotShape(Protocol):
    """The spots of one acquisition."""

    def draw_widths_nm(self, n: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Draw the width of each of n emitters: the standard deviation of its light per axis."""

    def render(
        self,
        positions_nm: NDArray[np.float64],
        photons: NDArray[np.float64],
        widths_nm: NDArray[np.float64],
        *,
        height: int,
        width: int,
        pixel_size_nm: float,
    ) -> NDArray[np.float64]:
        """Add up the light of emitters in every camera pixel.

        Parameters
        ----------
        positions_nm
            Shape (N, 2), order (y, x). They may lie outside of the field, whose pixels see what
            reaches into it.
        photons
            Shape (N,): expected photons of each emitter.
        widths_nm
            Shape (N,), as `draw_widths_nm` gives them.
        height, width
            Size of the field in camera pixels.
        pixel_size_nm
            Camera pixel.

        Returns
        -------
        NDArray
            Expected photons, shape (height, width): the spots integrated over each pixel.
        """


class LoadedPSF(Protocol):
    """A PSF with all that it needs from disk."""

    @property
    def reach_nm(self) -> float:
        """Distance from the field at which an emitter adds less than 0.1 % of its light to it.

        Ranges count with their ends, and all but the widest 0.1 % of the emitters.
        """

    @property
    def narrowest_nm(self) -> float:
        """Standard deviation of the light of the narrowest emitter, without spread or defocus."""

    def form(self, generator: np.random.Generator) -> SpotShape:
        """Draw what is common to the spots of one acquisition."""


def _relative(values: Range) -> Range:
    if values[1] > 1:
        raise ValueError(f"{values[1]:g} is above 1; the spread is relative, so 0.1 means 10 %")
    return values


_Spread = Annotated[NotNegative, AfterValidator(_relative)]


class GaussianPSF(BaseModel, frozen=True, extra="forbid"):
    """A round Gaussian spot that widens out of focus.

    At the distance z from the focus its standard deviation is s sqrt(1 + (z / d)²), with the focal
    depth d: the Gaussian beam, and Huang's defocus curve without its terms of higher order.

    References
    ----------
    B. Huang et al., Science 319, 810 (2008), doi:10.1126/science.1153529
    """

    kind: Literal["gaussian"] = Field("gaussian", description="a Gaussian spot")
    sigma_nm: AboveZero = Field(
        (130.0, 130.0),
        title="σ in focus",
        description="mean standard deviation of the spots in focus",
    )
    spread: _Spread = Field(
        (0.0, 0.0),
        title="Spread of σ (SD / mean)",
        description="relative standard deviation of sigma from emitter to emitter",
    )
    defocus_nm: NotNegative = Field(
        (0.0, 0.0),
        title="Defocus (±)",
        description="emitters lie evenly up to this distance above and below the focus",
    )
    focal_depth_nm: AboveZero = Field(
        (400.0, 400.0),
        title="Focal depth",
        description="distance from the focus at which spots are sqrt(2) times wider",
    )

    def load(self) -> GaussianPSF:
        """Return the PSF itself: it needs nothing from disk."""
        return self

    @property
    def reach_nm(self) -> float:
        """See `LoadedPSF`."""
        widening = math.hypot(1, self.defocus_nm[1] / self.focal_depth_nm[0])
        widest_nm = self.sigma_nm[1] * _largest_factor(self.spread[1]) * widening
        return -float(scipy.special.ndtri(_FAINT)) * widest_nm

    @property
    def narrowest_nm(self) -> float:
        """See `LoadedPSF`."""
        return self.sigma_nm[0]

    def form(self, generator: np.random.Generator) -> GaussianSpot:
        """Draw sigma, spread, defocus and focal depth of one acquisition."""
        return GaussianSpot(
            sigma_nm=draw(self.sigma_nm, generator),
            spread=draw(self.spread, generator),
            defocus_nm=draw(self.defocus_nm, generator),
            focal_depth_nm=draw(self.focal_depth_nm, generator),
        )


@dataclass(frozen=True)
class GaussianSpot:
    """The Gaussian spots of one acquisition; the attributes are those of `GaussianPSF`, drawn."""

    sigma_nm: float
    spread: float
    defocus_nm: float
    focal_depth_nm: float

    def draw_widths_nm(self, n: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Draw the standard deviation of each of n spots, out of focus where it lies so."""
        z_nm = generator.uniform(-self.defocus_nm, self.defocus_nm, n)
        widening: NDArray[np.float64] = np.hypot(1, z_nm / self.focal_depth_nm)
        return self.sigma_nm * lognormal_around_one(self.spread, n, generator) * widening

    def render(
        self,
        positions_nm: NDArray[np.float64],
        photons: NDArray[np.float64],
        widths_nm: NDArray[np.float64],
        *,
        height: int,
        width: int,
        pixel_size_nm: float,
    ) -> NDArray[np.float64]:
        """See `SpotShape`; nothing is cut off."""
        image = np.zeros((height, width))
        for chosen in _portions(len(positions_nm)):
            y_nm, x_nm = positions_nm[chosen].T
            rows = _gaussian_shares(y_nm, widths_nm[chosen], height, pixel_size_nm)
            columns = _gaussian_shares(x_nm, widths_nm[chosen], width, pixel_size_nm)
            # a Gaussian is the product of its profiles, and a sum of products is a matrix product
            image += (rows * photons[chosen, None]).T @ columns
        return image


def _gaussian_shares(
    centres_nm: NDArray[np.float64], widths_nm: NDArray[np.float64], size: int, pixel_size_nm: float
) -> NDArray[np.float64]:
    """Share of each of N Gaussians in each pixel of a row, shape (N, size)."""
    edges_nm = np.arange(size + 1) * pixel_size_nm
    return np.diff(
        scipy.special.ndtr((edges_nm - centres_nm[:, None]) / widths_nm[:, None]), axis=1
    )


class MeasuredPSF(BaseModel, frozen=True, extra="forbid"):
    """The mean image of beads or of single emitters.

    The median of the image's outermost pixels is its background and is subtracted. Pixels that
    exceed it by less than three standard deviations of the border's noise are empty from then on:
    there can be no negative light, and noise without its negative half would be a wide halo. The
    rest is scaled to the sum 1, and its centroid is the emitter's position. A Gaussian spot stays
    within 1 % of its width if the border is 3.5 standard deviations away.

    Light is spread evenly within each pixel of the image. This adds the variance p² / 12 of such a
    pixel to the spot, so the image should have finer pixels than the camera.
    """

    kind: Literal["measured"] = Field("measured", description="an image of beads")
    image: Path = Field(
        title="Bead image", description="mean image of a bead as TIFF or .npy, with dark borders"
    )
    pixel_size_nm: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        title="Pixel of the image",
        description="pixel of that image; by default the file's",
    )
    spread: _Spread = Field(
        (0.0, 0.0),
        title="Spread of size (SD / mean)",
        description="relative standard deviation of the magnification from emitter to emitter",
    )

    def load(self) -> BeadImage:
        """Read the image.

        Raises
        ------
        InputError
            The file cannot be read; it holds more than one image; its pixel size is not known; it
            holds NaN or no light; or light is cut off at its border.
        """
        with open_frames(self.image, pixel_size_nm=self.pixel_size_nm) as stack:
            if stack.n_frames > 1:
                raise InputError(
                    f"{stack.name} holds {stack.n_frames} images, but a measured PSF is one image "
                    "(y, x). Average them, or choose the one in focus."
                )
            if stack.pixel_size_nm is None:
                raise InputError(
                    f"{stack.name} does not tell its pixel size. Give pixel_size_nm, the side of a "
                    "pixel of the PSF's image in the sample plane."
                )
            image = stack.read(0, 1)[0].astype(np.float64)
        return BeadImage(_light(image, stack.name), stack.pixel_size_nm, self.spread)


def _light(image: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Share of the light in each pixel of a bead's image."""
    border = np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])
    background = np.median(border)
    peak = image.max() - background
    if peak <= 0:
        raise InputError(
            f"{name} holds no light: no pixel is brighter than the median of the border, "
            f"{background:g}. Give the image of a bead with dark borders."
        )
    on_border = (border.max() - background) / peak
    if on_border > _MOST_LIGHT_ON_BORDER:
        raise InputError(
            f"{name} is cut off: on its border is a pixel with {on_border:.0%} of the peak, and "
            f"{_MOST_LIGHT_ON_BORDER:.0%} are allowed. Give a larger crop around the bead, without "
            "neighbours, or the mean of more beads."
        )
    # the median deviation of a normal distribution is 0.6745 of its standard deviation
    noise = np.median(np.abs(border - np.median(border))) / 0.6745
    light: NDArray[np.float64] = np.where(image - background > 3 * noise, image - background, 0.0)
    light /= light.sum()
    return light


@dataclass(frozen=True, eq=False)
class BeadImage:
    """The light of a measured PSF.

    Attributes
    ----------
    light
        Share of the light in each pixel, shape (Y, X), of sum 1.
    pixel_size_nm
        Pixel of the image.
    spread
        Lowest and highest relative standard deviation of the magnification.
    """

    light: NDArray[np.float64]
    pixel_size_nm: float
    spread: Range

    @cached_property
    def profiles(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Share of the light in each row and in each column."""
        return self.light.sum(axis=1), self.light.sum(axis=0)

    @cached_property
    def centroid_px(self) -> tuple[float, float]:
        """(y, x) of the emitter, from the outer corner of the image's pixel (0, 0)."""
        y, x = (float(profile @ _pixel_centres(profile)) for profile in self.profiles)
        return y, x

    @cached_property
    def sigma_nm(self) -> float:
        """Standard deviation of the light, the mean square of both axes."""
        variances = [
            profile @ (_pixel_centres(profile) - centre) ** 2 + 1 / 12
            for profile, centre in zip(self.profiles, self.centroid_px, strict=True)
        ]
        return float(np.sqrt(np.mean(variances)) * self.pixel_size_nm)

    @cached_property
    def reach_nm(self) -> float:
        """See `LoadedPSF`."""
        reaches_px = []
        for profile, centre in zip(self.profiles, self.centroid_px, strict=True):
            below = np.concatenate([[0.0], np.cumsum(profile)])
            edges = np.interp([_FAINT, 1 - _FAINT], below, np.arange(len(below)))
            reaches_px.append(np.abs(edges - centre).max())
        return float(max(reaches_px) * self.pixel_size_nm * _largest_factor(self.spread[1]))

    @property
    def narrowest_nm(self) -> float:
        """See `LoadedPSF`."""
        return self.sigma_nm

    def form(self, generator: np.random.Generator) -> MeasuredSpot:
        """Draw the spread of the magnification in one acquisition."""
        return MeasuredSpot(self, draw(self.spread, generator))


def _pixel_centres(profile: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.arange(0.5, len(profile))


@dataclass(frozen=True)
class MeasuredSpot:
    """The spots of one acquisition that look like a bead.

    Attributes
    ----------
    bead
        Light of a spot of magnification 1.
    spread
        Relative standard deviation of the magnification.
    """

    bead: BeadImage
    spread: float

    def draw_widths_nm(self, n: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Draw the standard deviation of each of n spots: the bead's times a magnification."""
        return self.bead.sigma_nm * lognormal_around_one(self.spread, n, generator)

    def render(
        self,
        positions_nm: NDArray[np.float64],
        photons: NDArray[np.float64],
        widths_nm: NDArray[np.float64],
        *,
        height: int,
        width: int,
        pixel_size_nm: float,
    ) -> NDArray[np.float64]:
        """See `SpotShape`; all photons of a spot inside the field are in its image."""
        image = np.zeros((height, width))
        light = self.bead.light
        # sides of the bead image's pixels, as each emitter magnifies them, and all in camera pixels
        sides = widths_nm / self.bead.sigma_nm * (self.bead.pixel_size_nm / pixel_size_nm)
        corners = positions_nm / pixel_size_nm - sides[:, None] * self.bead.centroid_px
        for chosen in _portions(len(positions_nm)):
            y, x = corners[chosen].T
            rows, in_rows = _overlaps(y, sides[chosen], light.shape[0], height)
            columns, in_columns = _overlaps(x, sides[chosen], light.shape[1], width)
            spots = in_rows @ light @ in_columns.transpose(0, 2, 1) * photons[chosen, None, None]
            np.add.at(image, (rows[:, :, None], columns[:, None, :]), spots)
        return image


def _overlaps(
    starts: NDArray[np.float64], sides: NDArray[np.float64], n_source: int, n_camera: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the camera pixels under N rows of source pixels, and what they cover of each.

    Parameters
    ----------
    starts, sides
        Outer edge of the first source pixel and side of each, shape (N,), in camera pixels.
    n_source, n_camera
        Length of a row of source pixels, and of the row of camera pixels.

    Returns
    -------
    pixels
        Shape (N, K), all inside the row of camera pixels.
    covered
        Share of each source pixel in each of these, shape (N, K, n_source); 0 where the pixel
        stands for one outside.
    """
    first = np.floor(starts).astype(np.int64)
    count = int(np.ceil(n_source * sides.max())) + 1
    pixels = first[:, None] + np.arange(count)
    edges = np.concatenate([pixels, pixels[:, -1:] + 1], axis=1)
    source_edges = (edges - starts[:, None]) / sides[:, None]
    covered = np.diff(np.clip(source_edges[:, :, None] - np.arange(n_source), 0, 1), axis=1)
    covered[(pixels < 0) | (pixels >= n_camera)] = 0
    return pixels.clip(0, n_camera - 1), covered


def _portions(n: int) -> Iterator[slice]:
    """Cut n emitters into portions, so that memory does not grow with their number."""
    return (slice(start, start + _EMITTERS_AT_ONCE) for start in range(0, n, _EMITTERS_AT_ONCE))


def _largest_factor(spread: float) -> float:
    """Return the factor that one in a thousand of `lognormal_around_one` exceeds."""
    variance = math.log1p(spread**2)
    return math.exp(-float(scipy.special.ndtri(_FAINT)) * math.sqrt(variance) - variance / 2)


PSF = Annotated[
    GaussianPSF | MeasuredPSF, Field(discriminator="kind"), by_kind("gaussian", "measured")
]
"""The image of one emitter."""
