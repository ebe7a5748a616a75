"""The command that is shown does exactly the steps that are shown."""

from __future__ import annotations

import importlib
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_dl4smlm.backend.config_file import build
from napari_dl4smlm.backend.processing.config import ProcessingConfig
from napari_dl4smlm.widgets.process.command import (
    default_table,
    needs_file,
    process_command,
    quality_command,
)

# the package has the command by the name of its module
cli = importlib.import_module("napari_dl4smlm.cli.process")

SIZES = st.floats(0.001, 1e6).map(lambda x: float(f"{x:.6g}"))
STEPS = st.lists(
    st.one_of(
        st.builds(
            lambda column, sign, limit, equal: {
                "kind": "filter",
                "column": column,
                sign: limit,
                "include_limits": equal,
            },
            st.sampled_from(["photons", "z [nm]", "a>b"]),
            st.sampled_from(["minimum", "maximum"]),
            st.floats(-1e9, 1e9),
            st.booleans(),
        ),
        st.builds(lambda top, height: {"kind": "region", "top_nm": top, "height_nm": height},
                  st.floats(-1e5, 1e5), SIZES),
        st.builds(lambda radius, dark: {"kind": "merge", "radius_nm": radius,
                                        "max_dark_frames": dark}, SIZES, st.integers(0, 3)),
        st.builds(lambda kind, frames: {"kind": kind, "segment_frames": frames},
                  st.sampled_from(["rcc", "aim"]), st.none() | st.just(50)),
        st.builds(lambda radius: {"kind": "fiducials", "positions_nm": [[1.5, -2], [3e4, 4]],
                                  "radius_nm": radius}, st.sampled_from([500.0, 300.0])),
        st.just({"kind": "saved_drift", "path": "/data/my drift.csv"}),
    ),
    max_size=4,
)  # fmt: skip
RENDER = st.builds(
    lambda mode, pixel, narrow: {"mode": mode, "pixel_nm": pixel, "min_sigma_nm": narrow},
    st.sampled_from(["gaussian", "histogram"]),
    SIZES,
    st.sampled_from([5.0, 1.0]),
)


def config_of(command):
    """What the command does, as the command itself reads its options."""
    _, name, *words = shlex.split(command)
    assert name == "process"
    context = cli.process.make_context("process", words)
    values = {
        name: value
        for name, value in context.params.items()
        if name not in ("table", "out", "image", "plot_drift", "pixel_size_nm", "config")
    }
    return build(ProcessingConfig, cli._with_options({}, values)), context.params


@given(STEPS, RENDER)
def test_options_mean_exactly_the_steps_or_the_command_reads_them_from_a_file(steps, render):
    config = ProcessingConfig.model_validate({"steps": steps, "render": render})
    command = process_command(
        Path("/t.csv"), config, steps_file=Path("/s.yaml"), image=Path("/i.tif")
    )
    found, parameters = config_of(command)
    if needs_file(config):
        assert parameters["config"] == Path("/s.yaml")
    else:
        assert parameters["config"] is None
        assert found == config


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (["rcc"], "--drift rcc"),
        ([{"kind": "filter", "minimum": 500}, "aim"], "--filter 'photons >= 500' --drift aim"),
        ([{"kind": "merge", "radius_nm": 40}], "--merge-radius-nm 40"),
        (["merge", "rcc"], "--config /s.yaml"),
        (["rcc", "aim"], "--config /s.yaml"),
        ([{"kind": "filter", "minimum": 1, "maximum": 2}], "--config /s.yaml"),
        ([{"kind": "aim", "cell_nm": 30}], "--config /s.yaml"),
    ],
)
def test_what_options_can_say_is_said_by_options(steps, words):
    config = ProcessingConfig(steps=steps)
    command = process_command(Path("/t.csv"), config, steps_file=Path("/s.yaml"))
    assert command == f"dl4smlm process /t.csv {words}"


@pytest.mark.parametrize("name", ["a.csv", "b.hdf5", "c.H5", "d.txt"])
def test_the_processed_table_is_called_as_the_command_calls_it(name):
    assert default_table(Path(name)) == cli._default_out(Path(name))


def test_a_quality_is_asked_for_from_any_folder(monkeypatch):
    monkeypatch.chdir("/")
    command = quality_command(
        Path("a b.csv"), Path("m.tif"), pixel_size_nm=100.0, frames="0:9", block_frames=3
    )
    assert command == (
        "dl4smlm quality --localizations '/a b.csv' --movie /m.tif --pixel-size-nm 100 "
        "--frames 0:9 --block-frames 3"
    )
