"""Compute confidence intervals of scores over pairs by the percentile bootstrap (Efron, 1979).

Each draw takes as many pairs as there are, with replacement, and scores the sum of
their counts. The interval covers the middle of the scores of many draws. It estimates
the spread of the scores on other pairs of the same kind, not the spread over several
trainings of the same network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfinet_mm.evaluation.confusion import SCDConfusion
from tfinet_mm.evaluation.pair_counts import PairCounts

RESAMPLES = 1000
"""Default number of draws of pairs."""

LEVEL = 0.95
"""Share of the draws that an interval covers, 0..1."""

BLOCK = 1 << 23
"""Greatest number of weights of pairs in memory at once."""

FEW = 8
"""Number of pairs up to which draws repeat often, so that each distinct draw is scored once."""


def block_rows(pairs: int) -> int:
    """Return the number of draws that are summed at once, for a number of pairs."""
    return max(1, min(256, BLOCK // max(1, pairs)))


@dataclass(frozen=True)
class ScoreIntervals:
    """Confidence intervals of scores.

    Attributes:
        bounds: Lower and upper bound of each score, in percent.
        pairs: Number of pairs that were drawn from.
        resamples: Number of draws.
        seed: Seed of the draws.
        level: Share of the draws between the bounds, 0..1.
    """

    bounds: Mapping[str, tuple[float, float]]
    pairs: int
    resamples: int = RESAMPLES
    seed: int = 0
    level: float = LEVEL

    def about(self) -> dict[str, Any]:
        """Return the method, the number of draws and the seed, for JSON."""
        return dict(
            level=self.level,
            method='percentile bootstrap over pairs',
            resamples=self.resamples,
            seed=self.seed,
        )


def drawn_weights(pairs: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Draw pairs with replacement, and count how often each was drawn.

    Args:
        pairs: Number of pairs, which is also the size of each draw.
        resamples: Number of draws.
        seed: Seed of the draws.

    Returns:
        Blocks (draws, pairs) of whole numbers; each row sums to ``pairs``.
    """
    generator = np.random.default_rng(seed)
    step = block_rows(pairs)
    for first in range(0, resamples, step):
        number = min(step, resamples - first)
        block = np.empty((number, pairs), np.float32)
        for row in block:
            row[:] = np.bincount(generator.integers(0, pairs, pairs), minlength=pairs)
        yield block


def bootstrap_intervals(
    pairs: PairCounts,
    score: Callable[[SCDConfusion], Mapping[str, float]],
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> ScoreIntervals | None:
    """Compute the interval of every score by drawing pairs with replacement.

    Args:
        pairs: Counts of each pair. The draws depend on their order.
        score: Function from pooled counts to scores, the same names each time.
        resamples: Number of draws; 0 for no intervals.
        seed: Seed of the draws.
        level: Share of the draws between the bounds, above 0 and below 1.

    Returns:
        The intervals; None for fewer than two pairs or without draws.

    Raises:
        ValueError: ``resamples`` is below 0, or ``level`` out of range.

    Example:
        >>> from tfinet_mm.evaluation import binary_scores
        >>> pairs = PairCounts(num_classes=1)
        >>> for right in (10, 20, 30, 40):
        ...     pairs.add(SCDConfusion(*(np.diag([50 - right, right]) for _ in range(4))))
        >>> intervals = bootstrap_intervals(pairs, lambda counts: binary_scores(counts.change))
        >>> intervals.bounds['F1']
        (100.0, 100.0)
    """
    if resamples < 0 or not 0 < level < 1:
        raise ValueError(
            'a bootstrap takes 0 or more resamples and a level above 0 and below 1, got '
            f'resamples={resamples} and level={level}'
        )
    if len(pairs) < 2 or not resamples:
        return None
    drawn: dict[str, list[float]] = {}
    for weights in drawn_weights(len(pairs), resamples, seed):
        indices = np.arange(len(weights))
        if len(pairs) <= FEW:
            weights, indices = np.unique(weights, axis=0, return_inverse=True)
        scores = [score(counts) for counts in pairs.sums(weights)]
        for name in scores[0]:
            drawn.setdefault(name, []).extend(scores[index][name] for index in indices.ravel())
    tails = [50 * (1 - level), 50 * (1 + level)]
    bounds = {}
    for name, values in drawn.items():
        low, high = np.percentile(values, tails)
        bounds[name] = (float(low), float(high))
    return ScoreIntervals(bounds, len(pairs), resamples, seed, level)
