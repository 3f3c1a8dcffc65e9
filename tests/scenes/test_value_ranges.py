"""Test that values beside the network's range are told, and ordinary scenes are not."""

import re
import warnings

import numpy as np
import pytest

from tfinet_mm.scenes.reader import ScenePair

pytest.importorskip('rasterio')


@pytest.fixture
def told(scene, smooth):
    """Return the warnings of a scene whose second date has other values."""

    def told(convert, stretch):
        values = smooth(30, 40, dtype=np.float32)
        good = convert(values) if stretch == 'percentiles' else values / 255
        pair = [scene('b', good.astype(np.float32)), scene('a', convert(values))]
        of_before = stretch if stretch == 'percentiles' else (0, 1)
        options = dict(stretch={'before': of_before, 'after': stretch})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            ScenePair(*pair, **options).close()
        return [str(one.message) for one in caught]

    return told


@pytest.mark.parametrize(
    ('convert', 'stretch', 'message'),
    [
        # Reflectance from 0 to 1 as if it were 0 to 10,000, and the other way round.
        (
            lambda x: x / 255,
            (0, 10_000),
            r'0\.\d+ or less: black in the range from 0 to 10000',
        ),
        (
            lambda x: (x * 40).astype(np.uint16),
            (0, 255),
            '255 or more: white',
        ),
        (
            lambda x: x.astype(np.uint8),
            (0, 3000),
            r'255 at most \(uint8\) in the range from 0 to 3000',
        ),
        # A map of classes in place of an image.
        (
            lambda x: (x / 64).astype(np.uint8),
            None,
            '[23] or less: black',
        ),
    ],
)
def test_values_beside_the_range(told, convert, stretch, message):
    found = told(convert, stretch)
    assert len(found) == 3
    for band, one in enumerate(found, 1):
        assert re.search(rf'the values of band {band} of after \(.*\) are {message}', one)
        assert '--stretch' in one


def test_a_date_that_shows_nothing(scene, smooth):
    """One band of a float image is empty; an 8-bit image is nodata."""
    one = smooth(30, 40, dtype=np.float32)
    gap = one.copy()
    gap[1] = np.nan
    pair = scene('b', one), scene('a', gap)
    match = r'a\.tif\) shows no pixel of the overlap: band 2 has no data at all'
    with pytest.warns(UserWarning, match=match):
        ScenePair(*pair, stretch=(0, 255)).close()
    empty = scene('c', np.zeros((3, 30, 40), np.uint8), nodata=0)
    with pytest.warns(UserWarning, match=r'before .*c\.tif\) shows no pixel .*: all are nodata'):
        ScenePair(empty, scene('d', smooth(30, 40))).close()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        ScenePair(*pair, stretch=(0, 255), bands=[1, 3]).close()


@pytest.mark.parametrize(
    ('convert', 'stretch'),
    [
        (lambda x: x.astype(np.uint8), None),
        (lambda x: (x * 10).astype(np.uint16), (0, 3000)),
        (lambda x: (x * 10).astype(np.uint16), 'percentiles'),
        (lambda x: np.full(x.shape, 3, np.uint8), None),
    ],
)
def test_ordinary_values(told, convert, stretch):
    assert not [one for one in told(convert, stretch) if 'range from' in one]


def warned(*pair, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        ScenePair(*pair, **options).close()
    return ' '.join(str(one.message) for one in caught)


@pytest.mark.parametrize(
    ('number', 'dtype', 'is_told'),
    [
        (0, np.uint8, True),
        (255, np.uint8, True),
        (100, np.uint8, False),
        (0, np.uint16, True),
        (-9999, np.int16, True),
        (-3.4028234663852886e38, np.float32, True),
    ],
)
@pytest.mark.parametrize('dates', ['before', 'both'])
def test_a_number_that_stands_for_missing_data_is_told(
    scene, smooth, number, dtype, is_told, dates
):
    """Without a mark in the file, its pixels are seen, and shift the percentiles."""
    values = (smooth(64, 64, scale=180) + 30).astype(dtype)
    holed = values.copy()
    holed[:, :20, :20] = number
    pair = [scene('b', holed), scene('a', holed if dates == 'both' else values)]
    heard = warned(*pair, stretch='auto')
    assert (f'are {number:.9g} in all bands' in heard) is is_told
    marked = warned(*pair, stretch='auto', nodata=number)
    assert 'in all bands' not in marked


def test_dark_ground_is_no_missing_data(scene, smooth):
    """Values next to 0 are there too."""
    dark = np.clip(smooth(64, 64).astype(int) - 140, 0, 255).astype(np.uint8)
    assert ((dark == 0).all(axis=0)).mean() > 0.01
    assert 'in all bands' not in warned(scene('b', dark), scene('a', dark))
