"""Test tables of values and colours against lookups written out."""

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.io.label_files import StoredLabel, read_stored_label
from tfinet_mm.io.label_storage import IGNORED, LabelStorage, ValueRules
from tfinet_mm.io.label_values import mapped_classes, table_positions
from tfinet_mm.io.labels import read_semantic_label
from tfinet_mm.structures import SECOND


def stored(values, **facts):
    return StoredLabel(np.asarray(values), None, **facts)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int32])
@pytest.mark.parametrize('number', [3, 300])
def test_places_in_a_table(dtype, number):
    keys = list(range(number))[::-1] if number < 256 or dtype != np.uint8 else list(range(256))
    values = np.random.default_rng(0).choice(keys, (9, 7)).astype(dtype)
    places, unknown = table_positions('a', stored(values), keys, 'table')
    assert places.tolist() == [[keys.index(v) for v in row] for row in values.tolist()]
    assert unknown == 0


def test_nodata_and_masked_pixels_are_ignored():
    label = stored([[1, 2, 9, 1]], nodata=9, missing=np.array([[False, False, False, True]]))
    places, _ = table_positions('a', label, [2, 1], 'table')
    assert places.tolist() == [[1, 0, 2, 2]]
    # A value that the table lists has the meaning it has there.
    places, _ = table_positions('a', label, [2, 1, 9], 'table')
    assert places.tolist() == [[1, 0, 2, 3]]


def test_values_and_colours_are_not_taken_for_each_other():
    colours = np.array([[(1, 2, 3), (1, 1, 1)]], np.uint8)
    with pytest.raises(LabelFormatError, match='holds colours, but table lists values'):
        table_positions('a', stored(colours), [1], 'table')
    grey = np.full((1, 2, 3), 1, np.uint8)
    assert table_positions('a', stored(grey), [1], 'table')[0].tolist() == [[0, 0]]
    with pytest.raises(LabelFormatError, match='one band without a palette, but table lists col'):
        table_positions('a', stored([[1]]), [(1, 1, 1)], 'table')
    with pytest.raises(LabelFormatError, match='colours of type uint16'):
        table_positions('a', stored(colours.astype(np.uint16)), [(1, 1, 1)], 'table')


def test_a_class_that_a_file_declares_as_nodata():
    rules = ValueRules('class', ((7, IGNORED),))
    label = stored([[0, 7, 1]], nodata=0)
    with pytest.raises(LabelFormatError, match="0 as nodata, which is the class 'water'"):
        mapped_classes('a', label, SECOND_FROM_WATER, LabelStorage('index', rules=rules))
    rules = ValueRules('class', ((0, IGNORED), (7, 3)))
    values = mapped_classes('a', label, SECOND_FROM_WATER, LabelStorage('index', rules=rules))
    assert values.tolist() == [[255, 4, 2]]


SECOND_FROM_WATER = type(SECOND)(('unchanged', 'water', 'b', 'c', 'd'), SECOND.palette[:5])


def test_values_of_many_bits():
    rules = ValueRules(mapped=((-1, IGNORED), (70000, 2)))
    options = LabelStorage('index', rules=rules)
    values = mapped_classes('a', stored([[-1, 70000, 6, 0]]), SECOND, options)
    assert values.tolist() == [[255, 2, 6, 0]]
    with pytest.raises(LabelValueError, match=r'50\.00 % .* as -2, 9, expected .* -1, 70000'):
        mapped_classes('a', stored([[-2, 9, 6, 0]]), SECOND, options)


@pytest.mark.parametrize('palette', [False, True])
def test_colours_that_label_map_names(tmp_path, palette):
    path = tmp_path / 'a.png'
    extra = (9, 8, 7)
    if palette:
        image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), mode='P')
        image.putpalette([*SECOND.palette[1], *extra, *SECOND.palette[2]])
        image.save(path)
    else:
        colours = np.array([[SECOND.palette[1], extra, SECOND.palette[2]]], np.uint8)
        Image.fromarray(colours).save(path)
    assert read_stored_label(path).pixels.ndim == 2 + (not palette)
    for meant, expected in ((3, 3), (IGNORED, 255)):
        rules = ValueRules(mapped=((extra, meant), (SECOND.palette[2], 5)))
        label = read_semantic_label(path, SECOND, LabelStorage('colours', rules=rules))
        assert label.values.tolist() == [[1, expected, 5]]
