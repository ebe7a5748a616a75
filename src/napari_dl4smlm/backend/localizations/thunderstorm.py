"""Localization tables as ThunderSTORM CSV files, in and out.

ThunderSTORM counts frames from 1 and measures positions from the outer corner of the upper-left
pixel, x along the columns and y along the rows: only the frame numbers differ from ours.
Its table is described by M. Ovesný et al., Bioinformatics 30, 2389 (2014),
doi:10.1093/bioinformatics/btu202.
"""

from __future__ import annotations

import io
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from napari_dl4smlm.backend.atomic_file import atomic_file, check_folder, naming_file
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from numpy.typing import NDArray

# Bounds the memory for text while a table is read or written; larger blocks are no faster.
_ROWS_AT_A_TIME = 2**14

_NEEDED = ("frame", "x_nm", "y_nm")
_NEVER_NAN = (*_NEEDED, "id", "detections")

# The micro sign, the Greek letter, and the micro sign of Windows-1252 (no valid UTF-8: escaped).
_MICRO = str.maketrans(dict.fromkeys("\u00b5\u03bc\udcb5", "u"))

_NO_PART_OF_A_LABEL = str.maketrans(dict.fromkeys(',;\t\r\n"', " "))

_POSITION_UNITS = ("nm", "um", "px")
_LENGTH_UNITS = ("", *_POSITION_UNITS)
_PHOTON_UNITS = ("", "photon", "photons")

# The label in the file, its column here, and the units in which it is understood.
_COLUMN_AND_UNITS: dict[str, tuple[str, tuple[str, ...]]] = {
    "id": ("id", ("",)),
    "frame": ("frame", ("",)),
    "x": ("x_nm", _POSITION_UNITS),
    "y": ("y_nm", _POSITION_UNITS),
    "sigma": ("sigma_nm", _LENGTH_UNITS),
    "intensity": ("photons", _PHOTON_UNITS),
    "offset": ("background", _PHOTON_UNITS),
    "uncertainty": ("uncertainty_nm", _LENGTH_UNITS),
    "uncertainty_xy": ("uncertainty_nm", _LENGTH_UNITS),
    "confidence": ("confidence", ("", "a.u", "a.u.")),
    "detections": ("detections", ("",)),
}

# In the order in which ThunderSTORM writes them. A confidence may be far below 1e-5.
_LABEL_AND_FORMAT = {
    "id": ("id", "%d"),
    "frame": ("frame", "%d"),
    "x_nm": ("x [nm]", "%.5f"),
    "y_nm": ("y [nm]", "%.5f"),
    "sigma_nm": ("sigma [nm]", "%.5f"),
    "photons": ("intensity [photon]", "%.5f"),
    "background": ("offset [photon]", "%.5f"),
    "uncertainty_nm": ("uncertainty [nm]", "%.5f"),
    "confidence": ("confidence", "%.8g"),
    "detections": ("detections", "%d"),
}
# Extra columns keep what 32-bit numbers, which most programs compute with, can tell apart.
_EXTRA_FORMAT = "%.9g"


