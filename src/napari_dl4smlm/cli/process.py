"""`dl4smlm process`: filter a table of localizations, correct its drift, merge it, draw it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_dl4smlm.backend.config_file import build, read_config
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.cli.options import report_errors

if TYPE_CHECKING:
    from napari_dl4smlm.backend.localizations.table import Localizations
    from napari_dl4smlm.backend.processing.config import Step
    from napari_dl4smlm.backend.processing.drift_curve import DriftCurve
    from napari_dl4smlm.backend.processing.pipeline import StepApplied

_PATH = click.Path(path_type=Path)


@click.command(
    epilog="Example: dl4smlm process localizations.csv --filter 'photons > 500' --drift rcc "
    "--merge-radius-nm 50 --render image.tif"
)
@click.argument("table", type=_PATH)
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="'COLUMN > NUMBER'",
    help="keep rows for which this is true (>, >=, <, <=); may be given several times",
)
@click.option(
    "--region-nm",
    type=(float, float, float, float),
    metavar="TOP LEFT HEIGHT WIDTH",
    help="keep what lies in this rectangle",
)
@click.option(
    "--drift",
    metavar="rcc|aim|FILE",
    help="correct drift by cross-correlation of images, by intersection maximization, or with a "
    ".drift.csv of an earlier correction",
)
@click.option(
    "--fiducial-nm",
    "fiducials",
    type=(float, float),
    multiple=True,
    metavar="Y X",
    help="correct drift with the bead at this position; may be given several times",
)
@click.option(
    "--merge-radius-nm", type=float, help="join localizations of successive frames this close"
)
@click.option(
    "--max-dark-frames",
    type=int,
    help="frames that a molecule may be dark in between  [default: 1]",
)
@click.option("--out", type=_PATH, help="table to write, .csv or .hdf5  [default: NAME.processed]")
@click.option("--render", "image", type=_PATH, help="image to write, .tif")
@click.option(
    "--mode",
    type=click.Choice(["histogram", "gaussian", "uncertainty", "density"]),
    help="of the image: localizations per pixel, spots of one width, as wide as uncertain, or as "
    "wide as the neighbours are far  [default: gaussian]",
)
@click.option("--render-pixel-nm", type=float, help="pixel of the image  [default: 10]")
@click.option("--sigma-nm", type=float, help="width of the spots of mode gaussian  [default: 20]")
@click.option("--plot-drift", type=_PATH, help="figure of the drift, .png, .pdf or .svg")
@click.option("--pixel-size-nm", type=float, help="camera pixel, where the table does not tell it")
@click.option(
    "--config",
    type=_PATH,
    help="YAML with steps, as it is written beside every result; steps given here follow",
)
@report_errors
def process(
    table: Path,
    out: Path | None,
    image: Path | None,
    plot_drift: Path | None,
    pixel_size_nm: float | None,
    config: Path | None,
    **options: Any,
) -> None:
    """Filter a table of localizations, correct its drift, merge it, and draw it.

    TABLE is a ThunderSTORM CSV or a Picasso HDF5, and stays as it is. The steps are done in this
    order: filters, region, drift, merging; for any other order, write them into a YAML file. Beside
    the result, NAME.steps.yaml has all of them, to be repeated with --config, and NAME.drift.csv
    the drift.
    """
    from napari_dl4smlm.backend.figures.figure_file import check_figure_path
    from napari_dl4smlm.backend.localizations.table_file import open_table
    from napari_dl4smlm.backend.processing.config import DriftCorrection, ProcessingConfig
    from napari_dl4smlm.backend.processing.output import check_outputs, save_image, save_processed

    settings = build(ProcessingConfig, _with_options(read_config(config), options))
    if not settings.steps and out is None and image is None:
        raise InputError("There is nothing to do. Give steps such as --filter, or --render.")
    content = open_table(table, pixel_size_nm=pixel_size_nm)
    if settings.steps and out is None:
        out = _default_out(table)
    check_outputs(table, content, settings, table=out, image=image)
    if plot_drift is not None:
        check_figure_path(plot_drift)
        if not any(isinstance(step, DriftCorrection) for step in settings.steps):
            raise InputError("No drift was corrected that --plot-drift could draw. Give --drift.")
    localizations, drift = _apply(content.localizations, settings.steps)
    content = replace(content, localizations=localizations)
    written = [] if out is None else save_processed(out, content, settings, drift)
    if image is not None:
        save_image(image, content, settings, source=table.name)
        written.append(image)
    if plot_drift is not None and drift is None:
        click.echo(f"{plot_drift} was not drawn: no localizations were left to tell drift from.")
    elif plot_drift is not None and drift is not None:
        _plot(drift, plot_drift)
        written.append(plot_drift)
    click.echo(f"Written: {', '.join(map(str, written))}")


def _default_out(table: Path) -> Path:
    from napari_dl4smlm.backend.localizations.picasso import HDF5_SUFFIXES

    suffix = table.suffix if table.suffix.lower() in HDF5_SUFFIXES else ".csv"
    return table.with_suffix(f".processed{suffix}")


def _with_options(saved: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Add steps to those of a saved config, and let options of the image win over it."""
    render = saved.get("render") or {}
    if not isinstance(render, dict):
        raise InputError("render: holds no named values. Write them as in 'render: {pixel_nm: 5}'.")
    names = {"mode": "mode", "render_pixel_nm": "pixel_nm", "sigma_nm": "sigma_nm"}
    given = {field: options[name] for name, field in names.items() if options[name] is not None}
    steps = saved.get("steps") or []
    if not isinstance(steps, list):
        raise InputError("steps: is no list. Write each step into a line that begins with '- '.")
    values = {**saved, "steps": [*steps, *_steps(options)]}
    return values | ({"render": render | given} if render or given else {})


