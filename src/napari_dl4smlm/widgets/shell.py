"""Commands as text for the shell of this platform."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_PROGRAM = "dl4smlm"

# what both cmd and PowerShell take as it is; PowerShell splits words at commas
_PLAIN_ON_WINDOWS = re.compile(r"[\w.:=/\\-]+")


def command_text(words: Iterable[str]) -> str:
    """Write a command of this package, without its name in ``words``, with words quoted."""
    words = [_PROGRAM, *words]
    return " ".join(map(_quoted_on_windows, words)) if os.name == "nt" else shlex.join(words)


def _quoted_on_windows(word: str) -> str:
    quoted = subprocess.list2cmdline([word])
    if quoted.startswith('"') or _PLAIN_ON_WINDOWS.fullmatch(word):
        return quoted
    # backslashes before a quotation mark would escape it
    backslashes = len(word) - len(word.rstrip("\\"))
    return f'"{quoted}{backslashes * chr(92)}"'
