import numpy as np
import pytest
from pydantic import ValidationError

from napari_dl4smlm.backend.errors import InputError
from napari_dl4smlm.backend.simulation.config import MovieConfig, SimulationConfig
from napari_dl4smlm.backend.simulation.simulator import Purpose, SimulatedMovie, Simulator, stream

PERFECT_CAMERA = {"read_noise": 0, "baseline": 0, "electrons_per_count": 1}


def movie(frames=3, height=64, width=64, seed=0, **simulation):
    return SimulatedMovie(
        MovieConfig(frames=frames, height=height, width=width, seed=seed, simulation=simulation)
    )


def test_the_same_seed_films_the_same_movie_and_seed_0_is_a_seed():
    first, again, other = (movie(seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.frames(), again.frames())
    np.testing.assert_array_equal(first.truth.x_nm, again.truth.x_nm)
    assert not np.array_equal(first.frames(), other.frames())


def test_a_frame_is_the_same_alone_in_any_order_and_in_the_whole_movie():
    whole = movie(frames=6).frames()
    other = movie(frames=6)
    for number in (5, 0, 3):
        np.testing.assert_array_equal(other.frame(number), whole[number])


@pytest.mark.parametrize("number", [-1, 3])
def test_beyond_its_end_a_movie_has_no_frame_of_background_alone(number):
    scene = movie(frames=3).scene
    with pytest.raises(InputError, match=f"no frame {number}: the movie has 3, counted from 0"):
        scene.film(number, np.random.default_rng(0))


def test_the_written_config_makes_the_same_movie():
    first = movie(density=[0.5, 2], background={"photons": [5, 10]}, structure="rings")
    again = SimulatedMovie(MovieConfig.model_validate(first.config.to_dict()))
    np.testing.assert_array_equal(first.frames(), again.frames())


@pytest.mark.parametrize("structure", ["random", "filaments", "rings", "line_pairs"])
def test_the_density_is_that_of_emitters_per_area_and_frame(structure):
    frames = 60
    counts = [
        len(movie(frames=frames, seed=seed, density=2, structure=structure).truth) / frames
        for seed in range(12)
    ]
    # Poisson over 720 frames of 41 µm² with 2 per µm²; structures also gather here or there
    tolerance = 3 * np.std(counts, ddof=1) / np.sqrt(12) + 3 * np.sqrt(82 / 720)
    assert np.mean(counts) == pytest.approx(2 * 6.4**2, abs=tolerance)
    assert tolerance < 0.25 * 82


@pytest.mark.parametrize("radius_nm", [0, 1500, [2500, 20_000]])
@pytest.mark.parametrize("height", [32, 64])
def test_a_star_has_the_density_asked_for_on_average_over_the_field(radius_nm, height):
    # much light from beyond the edges: the margin is as large as half of the field
    psf = {"kind": "gaussian", "sigma_nm": 500}
    structure = {"kind": "star", "radius_nm": radius_nm}
    counts = [
        len(movie(1, height, seed=seed, density=5, structure=structure, psf=psf).truth)
        for seed in range(60)
    ]
    expected = 5 * 6.4 * height / 10
    # Poisson, and with a random turn of the star
    assert np.mean(counts) == pytest.approx(expected, abs=4 * np.sqrt(expected / 60))


def test_the_rim_of_a_star_is_inside_the_field_that_is_seen():
    truth = movie(20, density=5, structure={"kind": "star", "spacing_nm": 300}).truth
    from_centre = np.hypot(truth.y_nm - 3200, truth.x_nm - 3200)
    assert 3150 < from_centre.max() < 3200


def test_blinking_keeps_the_density_of_light():
    simulated = movie(
        frames=4000,
        density=0.5,
        blinking={"on_frames": 3, "off_frames": 50, "blinks": 4},
        photons={"kind": "uniform", "low": 1000, "high": 1000},
    )
    # what the emitters give to a frame, in units of one that is on throughout
    on = np.bincount(simulated.truth.frame, simulated.truth.photons, minlength=4000) / 1000
    assert on.mean() == pytest.approx(0.5 * 6.4**2, rel=0.05)
    halves = on[:2000].mean(), on[2000:].mean()
    assert halves[0] == pytest.approx(halves[1], rel=0.1)


def test_a_blinking_fluorophore_stays_where_it_is():
    simulated = movie(frames=50, density=0.05, blinking={"on_frames": 5})
    positions = simulated.truth.positions_nm()
    _, seen = np.unique(positions, axis=0, return_counts=True)
    # on for five frames on average, and so in six
    assert seen.mean() == pytest.approx(6, rel=0.25)


def test_without_emitters_the_camera_sees_the_background():
    simulated = movie(frames=20, density=0, background={"photons": 20})
    counts = simulated.frames().astype(float)
    assert counts.mean() == pytest.approx(100 + 2 * 20, abs=0.15)
    assert counts.var() == pytest.approx(
        simulated.scene.camera.count_variance(np.array(20.0)), rel=0.02
    )


def test_mean_and_variance_of_the_counts_are_those_of_the_expected_photons():
    simulated = movie(
        frames=1, height=16, width=16, density=2, camera={"em_gain": 100, "read_noise": 30}
    )
    scene = simulated.scene
    expected = scene.expected_photons(0)
    filmed = np.stack([scene.film(0, stream(0, Purpose.TEST, k)) for k in range(4000)]).astype(
        float
    )
    error = filmed.mean(0) - (100 + scene.camera.counts_per_photon * expected)
    variance = scene.camera.count_variance(expected)
    pull = error / np.sqrt(variance / 4000)
    assert np.abs(pull).max() < 5
    assert pull.std() == pytest.approx(1, abs=0.15)
    np.testing.assert_allclose(filmed.var(0) / variance, 1, atol=0.2)


def test_the_light_of_an_emitter_is_its_photons_around_its_position():
    simulated = movie(frames=300, density=0.02, background={"photons": 0}, camera=PERFECT_CAMERA)
    truth = simulated.truth
    inside = (np.abs(truth.positions_nm() - 3200) < 2400).all(1)
    alone = np.bincount(simulated.scene.emitters.frame, minlength=300) == 1
    chosen = truth[inside & alone[truth.frame]]
    assert len(chosen) > 40
    frames = np.stack([simulated.frame(k) for k in chosen.frame]).astype(float)
    total = frames.sum((1, 2))
    # Poisson: the standardised difference has unit variance
    pull = (total - chosen.photons) / np.sqrt(chosen.photons)
    assert abs(pull.mean()) < 3 / np.sqrt(len(chosen))
    centres_nm = (np.arange(64) + 0.5) * 100
    for axis, positions in ((2, chosen.y_nm), (1, chosen.x_nm)):
        error = frames.sum(axis) @ centres_nm / total - positions
        # a centroid of N photons scatters by sigma / sqrt(N), about 4 nm here
        assert abs(error.mean()) < 3 * 5 / np.sqrt(len(chosen))
        assert error.std() < 7


def test_emitters_beyond_the_edge_shine_into_the_field_and_are_not_in_the_truth():
    scene = movie(frames=1, density=3).scene
    positions = scene.emitters.positions_nm()
    outside = ((positions < 0) | (positions >= 6400)).any(1)
    assert outside.any()
    assert len(scene.truth) == len(scene.emitters) - outside.sum()
    scene.truth.check_inside(64, 64, 100.0)
    light = scene.expected_photons(0) - scene.background
    # light is lost and gained over the edge in equal parts, on average
    assert light.sum() == pytest.approx(scene.truth.photons.sum(), rel=0.1)


def test_every_acquisition_draws_its_own_numbers_from_the_ranges():
    simulator = Simulator(
        SimulationConfig(
            density=(0.5, 3), background={"photons": (10, 50)}, camera={"baseline": (90, 110)}
        )
    )
    scenes = [simulator.scene(stream(0, Purpose.TEST, k), height=32, width=32) for k in range(200)]
    background = np.array([scene.background.mean() for scene in scenes])
    assert background.min() >= 10
    assert background.max() <= 50
    assert background.mean() == pytest.approx(30, abs=3 * 40 / np.sqrt(12 * 200))
    baseline = np.array([scene.camera.baseline for scene in scenes])
    assert baseline.std() == pytest.approx(20 / np.sqrt(12), rel=0.15)
    assert abs(np.corrcoef(background, baseline)[0, 1]) < 0.25


def test_a_random_part_of_the_measured_pixel_maps_is_used(tmp_path):
    maps = {
        "baseline": np.arange(40.0 * 50).reshape(40, 50),
        "electrons_per_count": np.ones((40, 50)),
        "read_noise": np.ones((40, 50)),
    }
    np.savez(tmp_path / "camera.npz", **maps)
    simulator = Simulator(SimulationConfig(pixel_maps=tmp_path / "camera.npz"))
    corners = set()
    for k in range(30):
        pixels = simulator.scene(stream(0, Purpose.TEST, k), height=16, width=16).pixels
        top, left = divmod(int(pixels.baseline[0, 0]), 50)
        np.testing.assert_array_equal(
            pixels.baseline, maps["baseline"][top : top + 16, left : left + 16]
        )
        corners.add((top, left))
    assert len(corners) > 20
    with pytest.raises(InputError, match="maps are 40 x 50 px, smaller than the field of 64 x 64"):
        simulator.scene(stream(0, Purpose.TEST), height=64, width=64)


def test_a_psf_wider_than_the_field_is_refused():
    with pytest.raises(InputError, match=r"psf: the light .* field is only 6400 nm wide"):
        movie(psf={"kind": "gaussian", "sigma_nm": 5000})


def test_a_psf_in_pixels_instead_of_nanometres_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"psf: .* of 1\.3 nm is less than a quarter of a pixel"):
        movie(psf={"kind": "gaussian", "sigma_nm": [1.3, 130]})
    bead = np.zeros((32, 32))
    bead[12:20, 12:20] = 1
    np.save(tmp_path / "bead.npy", bead)
    measured = {"kind": "measured", "image": tmp_path / "bead.npy"}
    movie(psf=measured | {"pixel_size_nm": 25})
    # µm instead of nm
    with pytest.raises(InputError, match="less than a quarter of a pixel of 100 nm"):
        movie(psf=measured | {"pixel_size_nm": 0.025})


