"""Scores of several runs as one cell of a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def mean_and_std(values: Sequence[float], signed: bool = False) -> str:
    """Return mean and sample standard deviation, as a table shows them.

    Args:
        values: A number a run; none gives an empty cell, one has no standard deviation.
        signed: Whether the mean of positive numbers has a sign, as for differences.

    Example:
        >>> mean_and_std([20.0, 21.0, 22.0])
        '21.00 ± 1.00'
        >>> mean_and_std([20.0], signed=True)
        '+20.00'
    """
    if not values:
        return ''
    mean = f'{statistics.mean(values):{"+" if signed else ""}.2f}'
    return mean if len(values) < 2 else f'{mean} ± {statistics.stdev(values):.2f}'
