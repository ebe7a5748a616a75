"""Frames of tables that are compared with the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from napari_dl4smlm.backend.acquisition.frames import parse_frame_range
from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_dl4smlm.backend.localizations.table import Localizations


def choose_frames(
    text: str | None, found: Mapping[str, Localizations], emitters: Localizations
) -> tuple[dict[str, Localizations], Localizations]:
    """Take the frames asked for of all tables; warn if some were perhaps not predicted.

    Parameters
    ----------
    text
        ``A:B`` as for `parse_frame_range`; ``None`` means all frames.
    found
        Localizations, by what they are called.
    emitters
        The truth.

    Raises
    ------
    InputError
        The text is no range of frames, or reaches beyond the last row of all tables.
    """
    if text is not None:
        chosen = _parse(text, [emitters, *found.values()])
        found = {label: table.in_frames(chosen) for label, table in found.items()}
        emitters = emitters.in_frames(chosen)
    for label, table in found.items():
        _warn_of_missing_frames(label, table, emitters)
    return dict(found), emitters


def _parse(text: str, tables: Iterable[Localizations]) -> range:
    last = max((int(table.frame.max()) for table in tables if len(table)), default=0)
    try:
        return parse_frame_range(text, last + 1)
    except InputError as error:
        # nobody knows how long the movie was
        raise InputError(
            f"The frame range {text!r} cannot be used: the tables end in frame {last}. Write "
            f"first:end, counted from 0 and without the end, such as 0:{last + 1}; either side may "
            "be empty."
        ) from error


def _warn_of_missing_frames(label: str, found: Localizations, emitters: Localizations) -> None:
    """Tell if there are emitters before the first or after the last localization."""
    if not len(found):
        return
    first, last = int(found.frame.min()), int(found.frame.max())
    outside = int(((emitters.frame < first) | (emitters.frame > last)).sum())
    if outside:
        click.echo(
            f"Warning: {outside:,} emitters are in frames before {first} or after {last}, where "
            f"{label} has no localizations: they count as missed. If these frames were not "
            f"predicted, leave them out with --frames {first}:{last + 1}.",
            err=True,
        )
