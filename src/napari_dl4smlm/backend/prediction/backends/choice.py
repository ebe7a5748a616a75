"""Choose what a network is run with: the fastest of what gives the same localizations."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from napari_dl4smlm.backend.prediction.backends.candidates import REFERENCE, Candidate
from napari_dl4smlm.backend.prediction.backends.remembered import (
    remember_seconds,
    remembered_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue

    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork
    from napari_dl4smlm.backend.prediction.backends.candidates import RunnableNetwork
    from napari_dl4smlm.backend.prediction.backends.comparison import Comparison

AGREEMENT = 0.99
"""Jaccard index with the localizations of the reference from which on a candidate is accepted."""

FEWEST_LOCALIZATIONS = 200
"""Of the reference; among fewer of them, whether a hundredth changes cannot be seen."""

_ENOUGH_LOCALIZATIONS = 400
_TIMED_BATCHES = 3
_SECONDS = 3.0

# one alone may have found the machine busy with something else
_TRIALS = 3

# of the prediction, for movies with so few emitters, or networks so slow, that it takes longer
_LARGEST_SHARE = 0.01

# a candidate that is not clearly faster than the reference is not worth a different result
_ADVANTAGE = 1.1

_SHORTEST_PREDICTION_S = 30
_CPU_OPERATIONS_PER_S = 1e11  # of one core
_GPU_OPERATIONS_PER_S = 3e13


class Choice(NamedTuple):
    """What a network is run with.

    Attributes
    ----------
    candidate, network
        What was chosen, and the network made for it.
    reason
        A sentence that says why; empty if there was nothing to choose from.
    is_refusal
        Whether the reference was taken because nothing that was asked for could be.
    """

    candidate: Candidate
    network: RunnableNetwork
    reason: str = ""
    is_refusal: bool = False


def is_worth_a_trial(
    network: SuperResolutionNetwork, *, pixels: int, on_gpu: bool, threads: int
) -> bool:
    """Tell whether a prediction takes so long, about half a minute, that a trial pays off.

    Parameters
    ----------
    network
        It is not run.
    pixels
        Camera pixels of all frames together.
    on_gpu
        Whether it runs on one.
    threads
        Of the CPU.
    """
    operations, grid = 0.0, 1.0
    for step in network.footprints:
        grid *= step.enlargement**2
        operations += 2 * grid * step.weights
        grid /= step.pooling**2
    per_second = _GPU_OPERATIONS_PER_S if on_gpu else _CPU_OPERATIONS_PER_S * threads
    return operations * pixels > _SHORTEST_PREDICTION_S * per_second


def choose(
    candidates: Sequence[Candidate],
    comparison: Comparison,
    *,
    tolerance_nm: float,
    conditions: dict[str, JsonValue] | None = None,
) -> Choice:
    """Try candidates on the first frames of a movie, beside PyTorch in single precision.

    The fastest is taken whose localizations have a Jaccard index of at least `AGREEMENT` with those
    of the reference.

    Parameters
    ----------
    candidates
        What may be chosen. Without the reference, it is taken only if all others are refused.
    comparison
        Of all of them with the reference.
    tolerance_nm
        Largest distance at which two localizations are the same: a fine pixel.
    conditions
        All that the times depend on. The first predictions under the same ones measure and remember
        them, the others look them up; ``None`` to measure them again.
    """
    seconds = _seconds_per_frame(candidates, comparison, conditions)
    shortlist = _shortlist(candidates, seconds) if seconds else list(candidates)
    comparison.keep(shortlist)
    longest = max(2 * _SECONDS, _LARGEST_SHARE * comparison.n_frames * seconds.get(REFERENCE, 0))
    while shortlist and comparison.n_localizations < _ENOUGH_LOCALIZATIONS:
        is_enough = comparison.n_localizations >= FEWEST_LOCALIZATIONS
        if comparison.elapsed_s > (_SECONDS if is_enough else longest) or not comparison.run(1):
            break
    return _first_accepted(candidates, shortlist, comparison, tolerance_nm, seconds)


def _seconds_per_frame(
    candidates: Sequence[Candidate],
    comparison: Comparison,
    conditions: dict[str, JsonValue] | None,
) -> dict[Candidate, float]:
    remembered = {} if conditions is None else remembered_seconds(conditions)
    trials = {each: remembered.get(str(each), []) for each in (REFERENCE, *candidates)}
    if len(candidates) > 1 and any(len(seconds) < _TRIALS for seconds in trials.values()):
        for number in range(1 + _TIMED_BATCHES):
            if number >= 2 and comparison.elapsed_s > _SECONDS:
                break
            comparison.run(1)
        latest = comparison.seconds()
        if conditions is not None and REFERENCE in latest:
            remember_seconds(conditions, {str(each): value for each, value in latest.items()})
        for candidate, value in latest.items():
            trials[candidate] = [*trials[candidate], value]
    elif not all(trials.values()):
        return {}
    # what else the machine does can only add to a time
    return {candidate: min(seconds) for candidate, seconds in trials.items() if seconds}


def _shortlist(
    candidates: Sequence[Candidate], seconds: Mapping[Candidate, float]
) -> list[Candidate]:
    """Return those that are faster than the reference, the fastest first."""

    def cost(candidate: Candidate) -> float:
        return seconds[candidate] / (_ADVANTAGE if candidate == REFERENCE else 1)

    ordered = sorted((each for each in candidates if each in seconds), key=cost)
    return list(takewhile(lambda each: each != REFERENCE, ordered))


def _first_accepted(
    candidates: Sequence[Candidate],
    shortlist: Sequence[Candidate],
    comparison: Comparison,
    tolerance_nm: float,
    seconds: Mapping[Candidate, float],
) -> Choice:
    objections = [f"{candidate}: {text}" for candidate, text in comparison.failures.items()]
    n_localizations = comparison.n_localizations
    for candidate in shortlist:
        if candidate not in comparison.networks:
            continue
        if n_localizations < FEWEST_LOCALIZATIONS:
            objections.append(f"{n_localizations} localizations are too few to compare")
            break
        agreement = comparison.agreement(candidate, tolerance_nm=tolerance_nm)
        share = f"{100 * agreement:.1f} % of {n_localizations:,} localizations are the same"
        if agreement >= AGREEMENT:
            reason = f"{_pace(candidate, seconds)}{share} as with {REFERENCE}"
            return Choice(candidate, comparison.networks[candidate], reason)
        objections.append(f"{candidate}: {_pace(candidate, seconds)}only {share}")
    is_asked_for = REFERENCE in candidates
    if not objections:
        objections.append("nothing else is faster here")
    return Choice(REFERENCE, comparison.reference, "; ".join(objections), not is_asked_for)


def _pace(candidate: Candidate, seconds: Mapping[Candidate, float]) -> str:
    if candidate not in seconds or REFERENCE not in seconds:
        return ""
    return f"{seconds[REFERENCE] / seconds[candidate]:.1f} times as fast, "
