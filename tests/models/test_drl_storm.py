"""The residual between the two stages of the DRL-STORM-style network."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import erf
from torch import nn

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.models.registry import create_model, parameter_count

SIGMA_PX = 1.1


def with_stages_that_give(network, first, correction):
    """The network, with fixed maps for what its stages give; and a list of what the second saw."""
    seen = []
    network.first_stage.register_forward_hook(lambda *_: first)
    network.second_stage.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network.second_stage.register_forward_hook(lambda *_: correction)
    return network, seen


def frame_of_one_emitter(size, y_px, x_px, photons):
    """Photons per camera pixel, the Gaussian PSF integrated over each pixel."""
    edges = np.arange(size + 1)
    y, x = (
        np.diff(0.5 * erf((edges - centre) / (SIGMA_PX * math.sqrt(2)))) for centre in (y_px, x_px)
    )
    return torch.from_numpy(photons * np.outer(y, x))[None, None]


def test_a_first_map_that_explains_the_frame_leaves_no_residual():
    network = create_model("drl_storm", channels=1, psf_sigma_px=SIGMA_PX).double()
    first = torch.zeros(1, 1, 96, 96, dtype=torch.float64)
    first[..., 43, 51] = 1
    # density is averaged over the 64 fine pixels of a camera pixel, photons are summed
    nn.init.constant_(network.psf_gain, 64 * 1000)
    frame = frame_of_one_emitter(12, (43 + 0.5) / 8, (51 + 0.5) / 8, photons=1000)
    network, seen = with_stages_that_give(network, first, torch.zeros_like(first))
    network(frame)
    seen_frame, residual, seen_first = seen[0][0]
    # what remains is the PSF beyond 3 sigma, of 1000 photons
    assert frame.max() > 100
    assert residual.abs().max() < 1
    assert torch.equal(seen_first, first[0, 0])
    assert torch.equal(seen_frame, torch.kron(frame[0, 0], torch.ones(8, 8, dtype=torch.float64)))


def test_the_second_stage_corrects_the_first():
    first, correction = torch.rand(2, 1, 1, 32, 32, dtype=torch.float64)
    network = create_model("drl_storm", channels=1).double()
    network, _ = with_stages_that_give(network, first, correction)
    density = network(torch.zeros(1, 1, 4, 4, dtype=torch.float64))
    torch.testing.assert_close(density, first + correction, rtol=0, atol=0)


def test_the_number_of_parameters_of_the_default_network():
    def stage(in_channels):
        weights = in_channels * 32 + 32 * 64 + 64 * 128 + 128 * 256 + 256 * 256
        weights += 256 * 128 + 128 * 64 + 64 * 32
        return 9 * weights + 2 * (32 + 64 + 128 + 256 + 256 + 128 + 64 + 32) + 32

    assert parameter_count(create_model("drl_storm")) == stage(1) + stage(3) + 1 == 2_732_993


def test_a_width_in_nanometres_is_refused():
    with pytest.raises(InputError, match=r"at most 20, such as 1\.1 .*; got 110"):
        create_model("drl_storm", channels=1, psf_sigma_px=110)


@pytest.mark.parametrize("sigma", [0, -1.1, math.nan, math.inf, "1.1", True])
def test_a_width_that_is_no_positive_number_is_refused(sigma):
    with pytest.raises(InputError, match="psf_sigma_px must be a number of camera pixels above 0"):
        create_model("drl_storm", psf_sigma_px=sigma)
