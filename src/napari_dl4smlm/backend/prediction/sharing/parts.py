"""What the workers of one prediction have done so far, in a folder beside the results."""

from __future__ import annotations

import hashlib
import json
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from napari_dl4smlm.backend.atomic_file import atomic_file
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.prediction.reconstruction import Reconstruction
from napari_dl4smlm.backend.prediction.sharing.claims import CLAIMS, claim

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydantic import JsonValue

    from napari_dl4smlm.backend.prediction.sharing.claims import Claim

_PLAN = "plan.json"
_RESULT = "result"
_IMAGES = "image-*.npz"
_TABLES = "table-*.npz"


class PartVanished(Exception):
    """A part was removed while it was about to be read: another worker has put all together."""


class Parts:
    """The folder in which workers leave what they have done.

    Every worker has one image, the sum of all frames it has done, and a table for each piece of the
    movie. The image is written last, and names the tables that belong to it: it decides what is
    done. The names of all files tell the plan that they belong to: what a worker that was killed or
    late has left of another prediction is never taken for a part of this one.

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
        plan_text = json.dumps(self._plan, sort_keys=True)
        self._key = hashlib.sha256(plan_text.encode()).hexdigest()[:16]
        self._images = _IMAGES.replace("*", f"{self._key}-*")
        self._image = self._new_path(_IMAGES)
        self._tables: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._agree()

    @property
    def result(self) -> dict[str, Any] | None:
        """What `finish` was given by the worker that put the parts together; ``None`` before.

        Raises
        ------
        InputError
            Another prediction has been started in the folder.
        """
        plan = self._read_plan()
        if plan:
            self._refuse_another(plan)
        return plan.get(_RESULT)

    def claim(self, name: str) -> Claim | None:
        """Claim a piece of the work by its name, as `claims.claim`."""
        return claim(self.folder, f"{self._key}-{name}")

    def done(self) -> list[range]:
        """Return the frames that are done, as ranges without gaps, sorted."""
        ranges = []
        for path in self.folder.glob(self._images):
            with suppress(PartVanished), _opened(path) as content:
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
        table = self._new_path(_TABLES)
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
        PartVanished
            Another worker has just removed them.
        """
        merged: Reconstruction | None = None
        for path in sorted(self.folder.glob(self._images)):
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
        if merged is None:
            raise PartVanished(self._images)
        return merged

    def tables(self) -> Iterator[Localizations]:
        """Read the tables, in the order of their frames; those of one piece are in one table.

        Raises
        ------
        InputError
            One cannot be read.
        PartVanished
            Another worker has just removed them.
        """
        images: dict[Path, Path] = {}
        for image in self.folder.glob(self._images):
            with _opened(image) as content:
                images |= {self.folder / name: image for name in content["tables"].tolist()}
        first_frames = {}
        for table, image in images.items():
            with _opened(table, image) as content:
                first_frames[table] = content["frame"].min(initial=np.iinfo(np.int64).max)
        for table in sorted(images, key=lambda table: first_frames[table]):
            with _opened(table, images[table]) as content:
                yield Localizations.from_columns({name: content[name] for name in content})

    def finish(self, result: Mapping[str, JsonValue]) -> None:
        """Tell all workers that the parts are put together; `clear` may then remove them."""
        self._write_plan({**self._plan, _RESULT: dict(result)})

    def clear(self) -> None:
        """Remove the parts, and what workers that were killed have left of them."""
        self._remove(own=True)

    def start_anew(self) -> None:
        """Forget that the prediction was finished, since its results are gone.

        Parts that were not removed, as of a worker that was killed at it, count again.
        """
        self._write_plan(self._plan)

    def _new_path(self, kind: str) -> Path:
        return self.folder / kind.replace("*", f"{self._key}-{uuid.uuid4().hex}")

    def _remove(self, *, own: bool) -> None:
        # images before the tables that they name; with what was being written, which begins with a
        # dot
        for pattern in (f"*{_IMAGES}*", f"*{_TABLES}*", CLAIMS):
            for path in list(self.folder.glob(pattern)):
                if (self._key in path.name) == own:
                    # another worker does the same, and Windows keeps files that are open
                    with suppress(OSError):
                        path.unlink()

    def _agree(self) -> None:
        agreed = self._read_plan()
        if _RESULT in agreed and self._differing(agreed):
            # never our own: other workers may have begun with this plan a moment ago
            self._remove(own=False)
            agreed = {}
        if agreed:
            self._refuse_another(agreed)
        else:
            self._write_plan(self._plan)

    def _refuse_another(self, agreed: Mapping[str, JsonValue]) -> None:
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
def _opened(path: Path, image: Path | None = None) -> Iterator[Any]:
    """Open an image, or a table that an image names."""
    try:
        with path.open("rb") as file, np.load(file) as content:
            yield content
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        # of parts that are put together, the image goes first
        if isinstance(error, FileNotFoundError) and not (image and image.exists()):
            raise PartVanished(path) from error
        # a table is asked for as long as its image is there
        what = f"{image.name} beside it" if image else "it"
        raise InputError(
            f"{path} cannot be read: {error}. Remove {what}; its frames are then predicted again."
        ) from error
