import subprocess
import sys
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.cli import main

# the package's own attribute of this name is the command
ROOM = sys.modules["napari_dl4smlm.cli.demo"]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="displays are told by variables")


@pytest.fixture
def opened(monkeypatch):
    """What would have been run in another process; each ends well."""
    commands = []

    def run(command, *, check):
        assert not check
        commands.append(command)
        return subprocess.CompletedProcess(command, returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


@pytest.fixture
def headless(monkeypatch):
    """The folders that demos without a window were to write to."""
    folders = []
    monkeypatch.setattr(ROOM, "_run_headless", lambda out, *others: folders.append(str(out)))
    return folders


@pytest.fixture
def display(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(ROOM, "find_spec", lambda name: name == "PySide6" or None)


@pytest.fixture
def no_display(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def run_demo(*arguments, code=0):
    result = CliRunner().invoke(main, ["demo", *arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_with_a_display_napari_opens(display, opened, headless):
    assert "Without a window: dl4smlm demo --headless." in run_demo()
    assert opened == [[sys.executable, "-m", "napari_dl4smlm.widgets.demo"]]
    assert headless == []


def test_headless_needs_no_display_and_takes_none(display, opened, headless):
    run_demo("--headless", "--out=there")
    assert (opened, headless) == ([], ["there"])


def test_without_a_display_it_runs_headless(no_display, opened, headless):
    run_demo("--out=there")
    assert (opened, headless) == ([], ["there"])


def test_a_window_without_a_display_is_refused(no_display, opened, headless):
    output = run_demo("--gui", code=2)
    assert "neither DISPLAY nor WAYLAND_DISPLAY is set" in output
    assert (opened, headless) == ([], [])


def test_a_window_without_qt_is_refused(display, opened, headless, monkeypatch):
    monkeypatch.setattr(ROOM, "find_spec", lambda name: None)
    assert 'pip install "napari-dl4smlm[all]"' in run_demo("--gui", code=2)
    assert (opened, headless) == ([], [])


def test_a_window_that_fails_to_open_is_told(display, headless, monkeypatch):
    monkeypatch.setattr(ROOM, "_WINDOW", "napari_dl4smlm.no_such_module")
    assert "napari ended with exit code 1" in run_demo("--gui", code=2)


def test_what_finds_nothing_has_no_precision_and_no_error(capsys):
    movie = SimpleNamespace(truth=Localizations(frame=[0], y_nm=[100.0], x_nm=[100.0]))
    ROOM._score("network", Localizations.empty(), movie)
    assert capsys.readouterr().out.split() == ["network", "0", "0", "0.00", "0.00", "none", "none"]
