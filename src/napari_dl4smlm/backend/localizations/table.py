"""The table of localizations: where the molecules are, frame by frame."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dl4smlm.backend.errors import InputError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray

_WHOLE_NUMBERS = ("frame", "id", "detections")


@dataclass(frozen=True, eq=False)
class Localizations:
    """Localized molecules, or the true positions of emitters; one row each, in any order.

    Every column is one-dimensional and equally long; whatever numpy can convert is accepted.
    The arrays are not copied, so do not write to them afterwards.

    Parameters
    ----------
    frame
        Frame number, from 0. Whole numbers, of any integer or floating-point type.
    y_nm, x_nm
        Position in nm from the outer corner of camera pixel (0, 0): y runs down along the rows, x
        to the right along the columns, and pixel k covers [k·p, (k + 1)·p). Finite.
    photons
        Detected photons of the molecule. This and the next four may hold NaN where unknown.
    sigma_nm
        Standard deviation of the fitted spot, in nm.
    background
        Background under the spot, in photons per pixel.
    uncertainty_nm
        Standard error of the position in each of x and y, in nm.
    confidence
        How sure the detector is: a probability if it is calibrated, or else on a scale of its own.
    id
        Number of the row in the file that it came from.
    detections
        Number of localizations, in successive frames, that were merged into this one.
    extra
        Columns of a file that have no name here, such as ``z [nm]``, by their label in it. They may
        hold NaN.

    Raises
    ------
    InputError
        A column is not one-dimensional or not as long as ``frame``, or holds something other than
        numbers or a number that it does not take.
    """

    frame: NDArray[np.int64]
    y_nm: NDArray[np.float64]
    x_nm: NDArray[np.float64]
    photons: NDArray[np.float64] | None = None
    sigma_nm: NDArray[np.float64] | None = None
    background: NDArray[np.float64] | None = None
    uncertainty_nm: NDArray[np.float64] | None = None
    confidence: NDArray[np.float64] | None = None
    id: NDArray[np.int64] | None = None
    detections: NDArray[np.int64] | None = None
    extra: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in self._named().items():
            convert = _as_whole_numbers if name in _WHOLE_NUMBERS else _as_real_numbers
            object.__setattr__(self, name, convert(name, values))
        for name in self.extra.keys() & set(_column_names()):
            raise InputError(f"{name!r} is not an extra column. Give it by its own argument.")
        extra = {name: _as_real_numbers(name, values) for name, values in self.extra.items()}
        object.__setattr__(self, "extra", extra)
        for name, values in self.columns().items():
            if len(values) != len(self.frame):
                raise InputError(
                    f"Column {name!r} has {len(values)} rows, but 'frame' has {len(self.frame)}. "
                    "Give one value per localization in every column."
                )
        _refuse("frame", self.frame, self.frame < 0, "frames count from 0")
        for name, values in (("y_nm", self.y_nm), ("x_nm", self.x_nm)):
            _refuse(name, values, ~np.isfinite(values), "positions are finite numbers")

    @classmethod
    def empty(cls, columns: Iterable[str] = ()) -> Localizations:
        """Make a table without rows.

        Parameters
        ----------
        columns
            The optional columns that the table has; the required ones may be named too.

        Raises
        ------
        InputError
            There is no such column.
        """
        available = _column_names()
        wanted = {"frame", "y_nm", "x_nm", *columns}
        for name in wanted.difference(available):
            raise unknown_name("column", name, available)
        return cls.from_columns({name: np.empty(0) for name in wanted})

    @classmethod
    def from_columns(cls, columns: Mapping[str, ArrayLike]) -> Localizations:
        """Make a table of columns by name, as `columns` returns them; unknown ones are extra.

        Raises
        ------
        InputError
            As for the table itself.
        """
        # converted by the table itself, whatever their type
        named: dict[str, Any] = {name: columns[name] for name in _column_names() if name in columns}
        extra: dict[str, Any] = {name: columns[name] for name in columns if name not in named}
        return cls(**named, extra=extra)

    @classmethod
    def concatenate(cls, tables: Iterable[Localizations]) -> Localizations:
        """Put tables one below the other, in the given order.

        An optional column is kept if every table that has rows has it: no value is made up for the
        tables without it, and a part of an acquisition without localizations costs no column. Where
        no table has rows, the columns that all have are kept. No table at all gives an empty one.
        """
        given = list(tables)
        parts = [table.columns() for table in given if len(table)]
        parts = parts or [table.columns() for table in given]
        if not parts:
            return cls.empty()
        shared = [name for name in parts[0] if all(name in part for part in parts)]
        return cls.from_columns(
            {name: np.concatenate([part[name] for part in parts]) for name in shared}
        )

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, rows: slice | NDArray[np.bool_] | NDArray[np.intp]) -> Localizations:
        """Take the rows of a slice, of a mask with one boolean per row, or of an index array."""
        return Localizations.from_columns(
            {name: values[rows] for name, values in self.columns().items()}
        )

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns that there are, by name: in the order of the signature, then extra."""
        return {**self._named(), **self.extra}

    def column(self, name: str) -> NDArray[Any]:
        """Return one column.

        Raises
        ------
        InputError
            The table has no such column; the message suggests one with a similar name.
        """
        columns = self.columns()
        if name not in columns:
            raise unknown_name("column", name, columns)
        return columns[name]

    def positions_nm(self) -> NDArray[np.float64]:
        """Return the positions in nm, shape (N, 2), in the order (y, x)."""
        return np.column_stack([self.y_nm, self.x_nm])

    def in_frames(self, frames: range) -> Localizations:
        """Take the localizations of some frames; they keep their frame numbers."""
        if frames.step < 0:
            frames = frames[::-1]
        within = (self.frame >= frames.start) & (self.frame < frames.stop)
        return self[within & ((self.frame - frames.start) % frames.step == 0)]

    def sorted_by_frame(self) -> Localizations:
        """Order the rows by frame; rows of one frame keep their order."""
        return self[np.argsort(self.frame, kind="stable")]

    def check_inside(self, height: int, width: int, pixel_size_nm: float) -> None:
        """Refuse positions outside of the camera's field of view.

        Parameters
        ----------
        height, width
            Size of a frame in camera pixels.
        pixel_size_nm
            Size of a camera pixel in the sample plane.

        Raises
        ------
        InputError
            A position is not in [0, height·p) by [0, width·p).
        """
        outside = (self.y_nm < 0) | (self.y_nm >= height * pixel_size_nm)
        outside |= (self.x_nm < 0) | (self.x_nm >= width * pixel_size_nm)
        if outside.any():
            row = int(np.argmax(outside))
            raise InputError(
                f"{np.count_nonzero(outside)} of {len(self)} localizations lie outside of the "
                f"field of view of {height} x {width} pixels of {pixel_size_nm:g} nm. The first is "
                f"row {row}: frame {self.frame[row]}, y {self.y_nm[row]:g} nm, "
                f"x {self.x_nm[row]:g} nm. Is the pixel size right? Are x and y swapped?"
            )

    def _named(self) -> dict[str, NDArray[Any]]:
        named = ((name, getattr(self, name)) for name in _column_names())
        return {name: values for name, values in named if values is not None}