def read_thunderstorm(
    path: str | os.PathLike[str], *, pixel_size_nm: float | None = None
) -> Localizations:
    """Read a localization table that ThunderSTORM, or a program that follows it, has written.

    Parameters
    ----------
    path
        A text file with one header line, separated by commas, semicolons or tabs. Column names
        count in any case and order. Names and numbers may be quoted; blank lines and lines that
        start with ``#`` are skipped.
    pixel_size_nm
        Size of a camera pixel; needed only for columns in ``[px]``.

    Returns
    -------
    Localizations
        Frames from 0 (the file's 1 becomes 0). Positions, ``sigma_nm`` and ``uncertainty_nm`` are
        in nm whatever the file's unit; ``intensity`` becomes ``photons`` and ``offset`` becomes
        ``background``, both in photons. Our own names of columns are understood as well. An
        optional column without a unit is taken to be in nm or photons; one in a unit with no such
        equivalent (``[ADU]``) and an unknown one (``z [nm]``, ``chi2``) become extra columns,
        unless they hold something other than numbers. An empty cell is NaN in every column that
        may hold it.

    Raises
    ------
    InputError
        The file cannot be opened, is no text or has no header; frame, x or y is missing or has no
        unit; a row has too few or too many cells, something other than a number, a position that
        is not finite, or a frame below 1. The message names the line.
    """
    path = Path(path)
    if pixel_size_nm is not None and not 0 < pixel_size_nm < np.inf:
        raise InputError(f"The pixel size is {pixel_size_nm} nm. Give a positive number.")
    try:
        with path.open("rb") as binary:
            if b"\0" in binary.peek(1024)[:1024]:
                raise InputError(
                    f"{path} is not a text file. Give a table that was saved as CSV (UTF-8)."
                )
            # utf-8-sig drops the byte order mark that Excel writes; stray bytes of other
            # encodings matter only in the header, where _MICRO knows them
            text = io.TextIOWrapper(binary, encoding="utf-8-sig", errors="surrogateescape")
            return _read_table(path, _numbered_lines(text), pixel_size_nm)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error


def write_thunderstorm(path: str | os.PathLike[str], localizations: Localizations) -> None:
    """Write a localization table that ThunderSTORM can import.

    Parameters
    ----------
    path
        The file to create or replace; it is never left half-written.
    localizations
        The table; see :meth:`ThunderstormWriter.append`.
    """
    with ThunderstormWriter(path) as writer:
        writer.append(localizations)


class ThunderstormWriter:
    """Write a ThunderSTORM table piece by piece, in constant memory.

    Use it in a ``with`` statement. The file appears, complete, at the end of the block; if the
    block raises, nothing of it is left and an older file of that name stays as it was.

    Parameters
    ----------
    path
        The file to create or replace.

    Raises
    ------
    InputError
        On entering the block: the folder does not exist, or nothing can be written to it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._columns: tuple[str, ...] = _NEEDED
        self._rows_written = 0

    def __enter__(self) -> Self:
        check_folder(self._path.parent)
        with ExitStack() as resources:
            temporary = resources.enter_context(atomic_file(self._path))
            self._file = resources.enter_context(temporary.open("w", encoding="utf-8", newline=""))
            resources.callback(self._write_missing_header)
            self._resources = resources.pop_all()
        return self

    def append(self, localizations: Localizations) -> None:
        """Write the rows of a table below those already written.

        Positions and the other lengths are written in nm with five decimals and frames from 1, in
        ThunderSTORM's spelling. A table without ids gets them: 1, 2, 3, ... over all tables. Extra
        columns come last; delimiters and quotes in their names become spaces.

        Raises
        ------
        InputError
            The table has other columns than those before it. Tables without rows may.
        """
        columns = tuple(localizations.columns())
        if self._rows_written == 0:
            self._columns = columns
        if len(localizations) == 0:
            return
        if columns != self._columns:
            raise InputError(
                f"{self._path} is being written with the columns {_listed(self._columns)}; a table "
                f"with {_listed(columns)} cannot follow. Give all tables the same columns."
            )
        with naming_file(self._path):
            if self._rows_written == 0:
                self._write_header()
            for start in range(0, len(localizations), _ROWS_AT_A_TIME):
                self._write_rows(localizations[start : start + _ROWS_AT_A_TIME])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            with naming_file(self._path):
                self._resources.__exit__(kind, error, traceback)
        except OSError:
            # a disk that is full is full still when the file is closed: the first error says more
            if error is None:
                raise

    def _write_missing_header(self) -> None:
        if self._rows_written == 0:
            self._write_header()

    def _write_header(self) -> None:
        labels = (label for label, _ in _labels_and_formats(("id", *self._columns)).values())
        # a label is read back up to the next delimiter or quote
        labels = (label.translate(_NO_PART_OF_A_LABEL) for label in labels)
        self._file.write(",".join(f'"{label}"' for label in labels) + "\n")

    def _write_rows(self, localizations: Localizations) -> None:
        first_id = self._rows_written + 1
        columns: dict[str, NDArray[Any]] = {
            "id": np.arange(first_id, first_id + len(localizations)),
            **localizations.columns(),
            "frame": localizations.frame + 1,
        }
        written = _labels_and_formats(columns)
        row = ",".join(cell for _, cell in written.values()) + "\n"
        cells: list[float] = [0] * (len(written) * len(localizations))
        for number, name in enumerate(written):
            cells[number :: len(written)] = columns[name].tolist()
        # all rows at once take a fifth less time than one by one
        text = (row * len(localizations)) % tuple(cells)
        # Java, and so ThunderSTORM, reads no other spelling
        text = text.replace("nan", "NaN").replace("inf", "Infinity")
        self._file.write(text)
        self._rows_written += len(localizations)


def _labels_and_formats(columns: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return label and format of each column, in the order in which they are written."""
    present = list(columns)
    named = {name: spelling for name, spelling in _LABEL_AND_FORMAT.items() if name in present}
    return named | {name: (name, _EXTRA_FORMAT) for name in present if name not in named}


