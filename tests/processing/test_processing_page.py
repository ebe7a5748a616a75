import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.localizations.thunderstorm import write_thunderstorm
from napari_dl4smlm.backend.processing.config import STEPS, ProcessingConfig


@pytest.fixture
def page():
    return (Path(__file__).parents[2] / "docs" / "processing.md").read_text(encoding="utf-8")


def code(page, language):
    (block,) = re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)
    return block


def test_the_example_is_a_processing(page):
    config = ProcessingConfig.model_validate(yaml.safe_load(code(page, "yaml")))
    assert [step.kind for step in config.steps] == ["fiducials", "filter", "merge", "filter"]


def test_all_steps_and_their_parameters_are_on_the_page(page):
    named = set(re.findall(r"`([a-z_0-9]+)`", page))
    for kind, step in STEPS.items():
        assert {kind, *step.model_fields} - {"kind"} <= named, kind


def test_the_script_runs(page, tmp_path, monkeypatch, capsys):
    generator = np.random.default_rng(0)
    table = Localizations(np.arange(500), *generator.uniform(0, 1000, (2, 500)))
    write_thunderstorm(tmp_path / "localizations.csv", table)
    monkeypatch.chdir(tmp_path)
    namespace = {}
    exec(compile(code(page, "python"), "processing.md", "exec"), namespace)
    assert "drift by adaptive intersection maximization 500 500" in capsys.readouterr().out
    remaining = len(namespace["applied"].localizations)
    assert namespace["image"].sum() == pytest.approx(remaining, rel=0.2)
