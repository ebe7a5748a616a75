import numpy as np
import pytest
from pydantic import ValidationError

from napari_dl4smlm.backend.acquisition.camera import Camera, PixelMaps
from napari_dl4smlm.backend.errors import InputError

SCMOS = Camera(quantum_efficiency=0.8, read_noise=1.6, electrons_per_count=0.46, baseline=100)
# the camera measured from the movie published with Deep-STORM: 2 counts per photon, twice Poisson
EMCCD = Camera(em_gain=100, electrons_per_count=50, read_noise=40, baseline=100)


def expose(camera, photons, size=200_000, seed=0):
    frame = np.full((size,), float(photons))
    return camera.expose(frame, np.random.default_rng(seed)).astype(float)


@pytest.mark.parametrize("camera", [SCMOS, EMCCD], ids=["sCMOS", "EMCCD"])
@pytest.mark.parametrize("photons", [0, 5, 20, 500])
def test_counts_have_the_mean_and_variance_of_theory(camera, photons):
    counts = expose(camera, photons)
    mean = camera.baseline + camera.counts_per_photon * photons
    variance = camera.count_variance(np.array(photons))
    assert counts.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / counts.size))
    # the variance of gamma distributed counts of few electrons is itself noisy
    assert counts.var() == pytest.approx(variance, rel=0.03)


def test_an_emccd_doubles_the_variance_of_the_signal():
    quiet = {"read_noise": 0.0, "baseline": 0.0}
    multiplied = Camera(em_gain=200, electrons_per_count=200, **quiet)
    plain = Camera(electrons_per_count=1, **quiet)
    ratio = expose(multiplied, 100).var() / expose(plain, 100).var()
    assert ratio == pytest.approx(2, rel=0.02)
    assert multiplied.excess_noise == 2
    assert plain.excess_noise == 1


def test_photons_come_back_from_counts_without_bias():
    for camera in (SCMOS, EMCCD):
        photons = camera.to_photons(expose(camera, 30))
        error = np.sqrt(camera.count_variance(np.array(30.0))) / camera.counts_per_photon
        assert photons.mean() == pytest.approx(30, abs=4 * error / np.sqrt(photons.size))


def test_the_same_generator_state_films_the_same_frame_and_seed_0_is_a_seed():
    np.testing.assert_array_equal(expose(EMCCD, 20, 100), expose(EMCCD, 20, 100))
    assert not np.array_equal(expose(EMCCD, 20, 100), expose(EMCCD, 20, 100, seed=1))


def test_no_light_gives_the_baseline():
    camera = Camera(read_noise=0, em_gain=50, baseline=123)
    assert (expose(camera, 0, 100) == 123).all()


def test_bright_pixels_saturate_and_do_not_wrap():
    camera = Camera(saturation=4095)
    assert expose(camera, 1e6, 10).max() == 4095
    assert expose(Camera(), 1e6, 10).max() == 65535


def test_dark_pixels_do_not_wrap_below_zero():
    assert expose(Camera(baseline=0, read_noise=50), 0, 1000).min() == 0


def test_pixel_maps_replace_the_numbers_of_the_camera():
    maps = PixelMaps(
        baseline=np.array([[100.0, 200.0]]),
        electrons_per_count=np.array([[0.5, 0.25]]),
        read_noise=np.array([[0.0, 8.0]]),
    )
    frames = SCMOS.expose(np.full((50_000, 1, 2), 50.0), np.random.default_rng(0), pixels=maps)
    left, right = frames[:, 0].astype(float).T
    electrons = 0.8 * 50
    assert left.mean() == pytest.approx(100 + electrons / 0.5, rel=2e-3)
    assert right.mean() == pytest.approx(200 + electrons / 0.25, rel=2e-3)
    assert left.var() == pytest.approx(electrons / 0.5**2 + 1 / 12, rel=0.03)
    assert right.var() == pytest.approx((electrons + 64) / 0.25**2 + 1 / 12, rel=0.03)
    photons = SCMOS.to_photons(frames, pixels=maps)
    assert photons.mean(axis=(0, 1)) == pytest.approx([50, 50], rel=5e-3)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"quantum_efficiency": 1.2},
        {"em_gain": 0.5},
        {"read_noise": -1},
        {"electrons_per_count": 0},
        {"baseline": float("nan")},
        {"saturation": 70_000},
        {"gain": 2},
    ],
)
def test_a_camera_that_cannot_be_is_refused_by_name(nonsense):
    with pytest.raises(ValidationError, match=next(iter(nonsense))):
        Camera(**nonsense)


def arrays(**changed):
    """Maps of 3 x 4 pixels that all differ."""
    pixels = np.arange(12.0).reshape(3, 4)
    maps = {"baseline": 100 + pixels, "electrons_per_count": 0.4 + pixels / 100}
    return maps | {"read_noise": pixels / 10} | changed


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_pixel_maps_come_back_from_a_file(tmp_path, save):
    save(tmp_path / "maps.npz", **arrays(), comment="measured in the dark")
    maps = PixelMaps.read(tmp_path / "maps.npz")
    for name, values in arrays().items():
        np.testing.assert_array_equal(getattr(maps, name), values)


