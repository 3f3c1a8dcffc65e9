"""Estimate areas and accuracies of a map from a stratified random sample of labelled points.

The formulas are those of Olofsson et al. (2014), "Good practices for estimating area and assessing
accuracy of land change", Remote Sensing of Environment 148, 42-57, and of Stehman (2014),
"Estimating area and map accuracy for stratified random sampling when the strata are different
from the map classes", International Journal of Remote Sensing 35, 4923-4939.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tfinet_mm.errors import AssessmentError

Z = 1.96
"""Standard errors on each side of a 95 % interval."""
LEAST_POINTS = 2
"""Points of a stratum without which it has no variance."""
ALLOCATIONS = 'proportional', 'neyman', 'equal'


class Estimate(NamedTuple):
    """Estimated number and its standard error.

    Attributes:
        value: The number; NaN where nothing of the kind is in the sample.
        error: Its standard error.
    """

    value: float
    error: float

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval, which doesn't reach below 0."""
        return max(self.value - Z * self.error, 0.0), self.value + Z * self.error

    def times(self, factor: float) -> Estimate:
        """Return the estimate in another unit, such as hectares in place of a share."""
        return Estimate(self.value * factor, self.error * factor)


def sample_size(weights: ArrayLike, accuracies: ArrayLike, error: float) -> int:
    """Return the number of points that gives overall accuracy a standard error.

    n = (sum_i W_i S_i / S(O))^2 with S_i^2 = U_i (1 - U_i), equation 13 of Olofsson et al. for a
    large map.

    Args:
        weights: Share of the area of each stratum, W.
        accuracies: User's accuracy that is expected in each, U, in 0..1.
        error: Standard error of overall accuracy to aim at, S(O).

    Raises:
        AssessmentError: A number is out of range.

    Example:
        >>> sample_size([0.02, 0.015, 0.32, 0.645], [0.7, 0.6, 0.9, 0.95], 0.01)
        641
    """
    if not (math.isfinite(error) and 0 < error < 1):
        raise AssessmentError(
            f'expected a standard error of overall accuracy above 0 and below 1, got {error}; '
            'usual values are 0.01 to 0.02'
        )
    spread = float(np.dot(_shares(weights), _deviations(accuracies)))
    return math.ceil(round((spread / error) ** 2, 6))


def allocate(
    number: int,
    weights: ArrayLike,
    method: str = 'proportional',
    *,
    minimum: int = 0,
    available: ArrayLike | None = None,
    accuracies: ArrayLike | None = None,
) -> np.ndarray:
    """Distribute points over strata.

    Args:
        number: Number of points in all. More are taken where ``minimum`` needs more, fewer
            where the strata have fewer pixels.
        weights: Share of the area of each stratum.
        method: ``'proportional'`` to the area; ``'neyman'``: to the area times the standard
            deviation sqrt(U (1 - U)), which makes the error of overall accuracy least; ``'equal'``.
        minimum: Least number of points of a stratum; the others share the rest.
        available: Pixels of each stratum, which bound its points.
        accuracies: Expected user's accuracy of each stratum, U, for ``'neyman'``.

    Returns:
        Number of points of each stratum, int64.

    Raises:
        AssessmentError: The method is unknown or a number is out of range.

    Example:
        >>> allocate(641, [0.02, 0.015, 0.32, 0.645]).tolist()
        [13, 10, 205, 413]
        >>> allocate(641, [0.02, 0.015, 0.32, 0.645], minimum=75).tolist()
        [75, 75, 163, 328]
    """
    shares = _shares(weights)
    if method not in ALLOCATIONS:
        raise AssessmentError(f'expected points by {", ".join(ALLOCATIONS)}, got {method!r}')
    if number < 1 or minimum < 0:
        raise AssessmentError(
            f'expected 1 point or more and a minimum of 0 or more, got {number} and {minimum}'
        )
    if method == 'neyman':
        if accuracies is None:
            raise AssessmentError(
                "Neyman allocation needs the expected user's accuracy of each stratum"
            )
        shares = shares * _deviations(accuracies)
    elif method == 'equal':
        shares = np.ones_like(shares)
    most = np.full(len(shares), np.iinfo(np.int64).max) if available is None else available
    upper = np.asarray(most, np.int64)
    lower = np.minimum(minimum, upper)
    fixed = np.full(len(shares), -1, np.int64)
    # Strata below their minimum, or above their pixels, get those; the others share the rest.
    while True:
        free = fixed < 0
        rest = max(number - int(fixed[~free].sum()), 0)
        total = shares[free].sum()
        wanted = np.where(free, shares * (rest / total if total else 0), 0)
        low, high = free & (wanted < lower), free & (wanted > upper)
        if low.any():
            fixed[low] = lower[low]
        elif high.any():
            fixed[high] = upper[high]
        else:
            break
        if not (fixed < 0).any():
            return fixed
    made = np.where(free, np.floor(wanted).astype(np.int64), fixed)
    # Largest remainders first.
    order = np.argsort(-np.where(free & (made < upper), wanted - made, -1), kind='stable')
    left = rest - int(made[free].sum())
    made[order[:left]] += 1
    return made


def _shares(weights: ArrayLike) -> np.ndarray:
    values = np.asarray(weights, np.float64)
    if not (values.ndim == 1 and values.size and np.isfinite(values).all() and (values > 0).all()):
        raise AssessmentError(
            f'expected the size of each stratum, all above 0, got {values.tolist()}; leave out '
            'strata without any pixel'
        )
    return values / values.sum()


