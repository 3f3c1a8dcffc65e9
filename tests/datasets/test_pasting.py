"""Test regions that are pasted from one image into another."""

import numpy as np
import pytest
from scipy import ndimage

from tfinet_mm.datasets.pasting import change_light, choose_regions, paste

COVER = np.zeros((20, 20), np.uint8)
COVER[2:6, 2:6] = 1  # 16 pixels
COVER[10:14, 2:6] = 1
COVER[10:13, 12:15] = 2  # 9 pixels
COVER[16:, :] = 255


def drawn(number, area, seeds=range(40)):
    return [choose_regions(COVER, number, area, np.random.default_rng(seed)) for seed in seeds]


def test_a_region_is_connected_and_of_one_known_class():
    for mask in drawn(1, (9 / 400, 0.1)):
        assert 9 <= mask.sum() <= 40
        assert ndimage.label(mask)[1] == 1
        (found,) = np.unique(COVER[mask])
        assert found != 255


def test_rare_classes_are_drawn_as_often_as_common_ones():
    found = [int(COVER[mask][0]) for mask in drawn(1, (9 / 400, 0.1), range(300))]
    # A third each: the standard deviation of a count of 300 is 8.
    assert all(70 < count < 130 for count in np.bincount(found, minlength=3))


def test_small_regions_are_left_out_and_large_ones_are_cut():
    for mask in drawn(1, (10 / 400, 16 / 400)):
        assert set(np.unique(COVER[mask])) <= {0, 1}
        assert mask.sum() <= 16


def test_regions_are_drawn_without_repeating():
    both = drawn(5, (9 / 400, 17 / 400), range(10))
    assert all(mask[COVER == 1].all() and mask[COVER == 2].all() for mask in both)


def test_no_region_is_large_enough():
    unknown = np.full((8, 8), 255, np.uint8)
    assert not choose_regions(unknown, 3, (0.01, 0.5), np.random.default_rng(0)).any()


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_pixels_outside_the_regions_stay(dtype):
    before = np.full((7, 7, 3), 100, dtype)
    donor = np.full((7, 7, 3), 200, dtype)
    mask = np.zeros((7, 7), bool)
    mask[1:6, 1:6] = True
    after = paste(before, donor, mask, edge=2)
    assert after.dtype == dtype
    assert (after[~mask] == 100).all()
    # The distances from outside are 1, 2 and 3 pixels, of edge + 1 = 3.
    assert np.allclose(after[3, 1:4, 0], [100 + 100 / 3, 100 + 200 / 3, 200], atol=0.5)
    hard = paste(before, donor, mask, edge=0)
    assert (hard[mask] == 200).all()


def test_light_changes_all_pixels_of_a_band_by_one_line():
    image = np.random.default_rng(0).uniform(80, 120, (6, 6, 3)).astype(np.float32)
    lit = change_light(image, 0.3, np.random.default_rng(1))
    for band in range(3):
        slope, offset = np.polyfit(image[..., band].ravel(), lit[..., band].ravel(), 1)
        assert np.allclose(slope * image[..., band] + offset, lit[..., band], atol=1e-2)
        assert 0.85 * 0.925 <= slope <= 1.15 * 1.075
    assert not np.allclose(image, lit)
    assert np.array_equal(change_light(image, 0, np.random.default_rng(1)), image)