@dataclass(frozen=True)
class _Header:
    """Which cells of a row become which columns."""

    delimiter: str
    cells_per_row: int
    cell_index: dict[str, int]
    to_our_unit: dict[str, float]
    extra_index: dict[str, int]


def _numbered_lines(text: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold something, with their numbers in the file, from 1."""
    for number, line in enumerate(text, start=1):
        if not line.isspace() and not line.startswith("#"):
            yield number, line


def _read_table(
    path: Path, lines: Iterator[tuple[int, str]], pixel_size_nm: float | None
) -> Localizations:
    _, header_line = next(lines, (0, ""))
    if not header_line:
        raise InputError(f"{path} is empty. A table starts with a line of column names.")
    header = _parse_header(path, header_line, pixel_size_nm)
    names = header.cell_index | header.extra_index
    blocks = [Localizations.from_columns({name: np.empty(0) for name in names})]
    while block := list(islice(lines, _ROWS_AT_A_TIME)):
        blocks.append(_parse_block(path, block, header))
    return Localizations.concatenate(blocks)


def _parse_header(path: Path, line: str, pixel_size_nm: float | None) -> _Header:
    delimiter = max("\t;,", key=line.count)
    # Stripping quotes off each cell also reads a header that was quoted as a whole, with its own
    # quotes doubled, as spreadsheets leave it behind.
    labels = [cell.strip(" \"'`\n") for cell in line.split(delimiter)]
    cell_index: dict[str, int] = {}
    to_our_unit: dict[str, float] = {}
    # those who make a table by hand use our own names; any other label goes before them
    our_index: dict[str, int] = {}
    extra_index: dict[str, int] = {}
    for index, label in enumerate(labels):
        name, _, unit = label.translate(_MICRO).lower().partition("[")
        column, units = _COLUMN_AND_UNITS.get(name.strip(), ("", ()))
        unit = unit.strip(" ]")
        if unit not in units:
            if label.lower() in _LABEL_AND_FORMAT:
                our_index.setdefault(label.lower(), index)
            elif label:
                extra_index.setdefault(_writable(label), index)
            continue
        if column in cell_index:
            raise InputError(
                f"{path} has two columns for one quantity, {labels[cell_index[column]]!r} and "
                f"{label!r}. Remove one of them."
            )
        if unit == "px" and pixel_size_nm is None:
            raise InputError(
                f"{path} gives {label!r} in camera pixels. State the pixel size (pixel_size_nm)."
            )
        cell_index[column] = index
        to_our_unit[column] = {"um": 1000.0, "px": pixel_size_nm}.get(unit) or 1.0
    cell_index = our_index | cell_index
    if not all(name in cell_index for name in _NEEDED):
        raise InputError(
            f"{path} is not a ThunderSTORM table: its columns are {_listed(labels)}. Needed are "
            "'frame', 'x [nm]' and 'y [nm]', where the unit may also be [um] or [px]."
        )
    return _Header(delimiter, len(labels), cell_index, to_our_unit, extra_index)


def _writable(label: str) -> str:
    """Replace what is no UTF-8, since the label is going to be written again."""
    return label.translate(_MICRO).encode(errors="replace").decode()


def _parse_block(path: Path, block: list[tuple[int, str]], header: _Header) -> Localizations:
    lines = [line for _, line in block]
    try:
        columns = _parse_columns(lines, header)
    except ValueError:
        for number, line in block:
            _refuse_unreadable(f"{path}, line {number}", line, header)
        raise
    for name, faulty, rule in _faults(columns):
        if faulty.any():
            row = int(np.argmax(faulty))
            number, _ = block[row]
            raise InputError(f"{path}, line {number}: {name} is {columns[name][row]:g}. {rule}")
    columns["frame"] -= 1
    return Localizations.from_columns(columns)


def _parse_columns(lines: list[str], header: _Header) -> dict[str, NDArray[Any]]:
    """Return all columns that hold numbers, or raise a ValueError if a named one does not."""
    cell_index = header.cell_index | header.extra_index
    try:
        try:
            cells = _parse(lines, header, list(cell_index.values()))
        except ValueError:
            # only then, since few tables have quoted or empty cells
            lines = [_plain(line, header) for line in lines]
            cells = _parse(lines, header, list(cell_index.values()))
    except ValueError:
        # text in an extra column is no reason to refuse the table
        cells = _parse(lines, header, list(header.cell_index.values()))
        columns = dict(zip(header.cell_index, cells.T, strict=True))
        for name, index in header.extra_index.items():
            with suppress(ValueError):
                columns[name] = _parse(lines, header, [index])[:, 0]
    else:
        columns = dict(zip(cell_index, cells.T, strict=True))
    return {name: values * header.to_our_unit.get(name, 1.0) for name, values in columns.items()}


def _parse(lines: list[str], header: _Header, cell_indices: list[int]) -> NDArray[np.float64]:
    """Return the chosen cells of all lines, or raise a ValueError where a line is malformed."""
    delimiters = header.cells_per_row - 1
    if any(line.count(header.delimiter) != delimiters for line in lines):
        raise ValueError("a row has too few or too many cells")
    return np.loadtxt(
        lines, delimiter=header.delimiter, usecols=cell_indices, comments=None, ndmin=2
    )


def _plain(line: str, header: _Header) -> str:
    """Take the quotes off all cells, and write NaN into empty ones that need not hold a number."""
    cells = [cell.strip(' "\n') for cell in line.split(header.delimiter)]
    never_nan = {header.cell_index.get(name) for name in _NEVER_NAN}
    return header.delimiter.join(
        cell or ("" if index in never_nan else "nan") for index, cell in enumerate(cells)
    )


def _refuse_unreadable(where: str, line: str, header: _Header) -> None:
    cells = line.rstrip("\n").split(header.delimiter)
    if len(cells) != header.cells_per_row:
        raise InputError(
            f"{where} has {len(cells)} cells, but the header has {header.cells_per_row}. "
            "Was the file cut off, or are decimals written with a comma?"
        )
    for index in header.cell_index.values():
        try:
            _parse([_plain(line, header)], header, [index])
        except ValueError:
            raise InputError(
                f"{where}: {cells[index]!r} is not a number. Correct or remove the row; decimals "
                "are written with a point."
            ) from None


def _faults(
    columns: dict[str, NDArray[np.float64]],
) -> Iterator[tuple[str, NDArray[np.bool_], str]]:
    """Yield each column with a rule, the rows that break it, and the rule in words."""
    for name in ("x_nm", "y_nm"):
        yield name, ~np.isfinite(columns[name]), "Remove the row: it has no position."
    for name in ("frame", "id", "detections"):
        if name in columns:
            whole = np.isfinite(columns[name]) & (columns[name] == np.floor(columns[name]))
            yield name, ~whole, "It must be a whole number."
    yield (
        "frame",
        columns["frame"] < 1,
        "ThunderSTORM counts frames from 1. If this file counts from 0, add 1 to all its frames.",
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
