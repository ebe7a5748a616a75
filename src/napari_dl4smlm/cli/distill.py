"""`dl4smlm distill`: a small network learns from a large one that is trained already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from napari_dl4smlm.backend.config_file import build, read_config
from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.training.config import (
    DataConfig,
    DistillationConfig,
    DistillationJob,
    TrainingConfig,
)
from napari_dl4smlm.cli.options import config_file_options, config_options, report_errors
from napari_dl4smlm.cli.train import job_values, run_job, run_options

if TYPE_CHECKING:
    from pathlib import Path


def _parse_hints(
    context: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]
) -> dict[str, str] | None:
    del context
    hints = {}
    for pair in pairs:
        hint, colon, layer = pair.partition(":")
        if not (hint and colon and layer):
            raise click.BadParameter(
                f"{pair!r} is not of the form TEACHER_LAYER:STUDENT_LAYER.", param=parameter
            )
        if hint in hints:
            raise click.BadParameter(
                f"The teacher's layer {hint!r} is given twice; it can guide one layer.",
                param=parameter,
            )
        hints[hint] = layer
    return hints or None


@click.command(
    epilog="Example: dl4smlm distill --teacher model.safetensors --student fid_storm "
    "--student-options blocks=3,channels=32 --simulate --out student.safetensors"
)
@click.option(
    "--hint",
    "hints",
    multiple=True,
    callback=_parse_hints,
    metavar="TEACHER_LAYER:STUDENT_LAYER",
    help="a layer of the teacher and the layer of the student that it guides; may be given several "
    "times. 'dl4smlm models --layers' lists the layers and the defaults.",
)
@config_options(
    DistillationConfig,
    DataConfig,
    TrainingConfig,
    skip=["hints", "simulation"],
    flags={"model": "--student", "model_options": "--student-options"},
)
@run_options("student.safetensors")
@config_file_options
@report_errors
def distill(
    out: Path | None,
    resume: bool,
    simulation: str | None,
    config: Path | None,
    save_config: Path | None,
    **options: Any,
) -> None:
    """Train a small network, the student, with the help of a large one.

    The teacher is a model file that training wrote. The student is any network; data and options
    are those of 'train', and the upsampling has to be the teacher's. First, layers of the student
    learn to put out what layers of the teacher do; then, its density maps learn from those of the
    teacher and from the truth.
    """
    values = job_values(
        read_config(config), out, simulation, options, distillation=DistillationConfig
    )
    if "teacher" not in values["distillation"]:
        raise InputError("There is no teacher: give the file of a trained model with --teacher.")
    job = build(DistillationJob, values)
    run_job(job, resume=resume, save_config=save_config, distillation=job.distillation)
