"""`dl4smlm figure`: pictures of results, for papers and for a quick look."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.cli.options import report_errors, tolerance_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from napari_dl4smlm.backend.acquisition.frames import FrameStack
    from napari_dl4smlm.backend.localizations.table import Localizations

# far more than percentiles and the shape of a histogram need
_HISTOGRAM_PIXELS = 2**24

_PATH = click.Path(path_type=Path)


@click.group()
def figure() -> None:
    """Draw figures of results, as .png, .pdf or .svg.

    They have the size of one or two columns of a journal, with type of 7 to 8 points.
    """


def _figure_command(command: Callable[..., Figure]) -> Callable[..., None]:
    """Save the figure that a command draws, with options for where and for a window."""
    name = Path(f"{command.__name__}.png")

    @click.option(
        "--out",
        type=_PATH,
        default=name,
        show_default=True,
        help=".png, .pdf or .svg; an older file is kept beside it, as in triptych.previous.png",
    )
    @click.option("--show", is_flag=True, help="also open the figure in a window")
    @report_errors
    @wraps(command)
    def drawing(*, out: Path, show: bool, **options: Any) -> None:
        from napari_dl4smlm.backend.figures.figure_file import check_figure_path, save_figure

        check_figure_path(out)
        drawn = command(**options)
        save_figure(drawn, out)
        click.echo(f"Figure: {out}")
        if show:
            _show(drawn, out)

    return drawing


def _show(drawn: Figure, out: Path) -> None:
    """Open a window and wait until it is closed."""
    from matplotlib import pyplot

    no_window = (
        f"No window can be opened here: there is no display, or no window toolkit such as PyQt6 is "
        f"installed. The figure is in {out}."
    )
    try:
        # the only public way to put a figure that exists already into a window
        pyplot.figure(FigureClass=lambda *args, **kwargs: drawn)  # type: ignore[arg-type]
    except ImportError as error:
        raise InputError(no_window) from error
    try:
        if drawn.canvas.required_interactive_framework is None:
            raise InputError(no_window)
        pyplot.show()
    finally:
        pyplot.close(drawn)


@figure.command(
    epilog="Example: dl4smlm figure triptych --movie movie.tif --image result/reconstruction.tif"
)
@click.option("--movie", type=_PATH, required=True, help="the raw frames")
@click.option("--image", type=_PATH, required=True, help="reconstruction.tif of a prediction")
@click.option("--truth", type=_PATH, help="ThunderSTORM table of the true positions")
@click.option("--pixel-size-nm", type=float, help="camera pixel, where the movie does not tell it")
@click.option("--frame", type=int, help="show this raw frame, counted from 0, and not their mean")
@click.option(
    "--frames", help="frames of the mean and of the truth, A:B from 0 with B excluded; default all"
)
@click.option(
    "--zoom-nm",
    type=float,
    help="side of the enlarged square  [default: a quarter of the shorter side]",
)
@_figure_command
def triptych(
    movie: Path,
    image: Path,
    truth: Path | None,
    pixel_size_nm: float | None,
    frame: int | None,
    frames: str | None,
    zoom_nm: float | None,
) -> Figure:
    """Draw raw, true and predicted image of one field, side by side.

    The square with most of the prediction in it is enlarged. The colours of truth and prediction
    mean the same densities: where only some frames were predicted, choose these with --frames.
    """
    from napari_dl4smlm.backend.acquisition.frames import open_frames, parse_frame_range
    from napari_dl4smlm.backend.evaluation.quality import mean_frame
    from napari_dl4smlm.backend.figures.triptych import draw_triptych
    from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm

    prediction, fine_pixel_nm = _read_image(image)
    with open_frames(movie, pixel_size_nm=pixel_size_nm) as stack:
        factor = max(1, round(prediction.shape[0] / stack.height))
        pixel_nm = _camera_pixel(stack, fine_pixel_nm, factor)
        chosen = parse_frame_range(frames, stack.n_frames)
        raw = mean_frame(stack, chosen) if frame is None else stack.read(frame, frame + 1)[0]
        true_density = None
        if truth is not None:
            emitters = read_thunderstorm(truth, pixel_size_nm=pixel_nm).in_frames(chosen)
            true_density = _render(emitters, stack, pixel_nm, factor)
    return draw_triptych(
        raw,
        prediction,
        pixel_size_nm=pixel_nm,
        truth=true_density,
        zoom_nm=zoom_nm,
        raw_title="mean of the raw frames" if frame is None else f"frame {frame}",
    )


@figure.command(
    epilog="Example: dl4smlm figure histogram new-movie.tif --against training-movie.tif"
)
@click.argument("movie", type=_PATH)
@click.option("--against", type=_PATH, help="movie to compare with, such as that of the training")
@_figure_command
def histogram(movie: Path, against: Path | None) -> Figure:
    """Draw how bright the pixels of a movie are, with median and 99.9th percentile.

    Of a long movie, frames spread evenly over it are read. A network expects the intensities of its
    training movie: --against draws both.
    """
    from napari_dl4smlm.backend.figures.histogram import draw_histogram

    label, pixels = _sample(movie)
    if against is None:
        return draw_histogram(pixels, label=label)
    against_label, against_pixels = _sample(against)
    if label == against_label:
        label, against_label = map(click.format_filename, (movie, against))
    return draw_histogram(pixels, label=label, against=against_pixels, against_label=against_label)


@figure.command(epilog="Example: dl4smlm figure training model.safetensors --out training.pdf")
@click.argument("model", type=_PATH)
@_figure_command
def training(model: Path) -> Figure:
    """Draw the losses of a model's training, epoch by epoch."""
    from napari_dl4smlm.backend.figures.training_curves import draw_training_curves
    from napari_dl4smlm.backend.models.model_file import read_card

    return draw_training_curves(read_card(model).history)


