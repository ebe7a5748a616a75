"""Where a training keeps its models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def last_model_of(best_path: Path) -> Path:
    """Return the file of the last model, from which training can go on, beside the best one."""
    return best_path.with_name(f"{best_path.stem}.last.safetensors")
