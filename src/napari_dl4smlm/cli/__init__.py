"""The command line: arguments become a config, the config goes to the backend.

This is the only room that prints. torch is imported by the commands when they run, so that
``--help`` answers at once.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import click

from napari_dl4smlm import __version__
from napari_dl4smlm.cli.compare import compare
from napari_dl4smlm.cli.demo import demo
from napari_dl4smlm.cli.distill import distill
from napari_dl4smlm.cli.evaluate import evaluate
from napari_dl4smlm.cli.figure import figure
from napari_dl4smlm.cli.interrupts import INTERRUPTED
from napari_dl4smlm.cli.listings import devices, models
from napari_dl4smlm.cli.predict import predict
from napari_dl4smlm.cli.process import process
from napari_dl4smlm.cli.quality import quality
from napari_dl4smlm.cli.report import report
from napari_dl4smlm.cli.simulate import simulate
from napari_dl4smlm.cli.test import test
from napari_dl4smlm.cli.train import train


class _Commands(click.Group):
    """Ends with the same exit code wherever Ctrl-C comes; click's own is that of any failure."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="dl4smlm")
def main() -> None:
    """Deep learning for single-molecule localization microscopy.

    Train a network on frames whose emitters are known, then turn movies into super-resolution
    images and tables of localizations. `dl4smlm demo` shows all of it in a few minutes.
    """
    # hours of work must not end in an error because a file's name has no letter for a byte
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


for command in (
    simulate,
    train,
    distill,
    test,
    predict,
    process,
    evaluate,
    quality,
    compare,
    report,
    figure,
    models,
    devices,
    demo,
):
    main.add_command(command)