def _steps(options: dict[str, Any]) -> list[Any]:
    from napari_dl4smlm.backend.processing.filtering import Filter

    steps: list[Any] = [Filter.from_text(text) for text in options["filters"]]
    if options["region_nm"] is not None:
        sides = zip(
            ("top_nm", "left_nm", "height_nm", "width_nm"), options["region_nm"], strict=True
        )
        steps.append({"kind": "region", **dict(sides)})
    if options["drift"] is not None and options["fiducials"]:
        raise InputError("Drift is corrected in one way: give --drift or --fiducial-nm, not both.")
    if options["drift"] in ("rcc", "aim"):
        steps.append(options["drift"])
    elif options["drift"] is not None:
        steps.append({"kind": "saved_drift", "path": options["drift"]})
    if options["fiducials"]:
        steps.append({"kind": "fiducials", "positions_nm": options["fiducials"]})
    if options["merge_radius_nm"] is not None:
        merge = {"kind": "merge", "radius_nm": options["merge_radius_nm"]}
        if options["max_dark_frames"] is not None:
            merge["max_dark_frames"] = options["max_dark_frames"]
        steps.append(merge)
    elif options["max_dark_frames"] is not None:
        raise InputError("--max-dark-frames is about merging: give --merge-radius-nm too.")
    return steps


def _apply(
    localizations: Localizations, steps: tuple[Step, ...]
) -> tuple[Localizations, DriftCurve | None]:
    """Apply the steps and tell what each does; return what is left and the drift taken off."""
    from napari_dl4smlm.backend.processing.pipeline import apply_steps, total_drift

    click.echo(f"{len(localizations):,} localizations")
    applied = []
    for each in apply_steps(localizations, steps):
        click.echo(_describe(each))
        applied.append(each)
    return applied[-1].localizations if applied else localizations, total_drift(applied)


def _describe(applied: StepApplied) -> str:
    after = len(applied.localizations)
    if applied.drift is not None:
        return f"{applied.step}: {applied.drift}"
    return f"{applied.step}: {applied.n_before:,} -> {after:,}"


def _plot(drift: DriftCurve, path: Path) -> None:
    from napari_dl4smlm.backend.figures.drift import draw_drift
    from napari_dl4smlm.backend.figures.figure_file import save_figure

    save_figure(draw_drift(drift.first_frame, drift.y_nm, drift.x_nm), path)
