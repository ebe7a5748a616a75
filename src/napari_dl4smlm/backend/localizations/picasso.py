"""Localization tables as Picasso HDF5 files with their YAML, in and out.

Picasso counts frames from 0 and measures positions, widths and uncertainties in camera pixels; a
whole number is the *centre* of a pixel, so that x_nm = (x + 0.5) p in our convention. What is known
of the movie lies in a YAML file of the same name, and newer versions also put it into the file
itself. Picasso is described by J. Schnitzbauer et al., Nat. Protoc. 12, 1198 (2017),
doi:10.1038/nprot.2017.024.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from napari_dl4smlm import __version__
from napari_dl4smlm.backend.atomic_file import atomic_file, check_folder
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.localizations.table_content import (
    FieldOfView,
    TableContent,
    check_pixel_size,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping
    from types import ModuleType

    from numpy.typing import NDArray

HDF5_SUFFIXES = (".hdf5", ".h5")

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

_TABLE = "locs"
_METADATA = "metadata"

_NEEDED = ("frame", "x", "y")

# Fields that are one of our columns as they stand; the rest is converted or kept as it is called.
_FIELD_OF_COLUMN = {
    "frame": "frame",
    "photons": "photons",
    "background": "bg",
    "confidence": "confidence",
    "detections": "n",
    "id": "id",
    "z [nm]": "z",
}
_COLUMN_OF_FIELD = {field: column for column, field in _FIELD_OF_COLUMN.items()}

_WHOLE_NUMBERS = {"frame": "u4", "n": "u4", "id": "i8"}


class _PlainLoader(yaml.SafeLoader):
    """Reads what numpy types Picasso has left in its YAML as nothing, instead of running them."""


_PlainLoader.add_multi_constructor("", lambda *_: None)


def read_picasso(
    path: str | os.PathLike[str], *, pixel_size_nm: float | None = None
) -> TableContent:
    """Read a localization table that Picasso, or a program that follows it, has written.

    Parameters
    ----------
    path
        The ``.hdf5`` file; the ``.yaml`` of the same name belongs beside it.
    pixel_size_nm
        Camera pixel; it wins over that of the file.

    Returns
    -------
    TableContent
        ``sigma_nm`` is the mean of Picasso's two widths, ``uncertainty_nm`` the root mean square
        of its two uncertainties, and ``detections`` its ``n``. Fields that have no name here keep
        their own, but for ``z``, which becomes ``z [nm]``. The history is Picasso's.

    Raises
    ------
    InputError
        h5py is not installed; the file cannot be read or holds no such table; the pixel size is
        not known; a position is not finite.
    """
    path = Path(path)
    fields, history = _read_file(path)
    told = _told_by(history)
    size = pixel_size_nm if pixel_size_nm is not None else told.get("Pixelsize")
    if size is None:
        raise InputError(
            f"{path} gives positions in camera pixels, but neither it nor "
            f"{path.with_suffix('.yaml').name} tells their size. State the pixel size."
        )
    check_pixel_size(size)
    localizations = _to_table(fields, size)
    around = FieldOfView.around(localizations, size)
    field = FieldOfView(
        int(told.get("Height", around.height)),
        int(told.get("Width", around.width)),
        int(told.get("Frames", around.n_frames)),
        size,
    )
    return TableContent(localizations, field, tuple(history))


def may_be_picasso(path: str | os.PathLike[str]) -> bool:
    """Tell whether an HDF5 file may hold localizations; without h5py, any file that is HDF5 may."""
    path = Path(path)
    if not is_hdf5(path):
        return False
    try:
        h5py = _import_h5py(path)
    except InputError:
        return True
    try:
        with h5py.File(path, "r") as file:
            names = getattr(file.get(_TABLE), "dtype", np.dtype(float)).names
            return set(_NEEDED) <= set(names or ())
    except OSError:
        return False


def is_hdf5(path: Path) -> bool:
    """Tell whether a file begins as HDF5 files do, whatever its name is.

    Raises
    ------
    InputError
        It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error


def write_picasso(path: str | os.PathLike[str], content: TableContent) -> None:
    """Write a localization table that Picasso opens, and its YAML beside it.

    All but whole numbers have 24 significant bits, as Picasso's have. Picasso leaves out
    localizations with a NaN in any column: columns without any number are not written.

    Parameters
    ----------
    path
        The ``.hdf5`` file to create or replace, like the ``.yaml`` of the same name; neither is
        ever left half-written.
    content
        The table; its field tells the pixel size.

    Raises
    ------
    InputError
        h5py is not installed, nothing can be written there, or the pixel size is not known.
    """
    path = Path(path)
    field = check_can_write(path, content)
    h5py = _import_h5py(path)
    check_folder(path.parent)
    fields = _to_fields(content.localizations, field.pixel_size_nm)
    description = _description(content.localizations, field)
    history = [*map(dict, content.history), description]
    if "Width" not in history[0]:
        # where older versions of Picasso look for the size of the movie
        history[0] = description | history[0]
    with (
        atomic_file(path) as temporary,
        atomic_file(path.with_suffix(".yaml")) as temporary_yaml,
    ):
        with h5py.File(temporary, "w") as file:
            file.create_dataset(_TABLE, data=fields)
            file.create_dataset(_METADATA, data=json.dumps(history, default=str))
        text = yaml.safe_dump_all(history, sort_keys=False, allow_unicode=True)
        temporary_yaml.write_text(text, encoding="utf-8")


def check_can_write(path: str | os.PathLike[str], content: TableContent) -> FieldOfView:
    """Return the field of a table that can become a Picasso table.

    Raises
    ------
    InputError
        h5py is not installed, or the pixel size is not known.
    """
    _import_h5py(path)
    if content.field is None:
        raise InputError(
            f"{path} is to be in camera pixels, but their size is not known. State the pixel size."
        )
    return content.field