def _deviations(accuracies: ArrayLike) -> np.ndarray:
    values = np.asarray(accuracies, np.float64)
    if not ((values > 0) & (values < 1)).all():
        raise AssessmentError(
            f'expected accuracies above 0 and below 1, got {values.tolist()}; 0.6 to 0.8 is usual '
            'for change and 0.8 to 0.95 for unchanged land cover'
        )
    return np.sqrt(values * (1 - values))


@dataclass(frozen=True, eq=False)
class StratifiedSample:
    """Counts of a stratified random sample by stratum and reference class.

    Args:
        counts: Points (H, R) of each stratum (row) and reference class (column).
        sizes: Area of each stratum (H,), in any unit.
        names: Names of the strata, for messages.

    Raises:
        AssessmentError: A stratum has fewer than two points, or shapes or numbers don't fit.

    Example:
        >>> sample = StratifiedSample([[8, 2], [1, 9]], [100, 900])
        >>> [round(float(one), 3) for one in sample.proportions.ravel()]
        [0.08, 0.02, 0.09, 0.81]
        >>> [round(number, 3) for number in sample.users_accuracy(0)]
        [0.8, 0.133]
    """

    counts: np.ndarray
    sizes: np.ndarray
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        counts = np.asarray(self.counts)
        if counts.ndim != 2 or not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any():
            raise AssessmentError(
                f'expected whole numbers of points by stratum and class, got {counts.tolist()}'
            )
        weights = _shares(self.sizes)
        if len(weights) != len(counts):
            raise AssessmentError(
                f'expected the size of each of {len(counts)} strata, got {len(weights)} sizes'
            )
        object.__setattr__(self, 'counts', counts)
        object.__setattr__(self, 'sizes', np.asarray(self.sizes, np.float64))
        points = counts.sum(1)
        names = self.names or [f'number {index + 1}' for index in range(len(counts))]
        poor = [
            f'{name} ({number})'
            for name, number in zip(names, points, strict=True)
            if number < LEAST_POINTS
        ]
        if poor:
            raise AssessmentError(
                f'expected {LEAST_POINTS} labelled points or more in each stratum, got fewer in: '
                f'{", ".join(poor)}; label more of them, or draw a sample in which rare strata '
                'are merged (--min-share)'
            )

    @property
    def weights(self) -> np.ndarray:
        """Return the share of each stratum in the area, W (H,)."""
        return self.sizes / self.sizes.sum()

    @property
    def rates(self) -> np.ndarray:
        """Return the share of each reference class in the points of a stratum (H, R)."""
        return self.counts / self.counts.sum(1, keepdims=True)

    @property
    def proportions(self) -> np.ndarray:
        """Return the error matrix in proportions of area, p_hr = W_h n_hr / n_h (H, R)."""
        return self.weights[:, None] * self.rates

    def ratio(self, part: np.ndarray, whole: np.ndarray) -> Estimate:
        """Estimate the share of one area in another.

        Args:
            part: Cells (H, R) of the error matrix that count in the one area: True or 1.
            whole: Cells that count in the other; all of ``part`` are among them.

        Returns:
            R = Y / X of the areas Y of ``part`` and X of ``whole``, with the standard error of
            equations 27 and 28 of Stehman (2014), without the correction for small strata. NaN
            where X is 0.
        """
        y, x = (
            np.broadcast_to(np.asarray(one, np.float64), self.counts.shape) for one in (part, whole)
        )
        points = self.counts.sum(1)
        mean_y, mean_x = ((self.rates * one).sum(1) for one in (y, x))
        total = float(self.weights @ mean_x)
        if total == 0:
            return Estimate(math.nan, math.nan)
        found = float(self.weights @ mean_y) / total
        residual = y - found * x
        # The variance of the residuals within a stratum, by n - 1.
        means = (self.rates * residual).sum(1)
        spread = (self.rates * (residual - means[:, None]) ** 2).sum(1) / (points - 1)
        return Estimate(found, float(np.sqrt(self.weights**2 @ spread)) / total)

    def share(self, cells: np.ndarray) -> Estimate:
        """Estimate the share of some cells (H, R) of the error matrix in the whole area."""
        return self.ratio(cells, np.ones(self.counts.shape))

    def class_share(self, index: int) -> Estimate:
        """Estimate the share of a reference class in the area: equations 9 and 10 of Olofsson."""
        return self.share(self._columns(index))

    def overall_accuracy(self) -> Estimate:
        """Estimate the share of the area whose stratum is its reference class: equations 1 and 5.

        Strata and reference classes have the same numbers, here and in the two below.
        """
        return self.share(np.eye(*self.counts.shape))

    def users_accuracy(self, index: int) -> Estimate:
        """Estimate the share of a map class that is right: equations 2 and 6 of Olofsson."""
        rows = self._columns(index, axis=0)
        return self.ratio(rows * np.eye(*self.counts.shape), rows)

    def producers_accuracy(self, index: int) -> Estimate:
        """Estimate the share of a reference class that is mapped: equations 3 and 7 of Olofsson."""
        columns = self._columns(index)
        return self.ratio(columns * np.eye(*self.counts.shape), columns)

    def _columns(self, index: int, axis: int = 1) -> np.ndarray:
        cells = np.zeros(self.counts.shape)
        cells[(slice(None), index) if axis else (index, slice(None))] = 1
        return cells
