"""Test filters with and without OpenCV against SciPy and loops."""

import numpy as np
import pytest

from tfinet_mm.scenes import filters

ndimage = pytest.importorskip('scipy.ndimage')


@pytest.fixture(params=[True, False], ids=['opencv', 'numpy'])
def installed(request, monkeypatch):
    monkeypatch.setattr(filters, 'has_opencv', lambda: request.param)


@pytest.fixture
def band():
    return np.random.default_rng(0).random((37, 52)).astype(np.float32) * 255


@pytest.mark.parametrize('side', [1, 3, 7, 41])
def test_counts_in_a_square(installed, band, side):
    mask = band > 180
    found = filters.count_around(mask, side)
    assert found.dtype == np.int32
    wanted = ndimage.convolve(mask.astype(int), np.ones((side, side), int), mode='constant')
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize('side', [2, 3, 4])
def test_thick_parts_are_covered_by_squares(band, side):
    mask = ndimage.gaussian_filter(band, 2) > 127
    padded = np.pad(mask, side, constant_values=True)
    wanted = np.zeros_like(padded)
    for top, left in np.ndindex(padded.shape[0] - side + 1, padded.shape[1] - side + 1):
        square = np.s_[top : top + side, left : left + side]
        wanted[square] |= padded[square].all()
    found = filters.thick_parts(mask, side)
    np.testing.assert_array_equal(found, wanted[side:-side, side:-side])
    assert 0 < found.sum() < mask.sum()


def test_blur_and_slopes(installed, band):
    """The weights of the blur end within four pixels, where they are below 2e-4."""
    wanted = ndimage.gaussian_filter(band.astype(float), 1.0, mode='mirror', truncate=4)
    np.testing.assert_allclose(filters.blurred(band), wanted, atol=0.05)
    across, down = filters.slopes(band)
    for found, axis in ((across, 1), (down, 0)):
        wanted = ndimage.sobel(band.astype(float), axis=axis, mode='mirror') / 8
        np.testing.assert_allclose(found, wanted, atol=1e-4)
