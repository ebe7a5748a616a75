"""Loads PyTorch while the window goes on answering."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# in the order in which PyTorch loads them; it shares the first with all that it loads later
_LIBRARIES = {"libtorch_global_deps.so": "RTLD_GLOBAL", "libtorch_python.so": "RTLD_LOCAL"}


def load_torch() -> None:
    """Import PyTorch, to be called by another thread than that of the window.

    While Python imports a library, no other thread of Python runs, and with PyTorch's that is a
    third of a second or more. The system's own function, called as a foreign one, does not keep
    them from running, and the import then finds the library loaded.

    Raises
    ------
    ImportError
        PyTorch is not there, or cannot be loaded.
    """
    if "torch" in sys.modules:
        # unless another thread is at it, this is done
        import_module("torch")
        return
    # on Windows, PyTorch itself loads its libraries in this way
    if sys.platform == "linux":
        _load_libraries()
    with one_search_for_cycles():
        import_module("torch")


@contextmanager
def one_search_for_cycles() -> Iterator[None]:
    """Let Python look for cycles of objects once, at the end, whatever is imported.

    No thread of Python runs meanwhile. In a viewer that takes some tenths of a second, and the many
    new objects of an import would make Python do it again and again, or just when training begins.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
            gc.collect()


def _load_libraries() -> None:
    """Load what there is; whatever goes wrong, the import tells better what it is."""
    torch = find_spec("torch")
    if torch is None or torch.origin is None:
        return
    folder = Path(torch.origin).parent / "lib"
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.argtypes, dlopen.restype = [ctypes.c_char_p, ctypes.c_int], ctypes.c_void_p
    for name, scope in _LIBRARIES.items():
        if (folder / name).exists():
            dlopen(os.fsencode(folder / name), os.RTLD_NOW | getattr(os, scope))
