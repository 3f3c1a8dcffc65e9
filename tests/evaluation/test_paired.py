"""Test the paired test against SciPy's permutation test and bootstrap."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import bootstrap, permutation_test

from tfinet_mm.errors import ReportError
from tfinet_mm.evaluation import SCDConfusion, overall_scores, paired_tests

FOLDER = Path(__file__).parent
HELPERS = runpy.run_path(str(FOLDER / 'test_pair_counts.py'))
drawn_pairs, collected = HELPERS['drawn_pairs'], HELPERS['collected']
sek = runpy.run_path(str(FOLDER / 'test_intervals.py'))['sek']


SECOND = 5


def methods(number):
    """Return the counts of pairs by two methods."""
    return drawn_pairs(number, seed=1), drawn_pairs(number, seed=SECOND)


def difference(first, second):
    one, two = (sum(counts, SCDConfusion.zeros(2)) for counts in (first, second))
    return sek(two.date_from + two.date_to) - sek(one.date_from + one.date_to)


def by_scipy(first, second, **options):
    both = [*first, *second]
    indices = np.arange(len(first)), np.arange(len(first), len(both))
    return permutation_test(
        indices,
        lambda x, y: difference([both[int(i)] for i in x], [both[int(i)] for i in y]),
        permutation_type='samples',
        vectorized=False,
        **options,
    ).pvalue


@pytest.mark.parametrize('number', [2, 5, 9])
def test_all_exchanges_as_scipy_tries_them(number):
    first, second = methods(number)
    found = paired_tests(collected(first), collected(second), overall_scores, resamples=0)['SeK']
    assert found.exact
    assert found.difference == pytest.approx(difference(first, second), abs=1e-9)
    assert found.p_value == pytest.approx(by_scipy(first, second, n_resamples=np.inf), abs=1e-12)


def test_drawn_exchanges_agree_with_scipy():
    first, second = methods(24)
    found = paired_tests(
        collected(first), collected(second), overall_scores, resamples=0, permutations=2000
    )['SeK']
    expected = by_scipy(first, second, n_resamples=2000, random_state=np.random.default_rng(5))
    assert not found.exact
    assert 0.05 < expected < 0.95
    # The standard error of each is at most 0.011.
    assert found.p_value == pytest.approx(expected, abs=0.045)


def test_the_interval_of_the_difference_as_scipy_draws_it():
    first, second = methods(24)
    found = paired_tests(
        collected(first), collected(second), overall_scores, resamples=300, permutations=1
    )['SeK']
    expected = bootstrap(
        (np.arange(24),),
        lambda indices: difference([first[i] for i in indices], [second[i] for i in indices]),
        vectorized=False,
        method='percentile',
        n_resamples=300,
        random_state=np.random.default_rng(0),
    ).confidence_interval
    assert found.interval == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_smallest_p_value_of_drawn_exchanges_is_above_zero():
    pairs = drawn_pairs(30)
    perfect = [
        SCDConfusion(*(np.diag(part.sum(1)) for part in list(vars(one).values())[:4]))
        for one in pairs
    ]
    found = paired_tests(
        collected(pairs), collected(perfect), overall_scores, resamples=50, permutations=99
    )['SeK']
    assert found.p_value == pytest.approx(1 / 100)
    assert found.second == pytest.approx(100)
    assert found.interval[0] > 0


def test_a_method_against_itself():
    pairs = collected(drawn_pairs(4))
    for found in paired_tests(pairs, pairs, overall_scores, resamples=20).values():
        assert (found.difference, found.interval, found.p_value) == (0, (0, 0), 1)


def test_one_pair_has_no_interval():
    one, two = (collected(counts) for counts in methods(1))
    assert paired_tests(one, two, overall_scores)['SeK'].interval is None


def test_what_can_not_be_compared():
    pairs = collected(drawn_pairs(3))
    with pytest.raises(ReportError, match='same pairs of both methods, got 3 and 2'):
        paired_tests(pairs, collected(drawn_pairs(2)), overall_scores)
    with pytest.raises(ValueError, match='got permutations=0'):
        paired_tests(pairs, pairs, overall_scores, permutations=0)
