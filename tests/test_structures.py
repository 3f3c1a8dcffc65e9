import numpy as np
import pytest
import torch

from tfinet_mm.structures import HRSCD, LANDSAT_SCD, SECOND, ClassTable, to_semantic_change

CASES = [
    # land cover, change, semantic change
    (0, 1, 1),
    (5, 1, 6),
    (5, 0, 0),
    (255, 0, 0),
    (255, 1, 255),
    (3, 255, 255),
    (255, 255, 255),
    (253, 1, 254),
]


@pytest.mark.parametrize('dtype', [np.uint8, np.int64])
def test_to_semantic_change_of_arrays(dtype):
    cover, change, expected = (np.array(x, dtype=dtype) for x in zip(*CASES, strict=True))
    result = to_semantic_change(cover, change)
    assert result.tolist() == expected.tolist()
    assert result.dtype == dtype


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int64])
def test_to_semantic_change_of_tensors(dtype):
    cover, change, expected = (torch.tensor(x, dtype=dtype) for x in zip(*CASES, strict=True))
    result = to_semantic_change(cover, change)
    assert result.tolist() == expected.tolist()
    assert result.dtype == dtype


def test_arguments_are_left_alone():
    cover, change = np.array([1, 255]), np.array([1, 1])
    to_semantic_change(cover, change)
    assert cover.tolist() == [1, 255]
    assert change.tolist() == [1, 1]


@pytest.mark.parametrize(
    ('table', 'classes', 'index', 'name', 'colour'),
    [
        (SECOND, 6, 5, 'building', (128, 0, 0)),
        (SECOND, 6, 0, 'unchanged', (255, 255, 255)),
        (SECOND, 6, 4, 'tree', (0, 255, 0)),
        (LANDSAT_SCD, 4, 4, 'water', (0, 170, 240)),
        (HRSCD, 5, 3, 'forests', (77, 168, 0)),
    ],
)
def test_tables(table, classes, index, name, colour):
    assert table.num_classes == classes == len(table.land_cover)
    assert table.names[index] == name
    assert table.palette[index] == colour


def test_metainfo_there_and_back():
    meta = SECOND.metainfo()
    assert meta['classes'] == ('unchanged', 'changed')
    assert ClassTable.from_metainfo(meta) == SECOND


@pytest.mark.parametrize(
    ('names', 'palette', 'message'),
    [
        (['a', 'b'], [[0, 0, 0]], '2 names and 1 colours'),
        (['a', 'a'], [[0, 0, 0], [1, 1, 1]], 'names of a class table must differ'),
        (['a', 'b'], [[0, 0, 0], [0, 0, 0]], 'colours of a class table must differ'),
        (['a', 'b'], [[0, 0, 0], [0, 0, 256]], r'from 0 to 255.*got \[0, 0, 256\]'),
        (['a', 'b'], [[0, 0, 0], [-1, 0, 0]], r'got \[-1, 0, 0\]'),
        (['a', 'b'], [[0, 0, 0], [0.5, 0, 0]], r'got \[0\.5, 0, 0\]'),
        (['a', 'b'], [[0, 0, 0], [True, 0, 0]], r'got \[True, 0, 0\]'),
        (['a', 'b'], [[0, 0, 0], [0, 0]], r'three whole numbers.*got \[0, 0\]'),
        (['a', 'b'], [[0, 0, 0], '#ff0000'], "got '#ff0000'"),
        (['a', 'b'], [[0, 0, 0], '123'], "got '123'"),
        (['a', 'b'], [[0, 0, 0], ['1', '2', '3']], "got .*'1', '2', '3'"),
        (['a', 'b'], [[0, 0, 0], None], 'got None'),
        (['a', 'b'], 'viridis', "semantic_palette must be a list.*got 'viridis'"),
        ('ab', [[0, 0, 0], [1, 1, 1]], "semantic_classes must be a list.*got 'ab'"),
        (None, [[0, 0, 0]], 'semantic_classes must be a list'),
        (['a', ' '], [[0, 0, 0], [1, 1, 1]], "must be words, got ' '"),
        (['a', 1], [[0, 0, 0], [1, 1, 1]], 'must be words, got 1'),
        (['a'], [[0, 0, 0]], 'at least one land-cover class'),
    ],
)
def test_bad_tables(names, palette, message):
    with pytest.raises(ValueError, match=message):
        ClassTable(names, palette)


def test_colours_of_numpy_are_numbers():
    table = ClassTable(['a', 'b'], np.array([[0, 0, 0], [255, 1, 2]], np.uint8))
    assert table.palette == ((0, 0, 0), (255, 1, 2))
    assert {type(value) for colour in table.palette for value in colour} == {int}


def test_metainfo_without_classes():
    with pytest.raises(ValueError, match=r"lacks \['semantic_classes', 'semantic_palette'\]"):
        ClassTable.from_metainfo({'classes': ('a',)})
