"""Compare how well labels fit their images with how well they would fit in another order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from tfinet_mm.datasets.check.problems import ERROR, WARNING, Problem
from tfinet_mm.structures import IGNORE_INDEX

POINTS = 64
"""Points in a row and in a column of a reduced pair."""
GROUPS = 10
"""Parts of the pairs, each of which is left out once to measure the chance in a figure."""
LEAST_SPREAD = 1.0
"""Standard deviation in grey levels that an image with something on it has."""
LEAST_VARIANCE = 0.01
"""Variance of reduced colours, 1 for most images, below which the images show nothing."""
LEAST_PAIRS = 20
"""Pairs from which on figures are compared."""
LEAST_SIGMA = 4.0
"""Standard deviations by which another order must be ahead of the labels."""
NO_LEAD = 2.0
"""Standard deviations below which the labels are not ahead of another order."""
ENOUGH_PAIRS = 40
"""Pairs from which on right labels are ahead by more than that."""
OWN, PREVIOUS, NEXT = 'own', 'previous', 'next'
EXCHANGED, UPSIDE_DOWN, MIRRORED, TURNED = 'exchanged', 'upside down', 'mirrored', 'turned'
OTHER_ORDERS = {
    EXCHANGED: 'with both dates exchanged',
    UPSIDE_DOWN: 'upside down',
    MIRRORED: 'mirrored from left to right',
    TURNED: 'turned by 180 degrees',
    PREVIOUS: 'with the labels of the pair before each pair, in the order of names',
    NEXT: 'with the labels of the pair after each pair, in the order of names',
}
"""Orders of labels, and words for them."""


@dataclass(frozen=True)
class ReducedPair:
    """Colours and labels of a pair at a few points.

    Attributes:
        colours: (2, 64, 64, B) float16, images before and after, each with mean 0 and a standard
            deviation of 1, or less if it has one colour.
        labels: (2, 64, 64) uint8, land cover before and after, 255 where there is none.
    """

    colours: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, reduced: np.ndarray, before: np.ndarray, after: np.ndarray) -> Self:
        """Take the labels at the centres of the cells of a reduced pair.

        Args:
            reduced: (64, 64, 2B), see :func:`~tfinet_mm.datasets.check.fingerprint.reduced_pair`.
            before: Land cover (H, W) of any size, 255 where there is none.
            after: The same of the second date.
        """
        colours = np.stack(np.split(reduced, 2, axis=2))
        colours = colours - colours.mean((1, 2), keepdims=True)
        # The light of an image says nothing about its labels, and neither do images of one colour.
        colours = colours / np.maximum(colours.std((1, 2, 3), keepdims=True), LEAST_SPREAD)
        centres = [((np.arange(POINTS) + 0.5) * side / POINTS).astype(int) for side in before.shape]
        labels = np.stack([cover[np.ix_(*centres)] for cover in (before, after)])
        colours = np.nan_to_num(colours, nan=0.0, posinf=0.0, neginf=0.0)
        # In 16 bits, since processes send these.
        return cls(colours.astype(np.float16), labels.astype(np.uint8))


@dataclass
class LabelFit:
    """Share of the variance of colours that lies between classes, in several orders of labels.

    In the order that is right, the pixels of a class are more similar than in any other. The
    share is eta squared of an analysis of variance, over all bands, both dates and all pairs.

    Attributes:
        classes: Number of land-cover classes K.
        bands: Bands B of an image.
    """

    classes: int
    bands: int
    pairs: int = 0
    _sums: dict[str, np.ndarray] = field(default_factory=dict)
    _last: ReducedPair | None = None

    def add(self, pair: ReducedPair) -> None:
        """Count a pair, which comes after the one counted before in the order of names.

        Pairs with another number of bands, which a network can't take either, aren't counted.
        """
        if pair.colours.shape[-1] != self.bands:
            return
        group = self.pairs % GROUPS
        self.pairs += 1
        labels = pair.labels
        self._count(OWN, group, pair.colours, labels)
        self._count(EXCHANGED, group, pair.colours, labels[::-1])
        self._count(UPSIDE_DOWN, group, pair.colours, labels[:, ::-1])
        self._count(MIRRORED, group, pair.colours, labels[:, :, ::-1])
        self._count(TURNED, group, pair.colours, labels[:, ::-1, ::-1])
        if self._last is not None:
            self._count(PREVIOUS, group, pair.colours, self._last.labels)
            self._count(NEXT, group, self._last.colours, labels)
        self._last = pair

    def _count(self, order: str, group: int, colours: np.ndarray, labels: np.ndarray) -> None:
        # Of each class: pixels, sums of each band, and sums of squares over the bands.
        empty = np.zeros((GROUPS, self.classes, self.bands + 2))
        sums = self._sums.setdefault(order, empty)[group]
        known = labels != IGNORE_INDEX
        place, values = labels[known], colours[known].astype(np.float64)
        sums[:, 0] += np.bincount(place, minlength=self.classes)
        for band in range(self.bands):
            sums[:, 1 + band] += np.bincount(place, values[:, band], self.classes)
        sums[:, -1] += np.bincount(place, (values**2).sum(1), self.classes)

    def share(self, order: str, without: int | None = None) -> float:
        """Return the share between classes, 0..1, of all pairs or without one of the groups."""
        kept = [group for group in range(GROUPS) if group != without]
        sums = self._sums[order][kept].sum(0)
        numbers, totals, squares = sums[:, 0], sums[:, 1:-1], sums[:, -1].sum()
        centre = (totals.sum(0) ** 2).sum() / max(numbers.sum(), 1)
        between = ((totals**2).sum(1) / np.maximum(numbers, 1)).sum() - centre
        return float(between / max(squares - centre, 1e-9))

    def lead(self, order: str, over: str) -> float:
        """Return by how many standard deviations an order is ahead of another (jackknife)."""
        leads = np.array([self.share(order, one) - self.share(over, one) for one in range(GROUPS)])
        spread = np.sqrt((GROUPS - 1) * np.mean((leads - leads.mean()) ** 2))
        return float((self.share(order) - self.share(over)) / max(spread, 1e-9))

    def shares(self) -> dict[str, float]:
        """Return the share of each order that was counted."""
        return {order: self.share(order) for order in self._sums}

    def problems(self) -> Iterator[Problem]:
        """Tell orders that fit the images better than the labels do."""
        own_sums = self._sums[OWN].sum((0, 1)) if self._sums else np.zeros(self.bands + 2)
        if self.pairs < LEAST_PAIRS or own_sums[-1] <= LEAST_VARIANCE * self.bands * own_sums[0]:
            return
        own = self.share(OWN)
        better = [one for one in OTHER_ORDERS if self.lead(one, OWN) > LEAST_SIGMA]
        if better:
            best = max(better, key=self.share)
            message = (
                f'the land cover fits the images {OTHER_ORDERS[best]}: '
                f'{100 * self.share(best):.1f} % of the variance of colours then lies between '
                f'classes, and {100 * own:.1f} % as the labels are; check the names of their files '
                'and folders'
            )
            yield Problem(ERROR, '', message)
        elif self.pairs >= ENOUGH_PAIRS and not any(
            self.lead(OWN, one) > NO_LEAD for one in (UPSIDE_DOWN, MIRRORED, TURNED)
        ):
            message = (
                f'the land cover fits the images no better than upside down: {100 * own:.1f} % of '
                'the variance of colours lies between classes; check that labels and images of one '
                'name show one place'
            )
            yield Problem(WARNING, '', message)