@pytest.mark.parametrize(
    ("nonsense", "message"),
    [
        ({"baseline": np.ones((4, 3))}, r"one shape .*baseline \(4, 3\), .*read_noise \(3, 4\)"),
        ({name: np.ones(5) for name in arrays()}, r"one shape \(Y, X\).*baseline \(5,\)"),
        ({name: np.ones((0, 4)) for name in arrays()}, r"one shape \(Y, X\).*\(0, 4\)"),
        ({"read_noise": np.full((3, 4), np.nan)}, r"read_noise in .*maps\.npz holds NaN"),
        ({"baseline": np.full((3, 4), np.inf)}, r"baseline in .*maps\.npz holds NaN or infinite"),
        ({"electrons_per_count": np.zeros((3, 4))}, "electrons_per_count in .* is 0 somewhere"),
        ({"read_noise": np.full((3, 4), -0.5)}, "read_noise in .* is -0.5 somewhere, below 0"),
        ({"baseline": np.full((3, 4), "dark")}, "cannot be read as an .npz file: could not conv"),
    ],
)
def test_maps_that_no_camera_has_are_refused(tmp_path, nonsense, message):
    np.savez(tmp_path / "maps.npz", **arrays(**nonsense))
    with pytest.raises(InputError, match=message):
        PixelMaps.read(tmp_path / "maps.npz")


def test_a_missing_map_is_named_with_those_that_are_needed(tmp_path):
    np.savez(tmp_path / "maps.npz", baseline=np.ones((3, 4)))
    wanted = "no electrons_per_count and no read_noise. Name the arrays baseline, electrons_per"
    with pytest.raises(InputError, match=wanted):
        PixelMaps.read(tmp_path / "maps.npz")


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_pickled_objects_in_a_file_of_maps_are_not_loaded(tmp_path):
    trap = np.full((3, 4), Trap(), dtype=object)
    np.savez(tmp_path / "maps.npz", **arrays(baseline=trap))
    with pytest.raises(InputError, match=r"maps\.npz cannot be read.*Object arrays cannot"):
        PixelMaps.read(tmp_path / "maps.npz")


def test_files_that_hold_no_maps_are_refused(tmp_path, no_file_left_open):
    with pytest.raises(InputError, match=r"no file .*nowhere\.npz"):
        PixelMaps.read(tmp_path / "nowhere.npz")
    with pytest.raises(InputError, match=r"no file .* Check the name"):
        PixelMaps.read(tmp_path)
    np.save(tmp_path / "maps.npy", np.ones((3, 4)))
    with pytest.raises(InputError, match=r"maps\.npy is no \.npz file"):
        PixelMaps.read(tmp_path / "maps.npy")
    np.savez(tmp_path / "maps.npz", **arrays())
    whole = bytearray((tmp_path / "maps.npz").read_bytes())
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"half\.npz is no \.npz file"):
        PixelMaps.read(tmp_path / "half.npz")
    whole[200] ^= 1  # in the numbers of the first map: its checksum is wrong
    (tmp_path / "spoilt.npz").write_bytes(whole)
    with pytest.raises(InputError, match=r"spoilt\.npz cannot be read.*Bad CRC"):
        PixelMaps.read(tmp_path / "spoilt.npz")


def test_a_part_of_the_maps_is_cut_from_rows_and_columns():
    part = PixelMaps(**arrays()).crop(1, 2, 2, 1)
    for name, values in arrays().items():
        np.testing.assert_array_equal(getattr(part, name), values[1:3, 2:3])
    whole = PixelMaps(**arrays()).crop(0, 0, 3, 4)
    np.testing.assert_array_equal(whole.baseline, arrays()["baseline"])


@pytest.mark.parametrize("part", [(2, 0, 2, 4), (0, 1, 3, 4), (-1, 0, 2, 2), (0, -1, 2, 2)])
def test_a_part_beyond_the_maps_is_refused_with_both_sizes(part):
    with pytest.raises(InputError, match=f"3 x 4 pixels .* {part[2]} x {part[3]} from row"):
        PixelMaps(**arrays()).crop(*part)


@pytest.mark.parametrize(
    "camera",
    [
        Camera(quantum_efficiency=0.8, read_noise=3, electrons_per_count=0.5),
        Camera(quantum_efficiency=0.9, em_gain=50, read_noise=40, electrons_per_count=5),
    ],
)
def test_the_noise_in_photons_is_what_counts_turned_into_photons_scatter_by(camera):
    counts = camera.expose(np.full(200_000, 50.0), np.random.default_rng(0))
    expected = camera.variance_per_photon * 50 + camera.read_noise_photons**2
    assert camera.to_photons(counts).var() == pytest.approx(expected, rel=0.02)
