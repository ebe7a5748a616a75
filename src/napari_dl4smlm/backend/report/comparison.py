"""The report of a comparison: which model is best for these data on this machine, and how sure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dl4smlm.backend.evaluation.comparison.scores import RESAMPLES
from napari_dl4smlm.backend.evaluation.comparison.verdicts import tested_columns, verdicts
from napari_dl4smlm.backend.report.markup import Html, element, join
from napari_dl4smlm.backend.report.models import model_facts
from napari_dl4smlm.backend.report.page import definitions, facts, section, warnings, write_page
from napari_dl4smlm.backend.report.pictures import picture
from napari_dl4smlm.backend.report.provenance import provenance_sections

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from napari_dl4smlm.backend.evaluation.comparison.columns import Column
    from napari_dl4smlm.backend.evaluation.comparison.drawing import DrawnFigure
    from napari_dl4smlm.backend.evaluation.comparison.result import ComparedModel, Comparison
    from napari_dl4smlm.backend.evaluation.comparison.table import (
        Cell,
        ComparisonTable,
        Section,
    )
    from napari_dl4smlm.backend.report.provenance import Provenance

_HOW_TO_READ = (
    "Below a value stands where it lies with 95 % confidence, for other frames of the same kind of "
    "movie. A model is called best only if the interval of its difference to every other model "
    "excludes 0; the same frames give both scores, so that the differences are surer than a look "
    "at two intervals tells. Among the best are those that cannot be told from the best value. "
    "Where nothing is marked, no model is better than all others by more than chance, or nothing "
    "tells. Times are best where their ranges do not overlap."
)
_NOT_TESTED = (
    "The numbers without ground truth are measured once, and nothing tells how much of a "
    "difference is chance: no model is called best by them."
)


def write_comparison_report(
    path: str | os.PathLike[str],
    comparison: Comparison,
    table: ComparisonTable,
    figures: Iterable[DrawnFigure],
    provenance: Provenance,
) -> None:
    """Write a comparison as one HTML file.

    Parameters
    ----------
    path
        The file; an older one of that name is kept aside.
    comparison, table, figures
        Of one comparison.
    provenance
        Files, machine and command.

    Raises
    ------
    InputError
        As for `write_page`.
    """
    count = len(comparison.models)
    models = f"{count} models" if count > 1 else "1 model"
    title = f"Comparison of {models} on {comparison.data.movie}"
    write_page(path, title, _sections(comparison, table, figures, provenance))


def _sections(
    comparison: Comparison,
    table: ComparisonTable,
    figures: Iterable[DrawnFigure],
    provenance: Provenance,
) -> Iterator[Html]:
    yield warnings(comparison.warnings)
    if len(comparison.models) > 1:
        yield section("In short", element("ul", *(element("li", v) for v in verdicts(table))))
    yield section("Results", _how_to_read(comparison), _results(table))
    behind = _differences(table)
    if behind:
        yield section(
            "How far behind the best",
            element(
                "p",
                "Each model minus the one with the best value, with the interval of the paired "
                "difference. Where it holds 0, the two may be equally good. Mean errors are "
                "compared by their size, without the sign.",
            ),
            behind,
        )
    yield section("Figures", *map(_figure, figures))
    yield section("What the numbers assume", *map(_assumptions, table.sections))
    yield section("Data and settings", facts(_settings(comparison)))
    yield section("Models", *(model_facts(m.label, m.card, _used(m)) for m in comparison.models))
    yield from provenance_sections(provenance)


def _how_to_read(comparison: Comparison) -> Html:
    without_truth = comparison.data.true_image is None
    return element("p", _NOT_TESTED if without_truth else _HOW_TO_READ, class_="faint")


def _assumptions(part: Section) -> Html:
    return join(
        element("h3", part.group.title),
        element("p", part.group.assumption),
        definitions((column.title, column.assumption) for column in part.group.columns),
    )


def _results(table: ComparisonTable) -> Html:
    body: list[Html] = []
    for part in table.sections:
        body.append(_section_row(part, len(table.labels)))
        for column in part.group.columns:
            cells = part.cells[column.name]
            body.append(_row(column, [_value(column, cell) for cell in cells]))
    return _table(table, body)


def _differences(table: ComparisonTable) -> Html | None:
    body = [
        _row(column, [_behind(column, cell) for cell in table.cells(column.name).values()])
        for column in tested_columns(table)
    ]
    return _table(table, body) if body else None


def _table(table: ComparisonTable, body: list[Html]) -> Html:
    head = element(
        "tr",
        element("th", "", scope="col"),
        *(element("th", label, scope="col", class_="number") for label in table.labels),
    )
    written = element("table", element("thead", head), element("tbody", *body))
    return element("div", written, class_="wide")


def _section_row(part: Section, n_models: int) -> Html:
    title = element("th", part.group.title, scope="rowgroup", colspan=str(n_models + 1))
    return element("tr", title, class_="section")


def _row(column: Column, cells: list[Html]) -> Html:
    better = f"{column.better} is better" if column.better else ""
    head = element("th", column.title, element("span", better, class_="interval"), scope="row")
    return element("tr", head, *cells)


def _value(column: Column, cell: Cell) -> Html:
    if cell.value is None:
        return element("td", element("span", cell.problem or "not measured", class_="faint"))
    standing = element("span", f" {cell.standing}", class_="best") if cell.standing else ""
    content = join(column.text(cell.value), standing)
    if cell.interval is not None:
        ends = f"{column.text(cell.interval.low)} to {column.text(cell.interval.high)}"
        content = join(content, element("span", ends, class_="interval"))
    return element("td", content, class_="number")


def _behind(column: Column, cell: Cell) -> Html:
    behind = cell.behind
    if cell.value is None:
        return element("td", "")
    if behind is None:
        return element("td", "best value", class_="number faint")
    if behind.interval is None:
        return element("td", column.text(behind.value), class_="number")
    ends = f"{column.text(behind.interval.low)} to {column.text(behind.interval.high)}"
    return element(
        "td",
        column.text(behind.value),
        element("span", ends, class_="interval"),
        class_="number",
    )


def _figure(drawn: DrawnFigure) -> Html:
    image = picture(drawn.figure, drawn.caption, alternative=drawn.title, kind=drawn.kind)
    return join(element("h3", drawn.title), image)


def _settings(comparison: Comparison) -> Iterator[tuple[str, str]]:
    data = comparison.data
    yield "movie", f"{data.movie}: {data.n_frames:,} frames of {data.height} × {data.width} px"
    yield (
        "frames compared",
        f"{len(data.frames):,}, the same for all models; none trained any of them, as far as their "
        "files tell",
    )
    yield "camera pixel", f"{data.pixel_size_nm:g} nm"
    fine_nm = data.pixel_size_nm / data.upsampling_factor
    yield "common grid", f"×{data.upsampling_factor}, pixels of {fine_nm:.4g} nm"
    if data.n_emitters is not None:
        yield "true emitters", f"{data.n_emitters:,} in these frames"
        yield "tolerance", f"{data.tolerance_nm:g} nm"
        yield "rim left out", f"{data.border_nm:g} nm"
        yield (
            "intervals",
            "95 %. Detection: percentile bootstrap over the frames, "
            f"{RESAMPLES:,} drawings, seed {comparison.seed}. Images: jackknife over ten groups of "
            "successive frames",
        )
    times = "once" if comparison.repeats == 1 else f"{comparison.repeats} times"
    yield "timed", f"{times}, after one that is not counted"


def _used(model: ComparedModel) -> Iterator[tuple[str, str]]:
    yield "threshold", f"{model.threshold:.3g}"
    yield "computed with", model.computed_with
    yield "localizations", f"{len(model.localizations):,}"
    for speed in model.speeds:
        tiles = "whole frames" if speed.tile_size is None else f"tiles of {speed.tile_size} px"
        streams = "" if speed.streams == 1 else f" in each of {speed.streams} streams"
        batch = "1 frame" if speed.batch_size == 1 else f"{speed.batch_size} frames"
        yield f"batch on {speed.device}", f"{batch} at a time{streams}, {tiles}"