@figure.command(epilog="Example: dl4smlm figure calibration model.safetensors")
@click.argument("model", type=_PATH)
@_figure_command
def calibration(model: Path) -> Figure:
    """Draw how far a model's threshold, confidence and uncertainty can be trusted.

    As measured on its validation frames: precision and recall against the threshold, the share of
    emitters against the confidence, and the actual against the predicted error.
    """
    from napari_dl4smlm.backend.figures.calibration import draw_calibration
    from napari_dl4smlm.backend.models.model_file import read_card

    calibrated = read_card(model).calibration
    if calibrated is None:
        raise InputError(
            f"{model} is not calibrated: its training had no positions to compare peaks with. "
            "Train with positions, or with a simulation."
        )
    return draw_calibration(calibrated)


@figure.command(
    epilog="Example: dl4smlm figure accuracy --predicted FID-STORM=fid/localizations.csv "
    "--predicted Deep-STORM=deep/localizations.csv --truth positions.csv --tolerance-nm 100"
)
@click.option(
    "--predicted",
    "tables",
    multiple=True,
    required=True,
    metavar="[LABEL=]FILE",
    help="ThunderSTORM table; may be given several times, to compare",
)
@click.option("--truth", type=_PATH, required=True, help="ThunderSTORM table of true positions")
@click.option("--pixel-size-nm", type=float, help="camera pixel; needed for tables in pixels")
@tolerance_option(250.0)
@click.option(
    "--radius-nm",
    type=float,
    default=500.0,
    show_default=True,
    help="of the circle in which emitters are counted for the local density",
)
@click.option("--frames", help="frames to compare, A:B from 0 with B excluded; default all")
@_figure_command
def accuracy(
    tables: tuple[str, ...],
    truth: Path,
    pixel_size_nm: float | None,
    tolerance_nm: float,
    radius_nm: float,
    frames: str | None,
) -> Figure:
    """Draw accuracy against the local density of emitters and against their photons.

    Against photons only where the table of the truth has them. Emitters of frames that were not
    predicted count as missed, and frames that trained the model tell nothing about it: leave both
    out with --frames.
    """
    import numpy as np

    from napari_dl4smlm.backend.figures.accuracy import draw_accuracy
    from napari_dl4smlm.backend.localizations.thunderstorm import read_thunderstorm
    from napari_dl4smlm.backend.metrics.accuracy import accuracy_by_density, accuracy_by_photons
    from napari_dl4smlm.cli.chosen_frames import choose_frames

    emitters = read_thunderstorm(truth, pixel_size_nm=pixel_size_nm)
    found = {
        label: read_thunderstorm(path, pixel_size_nm=pixel_size_nm)
        for label, path in _labelled(tables).items()
    }
    found, emitters = choose_frames(frames, found, emitters)
    by_density = {
        label: accuracy_by_density(
            predicted, emitters, tolerance_nm=tolerance_nm, radius_nm=radius_nm
        )
        for label, predicted in found.items()
    }
    if emitters.photons is None or not np.isfinite(emitters.photons).any():
        click.echo(f"{truth} has no photons, so that accuracy is drawn against density alone.")
        return draw_accuracy(by_density)
    by_photons = {
        label: accuracy_by_photons(predicted, emitters, tolerance_nm=tolerance_nm)
        for label, predicted in found.items()
    }
    return draw_accuracy(by_density, by_photons)


