"""The options that forms show are those that networks have."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
from pydantic import ValidationError

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.models.options import NETWORK_OPTIONS
from napari_dl4smlm.backend.models.registry import MODELS, create_model


def test_every_network_has_its_options_with_its_defaults():
    assert NETWORK_OPTIONS.keys() == MODELS.keys()
    for name, network in MODELS.items():
        parameters = dict(inspect.signature(network).parameters)
        del parameters["upsampling_factor"]
        defaults = {option: parameter.default for option, parameter in parameters.items()}
        assert NETWORK_OPTIONS[name]().model_dump() == defaults, name


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fid_storm", {"blocks": 0}),
        ("fid_storm", {"channels": 0}),
        ("fid_storm", {"activation": "gelu"}),
        ("deep_storm", {"channels": 0}),
        ("skip_storm", {"channels": -1}),
        ("drl_storm", {"psf_sigma_px": 0.0}),
        ("drl_storm", {"psf_sigma_px": float("inf")}),
        ("drl_storm", {"psf_sigma_px": 110.0}),
        ("fid_storm", {"blocks": 201}),
        ("fid_storm", {"channels": 513}),
        ("u_storm", {"depth": 0}),
        ("u_storm", {"depth": 9}),
        ("srcnn", {"kernels": "9-9-9"}),
        ("srcnn", {"channels": 3}),
    ],
)
def test_what_a_network_refuses_its_options_refuse_too(name, options):
    with pytest.raises(InputError):
        create_model(name, **options)
    with pytest.raises(ValidationError):
        NETWORK_OPTIONS[name](**options)


def test_they_are_known_without_pytorch():
    script = "import sys, napari_dl4smlm.backend.models.options; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
