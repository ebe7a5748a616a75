"""The models that were used lately, remembered from one session to the next."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSettings

_KEY = "recent_models"
_MOST = 8


def recent_models() -> list[Path]:
    """Return the model files that are still there, the last used one first."""
    return [path for path in _remembered() if path.is_file()]


def remember_model(path: Path) -> None:
    """Put a model first."""
    path = path.absolute()
    others = [other for other in _remembered() if other != path]
    _settings().setValue(_KEY, [str(each) for each in [path, *others]][:_MOST])


def _remembered() -> list[Path]:
    # Qt reads a list of one text as the text alone
    value = _settings().value(_KEY, [])
    return [Path(text) for text in ([value] if isinstance(value, str) else value or [])]


def _settings() -> QSettings:
    program = "napari-dl4smlm"
    return QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, program, program)
