"""Test quality bands of other pixels than the images, against points looked up one by one."""

import cv2
import numpy as np
import pytest

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.bad_values import read_bad_values
from tfinet_mm.scenes.grid import apply_affine
from tfinet_mm.scenes.reader import ScenePair
from tfinet_mm.scenes.validity import codes_of

rasterio = pytest.importorskip('rasterio')
from rasterio.warp import transform as warp_points

EAST, NORTH = 500_000, 5_000_000
HEIGHT, WIDTH = 30, 40


@pytest.fixture
def pair(scene, smooth):
    return [scene(f'{seed}', smooth(HEIGHT, WIDTH, seed=seed)) for seed in (1, 2)]


def bad_after(pair, quality, bad='scl', window=None, **options):
    """Return where after is of bad quality."""
    with ScenePair(*pair, quality={'after': quality}, bad_values=bad, **options) as opened:
        _, codes = opened.read_codes(window)
        _, valid = opened.read(window)
    bad = np.isin(codes, codes_of('after_bad_quality'))
    np.testing.assert_array_equal(valid, ~bad)
    return bad


def looked_up(pair, quality, values, spread, crs='EPSG:32633'):
    """Return where any of 9 x 9 points of a pixel, spread by a part of it, is bad or outside."""
    with rasterio.open(pair[0]) as image, rasterio.open(quality) as band:
        classes, place, here, there = band.read(1), ~band.transform, image.transform, band.crs
    found = np.zeros((HEIGHT, WIDTH), bool)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    for right in np.linspace(0.5 - spread, 0.5 + spread, 9):
        for down in np.linspace(0.5 - spread, 0.5 + spread, 9):
            x, y = apply_affine(here, columns + right, rows + down)
            if there != rasterio.crs.CRS.from_user_input(crs):
                x, y = (
                    np.array(one).reshape(x.shape)
                    for one in warp_points(crs, there, x.ravel(), y.ravel())
                )
            column, row = (np.floor(one).astype(int) for one in apply_affine(place, x, y))
            inside = (column >= 0) & (column < classes.shape[1])
            inside &= (row >= 0) & (row < classes.shape[0])
            at = classes[row.clip(0, len(classes) - 1), column.clip(0, classes.shape[1] - 1)]
            found |= inside & np.isin(at, values)
    return found


def test_scl_of_20_m_beside_images_of_10_m(pair, scene):
    """Each of its pixels counts for four of the images."""
    classes = np.random.default_rng(0).choice([2, 4, 5, 6, 7, 11, 0, 1, 3, 8, 9, 10], (15, 20))
    quality = scene('scl', classes[None].astype(np.uint8), size=20)
    expected = np.isin(classes, [0, 1, 3, 8, 9, 10]).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(bad_after(pair, quality), expected)
    snow = (classes == 11).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(bad_after(pair, quality, ['scl', 11]), expected | snow)


@pytest.mark.parametrize(('size', 'shift'), [(60.0, 7.0), (2.5, 0.0), (7.0, 3.0)])
def test_any_bad_pixel_that_overlaps_is_enough(pair, scene, size, shift):
    """Of coarser, finer and shifted pixels; a window reads the same as the whole."""
    count = int(np.ceil(400 / size)) + 4
    classes = np.random.default_rng(1).choice([4, 9], (count, count), p=[0.9, 0.1])
    place = dict(x=EAST - size - shift, y=NORTH + size + shift, size=size)
    quality = scene('fine', classes[None].astype(np.uint8), **place)
    # Points just inside the pixel, since its edges belong to the neighbours.
    expected = looked_up(pair, quality, [9], 0.499)
    found = bad_after(pair, quality, 9)
    if size < 10:
        # 9 points along a pixel of 10 m are 1.25 m apart.
        np.testing.assert_array_equal(found, expected)
    else:
        assert (found == expected).all()
    part = bad_after(pair, quality, 9, window=(11, 5, 20, 17))
    np.testing.assert_array_equal(part, found[5:22, 11:31])


