"""Candidates side by side with the reference, on the same frames, one batch after the other."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.metrics.detection import detection_scores
from napari_dl4smlm.backend.prediction.backends.candidates import REFERENCE, Candidate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from napari_dl4smlm.backend.prediction.backends.candidates import RunnableNetwork


class Comparison:
    """How fast candidates are, and how far their localizations are those of the reference.

    Parameters
    ----------
    candidates
        What is compared with `REFERENCE`.
    build
        Makes the network for a candidate.
    localize
        Finds the localizations in frames with a network.
    batches
        Frames, in the order in which they are used.

    Attributes
    ----------
    networks
        Those of the reference and of the candidates that have been run and have not failed.
    failures
        What went wrong with the others.
    n_frames
        In all batches.
    """

    def __init__(
        self,
        candidates: Iterable[Candidate],
        build: Callable[[Candidate], RunnableNetwork],
        localize: Callable[[RunnableNetwork, range], Localizations],
        batches: Sequence[range],
    ) -> None:
        self._began = time.perf_counter()
        self._localize = localize
        self.n_frames = sum(map(len, batches))
        self._batches: Iterator[range] = iter(batches)
        self._build = build
        self._candidates = list(dict.fromkeys([REFERENCE, *candidates]))
        self.networks: dict[Candidate, RunnableNetwork] = {}
        self.failures: dict[Candidate, str] = {}
        self._seconds: dict[Candidate, list[float]] = {}
        self._found: dict[Candidate, list[Localizations]] = {}

    @property
    def reference(self) -> RunnableNetwork:
        """The network of the reference."""
        return self.networks.get(REFERENCE) or self._build(REFERENCE)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the comparison was made."""
        return time.perf_counter() - self._began

    @property
    def n_localizations(self) -> int:
        """Localizations of the reference so far."""
        return sum(map(len, self._found.get(REFERENCE, [])))

    def run(self, n_batches: int) -> bool:
        """Predict some more batches, in turns; return whether there were any left."""
        batches = list(islice(self._batches, n_batches))
        for batch in batches:
            # whatever else the machine does slows down all of them
            for candidate in list(self._candidates):
                self._run(candidate, batch)
        return bool(batches)

    def keep(self, candidates: Iterable[Candidate]) -> None:
        """Go on with these and with the reference alone."""
        kept = {REFERENCE, *candidates}
        for candidate in self._candidates:
            if candidate not in kept:
                self.networks.pop(candidate, None)
        self._candidates = [candidate for candidate in self._candidates if candidate in kept]

    def seconds(self) -> dict[Candidate, float]:
        """Return the shortest time for a frame of those that have run more than once.

        The first batch also pays for what is set up once.
        """
        return {
            candidate: min(seconds)
            for candidate, seconds in self._seconds.items()
            if len(seconds) > 1 and candidate in self.networks
        }

    def agreement(self, candidate: Candidate, *, tolerance_nm: float) -> float:
        """Return the Jaccard index with the reference; NaN if nothing was found.

        Parameters
        ----------
        candidate
            One that has been kept.
        tolerance_nm
            Largest distance at which two localizations are the same.
        """
        found, expected = (
            Localizations.concatenate(self._found[each]) for each in (candidate, REFERENCE)
        )
        return detection_scores(found, expected, tolerance_nm=tolerance_nm).jaccard

    def _run(self, candidate: Candidate, batch: range) -> None:
        try:
            if candidate not in self.networks:
                self.networks[candidate] = self._build(candidate)
            began = time.perf_counter()
            found = self._localize(self.networks[candidate], batch)
        except (RuntimeError, MemoryError) as error:
            if candidate == REFERENCE:
                raise
            self._give_up(candidate, error)
            return
        seconds = (time.perf_counter() - began) / len(batch)
        self._seconds.setdefault(candidate, []).append(seconds)
        self._found.setdefault(candidate, []).append(found)

    def _give_up(self, candidate: Candidate, error: Exception) -> None:
        self.networks.pop(candidate, None)
        self._candidates.remove(candidate)
        self.failures[candidate] = str(error).strip().partition("\n")[0]