def test_more_emitters_than_any_memory_holds_are_refused():
    with pytest.raises(InputError, match=r"density: 1e\+06 emitters per µm².*at most 1,000,000"):
        movie(density=1e6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"density": -1}, r"density\n.*-1 is below 0"),
        ({"density": [3, 1]}, r"density\n.*3:1 is no range"),
        ({"density": "many"}, r"density"),
        ({"density": True}, r"density\n.*valid tuple"),
        ({"psf": {"sigma_nm": 110}}, r"psf\n.*kind is missing; add 'kind: gaussian'"),
        ({"photons": {"mean": 500}}, r"There are: uniform, lognormal, exponential"),
        ({"photons": {"kind": "uniform", "low": -5}}, r"photons.uniform.low\n.*-5 is not above 0"),
        ({"photons": {"kind": "poisson"}}, r"photons"),
        ({"background": {"photons": -3}}, r"background.photons\n.*-3 is below 0"),
        ({"psf": {"kind": "gaussian", "sigma_nm": 0}}, r"sigma_nm\n.*0 is not above 0"),
        ({"pixel_size_nm": 0}, r"pixel_size_nm\n.*greater than 0"),
        ({"camera": {"em_gain": 0.5}}, r"em_gain"),
        ({"blinking": {"on_frames": 0}}, r"on_frames\n.*0 is not above 0"),
        ({"structure": "filament"}, r"structure\n.*filaments"),
        ({"densty": 2}, r"densty\n.*Extra inputs"),
        ({"pixel_maps": "a.npz", "pixel_variation": {}}, "either pixel_maps or pixel_variation"),
    ],
)
def test_impossible_parameters_are_refused_by_name(values, message):
    with pytest.raises(ValidationError, match=message):
        SimulationConfig(**values)


