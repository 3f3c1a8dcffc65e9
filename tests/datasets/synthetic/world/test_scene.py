"""Test properties of every pair of the world."""

import numpy as np
import pytest
from scipy import ndimage

from tfinet_mm.datasets.synthetic.canvas import BUILDING, GRASS, GROUND
from tfinet_mm.datasets.synthetic.world import WorldConfig, generate_scene
from tfinet_mm.datasets.synthetic.world.scene import SMALLEST_CHANGE, find_changes
from tfinet_mm.datasets.synthetic.world.shade import Table

SMALL = WorldConfig(size=80, seed=3)


@pytest.fixture(scope='module')
def pairs():
    return [generate_scene(index, SMALL) for index in range(12)]


def test_a_pair_depends_on_its_number_and_the_settings_alone(pairs):
    for index in (7, 2):
        again = generate_scene(index, SMALL)
        for name in ('before', 'after', 'label_from', 'label_to', 'cover_from', 'cover_to'):
            np.testing.assert_array_equal(getattr(again, name), getattr(pairs[index], name))
    other = generate_scene(2, WorldConfig(size=80, seed=4))
    assert (other.before != pairs[2].before).mean() > 0.5


def test_maps_agree(pairs):
    for pair in pairs:
        assert pair.before.shape == pair.after.shape == (80, 80, 3)
        for cover in (pair.cover_from, pair.cover_to):
            assert cover.dtype == np.uint8
            assert 1 <= cover.min() <= cover.max() <= 6
        changed = pair.label_from > 0
        np.testing.assert_array_equal(changed, pair.label_to > 0)
        np.testing.assert_array_equal(pair.label_from[changed], pair.cover_from[changed])
        np.testing.assert_array_equal(pair.label_to[changed], pair.cover_to[changed])


def test_changes_are_large_enough_to_be_seen(pairs):
    for pair in pairs:
        parts, count = ndimage.label(pair.label_from > 0, np.ones((3, 3)))
        sizes = ndimage.sum_labels(np.ones_like(parts), parts, range(1, count + 1))
        # The picture's border may cut a part: only those inside have their whole size.
        boxes = ndimage.find_objects(parts)
        for size, box in zip(sizes, boxes, strict=True):
            inside = all(side.start > 0 and side.stop < 80 for side in box)
            assert size >= SMALLEST_CHANGE or not inside


def test_the_share_of_change_follows_the_settings():
    none = [generate_scene(i, WorldConfig(size=48, unchanged_pairs=1.0)) for i in range(4)]
    assert all((pair.label_from == 0).all() for pair in none)
    few, many = (
        np.mean(
            [
                (generate_scene(i, WorldConfig(size=64, change_share=share)).label_from > 0).mean()
                for i in range(40)
            ]
        )
        for share in (0.02, 0.5)
    )
    assert few < 0.12 < 0.2 < many


def test_all_classes_change_into_all_sorts_of_others():
    config = WorldConfig(size=96, unchanged_pairs=0.0, change_share=0.5)
    seen = {
        (int(a), int(b))
        for pair in (generate_scene(i, config) for i in range(25))
        for a, b in np.unique(np.stack([pair.label_from, pair.label_to], -1).reshape(-1, 2), axis=0)
    }
    assert {a for a, _ in seen} >= {1, 2, 3, 4, 5}
    assert {b for _, b in seen} == {0, 1, 2, 3, 4, 5, 6}
    assert len(seen) > 18


def test_a_pair_without_change_differs_by_light_and_sensor_all_the_same():
    pairs = [generate_scene(i, WorldConfig(size=64, unchanged_pairs=1.0)) for i in range(6)]
    differences = [np.abs(p.before.astype(int) - p.after).mean() for p in pairs]
    assert np.median(differences) > 8


def _table(**columns) -> Table:
    count = len(columns['cover'])
    defaults = dict(
        identity=np.zeros(count, np.int32),
        fleeting=np.zeros(count, bool),
        dates=np.full(count, 3, np.uint8),
    )
    rest = dict.fromkeys(('kinds', 'first', 'second', 'strengths', 'height', 'normal', 'waves'))
    return Table(**{**rest, **defaults, **columns})


@pytest.mark.parametrize(
    ('before', 'after', 'expected'),
    [
        # 0 grass, 1 ground that is new, 2 a house that is there at both dates, 3 a car of one
        # date, 4 and 5 houses of one date each.
        (0, 1, True),
        (0, 2, False),
        (2, 0, False),
        (0, 3, False),
        (4, 5, True),
        (4, 4, False),
    ],
    ids=['new', 'leans', 'leant', 'car', 'rebuilt', 'the same'],
)
def test_what_counts_as_a_change(before, after, expected):
    table = _table(
        cover=np.array([GRASS, GROUND, BUILDING, GROUND, BUILDING, BUILDING], np.uint8),
        identity=np.array([0, 0, 1, 0, 2, 3], np.int32),
        fleeting=np.array([False, False, False, True, False, False]),
        dates=np.array([3, 2, 3, 2, 1, 2], np.uint8),
    )
    first = np.zeros((12, 12), np.int32)
    second = first.copy()
    first[3:9, 3:9], second[3:9, 3:9] = before, after
    np.testing.assert_array_equal(find_changes(first, second, table)[3:9, 3:9], expected)
    assert not find_changes(first, second, table)[:3].any()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(size=16), r'size in 32\.\.1000, got 16'),
        (dict(misregistration=9), r'misregistration in 0\.\.8, got 9'),
        (dict(resolutions=(2, 1)), r'resolutions as \(finest, coarsest\).*\(2\.0, 1\.0\)'),
        (dict(winter=1.5), r'winter in 0\.\.1'),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        WorldConfig(**options)


def test_a_negative_number_is_refused():
    with pytest.raises(ValueError, match='0 or more, got -1'):
        generate_scene(-1, SMALL)


def test_settings_become_json():
    assert WorldConfig(resolutions=[0.5, 2]).to_dict()['resolutions'] == [0.5, 2.0]