def _import_h5py(path: str | os.PathLike[str]) -> ModuleType:
    try:
        import h5py
    except ImportError as error:
        raise InputError(
            f"{path} is an HDF5 file, which needs h5py. Install it with "
            'pip install "napari-dl4smlm[hdf5]", or use a CSV table.'
        ) from error
    module: ModuleType = h5py
    return module


def _read_file(path: Path) -> tuple[NDArray[np.void], list[dict[str, Any]]]:
    """Return the table as it is in the file, and the documents about it, oldest first."""
    h5py = _import_h5py(path)
    try:
        with h5py.File(path, "r") as file:
            if _TABLE not in file:
                raise InputError(
                    f"{path} has no table {_TABLE!r}, only {sorted(file)}. Give a file of "
                    "localizations that Picasso wrote."
                )
            fields = _values(file[_TABLE])
            metadata = _values(file.get(_METADATA))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path} cannot be read: {reason}.") from error
    dtype: np.dtype[Any] = getattr(fields, "dtype", np.dtype(float))
    names = dtype.names or ()
    if not set(_NEEDED) <= set(names):
        raise InputError(
            f"{path} is not a table of localizations: its fields are {list(names)}. Needed are "
            f"{', '.join(_NEEDED)}."
        )
    # numpy puts the shape of a field into its type
    if fields.ndim != 1 or any(dtype[name].kind not in "iuf" for name in _NEEDED):
        raise InputError(
            f"{path} is not a table of localizations: {', '.join(_NEEDED)} must hold one number "
            f"per row, but the table has the shape {fields.shape} and the type {dtype}."
        )
    return fields, _documents(path, metadata)


def _values(item: Any) -> Any:
    """Return what a dataset of h5py holds; nothing for a group, as pandas writes its tables."""
    return item[()] if hasattr(item, "dtype") else None


def _documents(path: Path, metadata: Any) -> list[dict[str, Any]]:
    """Return the documents of the YAML beside a file, or else of its own metadata, in JSON."""
    yaml_path = path.with_suffix(".yaml")
    source = f"{yaml_path}"
    documents: Any = []
    try:
        if yaml_path.exists():
            text = yaml_path.read_text(encoding="utf-8")
            documents = list(yaml.load_all(text, Loader=_PlainLoader))
        elif isinstance(metadata, str | bytes):
            source = f"The dataset {_METADATA!r} of {path}"
            documents = json.loads(metadata)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{source} cannot be read: {error}".replace("\n", " ")) from error
    documents = documents if isinstance(documents, list) else [documents]
    return [document for document in documents if isinstance(document, dict)]


def _told_by(history: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return what is known of the movie; as for Picasso, the newest document wins."""
    told: dict[str, float] = {}
    for document in history:
        for name in ("Pixelsize", "Height", "Width", "Frames"):
            value = document.get(name)
            if isinstance(value, int | float) and math.isfinite(value):
                told[name] = value
    return told


def _to_table(fields: NDArray[np.void], pixel_size_nm: float) -> Localizations:
    rest = {name: fields[name] for name in fields.dtype.names or ()}
    columns: dict[str, NDArray[Any]] = {
        "x_nm": (_real(rest.pop("x")) + 0.5) * pixel_size_nm,
        "y_nm": (_real(rest.pop("y")) + 0.5) * pixel_size_nm,
    }
    if {"sx", "sy"} <= rest.keys():
        widths = _real(rest.pop("sx")), _real(rest.pop("sy"))
        columns["sigma_nm"] = np.mean(widths, axis=0) * pixel_size_nm
    if {"lpx", "lpy"} <= rest.keys():
        errors = _real(rest.pop("lpx")), _real(rest.pop("lpy"))
        columns["uncertainty_nm"] = np.hypot(*errors) / np.sqrt(2) * pixel_size_nm
    for name, values in rest.items():
        # such as strings, of which a table has no use
        if values.ndim == 1 and values.dtype.kind in "iuf":
            columns[_COLUMN_OF_FIELD.get(name, name)] = values
    return Localizations.from_columns(columns)


def _to_fields(localizations: Localizations, pixel_size_nm: float) -> NDArray[np.void]:
    columns = localizations.columns()
    fields: dict[str, NDArray[Any]] = {
        "frame": columns.pop("frame"),
        "x": columns.pop("x_nm") / pixel_size_nm - 0.5,
        "y": columns.pop("y_nm") / pixel_size_nm - 0.5,
    }
    if "sigma_nm" in columns:
        fields["sx"] = fields["sy"] = columns.pop("sigma_nm") / pixel_size_nm
    if "uncertainty_nm" in columns:
        fields["lpx"] = fields["lpy"] = columns.pop("uncertainty_nm") / pixel_size_nm
    for name, values in columns.items():
        fields.setdefault(_FIELD_OF_COLUMN.get(name, name), values)
    kept = {
        name: values
        for name, values in fields.items()
        if not len(values) or not np.isnan(values).all()
    }
    table = np.empty(len(localizations), [(name, _WHOLE_NUMBERS.get(name, "f4")) for name in kept])
    for name, values in kept.items():
        table[name] = values
    return table


def _real(values: NDArray[Any]) -> NDArray[np.float64]:
    # before any arithmetic: of 32 bits, adding 0.5 would cost the last
    return values.astype(np.float64)


def _description(localizations: Localizations, field: FieldOfView) -> dict[str, Any]:
    last_frame = int(localizations.frame.max(initial=0))
    return {
        "Generated by": f"napari-dl4smlm {__version__}",
        "Height": field.height,
        "Width": field.width,
        "Frames": max(field.n_frames, last_frame + 1),
        "Pixelsize": field.pixel_size_nm,
    }
