"""Patches that are simulated when they are asked for: no frame is ever seen twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.simulation.simulator import Purpose, Simulator, film_independently
from napari_dl4smlm.backend.training.config import DEFAULT_UPSAMPLING_FACTOR
from napari_dl4smlm.backend.training.datasets import LabelledFrames, Patches
from napari_dl4smlm.backend.training.truth import position_truth

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray
    from pydantic import JsonValue

    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.backend.training.config import DataConfig

VALIDATION_PX = 64
"""Side of the validation frames in camera pixels."""

_FRAMES_TO_NORMALIZE = 64
_DRAWS_PER_PATCH = 200


class SimulatedData:
    """Endless simulated patches, each an acquisition of its own, and fixed validation frames.

    Parameters
    ----------
    config
        With a ``simulation``.
    seed
        Draws the validation frames and those that the normalization is measured on.

    Attributes
    ----------
    upsampling_factor, pixel_size_nm, validation
        As in :class:`~napari_dl4smlm.backend.training.data.TrainingData`.

    Raises
    ------
    InputError
        The simulation is impossible, such as with a PSF wider than the field, or has no emitter.
    """

    def __init__(self, config: DataConfig, *, seed: int) -> None:
        assert config.simulation is not None
        self._config = config.simulation
        self._simulator = Simulator(config.simulation)
        self._seed = seed
        self.upsampling_factor: int = config.upsampling_factor or DEFAULT_UPSAMPLING_FACTOR
        self.n_training_frames: int | None = None
        self.pixel_size_nm: float | None = config.simulation.pixel_size_nm
        self.validation = self._film_validation(config.simulated_validation_frames)

    def fit_normalization(self) -> Normalization:
        """Measure the intensities of frames that are neither trained nor validated on."""
        frames, _ = self._film(_FRAMES_TO_NORMALIZE, Purpose.NORMALIZATION)
        return Normalization.fit([frames])

    def training_set(
        self,
        normalization: Normalization,
        *,
        patch_size: int,
        patches: int,
        min_emitters: int,
        augment: bool,
        target_sigma_px: float,
        seed: int,
    ) -> SimulatedPatches:
        """Return patches to train on.

        They are never turned or mirrored: the simulation knows no direction, unless a measured PSF
        has one, which turning would falsify.
        """
        del augment
        return SimulatedPatches(
            self._simulator,
            normalization,
            upsampling_factor=self.upsampling_factor,
            patch_size=patch_size,
            patches=patches,
            min_emitters=min_emitters,
            target_sigma_px=target_sigma_px,
            seed=seed,
        )

    def record(self) -> dict[str, JsonValue]:
        """Return the simulation, by which everything else is reproduced."""
        record: dict[str, JsonValue] = {
            "simulation": self._config.model_dump(mode="json"),
            "validation_frames": list(self.validation.numbers),
        }
        # which tells of files no more than their names
        fingerprint = self._simulator.fingerprint()
        return record if fingerprint is None else record | {"simulation_fingerprint": fingerprint}

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> SimulatedData:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _film(self, count: int, purpose: Purpose) -> tuple[NDArray[np.uint16], Localizations]:
        return film_independently(
            self._simulator,
            count,
            height=VALIDATION_PX,
            width=VALIDATION_PX,
            seed=self._seed,
            purpose=purpose,
        )

    def _film_validation(self, count: int) -> LabelledFrames:
        filmed, table = self._film(count, Purpose.VALIDATION)
        frames = open_frames(filmed, pixel_size_nm=self._config.pixel_size_nm)
        if len(table) == 0:
            raise InputError(
                f"density: none of {count} simulated frames of {VALIDATION_PX} x {VALIDATION_PX} "
                "px has an emitter; there is nothing to learn from. Raise the density."
            )
        truth = position_truth(frames, table, upsampling_factor=self.upsampling_factor)
        return LabelledFrames(frames, truth, tuple(range(count)))


class SimulatedPatches(Patches):
    """Patches of which each is simulated when it is asked for.

    Parameters
    ----------
    simulator
        Draws the scenes.
    normalization
        How counts become network input.
    upsampling_factor
        Fine pixels per camera pixel.
    patch_size
        Side of a patch in camera pixels.
    patches, seed
        As in :class:`~napari_dl4smlm.backend.training.datasets.Patches`.
    min_emitters
        Fewest emitters in a patch.
    target_sigma_px
        Width of the Gaussian of the density map in fine pixels; 0 for spikes.
    """

    def __init__(
        self,
        simulator: Simulator,
        normalization: Normalization,
        *,
        upsampling_factor: int,
        patch_size: int,
        patches: int,
        min_emitters: int,
        target_sigma_px: float,
        seed: int,
    ) -> None:
        super().__init__(patches=patches, seed=seed)
        self._simulator = simulator
        self._normalization = normalization
        self._upsampling_factor = upsampling_factor
        self._patch_size = patch_size
        self._min_emitters = min_emitters
        self._target_sigma_px = target_sigma_px

    def _draw(
        self, generator: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        side = self._patch_size
        for _ in range(_DRAWS_PER_PATCH):
            scene = self._simulator.scene(generator, height=side, width=side)
            if len(scene.truth) >= self._min_emitters:
                break
        else:
            raise InputError(
                f"None of {_DRAWS_PER_PATCH} simulated patches of {side} x {side} px holds "
                f"{self._min_emitters} emitter(s). Raise the density, lower the minimum of "
                "emitters or enlarge the patch."
            )
        density = render_density_map(
            # those just outside reach into the patch too
            scene.emitters.positions_nm(),
            height=side,
            width=side,
            pixel_size_nm=scene.pixel_size_nm,
            upsampling_factor=self._upsampling_factor,
            sigma_px=self._target_sigma_px,
        )
        return self._normalization.apply(scene.film(0, generator)), density
