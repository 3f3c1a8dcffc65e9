"""Test intervals of scores against SciPy's bootstrap and scores computed here."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import bootstrap

from tfinet_mm.evaluation import SCDConfusion, bootstrap_intervals, score_intervals
from tfinet_mm.structures import ClassTable

HELPERS = runpy.run_path(str(Path(__file__).with_name('test_pair_counts.py')))
drawn_pairs, collected = HELPERS['drawn_pairs'], HELPERS['collected']
TABLE = ClassTable(('unchanged', 'water', 'built'), ((0, 0, 0), (0, 0, 255), (255, 0, 0)))


def sek(matrix):
    """Return SeK in percent by its published formula."""
    iou = matrix[1:, 1:].sum() / (matrix.sum() - matrix[0, 0])
    q = matrix.astype(float)
    q[0, 0] = 0
    po = np.trace(q) / q.sum()
    pe = (q.sum(0) * q.sum(1)).sum() / q.sum() ** 2
    return 100 * (po - pe) / (1 - pe) * np.exp(iou - 1)


def f1(matrix):
    return 100 * 2 * matrix[1, 1] / (2 * matrix[1, 1] + matrix[0, 1] + matrix[1, 0])


SCORES = {
    'scores\0SeK': lambda one: sek(one.date_from + one.date_to),
    'scores\0SeK_from_to': lambda one: sek(one.from_to),
    'change\0F1': lambda one: f1(one.change),
    'from\0water\0IoU': lambda one: (
        100
        * one.date_from[1, 1]
        / (one.date_from[1].sum() + one.date_from[:, 1].sum() - one.date_from[1, 1])
    ),
}


@pytest.mark.parametrize('number', [3, 30])
@pytest.mark.parametrize('name', SCORES)
def test_as_scipy_draws_them(name, number):
    counts = drawn_pairs(number)
    intervals = score_intervals(collected(counts), TABLE, resamples=300, seed=3)

    def statistic(indices):
        return SCORES[name](sum((counts[i] for i in indices), SCDConfusion.zeros(2)))

    expected = bootstrap(
        (np.arange(number),),
        statistic,
        vectorized=False,
        method='percentile',
        n_resamples=300,
        random_state=np.random.default_rng(3),
    ).confidence_interval
    assert expected.low < expected.high
    # SciPy draws by the same random numbers.
    assert intervals.bounds[name] == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_seed_decides():
    pairs = collected(drawn_pairs(12))
    bounds = [score_intervals(pairs, TABLE, 200, seed).bounds for seed in (0, 0, 1)]
    assert bounds[0] == bounds[1] != bounds[2]


def test_more_draws_than_fit_at_once_are_the_same_draws(monkeypatch):
    pairs = collected(drawn_pairs(12))
    expected = score_intervals(pairs, TABLE, 300)
    monkeypatch.setattr('tfinet_mm.evaluation.intervals.BLOCK', 50)
    assert score_intervals(pairs, TABLE, 300) == expected


def test_pairs_that_are_all_alike_leave_no_doubt():
    intervals = score_intervals(collected(drawn_pairs(1) * 8), TABLE, 50)
    assert all(low == high for low, high in intervals.bounds.values())


def test_too_few_pairs_or_no_draws_give_none():
    assert score_intervals(collected(drawn_pairs(1)), TABLE) is None
    assert score_intervals(collected([]), TABLE) is None
    assert score_intervals(collected(drawn_pairs(5)), TABLE, resamples=0) is None


@pytest.mark.parametrize('wrong', [dict(resamples=-1), dict(level=95), dict(level=0)])
def test_what_no_bootstrap_can_be_made_of(wrong):
    with pytest.raises(ValueError, match=f'got .*{next(iter(wrong))}={next(iter(wrong.values()))}'):
        bootstrap_intervals(collected(drawn_pairs(3)), lambda counts: {}, **wrong)
