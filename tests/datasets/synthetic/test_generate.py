import dataclasses
import re

import numpy as np
import pytest
from study import load_study

from tfinet_mm.datasets.synthetic.generate import (
    SMALLEST_CHANGE,
    SyntheticConfig,
    find_changes,
    generate_pair,
)

BASELINES = load_study('naive_baselines/run.py')
FIELDS = ('before', 'after', 'label_from', 'label_to', 'cover_from', 'cover_to')


@pytest.fixture(scope='module')
def sample():
    config = SyntheticConfig(size=128, seed=3)
    return [generate_pair(index, config) for index in range(80)]


def same(first, second):
    return all(np.array_equal(getattr(first, f), getattr(second, f)) for f in FIELDS)


@pytest.mark.parametrize('size', [64, (97, 131), (160, 72)])
def test_shapes_types_and_ranges(size):
    config = SyntheticConfig(size=size, seed=1)
    pair = generate_pair(4, config)
    for field in ('before', 'after'):
        picture = getattr(pair, field)
        assert picture.shape == (*config.shape, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 5
    for field in FIELDS[2:]:
        assert getattr(pair, field).shape == config.shape
        assert getattr(pair, field).dtype == np.uint8
    assert pair.cover_from.min() >= 1
    assert pair.cover_to.max() <= 6


def test_large_picture():
    pair = generate_pair(0, SyntheticConfig(size=512))
    assert pair.before.shape == (512, 512, 3)
    assert len(np.unique(pair.cover_from)) >= 4


def test_deterministic_in_any_order():
    config = SyntheticConfig(size=64, seed=9)
    forwards = [generate_pair(index, config) for index in (0, 1, 2)]
    backwards = [generate_pair(index, config) for index in (2, 1, 0)][::-1]
    assert all(map(same, forwards, backwards))
    assert not same(forwards[0], forwards[1])
    assert not same(forwards[0], generate_pair(0, SyntheticConfig(size=64, seed=10)))


def test_label_convention(sample):
    for pair in sample:
        changed = pair.label_from > 0
        np.testing.assert_array_equal(changed, pair.label_to > 0)
        np.testing.assert_array_equal(pair.label_from[changed], pair.cover_from[changed])
        np.testing.assert_array_equal(pair.label_to[changed], pair.cover_to[changed])
        np.testing.assert_array_equal(pair.cover_from[~changed], pair.cover_to[~changed])
        # A changed pixel with one class at both dates is a building in place of another.
        rebuilt = changed & (pair.cover_from == pair.cover_to)
        assert set(np.unique(pair.cover_from[rebuilt])) <= {5}


def test_shares_are_like_those_of_second(sample):
    labels = np.stack([[pair.label_from, pair.label_to] for pair in sample])
    changed = labels[:, 0] > 0
    share = changed.mean((1, 2))
    assert 0.14 < share.mean() < 0.26
    assert 0.01 < (share == 0).mean() < 0.15
    assert (share > 0.4).any()
    counts = np.bincount(labels[labels > 0], minlength=7)[1:] / (2 * changed.sum())
    assert (counts > 0.005).all()
    water, ground, grass, tree, building, sports = counts
    assert max(water, sports) < 0.08
    assert min(ground, grass, building) > max(tree, water, sports)
    same_class = (labels[:, 0] == labels[:, 1])[changed].mean()
    assert 0.015 < same_class < 0.08


def test_changed_regions_are_large_enough(sample):
    for pair in sample:
        changed = (pair.label_from > 0).astype(int)
        # A changed pixel has changed neighbours: there is no salt and pepper.
        padded = np.pad(changed, 1, 'edge')
        company = sum(
            padded[1 + y : 129 + y, 1 + x : 129 + x] for y in (-1, 0, 1) for x in (-1, 0, 1)
        )
        if changed.any():
            assert (company[changed > 0] <= 2).mean() < 0.03


def test_otsu_and_colour_alone_do_not_solve_it(sample):
    train, val = sample[:40], sample[40:]
    hit = union = 0
    for pair in val:
        found, there = BASELINES.otsu_change(pair.before, pair.after), pair.label_from > 0
        hit += (found & there).sum()
        union += (found | there).sum()
    assert hit / union < 0.4
    for fields in (('cover_from', 'cover_to'), ('label_from', 'label_to')):
        histogram = BASELINES.ColourHistogram()
        for pair in train:
            histogram.add(pair.before, getattr(pair, fields[0]))
            histogram.add(pair.after, getattr(pair, fields[1]))
        classifier = histogram.classifier()
        right = total = 0
        for pair in val:
            for image, label in ((pair.before, pair.label_from), (pair.after, pair.label_to)):
                right += (classifier.predict(image) == label)[label > 0].sum()
                total += (label > 0).sum()
        assert right / total < 0.6


def test_unchanged_pairs_still_look_different():
    config = SyntheticConfig(size=64, change_share=0.0)
    for index in range(4):
        pair = generate_pair(index, config)
        assert not pair.label_from.any()
        np.testing.assert_array_equal(pair.cover_from, pair.cover_to)
        assert np.abs(pair.before.astype(int) - pair.after).mean() > 3


def test_change_share_scales():
    few, many = (
        np.mean(
            [
                (generate_pair(i, SyntheticConfig(size=96, change_share=s)).label_to > 0).mean()
                for i in range(40)
            ]
        )
        for s in (0.08, 0.25)
    )
    assert few < 0.7 * many


def test_find_changes_drops_specks_and_sees_new_buildings():
    class Fake:
        def __init__(self, cover, building):
            self.cover, self.building = cover, building

    cover, building = np.full((30, 30), 3, np.uint8), np.zeros((30, 30), np.int64)
    cover[:10, :10], building[:10, :10] = 5, 7
    before = Fake(cover, building)
    cover, building = cover.copy(), building.copy()
    building[:10, :5] = 8  # half of the building was replaced
    cover[20:23, 20:24] = 1  # as many pixels as count
    cover[20:23, 2:5] = 1  # too few
    expected = np.zeros((30, 30), bool)
    expected[:10, :5] = True
    expected[20:23, 20:24] = True
    assert SMALLEST_CHANGE == 12
    np.testing.assert_array_equal(find_changes(before, Fake(cover, building)), expected)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(size=16), 'expected a size of one number or (height, width)'),
        (dict(size=(64, 64, 3)), 'got (64, 64, 3)'),
        (dict(seed=-1), 'expected seed in 0..'),
        (dict(change_share=0.9), 'expected change_share in 0..0.35, got 0.9'),
        (dict(nuisance=-1), 'expected nuisance'),
        (dict(misregistration=50), 'expected misregistration in 0..8, got 50'),
        (dict(unchanged_pairs=2), 'expected unchanged_pairs in 0..1, got 2'),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SyntheticConfig(**settings)


def test_negative_index():
    with pytest.raises(ValueError, match='got -1'):
        generate_pair(-1, SyntheticConfig())


def test_settings_as_dict():
    settings = SyntheticConfig(size=64, seed=4).to_dict()
    assert settings['size'] == [64, 64]
    assert set(settings) == {field.name for field in dataclasses.fields(SyntheticConfig)}
    assert SyntheticConfig(**settings).shape == (64, 64)
