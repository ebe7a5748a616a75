"""Where results come from: files with checksums, versions, machine and command."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dl4smlm import __version__
from napari_dl4smlm.backend.models.device import available_devices
from napari_dl4smlm.backend.report.markup import Html, element
from napari_dl4smlm.backend.report.page import facts, section

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PACKAGES = ("torch", "numpy", "scipy", "matplotlib", "tifffile")


@dataclass(frozen=True)
class FileRecord:
    """A file as it was when it was used.

    Attributes
    ----------
    role
        What it was used as, such as ``"movie"``.
    path
        Absolute.
    n_bytes
        Size, of all files of a folder together.
    sha256
        Checksum of the content; of a folder, that of the names and checksums of its files as
        ``sha256sum`` writes them, sorted by name.
    """

    role: str
    path: Path
    n_bytes: int
    sha256: str


@dataclass(frozen=True)
class Provenance:
    """Where results come from.

    Attributes
    ----------
    created
        Time in UTC, ISO 8601.
    command
        What to type to get them again; empty if they were not made on the command line.
    folder
        Where the command was given.
    versions
        Of the program, Python and packages, by name.
    machine
        What it ran on, by what it is.
    files
        Everything that was read.
    """

    created: str
    command: str
    folder: Path
    versions: dict[str, str]
    machine: dict[str, str]
    files: tuple[FileRecord, ...]


def record_provenance(files: Iterable[tuple[str, Path]], *, command: str = "") -> Provenance:
    """Look at files, versions and machine.

    Every file is read once, which takes a while for a long movie.

    Parameters
    ----------
    files
        Role and path of each file or folder.
    command
        What to type to get the results again.

    Raises
    ------
    OSError
        A file cannot be read.
    """
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        folder=Path.cwd(),
        versions=_versions(),
        machine=_machine(),
        files=tuple(_record(role, path) for role, path in files),
    )


def provenance_sections(provenance: Provenance) -> Iterable[Html]:
    """Write the last sections of a report."""
    files = (
        (
            one.role,
            element(
                "span", f"{one.path}, {one.n_bytes:,} bytes, SHA-256 ", element("code", one.sha256)
            ),
        )
        for one in provenance.files
    )
    yield section("Files", facts(files))
    machine = {**provenance.machine, **provenance.versions, "made": provenance.created}
    yield section("Machine and versions", facts(_pairs(machine)))
    if provenance.command:
        yield section(
            "To repeat it",
            element("p", "In the folder ", element("code", str(provenance.folder)), ":"),
            element("pre", element("code", provenance.command)),
        )


def _pairs(mapping: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    return mapping.items()


def _versions() -> dict[str, str]:
    return {
        "napari-dl4smlm": __version__,
        "Python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }


def _machine() -> dict[str, str]:
    devices = {
        device.name: device.description for device in available_devices() if device.available
    }
    return {"system": platform.platform(), **devices}


def _record(role: str, path: Path) -> FileRecord:
    path = path.absolute()
    if not path.is_dir():
        return FileRecord(role, path, path.stat().st_size, _sha256(path))
    files = sorted(file for file in path.rglob("*") if file.is_file())
    listing = "".join(f"{_sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in files)
    size = sum(file.stat().st_size for file in files)
    return FileRecord(role, path, size, hashlib.sha256(listing.encode()).hexdigest())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
