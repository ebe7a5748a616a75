import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from napari_dl4smlm.backend.simulation.lognormal import lognormal_around_one
from napari_dl4smlm.backend.simulation.photons import (
    ExponentialPhotons,
    LognormalPhotons,
    Photons,
    UniformPhotons,
)

N = 100_000
# a lognormal variable of mean 800 and standard deviation 480, from the formulas of textbooks
LOG_SD = np.sqrt(np.log(1 + 0.6**2))
DISTRIBUTIONS = [
    (UniformPhotons(low=300, high=900), stats.uniform(300, 600)),
    (
        LognormalPhotons(mean=800, relative_sd=0.6),
        stats.lognorm(LOG_SD, scale=800 * np.exp(-(LOG_SD**2) / 2)),
    ),
    (ExponentialPhotons(mean=700), stats.expon(scale=700)),
]


@pytest.mark.parametrize(("photons", "theory"), DISTRIBUTIONS, ids=lambda p: type(p).__name__)
def test_photons_have_the_distribution_of_theory(photons, theory):
    drawn = photons.emit(N, np.random.default_rng(0))
    assert drawn.shape == (N,)
    assert stats.kstest(drawn, theory.cdf).pvalue > 0.01
    assert drawn.mean() == pytest.approx(theory.mean(), abs=4 * theory.std() / np.sqrt(N))
    assert drawn.std() == pytest.approx(theory.std(), rel=0.02)


def test_the_mean_and_the_spread_of_lognormal_photons_are_those_of_the_photons_themselves():
    drawn = LognormalPhotons(mean=800, relative_sd=0.6).emit(N, np.random.default_rng(1))
    assert drawn.mean() == pytest.approx(800, abs=4 * 480 / np.sqrt(N))
    assert drawn.std() == pytest.approx(480, rel=0.02)


def test_factors_without_spread_are_ones():
    assert (lognormal_around_one(0, (2, 3), np.random.default_rng(0)) == np.ones((2, 3))).all()


@pytest.mark.parametrize(
    ("photons", "parameter"),
    [
        (ExponentialPhotons(mean=(100, 5000)), np.mean),
        (LognormalPhotons(mean=(100, 5000), relative_sd=0.01), np.mean),
        (UniformPhotons(low=(100, 5000), high=5000), np.min),
    ],
    ids=["exponential", "lognormal", "uniform"],
)
def test_a_range_is_drawn_once_per_acquisition(photons, parameter):
    generator = np.random.default_rng(0)
    values = [parameter(photons.emit(20_000, generator)) for _ in range(200)]
    # were every fluorophore drawn anew, the values would agree within a few percent
    assert stats.kstest(values, stats.uniform(100, 4900).cdf).pvalue > 0.01


def test_the_same_generator_state_draws_the_same_photons():
    photons = LognormalPhotons(mean=(500, 1500))
    first, again, other = (photons.emit(5, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_kind_chooses_the_distribution():
    chosen = TypeAdapter(Photons).validate_python({"kind": "exponential", "mean": "500:600"})
    assert chosen == ExponentialPhotons(mean=(500, 600))
    with pytest.raises(ValidationError, match=r"'gamma'.*'uniform', 'lognormal', 'exponential'"):
        TypeAdapter(Photons).validate_python({"kind": "gamma"})


def test_a_lowest_number_above_the_highest_is_refused_by_name():
    UniformPhotons(low=(500, 1000), high=(1000, 2000))
    with pytest.raises(ValidationError, match="low reaches 1500, above high from 1000"):
        UniformPhotons(low=(500, 1500), high=(1000, 2000))


def test_photons_of_zero_are_refused_by_name():
    with pytest.raises(ValidationError, match=r"mean\n.*0 is not above 0"):
        ExponentialPhotons(mean=0)
