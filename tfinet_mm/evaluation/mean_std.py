"""Format the scores of several runs as one cell of a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def mean_and_std(values: Sequence[float], signed: bool = False) -> str:
    """Return mean and sample standard deviation as text, with two decimals.

    Args:
        values: One number for each run. Without any the text is empty, and a single number has
            no standard deviation.
        signed: True for a sign in front of positive means, as for differences.

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
