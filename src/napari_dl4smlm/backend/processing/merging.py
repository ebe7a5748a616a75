"""Join the localizations of a molecule that shines in successive frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import scipy
from pydantic import BaseModel, Field

from napari_dl4smlm.backend.localizations.table import Localizations

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Merge(BaseModel, frozen=True, extra="forbid"):
    """Join localizations of successive frames that lie close together.

    From frame to frame, a molecule goes on with the one localization that is nearest in time, and
    among those of one frame, nearest in space; two molecules are never joined into one. Within a
    frame nothing is joined.
    """

    kind: Literal["merge"] = Field("merge", description="join a molecule's frames")
    radius_nm: float = Field(
        50.0,
        gt=0,
        allow_inf_nan=False,
        title="Radius",
        # two normally distributed positions are further apart with a probability of exp(-4²/4)
        description="largest distance from one frame to the next, in nm; four times the "
        "uncertainty joins 98 %",
    )
    max_dark_frames: int = Field(
        1, ge=0, title="Dark frames", description="most frames in a row that a molecule may be dark"
    )

    def apply(self, localizations: Localizations) -> Localizations:
        """Return one localization per molecule, in the order in which they appear.

        Returns
        -------
        Localizations
            ``frame`` is the first one. Photons and background add up, as in the sum of the frames.
            Positions are means, weighted with the photons, and so is every column that is not
            named here; ``uncertainty_nm`` is the standard error of this mean. Where photons are not
            known or not above 0 in a molecule, its frames weigh the same. ``detections`` counts the
            localizations; ``id`` is left out. A value that is NaN in one of them is NaN in all.
        """
        molecule = link(localizations, self.radius_nm, self.max_dark_frames)
        return _merged(localizations, molecule)

    def __str__(self) -> str:
        return f"merge within {self.radius_nm:g} nm, dark frames: {self.max_dark_frames}"


def link(localizations: Localizations, radius_nm: float, max_dark_frames: int) -> NDArray[np.intp]:
    """Tell which localizations are one molecule.

    Returns
    -------
    NDArray
        Shape (N,): the number of the molecule of every row, counted from 0 in the order of frames.
    """
    order = np.argsort(localizations.frame, kind="stable")
    earlier, later = _links(localizations[order], radius_nm, max_dark_frames)
    n = len(order)
    graph = scipy.sparse.coo_array((np.ones(len(earlier), np.int8), (earlier, later)), shape=(n, n))
    _, label = scipy.sparse.csgraph.connected_components(graph, directed=False)
    # in the order of the first localization of each
    _, first = np.unique(label, return_index=True)
    rank = np.empty(len(first), np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    molecule = np.empty(n, np.intp)
    molecule[order] = rank[label]
    return molecule


def _links(
    localizations: Localizations, radius_nm: float, max_dark_frames: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return pairs of rows (earlier, later), sorted by frame; a row is in each at most once.

    Of the pairs near enough, those of the shortest time and then of the smallest distance come
    first. To take them in that order is to take, again and again, those that are the first for
    both of their rows.
    """
    earlier, later = _candidates(localizations, radius_nm, max_dark_frames)
    frame, position = localizations.frame, localizations.positions_nm()
    distance = np.linalg.norm(position[later] - position[earlier], axis=1)
    best_first = np.lexsort([distance, frame[later] - frame[earlier]])
    earlier, later = earlier[best_first], later[best_first]
    links = []
    while len(earlier):
        place = np.arange(len(earlier))
        first_of_earlier, first_of_later = (np.empty(len(frame), np.intp) for _ in range(2))
        # of several values for one row, the last one stays
        first_of_earlier[earlier[::-1]] = place[::-1]
        first_of_later[later[::-1]] = place[::-1]
        taken = (first_of_earlier[earlier] == place) & (first_of_later[later] == place)
        links.append((earlier[taken], later[taken]))
        used_earlier, used_later = (np.zeros(len(frame), bool) for _ in range(2))
        used_earlier[earlier[taken]] = True
        used_later[later[taken]] = True
        free = ~(used_earlier[earlier] | used_later[later])
        earlier, later = earlier[free], later[free]
    if not links:
        return earlier, later
    return np.concatenate([e for e, _ in links]), np.concatenate([e for _, e in links])


def _candidates(
    localizations: Localizations, radius_nm: float, max_dark_frames: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return all pairs of rows (earlier, later) that are near enough in space and time."""
    frame, position = localizations.frame, localizations.positions_nm()
    # in a table that has lost its frames, all pairs of a dense sample would fill the memory
    if not len(frame) or frame[0] == frame[-1]:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    # a box whose third side is time; half a frame more, so that rounding decides nothing
    time = frame * (radius_nm / (max_dark_frames + 1.5))
    pairs = scipy.spatial.cKDTree(np.column_stack([position, time])).query_pairs(
        radius_nm, p=np.inf, output_type="ndarray"
    )
    # rows are sorted by frame
    earlier, later = pairs.min(axis=1), pairs.max(axis=1)
    distance = np.linalg.norm(position[later] - position[earlier], axis=1)
    near = (frame[later] > frame[earlier]) & (distance <= radius_nm)
    return earlier[near], later[near]


def _merged(localizations: Localizations, molecule: NDArray[np.intp]) -> Localizations:
    columns = localizations.columns()
    n = int(molecule.max(initial=-1)) + 1

    def total(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(molecule, values, minlength=n).astype(np.float64, copy=False)

    weight = _weights(localizations, molecule, n)
    share = weight / total(weight)[molecule]
    merged: dict[str, NDArray[Any]] = {}
    for name, values in columns.items():
        if name in ("photons", "background", "detections"):
            merged[name] = total(values)
        elif name == "uncertainty_nm":
            merged[name] = np.sqrt(total((share * values) ** 2))
        elif name not in ("frame", "id"):
            merged[name] = total(share * values)
    frame = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(frame, molecule, localizations.frame)
    merged["frame"] = frame
    if localizations.detections is None:
        merged["detections"] = np.bincount(molecule, minlength=n)
    return Localizations.from_columns(merged)


def _weights(
    localizations: Localizations, molecule: NDArray[np.intp], n: int
) -> NDArray[np.float64]:
    """Return the photons, or ones for molecules of which they are not all known and above 0."""
    if localizations.photons is None:
        return np.ones(len(localizations))
    usable = np.isfinite(localizations.photons) & (localizations.photons > 0)
    all_usable = np.bincount(molecule, ~usable, minlength=n) == 0
    return np.where(all_usable[molecule], localizations.photons, 1.0)
