"""Run a trained network over a movie of any length, some batches at a time, in constant memory."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from napari_dl4smlm import __version__
from napari_dl4smlm.backend.acquisition.frames import parse_frame_range
from napari_dl4smlm.backend.acquisition.growing_frames import GrowingFrames
from napari_dl4smlm.backend.errors import DeviceError, InputError
from napari_dl4smlm.backend.gaussian_blur import GaussianBlur
from napari_dl4smlm.backend.localizations.peaks import find_peaks
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.models.device import is_out_of_memory, select_device
from napari_dl4smlm.backend.models.prepared import prepare
from napari_dl4smlm.backend.prediction.arrivals import Arrivals
from napari_dl4smlm.backend.prediction.backends.candidates import REFERENCE
from napari_dl4smlm.backend.prediction.backends.choice import Choice
from napari_dl4smlm.backend.prediction.backends.selection import Selection
from napari_dl4smlm.backend.prediction.config import UNCALIBRATED_THRESHOLD, PredictionConfig
from napari_dl4smlm.backend.prediction.events import (
    BatchPredicted,
    BatchReduced,
    FramesLeftOut,
    PredictionFinished,
    PredictionStarted,
    PredictionStopped,
)
from napari_dl4smlm.backend.prediction.memory import plan_portion
from napari_dl4smlm.backend.prediction.mismatch import mismatches, pixel_size_used
from napari_dl4smlm.backend.prediction.reconstruction import Reconstruction
from napari_dl4smlm.backend.prediction.streams import Streams
from napari_dl4smlm.backend.prediction.tiling import predict_tiled

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray
    from pydantic import JsonValue
    from torch import Tensor

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.models.model_file import TrainedModel
    from napari_dl4smlm.backend.prediction.backends.candidates import Candidate, RunnableNetwork
    from napari_dl4smlm.backend.prediction.events import PredictionEvent
    from napari_dl4smlm.backend.prediction.memory import Portion

# what PyTorch says of a GPU that has failed or is gone; for this process, it stays so
_DEVICE_FAILURES = ("CUDA error", "HIP error", "cuDNN error", "MPS backend")


class Predictor:
    """Predicts the density maps of a movie, adds them up and finds the localizations in them.

    Parameters
    ----------
    model
        Its network is copied: the caller's keeps its device, its mode and its statistics.
    movie
        Raw frames, in counts. It has to stay open until the last event. Those of a `GrowingFrames`
        are predicted as they come, until none has come for its ``quiet_s``.
    config
        What the user decides.
    keep_maps
        Give the density map of every frame with the events; they leave the device for that.

    Attributes
    ----------
    reconstruction
        The frames done so far; it may be looked at while `events` runs in another thread.
    frames
        The frames to be predicted; of a movie that grows, those that are there.
    pixel_size_nm
        Camera pixel that positions are computed with: that of the configuration, or of the movie,
        or of the model.
    threshold
        Smallest density around the peak of a localization: that of the configuration, or of the
        model.

    Raises
    ------
    InputError
        The device cannot be used, the frame range does not fit the movie, nothing tells the pixel
        size, or the pixels are not square.
    """

    def __init__(
        self,
        model: TrainedModel,
        movie: FrameStack,
        config: PredictionConfig | None = None,
        *,
        keep_maps: bool = False,
    ) -> None:
        self._config = config or PredictionConfig()
        self._card = model.card
        self._movie = movie
        self._keep_maps = keep_maps
        self._stopping = threading.Event()
        self._reading = threading.Lock()
        self._arrivals: Arrivals | None = None
        if isinstance(movie, GrowingFrames):
            self._arrivals = Arrivals(movie, self._config.frames)
            self.frames = self._arrivals.frames
        else:
            self.frames = parse_frame_range(self._config.frames, movie.n_frames)
        self.pixel_size_nm = self._choose_pixel_size()
        self.threshold = self._choose_threshold()
        self._device = select_device(self._config.device)
        self._reference = prepare(model.network, self._device)
        self._choice = Choice(REFERENCE, self._reference)
        self._plan = partial(
            plan_portion,
            model.network,
            self._device,
            height=movie.height,
            width=movie.width,
            batch_size=self._config.batch_size,
            tile_size=self._config.tile_size,
        )
        self._portion = self._plan()
        self._selection = Selection(
            model,
            self._config,
            self._device,
            self._portion,
            n_frames=len(self.frames),
            size=(movie.height, movie.width),
        )
        factor = self._reference.upsampling_factor
        self.reconstruction = Reconstruction(
            factor * movie.height,
            factor * movie.width,
            pixel_size_nm=self.pixel_size_nm / factor,
            blur_sigma_px=self._card.blur_sigma_px,
        )

    def _choose_threshold(self) -> float:
        if self._config.threshold is not None:
            return self._config.threshold
        calibration = self._card.calibration
        return UNCALIBRATED_THRESHOLD if calibration is None else calibration.threshold

    def origin(self) -> dict[str, JsonValue]:
        """Tell where the results come from, for the files and the layers that hold them."""
        return {
            "software": f"napari-dl4smlm {__version__}",
            "movie": self._movie.name,
            "camera_pixel_size_nm": self.pixel_size_nm,
            "model": self._card.architecture,
            "model_options": dict(self._card.options),
            "model_weights_sha256": self._card.weights_sha256,
            "upsampling_factor": self._card.upsampling_factor,
            "threshold": self.threshold,
            "computed_with": str(self._choice.candidate),
        }

    def stop(self) -> None:
        """End the prediction after the batch at hand; any thread may ask for it."""
        self._stopping.set()

    def events(self) -> Iterator[PredictionEvent]:
        """Predict the frames, once.

        Yields
        ------
        PredictionEvent
            `PredictionStarted`, then one `BatchPredicted` per batch, at the end
            `PredictionFinished` or, after `stop`, `PredictionStopped`. `BatchReduced` says that the
            memory did not suffice and that less is tried at a time. Of a movie that grows,
            `FramesArrived` comes in between, and `FramesLeftOut` at the end.

        Raises
        ------
        InputError
            A frame cannot be read, the network makes no numbers of it, none of the frames that
            were asked for has come, the device has failed, or the memory does not suffice even for
            a small tile.
        """
        with self._streams() as streams:
            self._choice = self._choose_network(streams)
            self._portion = self._portion_of(self._choice.candidate)
            yield self._started()
            began = time.perf_counter()
            first = yield from self._predict_from(self.frames.start, streams, began)
        while first is not None:
            self._portion = self._reduced()
            yield BatchReduced(
                self._portion.batch_size, self._portion.tile_size, self._portion.streams
            )
            with self._streams() as streams:
                first = yield from self._predict_from(first, streams, began)

    def _streams(self) -> Streams[Any]:
        is_known = self._device.type in ("cpu", "cuda")
        return Streams(
            self._device,
            networks=self._portion.streams,
            # nothing promises that others can be used by several threads
            threads=self._portion.threads if is_known else 1,
        )

    def _predict_from(
        self, first: int, streams: Streams[_BatchResult | None], began: float
    ) -> Generator[PredictionEvent, None, int | None]:
        """Predict frames; return the first one if the memory does not suffice for it."""
        upcoming = first
        while True:
            yield from self._arrived(first)
            # nobody knows whether a movie that grows was at its end
            is_open = first < self.frames.stop or self._arrivals is not None
            if self._stopping.is_set() and is_open:
                yield PredictionStopped(self.reconstruction)
                return None
            if first >= self.frames.stop:
                self._require_frames()
                break
            while upcoming < self.frames.stop and streams.has_room:
                batch = range(upcoming, min(upcoming + self._portion.batch_size, self.frames.stop))
                streams.begin(partial(self._predict_if_it_fits, streams), batch)
                upcoming = batch.stop
            batch, result = streams.take()
            if result is None:
                if self._stopping.is_set():
                    continue
                return first
            self.reconstruction.add(result.density, batch)
            yield self._predicted(batch, result, time.perf_counter() - began)
            first = batch.stop
        yield from self._left_out()
        yield PredictionFinished(self.reconstruction)
        return None

    def _arrived(self, first: int) -> Iterator[PredictionEvent]:
        """Wait for the next frame, of a movie that grows."""
        if self._arrivals is not None:
            yield from self._arrivals.wait_for(first, self._stopping)
            self.frames = self._arrivals.frames

    def _require_frames(self) -> None:
        """Refuse a movie that grew, but not as far as the frames that were asked for."""
        if not self.frames:
            parse_frame_range(self._config.frames, self._movie.n_frames)

    def _left_out(self) -> Iterator[PredictionEvent]:
        if isinstance(self._movie, GrowingFrames) and not self._stopping.is_set():
            reasons = self._movie.left_out()
            if reasons:
                yield FramesLeftOut(reasons)

    def _started(self) -> PredictionStarted:
        height, width = self.reconstruction.shape
        return PredictionStarted(
            device=str(self._device),
            backend=self._choice.candidate.backend,
            precision=self._choice.candidate.precision,
            why=self._choice.reason,
            n_frames=len(self.frames),
            height=height,
            width=width,
            batch_size=self._portion.batch_size,
            tile_size=self._portion.tile_size,
            streams=self._portion.streams,
            warnings=tuple(
                mismatches(
                    self._card,
                    self._movie,
                    frames=self.frames or range(self._movie.n_frames),
                    given_nm=self._config.pixel_size_nm,
                )
            ),
        )

    def _predicted(self, batch: range, result: _BatchResult, seconds: float) -> BatchPredicted:
        done, n_frames = self.reconstruction.n_frames, len(self.frames)
        return BatchPredicted(
            frames=batch,
            localizations=result.localizations,
            frames_done=done,
            n_frames=n_frames,
            frames_per_second=done / seconds,
            seconds_left=(n_frames - done) * seconds / done,
            computed_at=result.computed_at,
            density_maps=result.density_maps,
        )

    def _predict_if_it_fits(
        self, streams: Streams[_BatchResult | None], batch: range
    ) -> _BatchResult | None:
        """Predict frames, or return ``None``: it is too late, or the memory does not suffice."""
        if self._stopping.is_set():
            return None
        try:
            return self._predict(streams, batch)
        except (MemoryError, RuntimeError) as error:
            if any(text in str(error) for text in _DEVICE_FAILURES) and not is_out_of_memory(error):
                raise DeviceError(
                    f"The device {str(self._device)!r} has failed or is gone "
                    f"({str(error).partition(chr(10))[0]}). Restart the program, or choose another "
                    "device."
                ) from error
            if not is_out_of_memory(error):
                raise
        # only here, since the error holds on to the tensors of the frames
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _portion_of(self, candidate: Candidate) -> Portion:
        """Return what goes through a network at a time: more frames of numbers of half the size."""
        if candidate.precision not in ("bfloat16", "float16") or self._device.type != "cpu":
            return self._portion
        if self._portion.tile_size is not None:
            return self._portion
        return replace(self._portion, batch_size=self._plan(value_bytes=2).batch_size)

    def _reduced(self) -> Portion:
        """Return what may fit, after something has not; it may need another network."""
        portion = self._portion.reduced(self._movie.height, self._movie.width)
        if portion is None:
            tile = self._portion.tile_size
            part = "whole" if tile is None else f"in tiles of {tile} px"
            raise InputError(
                f"The memory of the device {str(self._device)!r} does not suffice for a single "
                f"frame of {self._movie.height} x {self._movie.width} px, {part}. Close other "
                "programs, choose another device, or crop the movie."
            )
        if portion.tile_size is not None:
            # each size of a tile would be a network of its own for some backends
            self._choice = Choice(REFERENCE, self._reference)
        return portion

    # not around events(): the mode would leak to the caller with every event
    @torch.inference_mode()
    def _predict(self, streams: Streams[_BatchResult | None], batch: range) -> _BatchResult:
        maps = self._maps(batch, self._choice.network, streams)
        # where there is least to divide
        amplitude = self._card.density_amplitude
        density = (maps.sum(0) / amplitude).cpu().numpy()
        if not np.isfinite(density).all():
            raise InputError(
                f"The network makes no finite numbers of frames {batch.start} to {batch.stop - 1} "
                f"of {self._movie.name}, counted from 0. Look there for pixels that are brighter "
                "than any camera's; leave those frames out, or use another model."
            )
        return _BatchResult(
            density=density,
            localizations=self._calibrated(self._peaks(maps, batch.start)),
            density_maps=(self._blur(maps) / amplitude).cpu().numpy() if self._keep_maps else None,
            computed_at=time.perf_counter(),
        )

    def _calibrated(self, peaks: Localizations) -> Localizations:
        """Tell how sure and how precise each peak is, if the model knows."""
        calibration = self._card.calibration
        if calibration is None:
            return peaks
        trained_nm = self._card.pixel_size_nm or self.pixel_size_nm
        return calibration.apply(peaks, magnification=self.pixel_size_nm / trained_nm)

    def _blur(self, maps: Tensor) -> Tensor:
        """Blur maps (N, f Y, f X) as the loss did and as the image is; peaks are sought before."""
        if self._card.blur_sigma_px == 0:
            return maps
        blurred: Tensor = GaussianBlur(self._card.blur_sigma_px)(maps[:, None])[:, 0]
        return blurred

    def _peaks(self, maps: Tensor, first_frame: int) -> Localizations:
        return find_peaks(
            maps,
            pixel_size_nm=self.pixel_size_nm,
            upsampling_factor=self._reference.upsampling_factor,
            threshold=self.threshold,
            first_frame=first_frame,
            amplitude=self._card.density_amplitude,
        )

    def _choose_network(self, streams: Streams[Localizations]) -> Choice:
        def localize(network: RunnableNetwork, frames: range) -> Localizations:
            @torch.inference_mode()
            def localize_batch(batch: range) -> Localizations:
                return self._peaks(self._maps(batch, network, streams), batch.start)

            step = self._portion.batch_size
            batches = [frames[k : k + step] for k in range(0, len(frames), step)]
            return Localizations.concatenate(streams.map(localize_batch, batches))

        try:
            return self._selection.choose(
                self._reference, localize, self.frames, pixel_size_nm=self.pixel_size_nm
            )
        except (MemoryError, RuntimeError):
            # the prediction itself knows what to do about it
            return Choice(REFERENCE, self._reference)

    def _maps(self, batch: range, network: RunnableNetwork, streams: Streams[Any]) -> Tensor:
        """Shape (N, f Y, f X), as the network gives them: densities times their amplitude."""
        with self._reading:
            counts = self._movie.read(batch.start, batch.stop)
        frames = self._normalized(counts)
        with streams.network:
            output = self._run(network, frames)
            if network.precision == "float16" and not math.isfinite(output.sum().item()):
                # so bright that these numbers end before, at 65504; others reach as far as float32
                output = self._run(self._reference, frames)
        maps = output[:, 0].clamp_(min=0)
        # no emitter shows in a frame of one value, whatever the network makes of it
        is_flat = counts.max(axis=(1, 2)) == counts.min(axis=(1, 2))
        if is_flat.any():
            maps[torch.from_numpy(is_flat).to(self._device)] = 0
        return maps

    def _normalized(self, counts: NDArray[np.generic]) -> Tensor:
        """Shape (N, Y, X) in counts to (N, 1, Y, X) as the network wants them, on the device."""
        # what PyTorch takes: the byte order of the machine, and memory that may be written to
        frames = torch.from_numpy(np.require(counts, counts.dtype.newbyteorder("="), "W"))
        if self._device.type in ("cpu", "cuda"):
            # as the camera's integers, of which a GPU is sent half as many bytes
            frames = frames.to(self._device).float()
        else:
            # others have no integers of 16 bits without a sign
            frames = frames.float().to(self._device)
        normalization = self._card.normalization
        return ((frames - normalization.offset) / normalization.scale)[:, None]

    def _run(self, network: RunnableNetwork, frames: Tensor) -> Tensor:
        tile_size = self._portion.tile_size
        if tile_size is not None:
            return predict_tiled(network, frames, tile_size=tile_size)
        output: Tensor = network(frames)
        return output

    def _choose_pixel_size(self) -> float:
        size_nm = pixel_size_used(
            self._config.pixel_size_nm, self._movie.pixel_size_nm, self._card.pixel_size_nm
        )
        fault = self._movie.pixel_size_fault()
        if fault is not None and self._config.pixel_size_nm is None:
            raise InputError(fault)
        if size_nm is None:
            raise InputError(
                f"Neither {self._movie.name} nor the model tells the pixel size. Give it in nm "
                "(pixel_size_nm)."
            )
        return size_nm


class _BatchResult(NamedTuple):
    """What is known about some frames; ``density`` is the sum of their maps."""

    density: NDArray[np.float32]
    localizations: Localizations
    density_maps: NDArray[np.float32] | None
    computed_at: float