def test_another_crs_and_the_ground_it_does_not_cover(pair, scene):
    """In UTM 34 pixels are turned by some degrees: those at the corners may count as well."""
    ((x,), (y,)) = warp_points('EPSG:32633', 'EPSG:32634', [EAST + 200], [NORTH - 150])
    classes = np.random.default_rng(2).choice([4, 9], (12, 6), p=[0.8, 0.2])
    quality = scene(
        'utm34', classes[None].astype(np.uint8), x=x - 180, y=y + 180, size=30.0, crs='EPSG:32634'
    )
    outside = ~looked_up(pair, quality, [4, 9], 0.65)
    assert 300 < outside.sum() < 900
    found = bad_after(pair, quality, 9)
    assert found[outside].all()
    assert found[looked_up(pair, quality, [9], 0.499)].all()
    (row,) = bad_after(pair, quality, 9, window=(11, 9, 20, 1))
    np.testing.assert_array_equal(row, found[9, 11:31])
    inside = looked_up(pair, quality, [4, 9], 0)
    assert not found[inside & ~looked_up(pair, quality, [9], 0.65)].any()
    part = bad_after(pair, quality, 9, window=(11, 5, 20, 17))
    np.testing.assert_array_equal(part, found[5:22, 11:31])


def test_bits_of_landsat(pair, scene):
    """QA_PIXEL as in Landsat's handbook: clear 21824, cloud 22280, shadow 23888, fill 1."""
    words = {21824: False, 21952: False, 22280: True, 23888: True, 1: True, 55052: True}
    # Snow (bit 5) alone is clear ground for the short name.
    words[30048] = False
    values = np.resize(np.array(list(words), np.uint16), (HEIGHT, WIDTH))
    expected = np.resize(list(words.values()), (HEIGHT, WIDTH))
    quality = scene('qa', values[None], nodata=1)
    np.testing.assert_array_equal(bad_after(pair, quality, 'landsat-qa'), expected)
    snow = expected | (values == 30048)
    np.testing.assert_array_equal(bad_after(pair, quality, ['landsat-qa', 'bit5']), snow)


def test_a_mask_without_georeference_or_with_that_of_its_image(scene, smooth, tmp_path):
    """Where the georeference of after is set aside, so is that of its quality band."""
    far = dict(x=300_000, y=4_000_000)
    pair = [scene('b', smooth(HEIGHT, WIDTH)), scene('a', smooth(HEIGHT, WIDTH, 1), **far)]
    cloud = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    cloud[0, 3:9, 5:30] = 1
    plain = tmp_path / 'plain.png'
    cv2.imwrite(str(plain), cloud[0])
    for quality in (
        scene('same', cloud, **far),
        scene('coarse', cloud[:, 1::2, 1::2], size=20, **far),
        plain,
    ):
        found = bad_after(pair, quality, 1, same_grid=True)
        expected = cloud[0] > 0
        if quality.stem == 'coarse':
            expected = expected[1::2, 1::2].repeat(2, 0).repeat(2, 1)
        np.testing.assert_array_equal(found, expected)


def test_clouds_move_with_their_image(scene, smooth):
    """A correction of two columns moves the quality band as well."""
    pair = [scene('b', smooth(HEIGHT, WIDTH)), scene('a', smooth(HEIGHT, WIDTH, 1))]
    cloud = np.zeros((1, 15, 20), np.uint8)
    cloud[0, 5, 5] = 1
    quality = scene('q', cloud, size=20)
    found = bad_after(pair, quality, 1, correction=(1, 0, 20, 0, 1, 0))
    # The grid begins two columns further east, where after begins now.
    expected = np.zeros((HEIGHT, WIDTH - 2), bool)
    expected[10:12, 10:12] = True
    np.testing.assert_array_equal(found, expected)


def test_percentiles_leave_clouds_out(scene, smooth):
    """Bright clouds over a third of the image don't darken the rest."""
    values = smooth(HEIGHT, WIDTH, seed=3, scale=1000, dtype=np.uint16)
    cloudy = values.copy()
    cloudy[:, :10] = 9000
    mask = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    mask[:, :10] = 1
    quality = scene('q', mask)
    pair = [scene('b', values), scene('a', cloudy)]
    with ScenePair(*pair, stretch='percentiles', quality={'after': quality}, bad_values=1) as read:
        expected = np.percentile(values[:, 10:].reshape(3, -1), 98, axis=1)
        np.testing.assert_allclose(read.stretches[1].high, expected, rtol=1e-3)


