import numpy as np
import pytest
from PIL import Image

from tfinet_mm.datasets.annotations import (
    LabelSpec,
    combine_semantic_change,
    read_pair_labels,
    to_land_cover,
)
from tfinet_mm.datasets.label_meaning import parse_transitions
from tfinet_mm.datasets.landsat_scd import TRANSITIONS
from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.structures import LANDSAT_SCD, SECOND, to_semantic_change


def as_map(*values):
    return np.array([values], np.uint8)


def slow_combination(label_from, label_to, mask):
    """Return change and land cover of one pixel, rule by rule."""
    if mask is None:
        if 255 in (label_from, label_to):
            change = 255
        elif label_from > 0 and label_to > 0:
            change = 1
        elif label_from == 0 and label_to == 0:
            change = 0
        else:
            return 255, 255, 255, 1
    else:
        change = mask
        if 255 not in (label_from, label_to):
            one_sided = (label_from > 0) != (label_to > 0)
            if one_sided or (mask != 255 and (label_from > 0) != (mask == 1)):
                return 255, 255, 255, 1
    cover = [255 if label in (0, 255) else label - 1 for label in (label_from, label_to)]
    return change, *cover, 0


@pytest.mark.parametrize('mask_values', [(None,), (0, 1, 255)])
def test_combination_agrees_with_plain_words(mask_values):
    cases = [
        (before, after, mask)
        for before in (0, 1, 6, 255)
        for after in (0, 1, 6, 255)
        for mask in mask_values
    ]
    before, after = as_map(*[c[0] for c in cases]), as_map(*[c[1] for c in cases])
    mask = None if mask_values == (None,) else as_map(*[c[2] for c in cases])
    result = combine_semantic_change(before, after, mask)
    expected = [slow_combination(*case) for case in cases]
    assert result.change[0].tolist() == [e[0] for e in expected]
    assert result.cover_from[0].tolist() == [e[1] for e in expected]
    assert result.cover_to[0].tolist() == [e[2] for e in expected]
    assert result.conflicts == sum(e[3] for e in expected)


def test_equal_classes_on_both_dates_are_a_change():
    result = combine_semantic_change(as_map(5, 0), as_map(5, 0))
    assert result.change.tolist() == [[1, 0]]
    assert result.cover_from.tolist() == [[4, 255]]


def test_arguments_are_left_alone():
    before, after, mask = as_map(0, 5), as_map(3, 5), as_map(1, 1)
    copies = before.copy(), after.copy(), mask.copy()
    combine_semantic_change(before, after, mask)
    for array, copy in zip((before, after, mask), copies, strict=True):
        assert np.array_equal(array, copy)


def test_shifting_to_land_cover_and_back_gives_the_labels_again():
    before, after = as_map(0, 1, 6, 3), as_map(0, 2, 6, 1)
    result = combine_semantic_change(before, after)
    assert np.array_equal(to_semantic_change(result.cover_from, result.change), before)
    assert np.array_equal(to_semantic_change(result.cover_to, result.change), after)
    assert to_land_cover(as_map(0, 1, 254, 255)).tolist() == [[255, 0, 253, 255]]


@pytest.fixture
def files(tmp_path):
    def write(**maps):
        info = {}
        for key, values in maps.items():
            path = tmp_path / f'{key}.png'
            Image.fromarray(np.asarray(values, np.uint8)).save(path)
            info[key] = str(path)
        return info

    return write


def test_land_cover_takes_the_change_from_its_mask_only(files):
    info = files(
        seg_map_path_from=as_map(1, 2, 0, 3),
        seg_map_path_to=as_map(1, 3, 4, 3),
        seg_map_path=as_map(0, 0, 255, 255),
    )
    spec = LabelSpec(SECOND, semantics='land_cover')
    loaded = read_pair_labels(info, spec)
    assert loaded.change.tolist() == [[0, 0, 1, 1]]
    assert loaded.cover_from.tolist() == [[0, 1, 255, 2]]
    assert loaded.cover_to.tolist() == [[0, 2, 3, 2]]
    assert loaded.conflicts == 0
    assert loaded.storages == {'from': 'index', 'to': 'index', 'change': '0/255'}
    del info['seg_map_path']
    with pytest.raises(LabelFormatError, match='from which change can not be derived'):
        read_pair_labels(info, spec)


def test_change_from_a_semantic_label(files):
    info = files(
        seg_map_path_from=as_map(1, 2, 3, 1),
        seg_map_path_to=as_map(1, 3, 3, 1),
        seg_map_path=as_map(0, 2, 3, 255),
    )
    spec = LabelSpec(SECOND, semantics='land_cover', change_storage='semantic')
    assert read_pair_labels(info, spec).change.tolist() == [[0, 1, 1, 255]]


def test_transitions_give_both_dates(files):
    # The ten transitions of Landsat-SCD, written out.
    pairs = [(0, 0), (1, 2), (1, 3), (2, 1), (2, 3), (2, 4), (3, 1), (3, 2), (4, 1), (4, 2)]
    info = files(seg_map_path_from=as_map(*range(10), 255))
    info['seg_map_path_to'] = info['seg_map_path_from']
    spec = LabelSpec(
        LANDSAT_SCD, transitions=parse_transitions(TRANSITIONS, LANDSAT_SCD.names, shift=0)
    )
    loaded = read_pair_labels(info, spec)
    assert loaded.cover_from[0].tolist() == [255, *[p[0] - 1 for p in pairs[1:]], 255]
    assert loaded.cover_to[0].tolist() == [255, *[p[1] - 1 for p in pairs[1:]], 255]
    assert loaded.change[0].tolist() == [0, *[1] * 9, 255]
    info.update(files(seg_map_path_from=as_map(0, 10)))
    with pytest.raises(LabelValueError, match=r'as the value 10, which transitions does not list'):
        read_pair_labels(info, spec)


def test_labels_of_different_sizes_are_named(files):
    info = files(seg_map_path_from=[[1, 2]], seg_map_path_to=[[1, 2, 3]])
    with pytest.raises(LabelFormatError, match=r'seg_map_path_from\.png 2 x 1.*3 x 1'):
        read_pair_labels(info, LabelSpec(SECOND))


def test_pairs_without_labels_and_with_a_mask_alone(files):
    loaded = read_pair_labels({'seg_map_path': None}, LabelSpec(SECOND))
    assert loaded.change is None
    assert loaded.cover_from is None
    loaded = read_pair_labels(files(seg_map_path=as_map(0, 1)), LabelSpec(SECOND))
    assert loaded.change.tolist() == [[0, 1]]
    assert loaded.cover_to is None


@pytest.mark.parametrize(
    'options', [{'semantics': 'cover'}, {'storage': 'color'}, {'change_storage': '1/0'}]
)
def test_unknown_options_are_named(options):
    with pytest.raises(ValueError, match=repr(next(iter(options.values())))):
        LabelSpec(SECOND, **options)
