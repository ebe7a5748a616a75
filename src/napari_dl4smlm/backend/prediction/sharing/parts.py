"""What the workers of one prediction have done so far, in a folder beside the results."""

from __future__ import annotations

import json
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from napari_dl4smlm.backend.atomic_file import atomic_file
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.prediction.reconstruction import Reconstruction
from napari_dl4smlm.backend.prediction.sharing.claims import remove_claims

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydantic import JsonValue

_PLAN = "plan.json"
_RESULT = "result"
_IMAGES = "image-*.npz"
_TABLES = "table-*.npz"


class Parts:
    """The folder in which workers leave what they have done.

    Every worker has one image, the sum of all frames it has done, and a table for each piece of the
    movie. The image is written last, and names the tables that belong to it: it decides what is
    done.

    Parameters
    ----------
    folder
        It is created.
    plan
        What all workers must agree on, such as model, movie and threshold.

    Raises
    ------
    InputError
        The folder holds parts of another prediction.
    OSError
        Nothing can be written to it.
    """

    def __init__(self, folder: Path, plan: Mapping[str, JsonValue]) -> None:
        self.folder = folder
        self._plan: dict[str, JsonValue] = json.loads(json.dumps(plan))
        self._image = folder / _IMAGES.replace("*", uuid.uuid4().hex)
        self._tables: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._agree()

    @property
    def result(self) -> dict[str, Any] | None:
        """What `finish` was given by the worker that put the parts together; ``None`` before."""
        return self._read_plan().get(_RESULT)

    def done(self) -> list[range]:
        """Return the frames that are done, as ranges without gaps, sorted."""
        ranges = []
        for path in self.folder.glob(_IMAGES):
            with _opened(path) as content:
                ranges += _ranges(content)
        return sorted(ranges, key=lambda frames: frames.start)

    def missing(self, frames: range) -> list[range]:
        """Return which of some frames are not done, as ranges without gaps, sorted."""
        missing, start = [], frames.start
        for part in self.done():
            if part.start > start:
                missing.append(range(start, min(part.start, frames.stop)))
            start = max(start, part.stop)
        missing.append(range(start, frames.stop))
        return [part for part in missing if len(part)]

    def save(self, image: Reconstruction, localizations: Localizations) -> None:
        """Leave a table, and the image of all frames that this worker has done so far.

        Raises
        ------
        OSError
            They cannot be written; what was there stays.
        """
        columns: dict[str, Any] = localizations.columns()
        table = self.folder / _TABLES.replace("*", uuid.uuid4().hex)
        with atomic_file(table) as temporary, temporary.open("wb") as file:
            np.savez(file, **columns)
        self._tables.append(table.name)
        with atomic_file(self._image) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                total=image.total,
                frames=[(part.start, part.stop) for part in image.frames],
                pixel_size_nm=image.pixel_size_nm,
                blur_sigma_px=image.blur_sigma_px,
                tables=self._tables,
            )

    def merged(self) -> Reconstruction:
        """Add up the images of all workers.

        Raises
        ------
        InputError
            Two of them hold the same frame, or one cannot be read.
        """
        merged: Reconstruction | None = None
        for path in sorted(self.folder.glob(_IMAGES)):
            with _opened(path) as content:
                part = Reconstruction.of(
                    content["total"],
                    _ranges(content),
                    pixel_size_nm=float(content["pixel_size_nm"]),
                    blur_sigma_px=float(content["blur_sigma_px"]),
                )
            if merged is None:
                merged = part
            else:
                merged.take_in(part)
        assert merged is not None
        return merged

    def tables(self) -> Iterator[Localizations]:
        """Read the tables, in the order of their frames; those of one piece are in one table.

        Raises
        ------
        InputError
            One cannot be read.
        """
        names: list[str] = []
        for path in self.folder.glob(_IMAGES):
            with _opened(path) as content:
                names += content["tables"].tolist()
        first_frames = {}
        for name in names:
            with _opened(self.folder / name) as content:
                first_frames[name] = content["frame"].min(initial=np.iinfo(np.int64).max)
        for name in sorted(names, key=lambda name: first_frames[name]):
            with _opened(self.folder / name) as content:
                yield Localizations.from_columns({name: content[name] for name in content})

    def finish(self, result: Mapping[str, JsonValue]) -> None:
        """Remove the parts, once their sum is elsewhere, and tell workers that come later."""
        self._write_plan({**self._plan, _RESULT: dict(result)})
        for path in [*self.folder.glob(_IMAGES), *self.folder.glob(_TABLES)]:
            path.unlink(missing_ok=True)
        remove_claims(self.folder)

    def start_anew(self) -> None:
        """Forget that the prediction was finished, since its results are gone."""
        self._write_plan(self._plan)

    def _agree(self) -> None:
        agreed = self._read_plan()
        if not agreed or (_RESULT in agreed and self._differing(agreed)):
            self._write_plan(self._plan)
            return
        for key in self._differing(agreed):
            raise InputError(
                f"{self.folder} holds parts of another prediction: its {key} is "
                f"{agreed.get(key)!r}, and not {self._plan.get(key)!r}. Finish that one with the "
                "same options, remove the folder, or choose another one for the results."
            )

    def _differing(self, agreed: Mapping[str, JsonValue]) -> list[str]:
        keys = sorted((self._plan.keys() | agreed.keys()) - {_RESULT})
        return [key for key in keys if self._plan.get(key) != agreed.get(key)]

    def _read_plan(self) -> dict[str, Any]:
        try:
            plan = json.loads((self.folder / _PLAN).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise InputError(
                f"{self.folder / _PLAN} is damaged ({error}). Remove the folder; the prediction "
                "then starts anew."
            ) from error
        return plan if isinstance(plan, dict) else {}

    def _write_plan(self, plan: Mapping[str, JsonValue]) -> None:
        with atomic_file(self.folder / _PLAN) as temporary:
            temporary.write_text(json.dumps(plan, indent=1), encoding="utf-8")


def _ranges(content: Any) -> list[range]:
    return [range(start, stop) for start, stop in content["frames"].tolist()]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file, np.load(file) as content:
            yield content
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(
            f"{path} cannot be read: {error}. Remove it; its frames are then predicted again."
        ) from error
