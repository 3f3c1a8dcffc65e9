"""Test air, optics, sensor and compression."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from tfinet_mm.datasets.synthetic.raster import generator
from tfinet_mm.datasets.synthetic.world.camera import Camera, colour_infrared, draw_camera, take
from tfinet_mm.datasets.synthetic.world.tiles import cut_fields

PLAIN = Camera(
    haze=0.0,
    veil=np.full(3, 200.0),
    blur=0.01,
    coarser=1.0,
    gain=np.ones(3),
    gamma=1.0,
    contrast=1.0,
    offset=0.0,
    saturation=1.0,
    sharpen=0.0,
    noise=0.0,
    quality=0,
    levels=256,
    stretch=0.0,
    cloud=0.0,
    shift=(0.0, 0.0),
    turn=0.0,
    scale=1.0,
)


@pytest.fixture(scope='module')
def light():
    rng = np.random.default_rng(0)
    return ndimage.gaussian_filter(rng.uniform(0, 255, (72, 80, 3)), (2, 2, 0)).astype(np.float32)


def _take(light, **changes):
    fields = cut_fields(generator(1), light.shape[:2], 6.0)
    return take(generator(2), light.copy(), replace(PLAIN, **changes), fields, 8)


def test_a_perfect_camera_changes_nothing(light):
    np.testing.assert_array_equal(_take(light), np.rint(light[8:-8, 8:-8]).astype(np.uint8))


def test_a_shift_moves_the_picture(light):
    moved = _take(light, shift=(2.0, -1.0)).astype(int)
    still = np.rint(light[9:-7, 6:-10]).astype(int)
    assert np.abs(moved - still)[2:-2, 3:-3].max() <= 1


def test_a_stretch_cuts_each_band_at_its_own_percentiles(light):
    dull = light * np.float32([0.2, 0.3, 0.4]) + np.float32([10, 60, 90])
    picture = _take(dull, stretch=2.0)
    seen = dull[8:-8, 8:-8]
    low, high = np.percentile(seen, (2, 98), axis=(0, 1))
    expected = np.clip((seen - low) / (high - low) * 255, 0, 255)
    # The percentiles are those of a sample of the pixels.
    assert np.abs(picture - expected).mean() < 6
    for end in (0, 255):
        np.testing.assert_allclose((picture == end).mean((0, 1)), 0.02, atol=0.012)


def test_haze_draws_everything_towards_its_colour(light):
    hazy = _take(light, haze=0.25, veil=np.array([240.0, 240.0, 240.0])).astype(float)
    clear = light[8:-8, 8:-8]
    np.testing.assert_allclose(hazy, 0.75 * clear + 60, atol=0.51)


def test_colours_and_tone(light):
    clear = light[8:-8, 8:-8]
    grey = _take(light, saturation=0.0)
    assert (np.ptp(grey.astype(int), axis=2) <= 1).all()
    np.testing.assert_allclose(grey[..., 0], clear @ [0.299, 0.587, 0.114], atol=1)
    np.testing.assert_allclose(
        _take(light, gain=np.array([0.5, 1, 1]))[..., 0], clear[..., 0] / 2, atol=1
    )
    np.testing.assert_allclose(
        _take(light, gamma=2.0), 255 * (np.rint(clear) / 255) ** 2, atol=0.51
    )
    flat = _take(light, contrast=0.5)
    assert flat.std() == pytest.approx(clear.std() / 2, rel=0.05)
    assert flat.mean() == pytest.approx(clear.mean(), abs=1)


def test_sensors_with_few_levels_show_steps(light):
    assert len(np.unique(_take(light, levels=40))) <= 40


def test_noise_sharpening_coarse_pixels_and_jpeg(light):
    clear = _take(light).astype(float)
    noisy = _take(light, noise=4.0) - clear
    assert noisy.std() == pytest.approx(4.0, rel=0.1)

    def detail(picture):
        return np.abs(np.diff(picture.astype(float), axis=1)).mean()

    assert detail(_take(light, sharpen=1.0)) > 1.05 * detail(clear)
    assert detail(_take(light, coarser=2.5)) < detail(clear)
    assert 0 < np.abs(_take(light, quality=30) - clear).mean() < 12
    assert np.abs(_take(light, cloud=0.6) - clear).mean() > 1


def test_plants_shine_in_infrared():
    light = np.full((4, 4, 3), 80, np.float32)
    green = np.zeros((4, 4), np.float32)
    green[:2] = 1
    picture = colour_infrared(light, green)
    assert (picture[:2, :, 0] > 2 * picture[2:, :, 0]).all()
    np.testing.assert_array_equal(picture[..., 1:], 80)


def test_drawn_cameras_keep_within_the_misregistration():
    for seed in range(200):
        camera = draw_camera(generator(seed), 1.5)
        assert np.hypot(*camera.shift) <= 1.5 + 1e-9
        assert 0 < camera.haze < 0.55
        assert camera.quality == 0 or 25 <= camera.quality <= 95
    assert draw_camera(generator(0), 0.0).shift == (0.0, 0.0)
