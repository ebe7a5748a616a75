"""A movie as an array for napari, read from its file as it is shown."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack


class LazyFrames:
    """A movie (frame, y, x) that reads the frames that an index asks for.

    Parameters
    ----------
    frames
        The movie. It is closed once nobody holds this array any more: a layer that was removed may
        still be read by a run.
    """

    ndim = 3

    def __init__(self, frames: FrameStack) -> None:
        self.shape = frames.shape
        self.dtype = frames.dtype
        self._frames = frames
        weakref.finalize(self, frames.close)

    def __getitem__(self, key: Any) -> Any:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is Ellipsis:
            return np.asarray(self)[key]
        chosen: int | range = range(len(self._frames))[first]
        if isinstance(chosen, int):
            return self._frames.read(chosen, chosen + 1)[(0, *rest)]
        if chosen.step == 1 and chosen:
            return self._frames.read(chosen.start, chosen.stop)[(slice(None), *rest)]
        frames = [self._frames.read(number, number + 1) for number in chosen]
        none = np.empty((0, *self.shape[1:]), self.dtype)
        return np.concatenate([none, *frames])[(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self._frames.read(0, len(self._frames)).astype(dtype or self.dtype, copy=False)