def test_errors(pair, scene):
    clear = np.full((1, HEIGHT, WIDTH), 4, np.uint8)
    quality = scene('q', clear)
    several = scene('several', np.concatenate([clear, clear * 9]))
    for options, message in (
        (dict(quality=quality), 'needs the values that count as bad'),
        (dict(bad_values='scl'), 'give one with quality'),
        (dict(quality=several, bad_values='scl'), 'bands 1 to 2, none was named'),
        (dict(quality=(several, 3), bad_values=4), 'band 3 was asked for'),
        (dict(quality=f'{several}:2', bad_values='scl'), 'holds 36 in band 2, expected values'),
        (dict(quality=scene('far', clear, x=EAST + 9000), bad_values=4), 'lies outside the scene'),
        (dict(quality=scene('f', clear.astype('f4')), bad_values='bit2'), 'which have no bits'),
        (
            dict(quality=scene('n', clear[:, :9], crs=None), bad_values=4),
            'has no CRS and 40 x 9 pixels',
        ),
        (dict(quality=3, bad_values=4), 'expected quality .*got 3'),
    ):
        with pytest.raises(SceneError, match=message), ScenePair(*pair, **options) as opened:
            opened.read()
    with pytest.raises(FileNotFoundError, match=r'quality of before: there is no file none\.tif'):
        ScenePair(*pair, quality='none.tif', bad_values=4)
    with pytest.raises(SceneError, match="'cloud' is no bad value"):
        read_bad_values(['cloud'])
    with pytest.raises(SceneError, match='no bad values'):
        read_bad_values([])


@pytest.mark.parametrize(
    ('bad', 'kind', 'found'),
    [
        (300, 'uint8', 'never 300; .* from 0 to 255'),
        ([3, -1], 'uint8', 'never -1; '),
        (3.5, 'uint16', r'never 3\.5; '),
        ('nan', 'int16', 'never nan; '),
        ('bit12', 'uint8', 'never bit12; .*bit0 to bit7'),
        ('bit99', 'uint64', "'bit99' is no bad value"),
        ('landsat-qa', 'uint8', 'a band of 16 bits'),
    ],
)
def test_bad_values_that_no_pixel_can_have(pair, scene, bad, kind, found):
    """They would leave all clouds in."""
    quality = scene('quality', np.full((1, HEIGHT, WIDTH), 9, kind))
    with pytest.raises(SceneError, match=found):
        bad_after(pair, quality, bad)


@pytest.mark.parametrize(
    ('bad', 'value', 'kind'),
    [(0.7, 0.7, 'float32'), ('bit63', 1 << 63, 'uint64'), ('bit15', -1, 'int16')],
)
def test_bad_values_in_the_type_of_the_band(pair, scene, bad, value, kind):
    values = np.zeros((1, HEIGHT, WIDTH), kind)
    values[0, 3:7, 5:9] = value
    np.testing.assert_array_equal(bad_after(pair, scene('q', values), bad), values[0] != 0)


def test_ranges_of_bad_values():
    values = np.arange(12, dtype=np.uint8)
    for words, bad in (
        ('8-10', [8, 9, 10]),
        (['0-1', 3, '8-10'], [0, 1, 3, 8, 9, 10]),
        (['7-7', 'bit3'], [7, 8, 9, 10, 11]),
    ):
        assert np.flatnonzero(read_bad_values(words).find(values)).tolist() == bad
    assert read_bad_values('1000000-1000001').describe() == '1000000 1000001'
    for words in ('10-8', '0-70000'):
        with pytest.raises(SceneError, match=r'is no range .*lower number first'):
            read_bad_values(words)
    with pytest.raises(SceneError, match=r'is no bad value .*ranges such as 8-10'):
        read_bad_values('8-')
    with pytest.raises(SceneError, match=r'never 256; .* from 0 to 255'):
        read_bad_values('255-256').check('uint8', 'SCL')
