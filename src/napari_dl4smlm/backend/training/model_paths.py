"""Where a training keeps its models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_SUFFIX = ".safetensors"


def last_model_of(best_path: Path) -> Path:
    """Return the file of the last model, from which training can go on, beside the best one."""
    return best_path.with_name(f"{best_path.stem}.last.safetensors")


def check_model_path(best_path: Path) -> None:
    """Make sure that models can be kept there, and that nothing else of the user is moved away.

    Raises
    ------
    InputError
        The file of the best model is no ``.safetensors`` file, its name no UTF-8, or there is a
        folder in its place or in that of the last model.
    """
    # also "." and "..", of which no file can be named
    if best_path.is_dir():
        raise InputError(
            f"{best_path} is a folder. Name a file in it for the model, such as "
            f"{best_path / 'model.safetensors'}."
        )
    try:
        best_path.name.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"The name {best_path.name!r} holds bytes that are no UTF-8, which model files cannot "
            "have in their names. Choose another name."
        ) from None
    if best_path.suffix.lower() != _SUFFIX:
        raise InputError(
            f"{best_path} does not end as a model file does. Call it "
            f"{best_path.name}{_SUFFIX}, for example."
        )
    last_path = last_model_of(best_path)
    if last_path.is_dir():
        raise InputError(
            f"{last_path}, where the last model goes, is a folder. Choose another name for the "
            "model."
        )


def check_teacher_stays(best_path: Path, teacher: Path) -> None:
    """Make sure that neither model of a student takes the place of its teacher.

    Raises
    ------
    InputError
        One of them is the teacher, by whatever name.
    """
    if _is_same_file(best_path, teacher):
        raise InputError(f"{best_path} is the teacher; write the student to another file")
    last_path = last_model_of(best_path)
    if _is_same_file(last_path, teacher):
        raise InputError(
            f"{last_path}, where the last model of the student goes, is the teacher; write the "
            "student to another file"
        )


def _is_same_file(first: Path, second: Path) -> bool:
    if first.resolve() == second.resolve():
        return True
    # hard links, and names that differ only in case where the file system does not mind
    return first.exists() and second.exists() and first.samefile(second)