def _read_image(path: Path) -> tuple[NDArray[np.floating], float | None]:
    """Read a reconstruction and its pixel size."""
    from napari_dl4smlm.backend.acquisition.frames import open_frames

    with open_frames(path) as stack:
        if stack.n_frames != 1:
            raise InputError(
                f"{path} has {stack.n_frames} frames. Give a single image, a reconstruction.tif as "
                "predict writes it."
            )
        return stack.read(0, 1)[0], stack.pixel_size_nm


def _camera_pixel(stack: FrameStack, fine_pixel_nm: float | None, factor: int) -> float:
    """Return the pixel size of the movie or else of the image, if they do not contradict."""
    if fine_pixel_nm is None and stack.pixel_size_nm is None:
        raise InputError(
            f"Neither {stack.name} nor the image tells its pixel size. Give --pixel-size-nm."
        )
    pixel_nm = stack.pixel_size_nm or factor * (fine_pixel_nm or 0)
    if fine_pixel_nm is not None and abs(factor * fine_pixel_nm / pixel_nm - 1) > 0.01:
        raise InputError(
            f"The pixels of {stack.name} are {pixel_nm:g} nm wide, but {factor} pixels of the "
            f"image are {factor * fine_pixel_nm:g} nm. Give the movie that was predicted, or "
            "correct --pixel-size-nm."
        )
    return pixel_nm


def _render(
    emitters: Localizations, stack: FrameStack, pixel_nm: float, factor: int
) -> NDArray[np.float32]:
    from napari_dl4smlm.backend.localizations.density_map import render_density_map

    return render_density_map(
        emitters.positions_nm(),
        height=stack.height,
        width=stack.width,
        pixel_size_nm=pixel_nm,
        upsampling_factor=factor,
        sigma_px=1.0,
    )


def _sample(path: Path) -> tuple[str, NDArray[Any]]:
    """Return the name of a movie, and frames spread evenly over it, all of a short one."""
    import numpy as np

    from napari_dl4smlm.backend.acquisition.frames import open_frames

    with open_frames(path) as stack:
        count = max(1, _HISTOGRAM_PIXELS // (stack.height * stack.width))
        numbers = np.linspace(0, stack.n_frames - 1, min(count, stack.n_frames)).astype(int)
        frames = [stack.read(number, number + 1) for number in numbers.tolist()]
        return stack.name, np.concatenate(frames)


def _labelled(tables: Iterable[str]) -> dict[str, Path]:
    """Split LABEL=FILE; a file alone is called by its name."""
    labelled: dict[str, Path] = {}
    for text in tables:
        label, equals, name = text.partition("=")
        # a file may have an equals sign in its name
        if not equals or Path(text).exists():
            label, name = Path(text).stem, text
        if label in labelled:
            raise InputError(
                f"Two tables are called {label!r}: {labelled[label]} and {name}. Give them labels, "
                "as in --predicted LABEL=FILE."
            )
        labelled[label] = Path(name)
    return labelled
