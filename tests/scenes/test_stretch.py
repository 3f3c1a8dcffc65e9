import numpy as np
import pytest

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.stretch import Stretch, percentile_stretch, stated_stretch


def test_each_band_has_its_own_limits():
    stretch = stated_stretch([(0, 10), (100, 300)], bands=2, name='a.tif')
    values = np.array([[[-5, 0, 2, 10, 11]], [[0, 100, 150, 300, 999]]], np.int16)
    made = stretch(values)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, [[[0, 0, 51, 255, 255]], [[0, 0, 63.75, 255, 255]]])
    assert stretch.metadata() == {'kind': 'stated', 'low': (0, 100), 'high': (10, 300)}


def test_one_pair_of_limits_holds_for_all_bands():
    assert stated_stretch((0, 3000), bands=3, name='a.tif').high == (3000, 3000, 3000)


def test_two_bands_take_two_numbers_as_one_pair():
    """Two bands, (0, 9): the limits of both, not a number for each."""
    stretch = stated_stretch((0, 9), bands=2, name='a.tif')
    assert (stretch.low, stretch.high) == ((0, 0), (9, 9))


@pytest.mark.parametrize(
    'limits',
    [5, (1, 1), (2, 1), (0, np.inf), [(0, 1)], [(0, 1), (1, 0)], 'auto', [(0, 1), 2]],
)
def test_limits_that_are_none(limits):
    with pytest.raises(SceneError, match=r'stretch of a\.tif as \(low, high\).*or as 2 of them'):
        stated_stretch(limits, bands=2, name='a.tif')


def test_percentiles_count_valid_pixels_of_each_band():
    values = np.stack([np.arange(101), 10 * np.arange(101)])[:, None].astype(np.uint16)
    valid = np.ones((1, 101), bool)
    stretch = percentile_stretch(values, valid, (5, 90), 'a.tif')
    assert (stretch.low, stretch.high, stretch.percentiles) == ((5, 50), (90, 900), (5, 90))
    # Without the upper half the largest values are 50 and 500.
    valid[:, 51:] = False
    half = percentile_stretch(values, valid, (0, 100), 'a.tif')
    assert (half.low, half.high) == ((0, 0), (50, 500))


def test_a_constant_band_becomes_zero():
    values = np.full((1, 4, 4), 700, np.uint16)
    stretch = percentile_stretch(values, np.ones((4, 4), bool), (2, 98), 'a.tif')
    assert not stretch(values).any()


def test_percentiles_that_cannot_be_taken():
    values = np.zeros((1, 2, 2), np.uint16)
    for wrong in ((98, 2), (5, 5), (-1, 50), (2, 101), (np.nan, 98)):
        with pytest.raises(SceneError, match='two percentiles in rising order from 0 to 100'):
            percentile_stretch(values, np.ones((2, 2), bool), wrong, 'a.tif')
    with pytest.raises(SceneError, match=r'a\.tif has no valid pixel'):
        percentile_stretch(values, np.zeros((2, 2), bool), (2, 98), 'a.tif')


def test_bytes_are_taken_as_they_are():
    values = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    assert Stretch('none')(values) is values


@pytest.mark.parametrize('percentiles', [(2,), (1, 2, 3), 5, ('a', 'b'), None])
def test_percentiles_that_are_no_two_numbers(percentiles):
    with pytest.raises(SceneError, match='--percentiles'):
        percentile_stretch(np.ones((1, 2, 2)), np.ones((2, 2), bool), percentiles, 'before')
