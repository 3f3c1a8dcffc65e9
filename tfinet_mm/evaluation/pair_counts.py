"""Counts of single pairs, small enough to keep those of a whole data set.

Scores pool the counts of all pairs, so how far they would differ on other pairs
is seen by pooling pairs drawn anew. Of each pair only the counts that aren't 0
are kept, 12 bytes a count, about a kilobyte a pair of 6 classes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from tfinet_mm.evaluation.confusion import SCDConfusion

CHUNK = 1 << 22
"""Cells of a dense block of pairs by counts while they are summed."""


class PackedCounts(NamedTuple):
    """Pairs as processes exchange them.

    Attributes:
        lengths: Number of counts of each pair that aren't 0, (pairs,) int64.
        places: Place of each count in :meth:`SCDConfusion.flatten`, uint32.
        values: The counts, uint64.
    """

    lengths: np.ndarray
    places: np.ndarray
    values: np.ndarray


class PairCounts:
    """Counts of single pairs, in the order in which they were added.

    Args:
        num_classes: Number K of land-cover classes.

    Example:
        >>> pairs = PairCounts(num_classes=1)
        >>> ones = SCDConfusion(*(np.ones((2, 2), np.int64) for _ in range(4)))
        >>> pairs.add(ones)
        >>> pairs.add(ones + ones)
        >>> next(pairs.sums(np.array([[1, 2]]))).change  # the first once, the second twice
        array([[5, 5],
               [5, 5]])
    """

    def __init__(self, num_classes: int) -> None:
        """Start without pairs."""
        self.num_classes = num_classes
        self._lengths = array('q')
        self._places = array('I')
        self._values = array('Q')

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._lengths)

    @property
    def nbytes(self) -> int:
        """Memory of the counts in bytes."""
        parts = (self._lengths, self._places, self._values)
        return sum(part.itemsize * len(part) for part in parts)

    def add(self, counts: SCDConfusion) -> None:
        """Keep the counts of one more pair."""
        vector = counts.flatten()
        places = np.flatnonzero(vector)
        self._lengths.append(len(places))
        self._places.frombytes(places.astype(np.uint32).tobytes())
        self._values.frombytes(vector[places].astype(np.uint64).tobytes())

    def extend(self, other: PairCounts) -> None:
        """Add the pairs of another collection after these."""
        self._lengths += other._lengths
        self._places += other._places
        self._values += other._values

    def pack(self, number: int | None = None) -> PackedCounts:
        """Return the first ``number`` pairs, by default all of them."""
        lengths = np.array(self._lengths[:number], np.int64)
        end = int(lengths.sum())
        places, values = self._places[:end], self._values[:end]
        return PackedCounts(lengths, np.array(places, np.uint32), np.array(values, np.uint64))

    @classmethod
    def merge(cls, parts: Iterable[PackedCounts], num_classes: int) -> PairCounts:
        """Return the pairs of all processes in an order of their own.

        They are sorted by their counts, so that the order, and what is drawn by it, is the same
        however they were distributed over processes and batches.
        """
        rows = []
        for lengths, places, values in parts:
            ends = np.cumsum(lengths)[:-1]
            rows += [
                (one.tobytes(), two.tobytes())
                for one, two in zip(np.split(places, ends), np.split(values, ends), strict=True)
            ][: len(lengths)]
        merged = cls(num_classes)
        for one, two in sorted(rows):
            merged._places.frombytes(one)
            merged._values.frombytes(two)
            merged._lengths.append(len(one) // merged._places.itemsize)
        return merged

    def sums(self, weights: np.ndarray) -> Iterator[SCDConfusion]:
        """Sum the counts of the pairs, each times its weight.

        Args:
            weights: Whole numbers (sums, pairs): how often each pair counts in each sum.

        Returns:
            The counts of one sum after the other, exact up to 2 ** 53 pixels.
        """
        lengths, places, values = self.pack()
        used, columns = np.unique(places, return_inverse=True)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        step = max(1, CHUNK // max(1, len(used)))
        totals = np.zeros((len(weights), len(used)))
        for first in range(0, len(lengths), step):
            last = min(first + step, len(lengths))
            part = slice(starts[first], starts[last])
            dense = np.zeros((last - first, len(used)))
            dense[np.repeat(np.arange(last - first), lengths[first:last]), columns[part]] = values[
                part
            ]
            totals += np.asarray(weights[:, first:last], np.float64) @ dense
        zeros = SCDConfusion.zeros(self.num_classes)
        size = zeros.flatten().size
        for total in totals:
            vector = np.zeros(size, np.int64)
            vector[used] = np.rint(total)
            yield zeros.unflatten(vector)
