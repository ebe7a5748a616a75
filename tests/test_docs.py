import re
from pathlib import Path

import pytest
import tifffile
import yaml
from click.testing import CliRunner

from napari_dl4smlm.backend.localizations.thunderstorm import write_thunderstorm
from napari_dl4smlm.backend.losses.registry import LOSSES, create_loss
from napari_dl4smlm.backend.models.registry import (
    MODELS,
    create_model,
    operations_per_frame,
    parameter_count,
)
from napari_dl4smlm.backend.simulation.background import Background
from napari_dl4smlm.backend.simulation.blinking import Blinking
from napari_dl4smlm.backend.simulation.cameras import CameraRanges
from napari_dl4smlm.backend.simulation.config import MovieConfig, SimulationConfig
from napari_dl4smlm.backend.simulation.psf import GaussianPSF
from napari_dl4smlm.backend.simulation.simulator import SimulatedMovie
from napari_dl4smlm.backend.simulation.structures import STRUCTURES
from napari_dl4smlm.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_python_tutorial_runs(tmp_path, monkeypatch):
    movie = SimulatedMovie(MovieConfig(frames=12, height=32, width=32))
    tifffile.imwrite(tmp_path / "movie.tif", movie.frames(), photometric="minisblack")
    write_thunderstorm(tmp_path / "positions.csv", movie.truth)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "python_tutorial.md").read_text(encoding="utf-8")
    namespace: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(compile(code, "python_tutorial.md", "exec"), namespace)
    assert namespace["image"].shape == (256, 256)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_images_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    targets += re.findall(r'src="([^"]+)"', page.read_text(encoding="utf-8"))
    for target in targets:
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def commands_and_parts():
    for name, command in main.commands.items():
        yield (name,)
        for part in getattr(command, "commands", ()):
            yield name, part


def test_the_simulation_on_the_page_about_it_can_be_run_and_no_parameter_is_missing():
    text = (ROOT / "docs" / "simulation.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    MovieConfig.model_validate(yaml.safe_load(example))
    named = set(re.findall(r"`([a-z_0-9]+)`", text))
    parameters = set(SimulationConfig.model_fields) | set(STRUCTURES)
    for part in (*STRUCTURES.values(), Background, Blinking, CameraRanges, GaussianPSF):
        parameters |= set(part.model_fields)
    assert parameters <= named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_that_is_named_exists(page):
    help_text = "".join(
        CliRunner().invoke(main, [*command, "--help"]).output for command in commands_and_parts()
    )
    scripts = "".join(path.read_text() for path in (ROOT / "benchmarks").glob("*.py"))
    known = set(re.findall(r"--[a-z-]+", help_text + scripts)) | {"--help"}
    # options of other programs
    others = r"(?m)^.*(pip |git ).*$|torchrun .*?(?=dl4smlm)"
    text = re.sub(others, "", page.read_text(encoding="utf-8"))
    for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text):
        assert option in known, option


def table_rows(name):
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    return next(
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in text.splitlines()
        if line.startswith(f"| `{name}` |")
    )


@pytest.mark.parametrize("name", MODELS)
def test_the_table_of_networks_tells_their_size_and_cost(name):
    _, parameters, gflop, _ = table_rows(name)
    network = create_model(name)
    assert parameters == f"{parameter_count(network):,}"
    assert gflop == f"{2e-9 * operations_per_frame(network, 64, 64):.1f}"


@pytest.mark.parametrize("name", LOSSES)
def test_the_table_of_losses_tells_the_default_lambda(name):
    cells = table_rows(name)
    assert float(cells[-1]) == create_loss(name).lambda_
