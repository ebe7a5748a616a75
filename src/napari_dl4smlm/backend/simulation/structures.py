"""Where fluorophores sit in the sample: filaments, rings, resolution targets, or anywhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, Field

from napari_dl4smlm.backend.errors import InputError, unknown_name
from napari_dl4smlm.backend.simulation.kinds import by_kind
from napari_dl4smlm.backend.simulation.ranges import AboveZero, NotNegative, draw
from napari_dl4smlm.backend.simulation.worm_like_chains import (
    FieldSize,
    cross_field,
    direction,
    inside,
)

_Draw = Callable[[int, np.random.Generator], NDArray[np.float64]]

_SCATTERING_ROUNDS = 20

_MOST_SCATTERED = 1_000_000
_MOST_STEPS = 200_000_000
"""Of filaments, which take some 80 bytes for each."""

_MOST_SPOKES = 1e15
"""More differ by angles that no number tells apart."""


@dataclass(frozen=True)
class Placement:
    """The geometry of one acquisition; call it for the positions of its fluorophores.

    Attributes
    ----------
    area_nm
        Height and width of the field together with its margin.
    margin_nm
        How far the area reaches beyond the field on every side.
    draw_anywhere
        Draws n independent positions, in nm from the corner of the area; some may lie outside it.
    crowding
        Fluorophores per area in the field over those in the whole area, on average over
        acquisitions: 1 unless the structure knows where the middle is.
    """

    area_nm: FieldSize
    margin_nm: float
    draw_anywhere: _Draw
    crowding: float = 1.0

    def __call__(self, n: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Draw independent positions of n fluorophores.

        Returns
        -------
        Shape (n, 2), order (y, x), in nm from the outer corner of camera pixel (0, 0), all inside
        the field or its margin, where they are negative or beyond the field.
        """
        kept = np.empty((0, 2))
        while (missing := n - len(kept)) > 0:
            # a few more than are missing: mostly one round is enough
            drawn = self.draw_anywhere(missing + missing // 8 + 8, generator)
            kept = np.concatenate([kept, drawn[inside(drawn, self.area_nm)]])
        return kept[:n] - self.margin_nm


class Random(BaseModel, frozen=True, extra="forbid"):
    """Fluorophores anywhere in the field."""

    kind: Literal["random"] = Field("random", description="anywhere, without structure")

    def place(
        self, field_nm: FieldSize, generator: np.random.Generator, *, margin_nm: float = 0.0
    ) -> Placement:
        """Draw the geometry of one acquisition; here there is none."""
        area_nm = _with_margin(field_nm, margin_nm)
        return Placement(area_nm, margin_nm, lambda n, drawn: drawn.random((n, 2)) * area_nm)


class Filaments(BaseModel, frozen=True, extra="forbid"):
    """Labelled tubes such as microtubules, seen from above, that run right through the field.

    They enter the field at random and bend as worm-like chains do. Their mean length per area is
    the same everywhere and in every size of field, because a random path that enters a convex
    region of area A and perimeter P isotropically stays in it for the length πA/P on average
    (Blanco & Fournier). A path ends inside the field only after three times its diagonal.

    References
    ----------
    S. Blanco, R. Fournier, Europhys. Lett. 61, 168 (2003), doi:10.1209/epl/i2003-00208-x
    C. P. Brangwynne et al., PNAS 104, 16128 (2007), doi:10.1073/pnas.0703094104: in cells,
    microtubules have an apparent persistence length of about 30 µm.
    """

    kind: Literal["filaments"] = Field("filaments", description="tubes such as microtubules")
    length_um_per_um2: AboveZero = Field(
        (1.0, 3.0),
        title="Filament density",
        description="filament length per area of the field, µm/µm²",
    )
    # tubulin ends at 12.5 nm from the axis, its two antibodies at about 30 nm
    radius_nm: NotNegative = Field(
        (20.0, 20.0),
        title="Filament radius",
        description="distance of the fluorophores from the axis, in all directions",
    )
    persistence_um: AboveZero = Field(
        (15.0, 30.0),
        title="Persistence length",
        description="length over which a filament forgets its direction",
    )

    def place(
        self, field_nm: FieldSize, generator: np.random.Generator, *, margin_nm: float = 0.0
    ) -> Placement:
        """Draw the course of the filaments.

        Raises
        ------
        InputError
            A filament can be thicker than the field, or there would be too many.
        """
        area_nm = _with_margin(field_nm, margin_nm)
        _refuse_if_larger(self.kind, "radius_nm", 2 * self.radius_nm[1], area_nm)
        step_nm = min(50.0, min(area_nm) / 20)
        self._refuse_if_too_many(area_nm, step_nm)
        radius_nm = draw(self.radius_nm, generator)
        starts, headings = cross_field(
            area_nm,
            generator,
            per_nm=draw(self.length_um_per_um2, generator) / 1000,
            persistence_nm=1000 * draw(self.persistence_um, generator),
            margin_nm=radius_nm,
            step_nm=step_nm,
        )

        def along_tubes(n: int, generator: np.random.Generator) -> NDArray[np.float64]:
            piece = generator.integers(len(starts), size=n)
            along = direction(headings[piece])
            sideways = radius_nm * np.cos(generator.uniform(0, 2 * math.pi, n))
            distance = step_nm * generator.random(n)
            return starts[piece] + distance[:, None] * along + sideways[:, None] * _left_of(along)

        return Placement(area_nm, margin_nm, along_tubes)

    def _refuse_if_too_many(self, area_nm: FieldSize, step_nm: float) -> None:
        most = self.length_um_per_um2[1]
        # each takes the memory of a path of three diagonals
        count = most / 1000 * 2 * sum(area_nm) / math.pi
        if count * 3 * math.hypot(*area_nm) / step_nm > _MOST_STEPS:
            raise InputError(
                f"filaments: length_um_per_um2 {most:g} would be {count:.3g} filaments in the "
                "field. Give µm of filament per µm², such as 1 to 3, or a smaller field."
            )


class Rings(BaseModel, frozen=True, extra="forbid"):
    """Rings with corners such as nuclear pores; they do not overlap, and every one is turned.

    The defaults are those of Nup96 in a nuclear pore: eight corners, 107 nm across. Where rings
    find no room, there are fewer.

    References
    ----------
    J. V. Thevathasan et al., Nat. Methods 16, 1045 (2019), doi:10.1038/s41592-019-0574-9
    """

    kind: Literal["rings"] = Field("rings", description="rings such as nuclear pores")
    per_um2: AboveZero = Field(
        (3.0, 8.0), title="Ring density", description="rings per area of the field, 1/µm²"
    )
    radius_nm: AboveZero = Field(
        (53.5, 53.5), title="Ring radius", description="from the centre to a corner"
    )
    corners: int = Field(
        8,
        ge=0,
        le=1000,
        title="Corners per ring",
        description="clusters on every ring; 0: a continuous ring",
    )
    jitter_nm: NotNegative = Field(
        (3.0, 3.0),
        title="Jitter (SD)",
        description="standard deviation of a fluorophore from its place, in y and in x",
    )

    def place(
        self, field_nm: FieldSize, generator: np.random.Generator, *, margin_nm: float = 0.0
    ) -> Placement:
        """Draw the centres and the rotations of the rings.

        Raises
        ------
        InputError
            A ring or its jitter can be larger than the field, or there would be too many.
        """
        area_nm = _with_margin(field_nm, margin_nm)
        _refuse_if_larger(self.kind, "radius_nm", 2 * self.radius_nm[1], area_nm)
        _refuse_if_larger(self.kind, "jitter_nm", self.jitter_nm[1], area_nm)
        radius_nm = draw(self.radius_nm, generator)
        jitter_nm = draw(self.jitter_nm, generator)
        centres = _scatter(
            self.kind,
            draw(self.per_um2, generator),
            area_nm,
            generator,
            reach_nm=radius_nm,
            inside_nm=radius_nm,
        )
        turns = generator.random(len(centres))

        def on_rings(n: int, generator: np.random.Generator) -> NDArray[np.float64]:
            ring = generator.integers(len(centres), size=n)
            if self.corners:
                around = turns[ring] + generator.integers(self.corners, size=n) / self.corners
            else:
                around = generator.random(n)
            jitter = jitter_nm * generator.standard_normal((n, 2))
            return centres[ring] + radius_nm * direction(2 * math.pi * around) + jitter

        return Placement(area_nm, margin_nm, on_rings)


class LinePairs(BaseModel, frozen=True, extra="forbid"):
    """Pairs of straight parallel lines, a resolution target; pairs do not cross each other.

    Where pairs find no room, there are fewer.
    """

    kind: Literal["line_pairs"] = Field("line_pairs", description="pairs of parallel lines")
    per_um2: AboveZero = Field(
        (0.3, 0.3), title="Pair density", description="pairs per area of the field, 1/µm²"
    )
    spacing_nm: AboveZero = Field(
        (50.0, 50.0), title="Line spacing", description="from line to line, centre to centre"
    )
    length_nm: AboveZero = Field(
        (1000.0, 1000.0), title="Line length", description="length of a line"
    )
    width_nm: NotNegative = Field(
        (5.0, 5.0),
        title="Line width (SD)",
        description="standard deviation of the fluorophores across a line",
    )

    def place(
        self, field_nm: FieldSize, generator: np.random.Generator, *, margin_nm: float = 0.0
    ) -> Placement:
        """Draw the centres and the directions of the pairs.

        Raises
        ------
        InputError
            The spacing or the width of the lines can be larger than the field, or there would be
            too many.
        """
        area_nm = _with_margin(field_nm, margin_nm)
        _refuse_if_larger(self.kind, "spacing_nm", self.spacing_nm[1], area_nm)
        _refuse_if_larger(self.kind, "width_nm", self.width_nm[1], area_nm)
        spacing_nm = draw(self.spacing_nm, generator)
        width_nm = draw(self.width_nm, generator)
        # lines twice as long as the diagonal cross the whole field wherever they start
        length_nm = min(draw(self.length_nm, generator), 2 * math.hypot(*area_nm))
        centres = _scatter(
            self.kind,
            draw(self.per_um2, generator),
            area_nm,
            generator,
            reach_nm=math.hypot(length_nm, spacing_nm) / 2,
            inside_nm=spacing_nm / 2,
        )
        along = direction(generator.uniform(0, math.pi, len(centres)))

        def on_lines(n: int, generator: np.random.Generator) -> NDArray[np.float64]:
            pair = generator.integers(len(centres), size=n)
            distance = length_nm * (generator.random(n) - 0.5)
            sideways = spacing_nm * (generator.integers(2, size=n) - 0.5)
            sideways += width_nm * generator.standard_normal(n)
            return (
                centres[pair]
                + distance[:, None] * along[pair]
                + sideways[:, None] * _left_of(along[pair])
            )

        return Placement(area_nm, margin_nm, on_lines)


class Star(BaseModel, frozen=True, extra="forbid"):
    """A Siemens star in the middle of the field: spokes as wide as the gaps between them.

    At the distance r from the centre, the spokes are r / radius_nm times their spacing at the rim
    apart: where they melt into one another is the resolution.
    """

    kind: Literal["star"] = Field("star", description="a Siemens star, a resolution target")
    spacing_nm: AboveZero = Field(
        (400.0, 400.0),
        title="Spacing at the rim",
        description="from spoke to spoke at the rim; rounded to whole spokes",
    )
    radius_nm: NotNegative = Field(
        (0.0, 0.0),
        title="Star radius",
        description="from the centre to the rim; 0: as large as the field allows",
    )

    def place(
        self, field_nm: FieldSize, generator: np.random.Generator, *, margin_nm: float = 0.0
    ) -> Placement:
        """Draw the size of the star and its rotation.

        Raises
        ------
        InputError
            There is no room for two spokes, or there are more than can be told apart.
        """
        largest_nm = min(field_nm) / 2
        smallest_nm = self.radius_nm[0] or largest_nm
        if (self.radius_nm[1] or largest_nm) / self.spacing_nm[0] > _MOST_SPOKES:
            raise InputError(
                f"star: spacing_nm {self.spacing_nm[0]:g} makes too many spokes on a star of "
                f"radius {self.radius_nm[1] or largest_nm:g} nm. Give both in nm."
            )
        if _spokes(smallest_nm, self.spacing_nm[1]) < 2:
            raise InputError(
                f"star: spacing_nm {self.spacing_nm[1]:g} leaves no room for two spokes on a star "
                f"of radius {smallest_nm:g} nm. Choose a smaller spacing_nm or a larger star."
            )
        radius_nm = draw(self.radius_nm, generator) or largest_nm
        spokes = _spokes(radius_nm, draw(self.spacing_nm, generator))
        turn = generator.random()
        area_nm = _with_margin(field_nm, margin_nm)
        centre = np.array(area_nm) / 2
        # nothing further out than the corners of the area can be seen
        rim_nm = min(radius_nm, math.hypot(*area_nm) / 2)

        def on_spokes(n: int, generator: np.random.Generator) -> NDArray[np.float64]:
            spoke = generator.integers(spokes, size=n) + generator.random(n) / 2
            # the square root makes the density per area the same at all distances
            distance = rim_nm * np.sqrt(generator.random(n))
            return centre + distance[:, None] * direction(2 * math.pi * (spoke + turn) / spokes)

        in_field, in_area = (_area_of_disc(rim_nm, size) for size in (field_nm, area_nm))
        crowding = in_field / in_area * math.prod(area_nm) / math.prod(field_nm)
        return Placement(area_nm, margin_nm, on_spokes, crowding)


STRUCTURES: dict[str, type[Random | Filaments | Rings | LinePairs | Star]] = {
    "random": Random,
    "filaments": Filaments,
    "rings": Rings,
    "line_pairs": LinePairs,
    "star": Star,
}
"""All structures by name."""


def _known(value: Any) -> Any:
    kind = value.get("kind") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind not in STRUCTURES:
        raise unknown_name("structure", kind, STRUCTURES)
    return value


Structure = Annotated[
    Random | Filaments | Rings | LinePairs | Star,
    Field(discriminator="kind"),
    BeforeValidator(_known),
    by_kind(*STRUCTURES),
]
"""Any structure; its name alone stands for its defaults."""


def _with_margin(field_nm: FieldSize, margin_nm: float) -> FieldSize:
    return field_nm[0] + 2 * margin_nm, field_nm[1] + 2 * margin_nm


def _refuse_if_larger(kind: str, parameter: str, size_nm: float, field_nm: FieldSize) -> None:
    if size_nm > min(field_nm):
        raise InputError(
            f"{kind}: {parameter} makes it {size_nm:g} nm across, more than the field of "
            f"{field_nm[0]:g} x {field_nm[1]:g} nm. Choose a smaller {parameter} or a larger field."
        )


def _spokes(radius_nm: float, spacing_nm: float) -> int:
    return round(2 * math.pi * radius_nm / spacing_nm)


def _area_of_disc(radius_nm: float, field_nm: FieldSize) -> float:
    """Area that a disc in the middle of a field has inside the field, in nm²."""
    half_height, half_width = (min(side / 2, radius_nm) for side in field_nm)

    def below_arc(x: float) -> float:
        """Integral from 0 to x of the upper edge of the disc."""
        return (x * math.sqrt(radius_nm**2 - x**2) + radius_nm**2 * math.asin(x / radius_nm)) / 2

    # where the field's edge is below the disc's
    flat = min(math.sqrt(radius_nm**2 - half_height**2), half_width)
    return 4 * (flat * half_height + below_arc(half_width) - below_arc(flat))


def _left_of(along: NDArray[np.float64]) -> NDArray[np.float64]:
    return along[..., ::-1] * (1, -1)


def _scatter(
    kind: str,
    per_um2: float,
    field_nm: FieldSize,
    generator: np.random.Generator,
    *,
    reach_nm: float,
    inside_nm: float,
) -> NDArray[np.float64]:
    """Draw the centres (n, 2) of things that reach into the field, but not into each other.

    One at least lies ``inside_nm`` from the edges or further in, so that no field remains empty.
    """
    apart_nm = 2 * reach_nm
    # at the border of the region they crowd, for want of neighbours beyond: keep it out of reach
    low, high = np.zeros(2) - reach_nm - apart_nm, np.array(field_nm) + reach_nm + apart_nm
    area_nm2 = float(np.prod(high - low))
    mean = per_um2 * 1e-6 * area_nm2
    # no more than in a square lattice: what is drawn at random fills at most 0.7 of it
    most = area_nm2 / apart_nm**2
    if min(mean, most) > _MOST_SCATTERED:
        raise InputError(
            f"{kind}: per_um2 {per_um2:g} would be {min(mean, most):.3g} of them; at most "
            f"{_MOST_SCATTERED:,} can be simulated. Lower per_um2 or the size of the field."
        )
    # numbers far above the most are all the same, and NumPy draws none of them
    n = min(generator.poisson(min(mean, 100 * _MOST_SCATTERED)), int(most))
    centres = generator.uniform(low, high, (max(n, 1), 2))
    for _ in range(_SCATTERING_ROUNDS):
        crowded = _later_of_close_pairs(centres, apart_nm)
        if not crowded.size:
            break
        centres[crowded] = generator.uniform(low, high, (crowded.size, 2))
    centres = np.delete(centres, _later_of_close_pairs(centres, apart_nm), axis=0)
    innermost = np.array(field_nm) - inside_nm
    if not ((centres >= inside_nm) & (centres <= innermost)).all(axis=1).any():
        centres[0] = generator.uniform(inside_nm, innermost)
        centres = np.delete(centres, _later_of_close_pairs(centres, apart_nm), axis=0)
    return centres


def _later_of_close_pairs(points: NDArray[np.float64], apart_nm: float) -> NDArray[np.intp]:
    pairs = scipy.spatial.cKDTree(points).query_pairs(apart_nm, output_type="ndarray")
    return np.unique(pairs[:, 1])
