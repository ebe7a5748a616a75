"""PyTorch is loaded without keeping the window from answering."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from napari_dl4smlm.widgets import torch_loading
from napari_dl4smlm.widgets.training.facts import torch_facts

ONLY_LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="the libraries have these names on Linux only"
)


def run(script):
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@ONLY_LINUX
def test_the_libraries_are_there_before_python_imports_them():
    script = """
import sys
from pathlib import Path
from napari_dl4smlm.widgets import torch_loading

def loaded():
    return "libtorch_python.so" in Path("/proc/self/maps").read_text()

assert not loaded()
torch_loading._load_libraries()
assert loaded() and "torch" not in sys.modules
torch_loading.load_torch()
import torch
print(torch.ones(2).sum().item())
"""
    assert run(script) == "2.0"


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_search_for_cycles_is_as_it_was_also_after_a_failure(is_enabled, monkeypatch):
    during = []

    def fail(name):
        during.append(gc.isenabled())
        raise ImportError(name)

    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(torch_loading, "import_module", fail)
    monkeypatch.setattr(torch_loading, "_load_libraries", lambda: None)
    before = gc.isenabled()
    try:
        gc.enable() if is_enabled else gc.disable()
        with pytest.raises(ImportError):
            torch_loading.load_torch()
        assert gc.isenabled() == is_enabled
    finally:
        gc.enable() if before else gc.disable()
    assert during == [False]


@pytest.fixture
def searches():
    """The generations that Python has searched for cycles."""
    found = []

    def note(phase, about):
        if phase == "start":
            found.append(about["generation"])

    gc.callbacks.append(note)
    yield found
    gc.callbacks.remove(note)


def test_python_looks_for_cycles_once_however_much_is_made(searches):
    with torch_loading.one_search_for_cycles(), torch_loading.one_search_for_cycles():
        kept = [[number] for number in range(100_000)]
        assert searches == []
    assert len(kept) == 100_000
    assert searches == [2]


def test_once_all_is_loaded_nobody_waits_for_a_search(searches):
    *_, first = torch_facts()
    searches.clear()

    torch_loading.load_torch()
    *_, again = torch_facts()

    assert 2 not in searches
    assert again.default_lambdas == first.default_lambdas


@ONLY_LINUX
@pytest.mark.parametrize("place", ["None", "SimpleNamespace(origin='/nowhere/torch/__init__.py')"])
def test_without_the_libraries_the_import_tells_what_is_wrong(place):
    script = f"""
import sys
from types import SimpleNamespace
from napari_dl4smlm.widgets import torch_loading

torch_loading.find_spec = lambda name: {place}
torch_loading._load_libraries()
sys.modules["torch"] = None
try:
    torch_loading.load_torch()
except ImportError as error:
    print(error.name)
"""
    assert run(script) == "torch"
