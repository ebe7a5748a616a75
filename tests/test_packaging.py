"""What is built can be installed, is found by napari, and is quick and clean to import."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import yaml
from npe2 import PluginManifest
from packaging.requirements import Requirement

import napari_dl4smlm
from napari_dl4smlm import __version__

ROOT = Path(__file__).parents[1]
SDIST = f"napari_dl4smlm-{__version__}.tar.gz"
WHEEL = f"napari_dl4smlm-{__version__}-py3-none-any.whl"


def run_python(*arguments: str, cwd: Path = ROOT, **environment: str) -> str:
    """Output of a new Python; what it writes to the standard error shows up in the report."""
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return result.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Folder with the sdist, and the wheels made from it and from a copy of the sources."""
    folder = tmp_path_factory.mktemp("built")
    unwanted = (".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "demo-output", "dist")
    sources = shutil.copytree(
        ROOT, folder / "sources", symlinks=True, ignore=shutil.ignore_patterns(*unwanted)
    )
    build = ("-m", "build", "--no-isolation")
    run_python(*build, "--wheel", "--outdir", str(folder / "wheel"), cwd=sources)
    # without --wheel, the wheel is built from the sdist
    run_python(*build, "--outdir", str(folder / "sdist"), cwd=sources)
    return folder


def installed_manifest(**environment: str) -> tuple[Path, str, str]:
    """Where the package lies that napari finds, and the name and version that it reads there."""
    answer = run_python(
        "-c",
        "import json, napari_dl4smlm, npe2\n"
        "manifest = npe2.PluginManifest.from_distribution('napari-dl4smlm')\n"
        "print(json.dumps([napari_dl4smlm.__file__, manifest.name, manifest.package_version]))",
        **environment,
    )
    file, name, version = json.loads(answer)
    return Path(file), name, version


@pytest.mark.parametrize("source", ["wheel", "sdist"])
def test_napari_finds_the_manifest_once_the_wheel_is_installed(built, tmp_path, source):
    with zipfile.ZipFile(built / source / WHEEL) as wheel:
        wheel.extractall(tmp_path)
    file, name, version = installed_manifest(PYTHONPATH=str(tmp_path))
    assert file.is_relative_to(tmp_path)
    assert (name, version) == ("napari-dl4smlm", __version__)


def test_napari_finds_the_manifest_of_the_package_that_is_tested():
    # with `make test` that is an editable installation
    if not list(importlib.metadata.distributions(name="napari-dl4smlm")):
        pytest.skip("the package is on the path, but not installed")
    file, name, version = installed_manifest()
    assert file.samefile(napari_dl4smlm.__file__)
    assert (name, version) == ("napari-dl4smlm", __version__)


def test_the_sdist_holds_both_manifests_the_tests_and_the_licence(built):
    with tarfile.open(built / "sdist" / SDIST) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= {
        "napari.yaml",
        "src/napari_dl4smlm/napari.yaml",
        "tests/test_packaging.py",
        "LICENSE",
        "Makefile",
    }


def test_the_wheel_holds_the_package_the_licence_and_nothing_else(built):
    names = zipfile.ZipFile(built / "wheel" / WHEEL).namelist()
    information = f"napari_dl4smlm-{__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"napari_dl4smlm", information}
    assert {"napari_dl4smlm/py.typed", f"{information}/licenses/LICENSE"} <= set(names)


def test_installing_it_installs_no_qt_binding(built):
    wheel = zipfile.ZipFile(built / "wheel" / WHEEL)
    metadata = Parser().parsestr(
        wheel.read(f"napari_dl4smlm-{__version__}.dist-info/METADATA").decode()
    )
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    base = {r.name: r.extras for r in requirements if "extra" not in str(r.marker)}
    assert not [name for name in base if name.lower().startswith(("pyqt", "pyside"))]
    # napari[all] and its like would bring one
    assert base["napari"] == set()


@pytest.mark.skipif(os.name == "nt", reason="a checkout on Windows may have no symbolic links")
def test_the_manifest_at_the_root_is_the_one_in_the_package():
    assert (ROOT / "napari.yaml").is_symlink()
    assert (ROOT / "napari.yaml").samefile(ROOT / "src" / "napari_dl4smlm" / "napari.yaml")


def test_everything_the_manifest_names_can_be_imported():
    manifest = PluginManifest.from_file(ROOT / "src" / "napari_dl4smlm" / "napari.yaml")
    manifest.validate_imports()


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (__version__, "BSD-3-Clause")


def modules_after(code: str) -> set[str]:
    """Top-level modules that are loaded once the code has run."""
    return set(
        run_python(
            "-c", f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
        ).split()
    )


def test_importing_the_package_takes_less_than_50_ms_and_loads_nothing_heavy():
    assert not modules_after("import napari_dl4smlm") & {"torch", "numpy", "napari"}
    timing = (
        "from time import process_time\n"
        "start = process_time()\n"
        "import napari_dl4smlm\n"
        "print(process_time() - start)"
    )
    # the best of several, since other programs can only make it slower
    assert min(float(run_python("-c", timing)) for _ in range(5)) < 0.05


def test_the_command_line_answers_without_loading_torch():
    loaded = modules_after("import napari_dl4smlm.cli")
    assert "click" in loaded
    assert "torch" not in loaded


def test_no_module_of_the_backend_loads_napari_or_qt():
    code = (
        "import importlib, pkgutil\n"
        "from napari_dl4smlm import backend\n"
        "for module in pkgutil.walk_packages(backend.__path__, 'napari_dl4smlm.backend.'):\n"
        "    try: importlib.import_module(module.name)\n"
        "    except ModuleNotFoundError as error: assert error.name == 'openvino', error\n"
        "assert 'napari_dl4smlm.backend.models.model_file' in __import__('sys').modules"
    )
    unwanted = {"napari", "qtpy", "magicgui", "superqt", "PyQt5", "PyQt6", "PySide2", "PySide6"}
    assert not modules_after(code) & unwanted
