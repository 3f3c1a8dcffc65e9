import numpy as np
import pytest

from tfinet_mm.datasets.synthetic.canvas import BUILDING, Surface
from tfinet_mm.datasets.synthetic.light import cast_shadows, photograph
from tfinet_mm.datasets.synthetic.raster import MARGIN, Crowns, Frame, Noise, generator


def make_surface():
    rng, shape = generator(0), (100, 110)
    surface = Surface(
        Frame.make(rng, shape), Noise.make(rng, shape), Crowns.make(rng, shape, 7.0), 0
    )
    surface.albedo[:] = 120
    window = (slice(45, 57), slice(50, 64))
    surface.fill(window, np.ones((12, 14), bool), BUILDING, np.full(3, 120.0), 8.0)
    return surface


def test_cast_shadows_against_a_loop():
    rng = np.random.default_rng(0)
    height = np.where(rng.random((24, 31)) < 0.04, rng.uniform(1, 6, (24, 31)), 0)
    height = height.astype(np.float32)
    towards, steepness = (np.cos(2.0), np.sin(2.0)), 0.8
    expected = np.zeros(height.shape)
    for y in range(24):
        for x in range(31):
            for step in range(1, 12):
                r, c = y + round(step * towards[1]), x + round(step * towards[0])
                if not (0 <= r < 24 and 0 <= c < 31):
                    continue
                if height[r, c] >= height[y, x] + step * steepness - 1e-4:
                    expected[y, x] = 1
    found = cast_shadows(height, towards, steepness)
    np.testing.assert_array_equal(found, expected)
    assert 0.05 < found.mean() < 0.9


def test_flat_land_has_no_shadow():
    assert cast_shadows(np.zeros((5, 6), np.float32), (1.0, 0.0), 1.0).sum() == 0


def test_no_nuisance_gives_the_same_picture_twice():
    surface = make_surface()
    pictures = [photograph(generator(seed), surface, 0.0, 0.0) for seed in (1, 2)]
    np.testing.assert_array_equal(*pictures)
    assert pictures[0].shape == (100 - 2 * MARGIN, 110 - 2 * MARGIN, 3)
    assert pictures[0].dtype == np.uint8


def test_shadows_fall_northwards_and_move_with_the_sun():
    surface = make_surface()
    dark = []
    for seed in range(12):
        picture = photograph(generator(seed), surface, 1.0, 0.0).mean(-1)
        roof = slice(45 - MARGIN, 57 - MARGIN), slice(50 - MARGIN, 64 - MARGIN)
        shadow = picture < 0.75 * np.median(picture)
        assert not shadow[roof][3:-3, 3:-3].any()
        rows, columns = np.nonzero(shadow)
        assert rows.mean() < 51 - MARGIN
        dark.append(columns.mean())
    assert np.ptp(dark) > 3


@pytest.mark.parametrize('shift', [0.0, 1.5, 6.0])
def test_misregistration_stays_within_the_shift(shift):
    surface = make_surface()
    surface.height[:] = 0
    surface.albedo[surface.cover == BUILDING] = 240
    rows, columns = np.nonzero(surface.cover == BUILDING)
    place = np.array([rows.mean(), columns.mean()]) - MARGIN
    moved = []
    for seed in range(8):
        picture = photograph(generator(seed), surface, 0.0, shift).mean(-1)
        rows, columns = np.nonzero(picture > 180)
        moved.append(np.array([rows.mean(), columns.mean()]) - place)
    assert np.abs(moved).max() <= shift * 1.2 + 0.2
    assert np.abs(moved).max() >= shift / 2


def test_nuisance_makes_pictures_differ():
    surface = make_surface()
    first, second = (photograph(generator(s), surface, 1.0, 0.0).astype(int) for s in (1, 2))
    assert np.abs(first - second).mean() > 4
