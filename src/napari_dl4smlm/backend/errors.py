"""What the user gave cannot be used: the errors that are shown as one line, without a traceback."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class InputError(ValueError):
    """Something given by the user cannot be used.

    The message says what happened, with which value, and what to do. Every other exception that
    leaves the backend is a defect of this package or of the machine.
    """


class DeviceError(InputError):
    """The compute device asked for cannot be used on this machine."""


class ModelFileError(InputError):
    """A model file cannot be read."""


def unknown_name(what: str, name: str, available: Iterable[str]) -> InputError:
    """Build the error for a name that is not one of the available ones.

    Parameters
    ----------
    what
        What the name was meant to denote, such as ``"model"``.
    name
        The name that was asked for.
    available
        The names that exist, in the order in which they are listed.

    Returns
    -------
    InputError
        An error for the caller to raise; it suggests the closest available name, if one is close.
    """
    names = list(available)
    close = difflib.get_close_matches(name.lower().replace("-", "_"), names, n=1, cutoff=0.5)
    suggestion = f" Did you mean {close[0]!r}?" if close else ""
    return InputError(f"Unknown {what} {name!r}.{suggestion} Available: {', '.join(names)}.")
