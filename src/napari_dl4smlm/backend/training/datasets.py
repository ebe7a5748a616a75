"""Patches of frames and their density maps, cut and rendered when they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.training.truth import Patch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.acquisition.normalization import Normalization
    from napari_dl4smlm.backend.training.taught_maps import TaughtMaps
    from napari_dl4smlm.backend.training.truth import Truth

_DRAWS_PER_PATCH = 200


@dataclass(frozen=True)
class LabelledFrames:
    """Some frames of a movie, with the truth of the movie.

    Attributes
    ----------
    frames, truth
        Of the whole movie.
    numbers
        The frames of it that are meant.
    """

    frames: FrameStack
    truth: Truth
    numbers: tuple[int, ...]


class Patches(Dataset[tuple[Tensor, Tensor]], ABC):
    """Endless random patches with their density maps, of which an epoch takes so many.

    Item ``i`` of epoch ``e`` depends on the seed, ``e`` and ``i`` alone: the order in which items
    are asked for, and by how many readers, does not change them.

    Parameters
    ----------
    patches
        Items in one epoch.
    seed
        Draws the patches.

    Attributes
    ----------
    epoch
        Number of the epoch whose items are given.
    taught
        Maps of a teacher, which become a second channel of the density maps; ``None`` for none.
        Only patches of frames can have any.
    """

    def __init__(self, *, patches: int, seed: int) -> None:
        self.epoch = 0
        self.taught: TaughtMaps | None = None
        self._patches = patches
        self._seed = seed

    def __len__(self) -> int:
        return self._patches

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return normalized frame (1, y, x) and density map (1, f y, f x) of one patch.

        With maps of a teacher, the second one has the shape (2, f y, f x).

        Raises
        ------
        IndexError
            There is no such item.
        InputError
            No patch with enough emitters was found.
        """
        if not 0 <= index < self._patches:
            raise IndexError(f"item {index} of {self._patches}")
        frame, *maps = self._draw(np.random.default_rng([self._seed, self.epoch, index]))
        return _channel(frame), torch.cat([_channel(density) for density in maps])

    @abstractmethod
    def _draw(self, generator: np.random.Generator) -> tuple[NDArray[np.float32], ...]:
        """Draw a normalized frame (y, x), its density map (f y, f x) and, if any, the teacher's."""


class ImageDataset(Patches):
    """Random patches of frames and their density maps, rendered when they are asked for.

    Parameters
    ----------
    data
        Frames with truth.
    normalization
        How counts become network input.
    patch_size
        Side of a patch in camera pixels; less where the frames are smaller.
    patches, seed
        As in :class:`Patches`.
    min_emitters
        Fewest emitters in a patch.
    augment
        Turn by quarter turns and mirror at random: exact, no pixel is interpolated.
    target_sigma_px
        Width of the Gaussian of the density map in fine pixels; 0 for spikes.
    """

    def __init__(
        self,
        data: LabelledFrames,
        normalization: Normalization,
        *,
        patch_size: int,
        patches: int,
        min_emitters: int,
        augment: bool,
        target_sigma_px: float,
        seed: int,
    ) -> None:
        super().__init__(patches=patches, seed=seed)
        self._data = data
        self._normalization = normalization
        self._height = min(patch_size, data.frames.height)
        self._width = min(patch_size, data.frames.width)
        self._min_emitters = min_emitters
        self._augment = augment
        self._target_sigma_px = target_sigma_px

    def _draw(self, generator: np.random.Generator) -> tuple[NDArray[np.float32], ...]:
        patch = self._place(generator)
        images: tuple[NDArray[np.float32], ...] = load_patch(
            self._data, patch, self._normalization, self._target_sigma_px
        )
        if self.taught is not None:
            images = (*images, self.taught.render(patch))
        if not self._augment:
            return images
        # a patch that is not square keeps its shape under half turns only
        turns = generator.integers(4) if self._height == self._width else 2 * generator.integers(2)
        mirror = bool(generator.integers(2))
        return tuple(_turned(image, int(turns), mirror) for image in images)

    def _place(self, generator: np.random.Generator) -> Patch:
        frames, numbers = self._data.frames, self._data.numbers
        for _ in range(_DRAWS_PER_PATCH):
            patch = Patch(
                frame=numbers[int(generator.integers(len(numbers)))],
                top=int(generator.integers(frames.height - self._height + 1)),
                left=int(generator.integers(frames.width - self._width + 1)),
                height=self._height,
                width=self._width,
            )
            if self._data.truth.count_emitters(patch) >= self._min_emitters:
                return patch
        raise InputError(
            f"None of {_DRAWS_PER_PATCH} random patches of {self._height} x {self._width} px holds "
            f"{self._min_emitters} emitter(s). Lower the minimum of emitters or enlarge the patch."
        )


