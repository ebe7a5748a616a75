import math

import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter

from napari_dl4smlm.backend.gaussian_blur import GaussianBlur


def convolved(maps, blur):
    kernel = torch.tensor(blur.kernel, dtype=maps.dtype)
    maps = F.conv2d(maps, kernel.view(1, 1, -1, 1), padding=(blur.radius, 0))
    return F.conv2d(maps, kernel.view(1, 1, 1, -1), padding=(0, blur.radius))


def test_the_gaussian_is_centred_has_unit_sum_and_its_width():
    blur = GaussianBlur(2.5)
    spike = torch.zeros(1, 1, 31, 41, dtype=torch.float64)
    spike[..., 14, 19] = 1
    spread = blur(spike)[0, 0]
    y, x = torch.meshgrid(torch.arange(31.0) - 14, torch.arange(41.0) - 19, indexing="ij")
    assert spread.sum().item() == pytest.approx(1, abs=1e-14)
    for offset in (y, x):
        assert (spread * offset).sum().item() == pytest.approx(0, abs=1e-12)
        # a Gaussian that ends at 3.2 sigma (radius 8) has lost 1.2 % of its variance
        assert (spread * offset**2).sum().item() == pytest.approx(2.5**2, rel=0.02)
    assert (spread[14, 20] / spread[14, 19]).item() == pytest.approx(math.exp(-0.08), rel=1e-12)


# larger than what is blurred at a time, smaller than the kernel, and several maps
@pytest.mark.parametrize("shape", [(3, 1, 400, 401), (2, 1, 3, 9), (1, 1, 1, 1), (0, 1, 8, 8)])
@pytest.mark.parametrize("sigma_px", [0.4, 1.0, 3.2])
def test_it_is_the_convolution_between_borders_of_zeros(shape, sigma_px):
    maps = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    blur = GaussianBlur(sigma_px)
    torch.testing.assert_close(blur(maps), convolved(maps, blur), rtol=0, atol=1e-14)
    single = blur(maps.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), blur(maps), rtol=0, atol=1e-6)


def test_scipy_blurs_alike():
    maps = torch.rand(1, 1, 30, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = gaussian_filter(maps[0, 0].numpy(), 1.0, mode="constant", radius=3)
    torch.testing.assert_close(GaussianBlur(1.0)(maps)[0, 0].numpy(), expected, rtol=0, atol=1e-14)


def test_the_gradient_is_that_of_the_convolution():
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 1, 12, 9, generator=generator, dtype=torch.float64, requires_grad=True)
    blur = GaussianBlur(1.3)
    (expected,) = torch.autograd.grad(convolved(maps, blur).square().sum(), maps)
    (gradient,) = torch.autograd.grad(blur(maps).square().sum(), maps)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-14)
    assert torch.autograd.gradgradcheck(blur, maps)
