import ast
import inspect
import subprocess
import sys

import napari_dl4smlm.backend as backend


def test_every_public_name_is_there_and_is_what_type_checkers_are_told():
    declared = {
        alias.name: f"{node.module}"
        for node in ast.walk(ast.parse(inspect.getsource(backend)))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("napari_dl4smlm.backend.")
        for alias in node.names
    }
    assert list(declared) == sorted(declared, key=list(declared).index)
    assert set(declared) == set(backend.__all__) == set(backend._HOMES)
    for name in backend.__all__:
        assert f"{backend.__name__}.{backend._HOMES[name]}" == declared[name]
        assert getattr(backend, name) is getattr(sys.modules[declared[name]], name)


def test_public_names_are_documented():
    for name in backend.__all__:
        value = getattr(backend, name)
        if callable(value):
            assert inspect.getdoc(value), name


def test_importing_the_backend_imports_no_torch():
    code = "import sys, napari_dl4smlm.backend; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
