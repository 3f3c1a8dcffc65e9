"""Test the kept probabilities of classes, and merging by them."""

import numpy as np
import pytest

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.class_changes import (
    merge_classes,
    merged_cover,
    read_by_name,
    read_merges,
    rename_classes,
)
from tfinet_mm.scenes.probabilities import kept_ranks
from tfinet_mm.structures import SECOND


def probabilities(classes, seed=0):
    values = np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), (19, 23))
    values = values.transpose(2, 0, 1).astype(np.float32)
    values[:, 3:5, 4:9] = np.nan
    return values


def likeliest(values):
    unknown = np.isnan(values[0])
    return np.where(unknown, 0, np.nan_to_num(values).argmax(0) + 1).astype(np.uint8)


@pytest.mark.parametrize('classes', [1, 2, 3, 6, 255])
def test_the_three_likeliest_are_kept(classes):
    values = probabilities(classes)
    cover = likeliest(values)
    found = kept_ranks(values, cover)
    levels = np.rint(np.nan_to_num(values) * 255)
    for place in np.ndindex(cover.shape):
        own = levels[(slice(None), *place)].copy()
        expected = [own[int(cover[place]) - 1] if cover[place] else 0]
        own[int(cover[place]) - 1] = 0
        for _ in range(2):
            best = own.argmax()
            expected += [best + 1, own[best]] if own[best] else [0, 0]
            own[best] = 0
        assert found[(slice(None), *place)].tolist() == expected


def test_three_classes_are_merged_exactly():
    """With three classes nothing is left out, so the merged class is that of the sums."""
    values = probabilities(3)
    cover = likeliest(values)
    found = merged_cover(cover, kept_ranks(values, cover), np.array([0, 1, 2, 2], np.uint8))
    sums = np.nan_to_num(np.stack([values[0], values[1] + values[2]]))
    # Bytes round by half a level each.
    sure = np.abs(sums[0] - sums[1]) > 2 / 255
    np.testing.assert_array_equal(found[sure], sums.argmax(0)[sure] + 1)
    assert ((cover == 1) & (found == 2)).any()
    np.testing.assert_array_equal(found == 0, cover == 0)
    by_class = merged_cover(cover, None, np.array([0, 1, 2, 2], np.uint8))
    np.testing.assert_array_equal(by_class, np.minimum(cover, 2))


def test_tables_of_merged_and_renamed_classes():
    merged, numbers = merge_classes(SECOND, read_merges(['tree=low vegetation']))
    assert merged.land_cover == ('water', 'ground', 'low vegetation', 'building', 'sports field')
    assert numbers.tolist() == [0, 1, 2, 3, 3, 4, 5]
    assert merged.palette[3] == SECOND.palette[3]
    merged, numbers = merge_classes(SECOND, read_merges(['building , tree = else']))
    assert (merged.names[4], numbers.tolist()) == ('else', [0, 1, 2, 3, 4, 4, 5])
    assert merged.palette[4] == SECOND.palette[4]
    # The name of a class that gets another name itself.
    merged, _ = merge_classes(SECOND, {'tree': 'water', 'water': 'ground'})
    assert merged.land_cover[:3] == ('ground', 'low vegetation', 'water')
    named = rename_classes(SECOND, {'water': 'Wasser'}, {'Wasser': [1, 2, 3], 'tree': [4, 5, 6]})
    assert (named.names[1], named.palette[1], named.palette[4]) == (
        'Wasser',
        (1, 2, 3),
        (4, 5, 6),
    )


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: read_merges(['tree']), "such as 'tree=low vegetation'; got 'tree'"),
        (lambda: read_merges(['tree=a', 'tree=b']), 'each class once'),
        (lambda: merge_classes(SECOND, {'tree': 'building, water'}), 'which lists classes'),
        (lambda: merge_classes(SECOND, {'wood': 'tree'}), "class 'wood', the scene has water"),
        (lambda: rename_classes(SECOND, {'wood': 'x'}), "class 'wood'"),
        (lambda: rename_classes(SECOND, {'tree': 'water'}), 'must differ'),
        (lambda: rename_classes(SECOND, {'tree': 3}), 'must be text, got 3'),
        (lambda: rename_classes(SECOND, None, {'tree': 'green'}), 'three whole numbers'),
    ],
)
def test_errors_of_classes(call, message):
    with pytest.raises(SceneError, match=message):
        call()


def test_files_of_names(tmp_path):
    path = tmp_path / 'names.json'
    path.write_text('{"water": "Wässer"}', encoding='utf-8')
    assert read_by_name(path) == {'water': 'Wässer'}
    for text in ('[1]', '{"water"'):
        path.write_text(text)
        with pytest.raises(SceneError, match=r'names\.json'):
            read_by_name(path)
