"""Test the shift of patches against rasters that are cut from a finer one."""

import cv2
import numpy as np
import pytest

from tfinet_mm.scenes.correlation import patch_shift

SIDE, FINER = 128, 4


@pytest.fixture(scope='module')
def finer():
    """Return ground of details of many sizes, four times finer than the patches."""
    side = FINER * (SIDE + 80)
    noise = np.random.default_rng(1).random((4, side, side)).astype(np.float32)
    parts = [
        cv2.GaussianBlur(one, (0, 0), scale) for one, scale in zip(noise, (2, 5, 12, 30), strict=1)
    ]
    return sum((part - part.mean()) / part.std() for part in parts)


def cut(finer, right, down, side=SIDE):
    """Return a patch whose content lies further right and down by parts of a pixel."""
    left, top = (round(FINER * (40 - move)) for move in (right, down))
    part = finer[top : top + FINER * side, left : left + FINER * side]
    return part.reshape(side, FINER, side, FINER).mean((1, 3))


def as_bands(values, gain, offset, seed):
    """Return two bands of 8 bit with noise of two grey levels."""
    noise = np.random.default_rng(seed).normal(0, 2, (2, *values.shape))
    return np.clip(np.round(values * gain + offset + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize('shift', [(0, 0), (0.25, -0.75), (3.5, 1.25), (-20.25, 9.75)])
def test_finds_parts_of_a_pixel(finer, shift):
    """A fifth of the ground is another one, and the light is turned round."""
    before = as_bands(cut(finer, 0, 0), 25, 120, 2)
    later = cut(finer, *shift)
    later[:58, :58] = cut(finer[::-1, ::-1], 0, 0)[:58, :58]
    found = patch_shift(before, as_bands(later, -15, 90, 3), np.ones((SIDE, SIDE), bool))
    assert (found.right, found.down) == pytest.approx(shift, abs=0.08)
    assert found.quality > 20


def test_equal_patches_and_edges_of_the_data(finer):
    """The edge of the data lies at one place on both dates, and must not hold the peak there."""
    valid = np.ones((SIDE, SIDE), bool)
    valid[:, 100:] = False
    valid[::20, :] = False
    before = as_bands(cut(finer, 0, 0), 25, 120, 2)
    same = patch_shift(before, before, np.ones_like(valid))
    assert (same.right, same.down) == pytest.approx((0, 0), abs=1e-5)
    after = as_bands(cut(finer, 2.5, -1), 25, 120, 3)
    assert patch_shift(before, after, np.arange(SIDE) < np.full((SIDE, 1), 60)) is None
    before[:, ~valid] = after[:, ~valid] = 0
    found = patch_shift(before, after, valid)
    assert (found.right, found.down) == pytest.approx((2.5, -1), abs=0.1)


def test_no_texture_and_no_common_ground(finer):
    before = as_bands(cut(finer, 0, 0), 25, 120, 2)
    assert patch_shift(before, np.full_like(before, 7), np.ones((SIDE, SIDE), bool)) is None
    other = as_bands(cut(finer[::-1].T, 0, 0), 25, 120, 3)
    assert patch_shift(before, other, np.ones((SIDE, SIDE), bool)).quality < 9