class PatchGrid(Dataset[tuple[Tensor, Tensor]]):
    """Whole frames, cut once into patches that cover them.

    Parameters
    ----------
    data, normalization, patch_size, target_sigma_px
        As in :class:`ImageDataset`.

    Attributes
    ----------
    patches : list of Patch
        Where the items are.
    """

    def __init__(
        self,
        data: LabelledFrames,
        normalization: Normalization,
        *,
        patch_size: int,
        target_sigma_px: float,
    ) -> None:
        self._data = data
        self._normalization = normalization
        self._target_sigma_px = target_sigma_px
        height = min(patch_size, data.frames.height)
        width = min(patch_size, data.frames.width)
        self.patches = [
            Patch(frame, top, left, height, width)
            for frame in data.numbers
            for top in _covering_starts(data.frames.height, height)
            for left in _covering_starts(data.frames.width, width)
        ]

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return normalized frame (1, y, x) and density map (1, f y, f x) of one patch."""
        patch = self.patches[index]
        frame, density = load_patch(self._data, patch, self._normalization, self._target_sigma_px)
        return _channel(frame), _channel(density)


def load_patch(
    data: LabelledFrames, patch: Patch, normalization: Normalization, target_sigma_px: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the normalized frame (y, x) and the density map (f y, f x) of a patch."""
    (frame,) = data.frames.read(patch.frame, patch.frame + 1)
    rows = slice(patch.top, patch.top + patch.height)
    columns = slice(patch.left, patch.left + patch.width)
    density = data.truth.render(patch, target_sigma_px)
    return normalization.apply(frame[rows, columns]), density


def _covering_starts(length: int, side: int) -> list[int]:
    """Return where the fewest patches that cover a length start; neighbours may overlap."""
    count = -(-length // side)
    return [round(k * (length - side) / max(1, count - 1)) for k in range(count)]


def _turned(image: NDArray[np.float32], quarter_turns: int, mirror: bool) -> NDArray[np.float32]:
    turned: NDArray[np.float32] = np.rot90(image, quarter_turns)
    return turned[:, ::-1] if mirror else turned


def _channel(image: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image))[None]


def load_batch(
    dataset: Dataset[tuple[Tensor, Tensor]], indices: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Stack items: frames (N, 1, y, x) and density maps (N, 1, f y, f x)."""
    frames, densities = zip(*(dataset[index] for index in indices), strict=True)
    return torch.stack(frames), torch.stack(densities)


def prefetch(
    dataset: Dataset[tuple[Tensor, Tensor]], batches: Sequence[Sequence[int]]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Load batches of items, the next one while the caller works on this one."""
    with ThreadPoolExecutor(max_workers=1) as loader:
        upcoming = None
        for batch in batches:
            following = _begun(loader, dataset, batch)
            if upcoming is not None:
                yield upcoming.result()
            upcoming = following
        if upcoming is not None:
            yield upcoming.result()


def _begun(
    loader: ThreadPoolExecutor, dataset: Dataset[tuple[Tensor, Tensor]], batch: Sequence[int]
) -> Future[tuple[Tensor, Tensor]]:
    try:
        return loader.submit(load_batch, dataset, batch)
    except RuntimeError:
        # Python is about to end and begins nothing new, but waits for a training that was stopped
        # late to be validated and saved
        done: Future[tuple[Tensor, Tensor]] = Future()
        done.set_result(load_batch(dataset, batch))
        return done