def test_the_name_of_a_kind_alone_stands_for_its_defaults():
    named = SimulationConfig(photons="lognormal", psf="gaussian", structure="star")
    assert named == SimulationConfig(
        photons={"kind": "lognormal"}, psf={"kind": "gaussian"}, structure={"kind": "star"}
    )
    assert named.photons.mean == (1000, 1000)


@pytest.mark.parametrize("values", [{"frames": 0}, {"height": 4}, {"width": 0}, {"seed": -1}])
def test_an_impossible_movie_is_refused_by_name(values):
    with pytest.raises(ValidationError, match=next(iter(values))):
        MovieConfig(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"background": {"photons": 1e30}},
        {"background": {"texture": 1e200}},
        {"photons": {"kind": "uniform", "low": 1, "high": 1e30}},
        {"photons": {"kind": "lognormal", "mean": 100, "relative_sd": 1e200}},
        {"pixel_variation": {"gain_relative_sd": 1e200}},
    ],
)
def test_what_no_camera_takes_is_refused(values):
    with pytest.raises(ValueError, match="the most that can be simulated"):
        SimulationConfig(**values)


def test_blinks_too_short_to_count_are_refused():
    config = SimulationConfig(density=1, blinking={"on_frames": 1e-9})
    with pytest.raises(InputError, match=r"with blinks of 1e-09 frames, .* longer on_frames"):
        Simulator(config).scene(np.random.default_rng(0), height=16, width=16)
