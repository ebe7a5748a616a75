"""When fluorophores are on: blinks of random length, or one frame each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, Field

from napari_dl4smlm.backend.simulation.ranges import AboveZero, AtLeastOne, draw

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Activations:
    """Which fluorophores shine in which frames: one row per fluorophore and frame.

    Attributes
    ----------
    fluorophore
        From 0 to ``fluorophores - 1``; each of these numbers occurs.
    frame
        Counts from 0; rows are in the order of frames.
    share
        Part of the frame during which the fluorophore was on, in (0, 1]; all its blinks in the
        frame together.
    fluorophores
        Number of fluorophores that shine at all.
    """

    fluorophore: NDArray[np.intp]
    frame: NDArray[np.intp]
    share: NDArray[np.float64]
    fluorophores: int


def steady_activations(n_on: float, n_frames: int, generator: np.random.Generator) -> Activations:
    """Light up new fluorophores in every frame, each for exactly this frame.

    Parameters
    ----------
    n_on
        Mean number of emitters that are on at a moment, and here also in a frame (Poisson).
    n_frames
        Length of the movie.
    generator
        Source of the numbers: the same state, the same activations.
    """
    frame = np.repeat(np.arange(n_frames), generator.poisson(n_on, n_frames))
    return Activations(np.arange(len(frame)), frame, np.ones(len(frame)), len(frame))


class Blinking(BaseModel, frozen=True, extra="forbid"):
    """Fluorophores that blink, go dark, may come back, and bleach.

    On and dark times are exponentially distributed. After every blink the fluorophore bleaches
    with the probability 1 / `blinks`, so that the number of its blinks is geometrically
    distributed. See Annibale et al. for the states, and for dark times of real fluorophores.

    References
    ----------
    P. Annibale et al., PLoS ONE 6, e22678 (2011), doi:10.1371/journal.pone.0022678
    """

    on_frames: AboveZero = Field(
        (2.0, 2.0), title="On time (frames)", description="mean length of a blink, in frames"
    )
    off_frames: AboveZero = Field(
        (200.0, 200.0),
        title="Off time (frames)",
        description="mean dark time between two blinks, in frames",
    )
    blinks: AtLeastOne = Field(
        (1.0, 1.0),
        title="Blinks per fluorophore",
        description="mean number of blinks before bleaching",
    )

    def activate(self, n_on: float, n_frames: int, generator: np.random.Generator) -> Activations:
        """Let fluorophores blink during a movie that begins and ends in full swing.

        The movie is a piece of a process that has always been running: fresh fluorophores are
        activated as fast as others bleach, as an experimenter does by turning up the UV light.

        Parameters
        ----------
        n_on
            Mean number of emitters that are on at a moment, throughout the movie. More touch a
            frame: a blink of d frames touches d + 1 on average, so that a frame shows
            n_on (1 + 1/d) of them, many for a part of it only.
        n_frames
            Length of the movie.
        generator
            Source of the numbers: the same state, the same activations. A parameter that is a
            range is drawn once.
        """
        on_frames = draw(self.on_frames, generator)
        off_frames = draw(self.off_frames, generator)
        bleaching = 1 / draw(self.blinks, generator)
        n_dark = n_on * off_frames / on_frames * (1 - bleaching)
        n_fresh = n_on * n_frames / on_frames * bleaching
        begin = np.concatenate(
            [
                # exponential times have no memory: what is on at the start stays on for as long
                # as if it had just begun
                np.zeros(generator.poisson(n_on)),
                _returns(n_dark, off_frames, n_frames, generator),
                generator.uniform(0, n_frames, generator.poisson(n_fresh)),
            ]
        )
        fluorophore = np.arange(len(begin))
        blinks = [(fluorophore[:0], begin[:0], begin[:0])]
        while len(begin):
            end = begin + generator.exponential(on_frames, len(begin))
            blinks.append((fluorophore, begin, end))
            begin = end + generator.exponential(off_frames, len(begin))
            again = (generator.random(len(begin)) >= bleaching) & (begin < n_frames)
            fluorophore, begin = fluorophore[again], begin[again]
        fluorophore, begin, end = (np.concatenate(column) for column in zip(*blinks, strict=True))
        return _in_frames(fluorophore, begin, end, n_frames)


def _returns(
    n_dark: float, off_frames: float, n_frames: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """When fluorophores come back that are dark at the start, `n_dark` of them on average."""
    # most come back after the movie, and may be too many to draw: leave them out at once
    within = -math.expm1(-n_frames / off_frames)
    portion = within * generator.random(generator.poisson(n_dark * within))
    return -off_frames * np.log1p(-portion)


def _in_frames(
    fluorophore: NDArray[np.intp],
    begin: NDArray[np.float64],
    end: NDArray[np.float64],
    n_frames: int,
) -> Activations:
    """Cut blinks at the borders of frames, and add up those of a fluorophore in one frame."""
    end = np.minimum(end, n_frames)
    first = np.floor(begin).astype(np.intp)
    touched = np.ceil(end).astype(np.intp) - first
    blink = np.repeat(np.arange(len(begin)), touched)
    frame = first[blink] + np.arange(len(blink)) - (np.cumsum(touched) - touched)[blink]
    share = np.minimum(end[blink], frame + 1) - np.maximum(begin[blink], frame)
    shines = share > 0  # a blink may be shorter than the resolution of its times
    n_numbers = int(fluorophore.max(initial=0)) + 1
    key = (frame * n_numbers + fluorophore[blink])[shines]
    key, row = np.unique(key, return_inverse=True)
    total = np.zeros(len(key))
    np.add.at(total, row, share[shines])
    frame, number = np.divmod(key, n_numbers)
    shining, fluorophore = np.unique(number, return_inverse=True)
    return Activations(fluorophore, frame, total, len(shining))
