"""Test the one stretch of both dates: unchanged ground gets equal values, dark dates are told."""

import warnings

import numpy as np
import pytest

from tfinet_mm.errors import ManifestError, SceneError
from tfinet_mm.scenes.prediction import predict_scene
from tfinet_mm.scenes.reader import ScenePair
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.scenes.source_images import open_images

rasterio = pytest.importorskip('rasterio')
EAST, NORTH = 500_000, 5_000_000


def told(*paths, **options):
    """Return the stretches, the pair and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        with ScenePair(*paths, **options) as pair:
            values, valid = pair.read()
            return pair.stretches, values, valid, [str(one.message) for one in caught]


def test_ground_that_did_not_change_keeps_its_values(scene, smooth):
    """Half of the scene is rebuilt, a quarter brighter; the other half is the same."""
    one = smooth(40, 60, scale=1000, dtype=np.uint16)
    two = one.copy()
    two[:, :, 30:] += two[:, :, 30:] // 4
    pair = scene('b', one), scene('a', two)
    (before, after), values, _, messages = told(*pair, stretch='percentiles')
    np.testing.assert_array_equal(values[:3, :, :30], values[3:, :, :30])
    expected = np.percentile(np.concatenate([one, two], axis=2).reshape(3, -1), (2, 98), axis=1)
    np.testing.assert_allclose([before.low, before.high], expected)
    assert after == before
    assert not messages
    # By dates of their own, the same ground differs.
    (before, after), values, _, _ = told(*pair, stretch='each-date')
    assert after.high > before.high
    assert np.abs(values[:3, :, :30] - values[3:, :, :30]).mean() > 5
    # 8 bit stays as it is with the default of a prediction, and others have one stretch.
    assert told(*pair, stretch='auto')[0] == told(*pair, stretch='percentiles')[0]


def test_only_pixels_that_both_dates_show_count(scene, smooth):
    """Nodata of one date, ground outside the overlap and bad quality leave no trace."""
    one = smooth(40, 60, scale=1000, dtype=np.uint16)
    two = smooth(40, 60, seed=1, scale=1000, dtype=np.uint16)
    one[:, :, :10] = 9000
    two[:, :10] = 0
    cloudy = one.copy()
    cloudy[:, 30:, 30:] = 20_000
    quality = np.zeros((1, 40, 60), np.uint8)
    quality[:, 30:, 30:] = 1
    # The first ten columns of before lie outside after.
    after = scene('a', two[:, :, 10:], EAST + 100, nodata=0)
    options = dict(
        stretch='percentiles',
        percentiles=(0, 100),
        quality={'before': scene('q', quality)},
        bad_values=1,
    )
    (found, _), *_ = told(scene('b', cloudy), after, **options)
    seen = np.ones((40, 60), bool)
    seen[:10], seen[:, :10], seen[30:, 30:] = False, False, False
    both = np.concatenate([one[:, seen], two[:, seen]], axis=1)
    np.testing.assert_array_equal([found.low, found.high], [both.min(axis=1), both.max(axis=1)])


def test_dates_without_a_common_pixel_and_without_any(scene, smooth):
    one, two = (smooth(40, 60, seed=seed, scale=1000, dtype=np.uint16) for seed in (0, 1))
    one[:, :20], two[:, 20:] = 0, 0
    pair = scene('b', one, nodata=0), scene('a', two, nodata=0)
    (found, _), _, valid, _ = told(*pair, stretch='percentiles', percentiles=(0, 100))
    assert not valid.any()
    assert found.high == tuple(np.maximum(one, two).max(axis=(1, 2)))
    empty = scene('e', np.zeros_like(one), nodata=0)
    with pytest.raises(SceneError, match=r'after \(.*e\.tif\) has no valid pixel .*--stretch LOW'):
        told(pair[0], empty, stretch='percentiles')


@pytest.mark.parametrize(
    ('change', 'look'),
    [
        (lambda x: x // 5, 'dark'),
        (lambda x: x // 5 + 800, 'pale'),
        (lambda x: x // 5 + 400, 'flat'),
        (lambda x: x // 2, 'dark'),
        (lambda x: x * 4 // 5, None),
        (lambda x: x, None),
    ],
)
def test_a_date_that_one_stretch_leaves_dark(scene, smooth, change, look):
    one = smooth(40, 60, scale=1000, dtype=np.uint16)
    other = change(smooth(40, 60, seed=1, scale=1000, dtype=np.uint16))
    pair = scene('b', other), scene('a', one)
    messages = told(*pair, stretch='percentiles', bands=[3, 1])[-1]
    if look is None:
        assert not messages
    else:
        (message,) = messages
        low, high = np.percentile(other[2], (2, 98))
        assert f'b.tif) looks {look} in the one stretch of all dates' in message
        assert f'band 3 from {low:.4g} to {high:.4g}, ' in message
        assert '; band 1 from' in message
        assert '--stretch each-date' in message
    assert not told(*pair, stretch='each-date')[-1]


def test_a_date_of_another_unit(scene, smooth):
    one = smooth(40, 60, scale=10_000, dtype=np.uint16)
    pair = scene('b', one), scene('a', (one / 10_000).astype(np.float32))
    (message,) = told(*pair, stretch='auto')[-1]
    assert 'a.tif) looks dark' in message
    assert 'If its numbers are of another unit' in message


def test_numbers_of_other_scale_are_pooled_as_values(scene, smooth):
    """The same ground, of which after stores 20 more, and says so."""
    one = smooth(40, 60, scale=1000, dtype=np.uint16)
    paths = [scene('b', one), scene('a', one + 20)]
    for path, offset in zip(paths, (0.0, -2.0), strict=True):
        with rasterio.open(path, 'r+') as file:
            file.scales, file.offsets = (0.1,) * 3, (offset,) * 3
    (before, after), values, _, _ = told(*paths, stretch='percentiles')
    np.testing.assert_allclose(before.high, np.percentile(one.reshape(3, -1), 98, axis=1))
    np.testing.assert_allclose(np.subtract(after.high, before.high), 20)
    np.testing.assert_allclose(values[3:], values[:3], atol=1e-3)
    assert after.kind == 'percentiles'


def test_eight_bits_beside_sixteen_need_a_stretch(scene, smooth):
    pair = scene('b', smooth(40, 60)), scene('a', smooth(40, 60, dtype=np.uint16))
    with pytest.raises(SceneError, match=r'b\.tif\) stores 8-bit values and after .*each-date'):
        told(*pair, stretch='auto')
    same = scene('c', smooth(40, 60))
    assert told(pair[0], same, stretch='auto')[0][0].kind == 'none'


def test_a_finished_scene_keeps_its_stretch(scene, smooth, network, tmp_path, capsys):
    """The same run again does nothing, and the images open as the network saw them."""
    ground = smooth(160, 160, scale=1000, dtype=np.uint16)
    pair = scene('b', ground), scene('a', ground * 2, EAST + 30)
    options = dict(polygons=False, align=True)
    for again in (False, True):
        used = network(window=128)
        predict_scene(used, *pair, tmp_path / 'out', **options)
        assert bool(used.seen) is not again
    results = SceneResults(tmp_path / 'out')
    limits = results.scene['before']['stretch']
    assert results.scene['after']['stretch'] == limits
    assert limits['kind'] == 'percentiles'
    with open_images(results) as opened:
        assert [stretch.low for stretch in opened.stretches] == [tuple(limits['low'])] * 2
        assert [stretch.high for stretch in opened.stretches] == [tuple(limits['high'])] * 2
    with pytest.raises(ManifestError, match=r"stretch\.kind was 'percentiles', is 'each-date'"):
        predict_scene(used, *pair, tmp_path / 'out', stretch='each-date', **options)
    assert 'Stretch: percentiles 2 and 98 of all dates become 0 and 255' in capsys.readouterr().out
