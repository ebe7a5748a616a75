"""Writes a comparison to files; to be called in another thread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dl4smlm.backend.errors import InputError

if TYPE_CHECKING:
    from napari_dl4smlm.widgets.compare.run import ComparisonGrown


@dataclass(frozen=True)
class ComparisonOrigin:
    """Where a comparison comes from.

    Attributes
    ----------
    name
        Of the movie.
    movie, truth
        Files that were read; ``None`` for layers that are in none.
    command
        What to type to get it again; empty if that cannot be done.
    """

    name: str
    movie: Path | None
    truth: Path | None
    command: str

    @property
    def folder(self) -> Path:
        """Where files are offered to be saved."""
        return Path.cwd() if self.movie is None else self.movie.parent


def save_table(path: Path, grown: ComparisonGrown) -> None:
    """Write the table as CSV; an older file of that name is kept aside."""
    from napari_dl4smlm.backend.evaluation.comparison.output import write_table

    write_table(path, grown.table)


def save_folder(folder: Path, grown: ComparisonGrown) -> None:
    """Write what `dl4smlm compare --out` writes; older files are kept aside."""
    from napari_dl4smlm.backend.evaluation.comparison.drawing import draw_comparison
    from napari_dl4smlm.backend.evaluation.comparison.output import make_folder, save_comparison

    make_folder(folder)
    figures = draw_comparison(grown.comparison, grown.table)
    save_comparison(folder, grown.comparison, grown.table, figures)


def save_report(path: Path, grown: ComparisonGrown, origin: ComparisonOrigin) -> None:
    """Write what `dl4smlm compare --report` writes; an older file is kept aside.

    Raises
    ------
    InputError
        The name is not that of an HTML file, or a file that was read is gone.
    """
    from napari_dl4smlm.backend.evaluation.comparison.drawing import draw_comparison
    from napari_dl4smlm.backend.report.comparison import write_comparison_report
    from napari_dl4smlm.backend.report.page import check_report_path
    from napari_dl4smlm.backend.report.provenance import record_provenance

    check_report_path(path)
    models = [(f"model {one.label}", one.path) for one in grown.comparison.models]
    read = [("movie", origin.movie), ("true positions", origin.truth), *models]
    files = [(role, file) for role, file in read if file is not None]
    try:
        provenance = record_provenance(files, command=origin.command)
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be read any more ({error.strerror}), so that the report "
            "could not tell its checksum. Put it back, or compare again."
        ) from error
    figures = draw_comparison(grown.comparison, grown.table)
    write_comparison_report(path, grown.comparison, grown.table, figures, provenance)