@functools.cache
def _column_names() -> tuple[str, ...]:
    columns = dataclasses.fields(Localizations)
    return tuple(column.name for column in columns if column.name != "extra")


def _as_array(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return a one-dimensional array of real numbers, or say what it is instead."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise InputError(
            f"Column {name!r} has {array.ndim} dimensions, shape {array.shape}. "
            "Give a one-dimensional array with one value per localization."
        )
    if array.dtype.kind not in "iuf":
        raise InputError(f"Column {name!r} holds {array.dtype} values. Give numbers.")
    return array


def _as_real_numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    return _as_array(name, values).astype(np.float64, copy=False)


def _as_whole_numbers(name: str, values: ArrayLike) -> NDArray[np.int64]:
    array = _as_array(name, values)
    if array.dtype.kind != "i":
        # NaN equals nothing, and infinity is not below 2**63, the end of the 64-bit integers
        fits = (array == np.floor(array)) & (np.abs(array) < 2**63)
        _refuse(name, array, ~fits, "it takes whole numbers")
    return array.astype(np.int64, copy=False)


def _refuse(name: str, values: NDArray[Any], faulty: NDArray[np.bool_], rule: str) -> None:
    if faulty.any():
        row = int(np.argmax(faulty))
        raise InputError(
            f"Column {name!r} holds {values[row]} in row {row} (counted from 0), but {rule}. "
            "Correct or remove the row."
        )
