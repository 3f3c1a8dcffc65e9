"""Compare P(changed) with the share of pixels that changed: counts, and figures made of them.

The counts are those of a fine histogram, so any number of pairs takes the same memory, and
calibrations are fitted and compared without predicting again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
import torch
from torch import Tensor

from tfinet_mm.errors import CalibrationError, LabelValueError

UNIFORM = 1500
"""Number of bins of equal width, a multiple of the usual numbers of coarser bins."""
BINS = 15
"""Default number of bins of the expected calibration error, as Guo et al. (2017) take it."""


def _edges() -> np.ndarray:
    """Return the borders of the fine bins: equal widths, and equal logits near 0 and 1."""
    uniform = np.arange(UNIFORM + 1) / UNIFORM
    logits = np.linspace(-16, 16, 641)
    outer = 1 / (1 + np.exp(-logits))
    outer = outer[(outer < 0.01) | (outer > 0.99)]
    return np.unique(np.concatenate([uniform, outer]))


EDGES = _edges()
"""Borders of the fine bins; a bin has its lower border, the last one both."""
FINE = len(EDGES) - 1
"""Number of the fine bins."""

Function: TypeAlias = Callable[[Tensor], Tensor]
"""A function of P(changed), such as a :class:`~tfinet_mm.calibration.Calibration`."""


@dataclass(frozen=True)
class ChangeHistogram:
    """Pixels by P(changed) and by annotation.

    Attributes:
        counts: Unchanged and changed pixels of each bin, int64 (2, :data:`FINE`).
        sums: Sums of P(changed) over these pixels, float64 (2, :data:`FINE`).
        squares: Sum of P(changed) squared over all pixels.
    """

    counts: np.ndarray
    sums: np.ndarray
    squares: float

    @classmethod
    def zeros(cls) -> Self:
        """Return counts of no pixels."""
        return cls(np.zeros((2, FINE), np.int64), np.zeros((2, FINE)), 0.0)

    @classmethod
    def from_maps(cls, probability: Tensor, change: Tensor) -> Self:
        """Count the pixels of one pair.

        Args:
            probability: P(changed), floating type, (H, W), 0..1.
            change: Annotated change, whole numbers (H, W): 0, 1, or 255 for pixels to leave out.

        Raises:
            LabelValueError: The sizes differ, the annotation has another value, or a
                probability isn't from 0 to 1.
        """
        if probability.shape != change.shape:
            raise LabelValueError(
                f'P(changed) is {tuple(probability.shape)}, the annotated change '
                f'{tuple(change.shape)}; both need one size'
            )
        label = change.to(probability.device).long()
        kept = label != 255
        label, values = label[kept], probability[kept].double()
        if len(label) and not bool(((label == 0) | (label == 1)).all()):
            raise LabelValueError(
                f'annotated change holds {int(label.max())}, expected 0, 1 and 255 (ignored)'
            )
        if len(values) and not bool(((values >= 0) & (values <= 1)).all()):
            raise LabelValueError(
                f'P(changed) reaches from {float(values.min())} to {float(values.max())}, expected '
                'probabilities from 0 to 1'
            )
        inner = torch.from_numpy(EDGES[1:-1]).to(values.device)
        place = torch.bucketize(values, inner, right=True) + label * FINE
        counts = torch.bincount(place, minlength=2 * FINE)
        sums = torch.bincount(place, weights=values, minlength=2 * FINE)
        return cls(
            counts.cpu().numpy().reshape(2, FINE),
            sums.cpu().numpy().reshape(2, FINE),
            float(values.square().sum()),
        )

    def __add__(self, other: ChangeHistogram) -> ChangeHistogram:
        """Return the counts over the pixels of both."""
        return ChangeHistogram(
            self.counts + other.counts, self.sums + other.sums, self.squares + other.squares
        )

    @property
    def pixels(self) -> int:
        """Return the number of pixels."""
        return int(self.counts.sum())

    @property
    def changed(self) -> int:
        """Return the number of changed pixels."""
        return int(self.counts[1].sum())

    def flatten(self) -> np.ndarray:
        """Return all numbers as one vector of float64, which holds counts up to 2^53 exactly."""
        return np.concatenate([self.counts.ravel(), self.sums.ravel(), [self.squares]])

    @classmethod
    def unflatten(cls, vector: np.ndarray) -> Self:
        """Return the counts of a vector of :meth:`flatten`."""
        counts, sums = vector[: 2 * FINE], vector[2 * FINE : -1]
        return cls(
            counts.astype(np.int64).reshape(2, FINE), sums.reshape(2, FINE), float(vector[-1])
        )

    def calibrated(self, function: Function) -> ChangeHistogram:
        """Return the counts as they would be with every P(changed) replaced.

        All pixels of a bin get the value of their mean, so sums are close, not exact: a bin is
        at most 1/1500 wide.

        Args:
            function: Gives the new probabilities.
        """
        filled = self.counts > 0
        means = np.divide(self.sums, self.counts, out=np.zeros_like(self.sums), where=filled)
        values = function(torch.from_numpy(means)).numpy()
        place = np.searchsorted(EDGES[1:-1], values, side='right')
        counts, sums = np.zeros((2, FINE), np.int64), np.zeros((2, FINE))
        for label in (0, 1):
            np.add.at(counts[label], place[label], self.counts[label])
            np.add.at(sums[label], place[label], self.counts[label] * values[label])
        return ChangeHistogram(counts, sums, float((self.counts * values**2).sum()))


class ReliabilityBin(NamedTuple):
    """Pixels whose P(changed) lies between two borders.

    Attributes:
        low: Lower border, which is within.
        high: Upper border.
        pixels: Number of pixels.
        predicted: Mean P(changed); None without pixels.
        changed: Share of them that changed; None without pixels.
    """

    low: float
    high: float
    pixels: int
    predicted: float | None
    changed: float | None


def reliability_bins(histogram: ChangeHistogram, bins: int = BINS) -> list[ReliabilityBin]:
    """Compare P(changed) with the share that changed, in bins of equal width.

    Args:
        histogram: The pixels.
        bins: Number of bins, a divisor of :data:`UNIFORM`.

    Raises:
        ValueError: The number is no such divisor.
    """
    if bins < 1 or UNIFORM % bins:
        raise ValueError(f'the number of bins must be a divisor of {UNIFORM}, got {bins}')
    borders = np.arange(bins + 1) / bins
    place = np.searchsorted(borders[1:-1], EDGES[:-1], side='right')
    pixels = np.bincount(place, histogram.counts.sum(0), bins)
    changed = np.bincount(place, histogram.counts[1], bins)
    sums = np.bincount(place, histogram.sums.sum(0), bins)
    return [
        ReliabilityBin(
            float(borders[i]),
            float(borders[i + 1]),
            int(pixels[i]),
            float(sums[i] / pixels[i]) if pixels[i] else None,
            float(changed[i] / pixels[i]) if pixels[i] else None,
        )
        for i in range(bins)
    ]


def calibration_scores(histogram: ChangeHistogram, bins: int = BINS) -> dict[str, float]:
    """Return the errors of P(changed), each from 0 to 1.

    ``ECE`` is the mean over all pixels of the distance between P(changed) and the share that
    changed within a bin, ``MCE`` the largest distance of a bin (Naeini et al., Obtaining Well
    Calibrated Probabilities Using Bayesian Binning, AAAI 2015; here of P(changed), not of the
    likelier answer). ``Brier`` is the mean of (P(changed) - changed)^2 (Brier 1950).

    Args:
        histogram: The pixels.
        bins: Number of bins of the first two.

    Raises:
        CalibrationError: There are no pixels.
    """
    if not histogram.pixels:
        raise CalibrationError('there are no annotated pixels to compare P(changed) with')
    gaps, weights = [], []
    for one in reliability_bins(histogram, bins):
        if one.predicted is not None and one.changed is not None:
            gaps.append(abs(one.predicted - one.changed))
            weights.append(one.pixels)
    brier = histogram.squares - 2 * histogram.sums[1].sum() + histogram.changed
    return dict(
        ECE=float(np.average(gaps, weights=weights)),
        MCE=max(gaps),
        Brier=float(brier / histogram.pixels),
    )


class OperatingPoint(NamedTuple):
    """A threshold on P(changed), and what it gives.

    Attributes:
        threshold: Pixels with P(changed) at or above it count as changed.
        precision: Share of these that changed.
        recall: Share of the changed pixels that are found.
    """

    threshold: float
    precision: float
    recall: float


def operating_points(
    histogram: ChangeHistogram, function: Function | None = None
) -> list[OperatingPoint]:
    """Return precision and recall at the borders of all fine bins that hold pixels.

    Args:
        histogram: The pixels by P(changed) as predicted.
        function: Calibration of P(changed), to which the thresholds then apply. Where it is flat,
            no threshold tells pixels apart, so only the first border counts.

    Raises:
        CalibrationError: No pixel changed.
    """
    if not histogram.changed:
        raise CalibrationError(
            'no annotated pixel changed, so no threshold has a precision; score pairs with change'
        )
    found = histogram.counts[:, ::-1].cumsum(1)[:, ::-1]
    thresholds, apart = EDGES[:-1], np.ones(FINE, bool)
    if function is not None:
        thresholds = function(torch.from_numpy(thresholds)).numpy()
        apart[1:] = np.diff(thresholds) > 0
    # Within a flat part, the first bin stands for all, also if it is empty itself.
    starts = np.flatnonzero(apart)
    filled = np.add.reduceat(histogram.counts.sum(0), starts) > 0
    return [
        OperatingPoint(
            float(thresholds[i]),
            float(found[1, i] / found[:, i].sum()),
            float(found[1, i] / histogram.changed),
        )
        for i in starts[filled]
    ]


def threshold_for_precision(
    histogram: ChangeHistogram, precision: float, function: Function | None = None
) -> OperatingPoint:
    """Return the lowest threshold with a precision, which finds the most changed pixels.

    Args:
        histogram: The pixels by P(changed) as predicted.
        precision: The least precision, above 0, up to 1.
        function: Calibration of P(changed), to which the threshold then applies.

    Raises:
        CalibrationError: No threshold reaches it; the message has the highest precision.
    """
    points = operating_points(histogram, function)
    reached = [point for point in points if point.precision >= precision]
    if not reached:
        best = max(points, key=lambda point: point.precision)
        raise CalibrationError(
            f'no threshold has a precision of {100 * precision:g} % on these pairs; the highest is '
            f'{100 * best.precision:.2f} % from P(changed) {best.threshold:.7g} on, which finds '
            f'{100 * best.recall:.2f} % of the changed pixels; ask for less'
        )
    return reached[0]


def merged_pixels(histogram: ChangeHistogram, threshold: float, function: Function) -> int:
    """Return how many pixels below a threshold a calibration makes equal to it.

    With the calibrated threshold, they count as changed. Bins of the threshold are left out.

    Args:
        histogram: The pixels by P(changed) as predicted.
        threshold: Threshold on P(changed) as predicted.
        function: The calibration.
    """
    value = function(torch.tensor(threshold, dtype=torch.float64)).item()
    equal = function(torch.from_numpy(EDGES[:-1])).numpy() >= value
    return int(histogram.counts.sum(0)[equal & (EDGES[1:] <= threshold)].sum())


def reliability_report(histogram: ChangeHistogram, bins: int = BINS) -> dict[str, Any]:
    """Return the scores and the bins as plain values."""
    return dict(
        pixels=histogram.pixels,
        changed=histogram.changed,
        **calibration_scores(histogram, bins),
        bins=[one._asdict() for one in reliability_bins(histogram, bins)],
    )
