"""Who works at what, told by files in a folder that all workers see."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_SUFFIX = ".claim"

CLAIMS = f"*{_SUFFIX}"
"""What the files of all claims are called."""

STALE_S = 600.0
"""Seconds without a sign of life after which a claim counts as given up."""

_BEGAN = time.time()


class Claim:
    """A right to do one piece of work, which only one worker has.

    Made by `claim`. Use it in a ``with`` statement, which gives it back, and call `renew` in
    between, as a sign of life.
    """

    def __init__(self, folder: Path, name: str, number: int) -> None:
        self._folder = folder
        self._name = name
        self._number = number

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.give_back()

    def give_back(self) -> None:
        """Let another worker do the work, or what is left of it."""
        if self.is_held():
            # those of dead workers too, and first: one that is not dead but slow must not find that
            # its own is the newest again
            for number in range(self._number + 1):
                _path(self._folder, self._name, number).unlink(missing_ok=True)

    def renew(self) -> None:
        """Give a sign of life."""
        with suppress(FileNotFoundError):
            os.utime(_path(self._folder, self._name, self._number))

    def is_held(self) -> bool:
        """Whether nobody has taken the work over meanwhile."""
        return _newest(self._folder, self._name) == self._number


def claim(folder: Path, name: str) -> Claim | None:
    """Claim a piece of work, unless another worker, who is alive, has it.

    A worker on this machine is dead if its process is; any worker, if it has not renewed its claim
    for `STALE_S`. The claims to one piece are numbered, and the newest counts: of several workers
    who find a dead one, only one can create the next.

    Parameters
    ----------
    folder
        Where claims are; every worker sees it.
    name
        Of the piece of work.

    Returns
    -------
    Claim or None
        ``None`` if somebody else has it.

    Raises
    ------
    OSError
        Nothing can be written to the folder.
    """
    newest = _newest(folder, name)
    if newest is not None and not is_dead(_path(folder, name, newest)):
        return None
    number = 0 if newest is None else newest + 1
    try:
        with _path(folder, name, number).open("x", encoding="utf-8") as file:
            json.dump({"host": socket.gethostname(), "pid": os.getpid()}, file)
    except FileExistsError:
        return None
    return Claim(folder, name, number)


def is_dead(path: Path) -> bool:
    """Tell whether the worker who made a claim has died."""
    content = _content(path)
    is_here, pid = content.get("host") == socket.gethostname(), content.get("pid")
    if is_here and not _is_running(pid):
        return True
    try:
        renewed = path.stat().st_mtime
        # our own number had another process before us: in a container each is the first
        if is_here and pid == os.getpid() and renewed < _BEGAN:
            return True
        # nor is a process that runs always the one that made the claim
        return _now_of(path.parent) - renewed > STALE_S
    except OSError:
        # given back just now
        return False


def _path(folder: Path, name: str, number: int) -> Path:
    return folder / f"{name}.{number}{_SUFFIX}"


def _newest(folder: Path, name: str) -> int | None:
    """Return the highest number of the claims to a piece."""
    paths = folder.glob(f"{name}.*{_SUFFIX}")
    return max((int(path.name.split(".")[-2]) for path in paths), default=None)


def _content(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # gone, or being written: its time tells whether it is alive
        return {}
    return content if isinstance(content, dict) else {}


def _is_running(pid: object) -> bool:
    if not isinstance(pid, int):
        return False
    if os.name == "nt":
        return _is_running_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _is_running_on_windows(pid: int) -> bool:
    # os.kill would end the process there
    import ctypes

    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    query, still_active = 0x1000, 259
    handle = kernel.OpenProcess(query, False, pid)
    if not handle:
        return False
    code = ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return code.value == still_active


def _now_of(folder: Path) -> float:
    """Return the time by the clock of whoever keeps the folder: those of machines differ."""
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".now") as file:
        return Path(file.name).stat().st_mtime
