"""Test the rules for changed pixels against SciPy, in blocks of any height."""

import numpy as np
import pytest
from scipy import ndimage

from tfinet_mm.errors import SceneError
from tfinet_mm.io.rasters import open_raster, raw_writer, row_blocks
from tfinet_mm.scenes.change_rules import ChangeRules, change_blocks, majority_class

pytest.importorskip('rasterio')
HEIGHT, WIDTH = 61, 47


@pytest.fixture
def prob():
    """Smooth random values, so that regions reach over many rows, with a wedge without data."""
    noise = np.random.default_rng(3).random((HEIGHT, WIDTH))
    values = ndimage.gaussian_filter(noise, 1.2)
    values = ((values - values.min()) / np.ptp(values)).astype(np.float32)
    values[np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) < 15] = np.nan
    return values


def change(tmp_path, prob, rules, rows=HEIGHT):
    path = tmp_path / 'prob.img'
    with raw_writer(path, 'float32', *prob.shape) as write:
        write(prob)
    with open_raster(path) as raster:
        blocks = list(row_blocks(*prob.shape, pixels=rows * prob.shape[1]))
        return np.concatenate(list(change_blocks(raster, rules, blocks)))


def medians(prob, side):
    """Return the lower median of the seen values around each seen pixel."""
    half = side // 2
    found = np.full(prob.shape, np.nan)
    for row, column in zip(*np.nonzero(~np.isnan(prob)), strict=True):
        around = prob[
            max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1
        ]
        values = np.sort(around[~np.isnan(around)])
        found[row, column] = values[(len(values) - 1) // 2]
    return found


def regions(prob, low, high):
    labels, _ = ndimage.label(np.nan_to_num(prob, nan=-1) >= low)
    kept = np.unique(labels[np.nan_to_num(prob, nan=-1) >= high])
    return np.isin(labels, kept[kept > 0])


@pytest.mark.parametrize('rows', [1, 2, 7, 60, HEIGHT])
def test_hysteresis_keeps_regions_that_reach_the_upper_threshold(tmp_path, prob, rows):
    expected = regions(prob, 0.6, 0.85)
    # Some regions are dropped, and some are kept.
    assert 200 < expected.sum() < (prob >= 0.6).sum() - 200
    found = change(tmp_path, prob, ChangeRules(hysteresis=(0.6, 0.85)), rows)
    np.testing.assert_array_equal(found, np.where(np.isnan(prob), 255, expected))


@pytest.mark.parametrize('rows', [1, 4, HEIGHT])
@pytest.mark.parametrize('side', [3, 9])
def test_smoothing_is_by_the_median(tmp_path, prob, rows, side):
    median = medians(prob, side)
    found = change(tmp_path, prob, ChangeRules(0.55, smooth=side), rows)
    expected = median >= np.float32(0.55)
    assert (expected != (prob >= 0.55)).sum() > 50
    np.testing.assert_array_equal(found, np.where(np.isnan(prob), 255, expected))
    both = change(tmp_path, prob, ChangeRules(hysteresis=(0.5, 0.7), smooth=side), rows)
    expected = regions(median, np.float32(0.5), np.float32(0.7))
    np.testing.assert_array_equal(both, np.where(np.isnan(prob), 255, expected))


def test_a_spiral_through_many_blocks(tmp_path):
    """The only pixel above the upper threshold is at the end, in the middle."""
    prob = np.zeros((11, 11), np.float32)
    prob[0] = prob[:, 10] = prob[10] = prob[2:, 0] = prob[2, :9] = 0.6
    prob[2:9, 8] = prob[8, 2:9] = prob[4:9, 2] = 0.6
    prob[4, 2:7] = 0.6
    prob[4, 6] = 0.9
    for rows in (1, 3, 11):
        found = change(tmp_path, prob, ChangeRules(hysteresis=(0.5, 0.9)), rows)
        np.testing.assert_array_equal(found, prob >= 0.6)
        prob[4, 6] = 0.6
        assert not change(tmp_path, prob, ChangeRules(hysteresis=(0.5, 0.9)), rows).any()
        prob[4, 6] = 0.9


def test_classes_by_majority():
    cover = np.random.default_rng(1).integers(0, 4, (23, 31)).astype(np.uint8)
    found = majority_class(cover, 5, 3)
    assert (found == 0).sum() == (cover == 0).sum()
    padded = np.pad(cover, 2)
    for row, column in zip(*np.nonzero(cover), strict=True):
        counts = np.bincount(padded[row : row + 5, column : column + 5].ravel(), minlength=4)[1:]
        own = cover[row, column]
        best = own if counts[own - 1] == counts.max() else counts.argmax() + 1
        assert found[row, column] == best


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(threshold=1.5), 'probability from 0 to 1, got 1.5'),
        (dict(hysteresis=(0.8, 0.4)), 'LOW <= HIGH <= 1, got 0.8 0.4'),
        (dict(smooth=4), 'odd number from 1 to 255, got 4'),
    ],
)
def test_values_out_of_range(options, message):
    with pytest.raises(SceneError, match=message):
        ChangeRules(**options)
