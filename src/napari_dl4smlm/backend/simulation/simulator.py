"""Films samples whose every emitter is known."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_dl4smlm.backend.acquisition.camera import PixelMaps
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.simulation.blinking import steady_activations
from napari_dl4smlm.backend.simulation.psf import BeadImage
from napari_dl4smlm.backend.simulation.ranges import draw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.camera import Camera
    from napari_dl4smlm.backend.simulation.config import MovieConfig, SimulationConfig
    from napari_dl4smlm.backend.simulation.psf import SpotShape

_MOST_EMITTERS_PER_FRAME = 1_000_000


class Purpose(IntEnum):
    """What random numbers are for: each purpose has a stream of its own for every seed.

    So a frame that trains is never one that validates or tests, nor one of a movie.
    """

    SCENE = 0
    NOISE = 1
    VALIDATION = 2
    NORMALIZATION = 3
    TEST = 4


@dataclass(frozen=True, eq=False)
class Scene:
    """What happens in the field of view of one acquisition, before the camera adds its noise.

    Attributes
    ----------
    height, width, n_frames, pixel_size_nm
        Size of the movie.
    emitters
        One row for every frame in which an emitter shines, in the order of frames, with ``photons``
        and ``sigma_nm``; from an area that is larger than the field, whose corner is (0, 0), by as
        much as a spot reaches. Positions outside of the field may therefore be negative.
    background
        Expected photons, shape (height, width).
    """

    height: int
    width: int
    n_frames: int
    pixel_size_nm: float
    emitters: Localizations
    background: NDArray[np.float64]
    camera: Camera
    pixels: PixelMaps | None
    _shape: SpotShape

    @cached_property
    def truth(self) -> Localizations:
        """The emitters whose position is inside the field, however dim they are."""
        positions = self.emitters.positions_nm()
        field_nm = np.array([self.height, self.width]) * self.pixel_size_nm
        inside = np.all((positions >= 0) & (positions < field_nm), axis=1)
        return self.emitters[inside]

    def expected_photons(self, frame: int) -> NDArray[np.float64]:
        """Return the mean photons in every pixel of a frame, shape (height, width).

        Raises
        ------
        InputError
            The movie has no such frame.
        """
        if not 0 <= frame < self.n_frames:
            raise InputError(
                f"There is no frame {frame}: the movie has {self.n_frames:,}, counted from 0."
            )
        first, last = np.searchsorted(self.emitters.frame, [frame, frame + 1])
        shining = self.emitters[first:last]
        assert shining.photons is not None
        assert shining.sigma_nm is not None
        return self.background + self._shape.render(
            shining.positions_nm(),
            shining.photons,
            shining.sigma_nm,
            height=self.height,
            width=self.width,
            pixel_size_nm=self.pixel_size_nm,
        )

    def film(self, frame: int, generator: np.random.Generator) -> NDArray[np.uint16]:
        """Return the counts of a frame, shape (height, width); see :meth:`expected_photons`."""
        return self.camera.expose(self.expected_photons(frame), generator, pixels=self.pixels)


class Simulator:
    """Draws scenes of one config.

    Parameters
    ----------
    config
        Sample, optics and camera.

    Raises
    ------
    InputError
        A file that the config names cannot be used.
    """

    def __init__(self, config: SimulationConfig) -> None:
        self.config = config
        self._psf = config.psf.load()
        self._maps = None if config.pixel_maps is None else PixelMaps.read(config.pixel_maps)

    def fingerprint(self) -> str | None:
        """Return a checksum of what the files hold that the config names; None without any."""
        arrays: list[NDArray[np.floating]] = []
        if isinstance(self._psf, BeadImage):
            arrays += [self._psf.light, np.array(self._psf.pixel_size_nm)]
        if self._maps is not None:
            arrays += vars(self._maps).values()
        if not arrays:
            return None
        return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()

    def scene(
        self, generator: np.random.Generator, *, height: int, width: int, n_frames: int = 1
    ) -> Scene:
        """Draw an acquisition: one number from each range, then structure, emitters and blinking.

        Parameters
        ----------
        generator
            The same state, the same scene.
        height, width
            Camera pixels.
        n_frames
            Length of the movie; of a single frame, the emitters are those of any frame of a movie.

        Raises
        ------
        InputError
            The PSF is wider than the field or narrower than a quarter of a pixel, the field larger
            than the measured maps of the camera's pixels or too small for the structure, or there
            would be more than a million emitters in a frame.
        """
        config = self.config
        size = (height, width)
        self._check_psf(size)
        shape = self._psf.form(generator)
        emitters = self._emitters(generator, size, n_frames, shape)
        background = config.background.draw(height, width, config.pixel_size_nm, generator)
        camera = config.camera.draw(generator)
        pixels = self._pixels(camera, size, generator)
        return Scene(
            *size, n_frames, config.pixel_size_nm, emitters, background, camera, pixels, shape
        )

    def _emitters(
        self,
        generator: np.random.Generator,
        size: tuple[int, int],
        n_frames: int,
        shape: SpotShape,
    ) -> Localizations:
        config = self.config
        margin = self._psf.reach_nm
        height, width = (side * config.pixel_size_nm for side in size)
        density = draw(config.density, generator)
        placement = config.structure.place((height, width), generator, margin_nm=margin)
        area_um2 = math.prod(placement.area_nm) / 1e6
        n_on = density * area_um2 / placement.crowding
        self._check_number(n_on, size)
        if config.blinking is None:
            shining = steady_activations(n_on, n_frames, generator)
        else:
            shining = config.blinking.activate(n_on, n_frames, generator)
        count = shining.fluorophores
        position = placement(count, generator)
        brightness = config.photons.emit(count, generator)
        width_nm = shape.draw_widths_nm(count, generator)
        who = shining.fluorophore
        return Localizations(
            frame=shining.frame,
            y_nm=position[who, 0],
            x_nm=position[who, 1],
            photons=brightness[who] * shining.share,
            sigma_nm=width_nm[who],
        )

    def _check_number(self, n_on: float, size: tuple[int, int]) -> None:
        config = self.config
        if n_on > _MOST_EMITTERS_PER_FRAME:
            raise InputError(
                f"density: {config.density[1]:g} emitters per µm² would be {n_on:,.0f} in every "
                f"frame of {size[0]} x {size[1]} px; at most {_MOST_EMITTERS_PER_FRAME:,} can be "
                "simulated. Lower the density or the size."
            )
        if config.blinking is not None:
            shortest = config.blinking.on_frames[0]
            # a blink of d frames touches d + 1 on average
            touching = n_on * (1 + 1 / shortest)
            if touching > _MOST_EMITTERS_PER_FRAME:
                raise InputError(
                    f"blinking: with blinks of {shortest:g} frames, {touching:.2g} would touch "
                    f"every frame; at most {_MOST_EMITTERS_PER_FRAME:,} can be simulated. Give "
                    "longer on_frames, or lower the density."
                )

    def _pixels(
        self, camera: Camera, size: tuple[int, int], generator: np.random.Generator
    ) -> PixelMaps | None:
        if self.config.pixel_variation is not None:
            return self.config.pixel_variation.draw(camera, *size, generator)
        if self._maps is None:
            return None
        rows, columns = self._maps.baseline.shape
        if rows < size[0] or columns < size[1]:
            raise InputError(
                f"pixel_maps: the maps are {rows} x {columns} px, smaller than the field of "
                f"{size[0]} x {size[1]} px. Give larger maps or a smaller field."
            )
        top, left = (
            int(generator.integers(most - side + 1))
            for most, side in zip((rows, columns), size, strict=True)
        )
        return self._maps.crop(top, left, *size)

    def _check_psf(self, size: tuple[int, int]) -> None:
        field_nm = min(size) * self.config.pixel_size_nm
        if self._psf.reach_nm > field_nm:
            raise InputError(
                f"psf: the light of an emitter reaches {self._psf.reach_nm:.0f} nm far, but the "
                f"field is only {field_nm:.0f} nm wide. Give widths and pixel size in nm, or a "
                "larger field."
            )
        if self._psf.narrowest_nm < self.config.pixel_size_nm / 4:
            raise InputError(
                f"psf: a standard deviation of {self._psf.narrowest_nm:g} nm is less than a "
                f"quarter of a pixel of {self.config.pixel_size_nm:g} nm, so that an emitter "
                "would light up a single pixel. Give widths and pixel size in nm."
            )


class SimulatedMovie:
    """A movie whose frames are filmed when they are asked for; any frame, in any order.

    Parameters
    ----------
    config
        What is filmed, how long, and the seed.

    Raises
    ------
    InputError
        As for :class:`Simulator` and :meth:`Simulator.scene`.
    """

    def __init__(self, config: MovieConfig) -> None:
        self.config = config
        self.scene = Simulator(config.simulation).scene(
            stream(config.seed, Purpose.SCENE),
            height=config.height,
            width=config.width,
            n_frames=config.frames,
        )

    @property
    def truth(self) -> Localizations:
        """Emitters in every frame; those of one fluorophore share position and width."""
        return self.scene.truth

    def frame(self, number: int) -> NDArray[np.uint16]:
        """Return one frame in counts, shape (height, width)."""
        return self.scene.film(number, stream(self.config.seed, Purpose.NOISE, number))

    def frames(self) -> NDArray[np.uint16]:
        """Return the whole movie, shape (frames, height, width)."""
        return np.stack([self.frame(number) for number in range(self.config.frames)])


def film_independently(
    simulator: Simulator, count: int, *, height: int, width: int, seed: int, purpose: Purpose
) -> tuple[NDArray[np.uint16], Localizations]:
    """Film frames of which each is an acquisition of its own.

    Parameters
    ----------
    simulator
        Draws the scenes.
    count
        Number of frames.
    height, width
        Camera pixels.
    seed, purpose
        The same two, the same frames.

    Returns
    -------
    NDArray
        Counts, shape (count, height, width).
    Localizations
        The emitters inside the frames, with photons and widths.
    """
    frames, tables = [], []
    for number in range(count):
        generator = stream(seed, purpose, number)
        scene = simulator.scene(generator, height=height, width=width)
        frames.append(scene.film(0, generator))
        tables.append(replace(scene.truth, frame=np.full(len(scene.truth), number)))
    return np.stack(frames), Localizations.concatenate(tables)


def stream(seed: int, purpose: Purpose, *number: int) -> np.random.Generator:
    """Return random numbers that depend on these three alone."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose, *number)))
