"""Test counting, scoring and choosing against loops over every pixel."""

import numpy as np
import pytest

from tfinet_mm.evaluation import SCDConfusion
from tfinet_mm.report.records import PairSummary
from tfinet_mm.report.statistics import (
    choose_pairs,
    count_probabilities,
    count_transitions,
    pair_scores,
)


def test_transitions_against_a_loop():
    rng = np.random.default_rng(0)
    changed = rng.random((12, 17)) < 0.5
    before, after = (rng.integers(1, 4, changed.shape) * changed for _ in range(2))
    before[rng.random(changed.shape) < 0.1] = 255
    after[rng.random(changed.shape) < 0.1] = 255
    matrix, unchanged, nodata = np.zeros((3, 3)), 0, 0
    for a, b in zip(before.ravel(), after.ravel(), strict=True):
        if 255 in (a, b):
            nodata += 1
        elif a and b:
            matrix[a - 1, b - 1] += 1
        else:
            unchanged += 1
    found = count_transitions(before.astype(np.uint8), after.astype(np.uint8), 3)
    np.testing.assert_array_equal(found[0], matrix)
    assert found[1:] == (unchanged, nodata)
    assert found[0].sum() + sum(found[1:]) == before.size


def test_probabilities_at_the_ends_count():
    assert count_probabilities(np.array([[0, 1, 0.5, np.nan]]), 2).tolist() == [1, 2]


def scores_of(annotated, predicted):
    """Each argument is a list of (class before, class after), (0, 0) for unchanged."""
    (a, b), (c, d) = (np.array(one).T[:, None] for one in (annotated, predicted))
    change = (a > 0).astype(int)
    cover = [np.where(one > 0, one - 1, 255) for one in (a, b)]
    return pair_scores(SCDConfusion.from_maps(change, *cover, (c > 0).astype(int), c, d, 3))


def test_scores_of_a_pair_by_hand():
    scores = scores_of(
        # right, wrong class, missed, false, unchanged twice
        [(1, 2), (1, 2), (3, 1), (0, 0), (0, 0), (0, 0)],
        [(1, 2), (1, 3), (0, 0), (2, 2), (0, 0), (0, 0)],
    )
    assert scores == pytest.approx(
        dict(IoU_unchanged=50, IoU_from_to=25, score=37.5, wrong=50, annotated=50)
    )


def test_an_iou_without_pixels_is_left_out():
    nothing = scores_of([(0, 0)] * 3, [(0, 0)] * 3)
    assert nothing == dict(IoU_unchanged=100, score=100, wrong=0, annotated=0)
    everything = scores_of([(1, 2)] * 4, [(1, 2)] * 3 + [(1, 1)])
    assert everything == pytest.approx(dict(IoU_from_to=75, score=75, wrong=25, annotated=100))


def summary(changed, score=None, annotated=10.0):
    scores = None if score is None else dict(score=score, wrong=0.0, annotated=annotated)
    return PairSummary(
        'x', 'picture', (10, 10), np.array([[float(changed)]]), 100 - changed, scores=scores
    )


def test_without_scores_the_most_changed_are_chosen():
    pairs = [summary(changed) for changed in (5, 50, 0, 50, 7)]
    assert choose_pairs(pairs, 3) == {1: 'most changed', 3: 'most changed', 4: 'most changed'}
    assert list(choose_pairs(pairs, 99)) == [1, 3, 4, 0, 2]


def test_a_third_each_of_worst_best_and_most_changed():
    pairs = [
        *(summary(90, 50), summary(80, 51), summary(1, 10), summary(2, 99), summary(3, 52)),
        *(summary(0, 100, annotated=0.0), summary(4, 20), summary(5, 98), summary(70, 53)),
    ]
    chosen = choose_pairs(pairs, 6)
    assert chosen == {
        **{2: 'worst', 6: 'worst'},
        # The pair of score 100 has no annotated change.
        **{3: 'best', 7: 'best'},
        **{0: 'most changed', 1: 'most changed'},
    }
    assert list(choose_pairs(pairs, 1)) == [2]
    assert set(choose_pairs(pairs, 9)) == set(range(9))
