"""Test the comparison of a data set with known figures, by hand."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from tfinet_mm.datasets.check import DatasetReport, expected_figures, expected_problems
from tfinet_mm.errors import ConfigError
from tfinet_mm.structures import SECOND

CONFIGS = Path(__file__).parents[2] / 'configs'


def report(**more):
    """Return 100 pixels, of which 20 changed: 12 ground to building, 4 water, 4 tree on both."""
    made = DatasetReport(SECOND, pairs=3, **more)
    made.sizes.update({(512, 512): 3})
    made.change_counts[:] = 80, 20, 5
    made.labels_hash = '0123456789abcdef' * 2
    made.from_to[1, 4], made.from_to[0, 0], made.from_to[3, 3] = 12, 4, 4
    return made


RIGHT = dict(
    pairs=3,
    size=[512, 512],
    changed=0.2,
    classes={'ground': 0.3, 'building': 0.3, 'water': 0.2, 'tree': 0.2, 'sports field': 0},
    same_class=0.4,
    labels='0123456789abcdef' * 2,
)


def test_the_right_data_set_has_no_problem():
    assert expected_problems(report(), RIGHT) == []
    assert expected_problems(report(), {}) == []


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (dict(pairs=4), 'pairs: 3 found, 4 expected; the download may be incomplete'),
        (dict(size=(256, 256)), 'sizes: 3 pairs of other sizes, such as 512 x 512 found'),
        (dict(changed=0.1994, tolerance=0.0005), 'changed pixels: 20.00 % found, 19.94 %'),
        (dict(classes={'tree': 0.21}), 'changed pixels that are tree: 20.00 % found, 21.00 %'),
        (dict(labels='0' * 32), 'hash of names and labels: 0123456789abcdef'),
        (dict(same_class=0.042), 'changed pixels of one class: 40.00 % found, 4.20 %'),
    ],
    ids=str,
)
def test_each_figure_that_is_off_is_an_error(change, said):
    (problem,) = expected_problems(report(), RIGHT | change)
    assert problem.level == 'error'
    assert said in problem.message
    assert expected_problems(report(), RIGHT | change | dict(tolerance=1.0)) == (
        [problem] if set(change) & {'pairs', 'size', 'labels'} else []
    )


def test_shares_may_differ_by_their_rounding():
    assert expected_problems(report(), dict(changed=0.2019)) == []
    assert len(expected_problems(report(), dict(changed=0.2021))) == 1


def test_headers_tell_numbers_and_sizes_alone():
    wrong = RIGHT | dict(changed=0.9, same_class=0.9)
    assert expected_problems(report(fast=True), wrong) == []
    assert len(expected_problems(report(fast=True), wrong | dict(pairs=9))) == 1


def test_no_changed_pixels_are_no_division_by_zero():
    empty = DatasetReport(SECOND)
    assert len(expected_problems(empty, dict(changed=0.2, same_class=0.4))) == 2


@pytest.mark.parametrize(
    ('wrong', 'said'),
    [
        (dict(pair=3), r"no key 'pair', did you mean 'pairs'|no key 'pair'"),
        (dict(pairs='3'), 'must be a whole number'),
        (dict(changed=20), r'expected\.changed must be a number from 0 to 1, got 20'),
        (dict(changed=0.2, tolerance=-1), 'tolerance must be a number from 0 to 1'),
        (dict(classes=['tree']), r"classes has .*'tree'.*is a dictionary of shares"),
        (dict(classes={'tree': 20.0}), "classes has 'tree'"),
        (dict(size=512.0), 'size'),
        (dict(classes={'forest': 0.1}), "has 'forest'"),
        ([3], 'are a dictionary'),
    ],
    ids=str,
)
def test_wrong_figures_are_refused(wrong, said):
    with pytest.raises(ConfigError, match=said):
        expected_problems(report(), wrong)


SPLITS = ('train', 'val', 'test')


def test_each_data_set_of_a_split_has_its_own_figures():
    one, other = dict(pairs=3), dict(pairs=5)
    assert expected_figures(None, 'train', 2, SPLITS) == [None, None]
    assert expected_figures(dict(val=one), 'train', 1, SPLITS) == [None]
    assert expected_figures(dict(train=one), 'train', 1, SPLITS) == [one]
    assert expected_figures(dict(train=[one, None, other]), 'train', 3, SPLITS) == [
        one,
        None,
        other,
    ]


@pytest.mark.parametrize(
    ('expected', 'said'),
    [
        (dict(trian=dict(pairs=3)), "no split 'trian', its splits are train, val, test"),
        (dict(train=dict(pairs=3)), r'figures of 1 data set\(s\), but the split joins 2'),
        ([3], 'is a dictionary of figures for each of train, val, test'),
    ],
    ids=str,
)
def test_figures_of_no_data_set_are_refused(expected, said):
    with pytest.raises(ConfigError, match=said):
        expected_figures(expected, 'train', 2, SPLITS)


def test_the_figures_of_second_are_complete():
    """The splits have 2968 training pairs in all; the shares of the classes make 1."""
    found = {
        split: Config.fromfile(CONFIGS / f'second/tfinet_lite0_fpn_split_{split}.py').expected
        for split in 'abc'
    }
    pairs = {split: {part: one.pairs for part, one in e.items()} for split, e in found.items()}
    assert pairs == dict(
        a=dict(train=2375, val=593, test=593),
        b=dict(train=2968, val=1694, test=1694),
        c=dict(train=2671, val=297, test=297),
    )
    assert all(tuple(one.size) == (512, 512) for e in found.values() for one in e.values())
    shares = found['b'].train.classes
    assert set(shares) == set(SECOND.land_cover)
    assert np.isclose(sum(shares.values()), 1)
