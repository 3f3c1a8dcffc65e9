"""Compare two methods on the same pairs.

The difference of a score gets a confidence interval from draws of pairs, the same
draws for both methods, and a p-value from a permutation test: if the methods were
equally good, exchanging their predictions of some pairs would change the difference
only by chance (Pitman, 1937).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product

import numpy as np

from tfinet_mm.errors import ReportError
from tfinet_mm.evaluation.confusion import SCDConfusion
from tfinet_mm.evaluation.intervals import LEVEL, RESAMPLES, block_rows, drawn_weights
from tfinet_mm.evaluation.pair_counts import PairCounts

PERMUTATIONS = 9999
"""Default number of exchanges of predictions."""

TIE = 1e-9
"""Differences of a score, in percent, that count as equal, since rounding causes them."""


@dataclass(frozen=True)
class PairedTest:
    """Difference of a score between two methods on the same pairs.

    Attributes:
        first: Score of the first method, in percent.
        second: Score of the second method.
        difference: Second minus first.
        interval: Confidence interval of the difference; None for fewer than two pairs.
        p_value: Probability of a difference at least as large, in either direction, if the
            methods were equally good; above 0, at most 1.
        exact: True if all exchanges were tried, False for a sample of them.
    """

    first: float
    second: float
    difference: float
    interval: tuple[float, float] | None
    p_value: float
    exact: bool


def paired_tests(
    first: PairCounts,
    second: PairCounts,
    score: Callable[[SCDConfusion], Mapping[str, float]],
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, PairedTest]:
    """Compare the scores of two methods that predicted the same pairs.

    Args:
        first: Counts of each pair by the first method.
        second: Those of the second one, in the same order.
        score: Function from pooled counts to scores, the same names each time.
        resamples: Number of draws of pairs for the intervals; 0 for none.
        permutations: Number of random exchanges of predictions. If there are no more in all
            (2 to the power of the number of pairs), each is tried once instead.
        seed: Seed of the draws and the exchanges.
        level: Share of the draws that an interval covers, above 0 and below 1.

    Returns:
        The comparison of each score, by its name.

    Raises:
        ReportError: The numbers of pairs differ, or there are no pairs.
        ValueError: ``permutations`` is below 1, or ``resamples`` below 0.
    """
    number = len(first)
    if number != len(second) or not number:
        raise ReportError(
            f'a paired test needs the same pairs of both methods, got {number} and {len(second)}; '
            'score both against the same labels'
        )
    if permutations < 1 or resamples < 0:
        raise ValueError(
            'a paired test takes 1 or more permutations and 0 or more resamples, got '
            f'permutations={permutations} and resamples={resamples}'
        )
    everything = np.ones((1, number))
    base = [dict(score(next(one.sums(everything)))) for one in (first, second)]
    observed = {name: base[1][name] - base[0][name] for name in base[0]}

    exact = 2.0**number <= permutations
    extreme = dict.fromkeys(observed, 0)
    tried = 0
    both = _joined(first, second)
    for kept in _exchanges(number, permutations, seed, exact):
        for changes in _differences(both, kept, 1 - kept, score):
            tried += 1
            for name, value in changes.items():
                extreme[name] += abs(value) >= abs(observed[name]) - TIE
    # The observed difference counts as one more of the random exchanges.
    added = int(not exact)

    drawn: dict[str, list[float]] = {name: [] for name in observed}
    if number > 1:
        for weights in drawn_weights(number, resamples, seed):
            for changes in _differences(both, weights, np.zeros_like(weights), score):
                for name, value in changes.items():
                    drawn[name].append(value)
    return {
        name: PairedTest(
            base[0][name],
            base[1][name],
            observed[name],
            _interval(drawn[name], level),
            (extreme[name] + added) / (tried + added),
            exact,
        )
        for name in observed
    }


def _joined(first: PairCounts, second: PairCounts) -> PairCounts:
    """Return the pairs of the first method, then those of the second."""
    joined = PairCounts(first.num_classes)
    for one in (first, second):
        joined.extend(one)
    return joined


def _differences(
    both: PairCounts,
    own: np.ndarray,
    others: np.ndarray,
    score: Callable[[SCDConfusion], Mapping[str, float]],
) -> Iterator[dict[str, float]]:
    """Yield the scores of the second method minus those of the first, from weighted pairs.

    Args:
        both: Pairs of the first method, then those of the second.
        own: Weights (rows, pairs) of a method's pairs in its own sum.
        others: Weights (rows, pairs) of the other method's pairs in that sum.
        score: Function from pooled counts to scores.
    """
    sums = zip(
        both.sums(np.hstack([own, others])), both.sums(np.hstack([others, own])), strict=True
    )
    for one, two in sums:
        low, high = score(one), score(two)
        yield {name: high[name] - low[name] for name in low}


def _exchanges(number: int, permutations: int, seed: int, exact: bool) -> Iterator[np.ndarray]:
    """Return blocks (rows, pairs) of 1 where a method keeps its pair, 0 where it is exchanged."""
    if exact:
        words = product((0, 1), repeat=number)
        while block := list(islice(words, block_rows(number))):
            yield np.array(block, np.float32)
        return
    generator = np.random.default_rng(seed)
    step = block_rows(number)
    for first in range(0, permutations, step):
        rows = min(step, permutations - first)
        yield generator.integers(0, 2, (rows, number)).astype(np.float32)


def _interval(values: list[float], level: float) -> tuple[float, float] | None:
    if not values:
        return None
    low, high = np.percentile(values, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)
