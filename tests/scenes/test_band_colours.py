"""Test what names and marks say about bands against the tables of the sensors."""

import pytest

from tfinet_mm.scenes.band_colours import (
    band_colours,
    colour_in,
    disagreement,
    example_bands,
    likely_colours,
    order_of,
    plain_name,
)

RGB = ['red', 'green', 'blue']
BGR = RGB[::-1]
NONE = ['', '', '']


@pytest.mark.parametrize(
    ('names', 'colour'),
    [
        (('red', 'Red', 'R', 'Band 4 (red)', 'B04_red', 'red (665 nm)', 'red_band'), 'red'),
        (('Green', 'g', 'green reflectance'), 'green'),
        (('blue', 'b', 'BLUE'), 'blue'),
        (('nir', 'NIR', 'near-infrared', 'Near Infrared', 'B8 nir'), 'nir'),
        (('', 'red edge', 'coastal blue', 'Green I', 'SWIR 1', 'B4', 'B 2', 'Band 1', 'grey'), ''),
        (('predicted', 'ndvi red', 'redness', 'G1', '1'), ''),
    ],
)
def test_a_colour_is_read_from_usual_names_alone(names, colour):
    assert {name: colour_in(name) for name in names} == dict.fromkeys(names, colour)


def test_leading_zeros_do_not_count():
    assert [plain_name(name) for name in ('B02', 'b2', 'SR_B2', 'B8A', 'B08a', 'Band 02')] == [
        'b2',
        'b2',
        'b2',
        'b8a',
        'b8a',
        'band 02',
    ]


@pytest.mark.parametrize(
    ('marks', 'names', 'sure', 'likely'),
    [
        (RGB, NONE, RGB, RGB),
        (NONE, ['Blue', 'Green', 'Red'], BGR, BGR),
        # GDAL marks bytes as red, green and blue, whatever their names.
        (RGB, ['blue', 'green', 'red'], BGR, BGR),
        (RGB, ['B02', 'B03', 'B04'], BGR, BGR),
        (NONE, ['B04', 'B03', 'B02'], RGB, RGB),
        (['', ''], ['B4, central wavelength 665 nm', 'B2, central wavelength 490 nm'], 0, 0),
        # Of Landsat 7, B2 is green.
        (NONE, ['B2', 'B3', 'B4'], NONE, BGR),
        (NONE, ['SR_B4', 'SR_B3', 'SR_B2'], NONE, RGB),
        (['', *NONE], ['B2', 'B3', 'B4', 'B8'], [*BGR, 'nir'], [*BGR, 'nir']),
        (['', *NONE], ['B02', 'B03', 'B04', 'B05'], [*BGR, ''], [*BGR, '']),
        # Counters, or Landsat 7.
        (NONE, ['B1', 'B2', 'B3'], NONE, NONE),
        (['', *NONE], ['B1', 'B2', 'B3', 'B4'], ['', *NONE], ['', *NONE]),
        (NONE, ['Band 2', 'Band 3', 'Band 4'], NONE, NONE),
        (RGB, ['Band 1', 'Band 2', 'Band 3'], RGB, RGB),
    ],
)
def test_names_count_before_marks(marks, names, sure, likely):
    sure, likely = sure or ['red', 'blue'], likely or ['red', 'blue']
    assert band_colours(marks, names) == sure
    assert likely_colours(marks, names) == likely


@pytest.mark.parametrize(
    ('first', 'second', 'order', 'place'),
    [
        (RGB, RGB, [0, 1, 2], None),
        (BGR, RGB, [2, 1, 0], 0),
        ([*RGB, ''], [*BGR, 'nir'], [2, 1, 0, 3], 0),
        (NONE, RGB, None, None),
        (RGB, ['nir', 'red', 'green'], None, 0),
        (['red', '', ''], ['', 'red', ''], None, 0),
        (['red', '', ''], ['red', 'green', 'blue'], None, None),
        (['red', '', ''], ['red', '', ''], [0, 1, 2], None),
        (['red', 'red', 'red'], RGB, None, 1),
    ],
)
def test_orders(first, second, order, place):
    found = order_of(first, second)
    if place is None:
        # Bands that are unknown stay where they are.
        assert found in (None, [*range(len(first))])
    else:
        assert found == order
    assert disagreement(first, second) == place


@pytest.mark.parametrize(
    ('colours', 'count', 'left_out', 'bands'),
    [
        ([''], 3, (), [1, 1, 1]),
        (['', ''], 3, (), [1, 2, 2]),
        (['', '', '', ''], 3, (), [1, 2, 3]),
        (['nir', '', '', ''], 3, (), [2, 3, 4]),
        (['nir', '', ''], 3, (), [1, 2, 3]),
        ([*BGR, 'nir'], 3, (), [3, 2, 1]),
        ([*BGR, 'nir'], 4, (), [1, 2, 3, 4]),
        (['', '', '', ''], 3, (1,), [2, 3, 4]),
        (RGB, 5, (), [1, 2, 3, 3, 3]),
    ],
)
def test_an_example_has_bands_of_the_file(colours, count, left_out, bands):
    assert example_bands(colours, count, left_out) == bands
