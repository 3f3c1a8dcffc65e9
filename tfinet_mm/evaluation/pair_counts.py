"""Keep the counts of each pair of a whole data set in little memory.

Scores come from the sum of the counts of all pairs; confidence intervals need
sums over many draws of pairs. Only the counts that aren't 0 are kept: 12 bytes
each, about a kilobyte for a pair with 6 classes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from tfinet_mm.evaluation.confusion import SCDConfusion

CHUNK = 1 << 22
"""Greatest number of elements of a dense block (pairs, counts) while pairs are summed."""


class PackedCounts(NamedTuple):
    """Counts of pairs in the form that processes exchange.

    Attributes:
        lengths: Number of counts of each pair that aren't 0, (pairs,) int64.
        indices: Index of each count in :meth:`SCDConfusion.flatten`, uint32.
        values: The counts, uint64.
    """

    lengths: np.ndarray
    indices: np.ndarray
    values: np.ndarray


class PairCounts:
    """Counts of each pair, in the order in which the pairs were added.

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
        """Create a collection without pairs."""
        self.num_classes = num_classes
        self._lengths = array('q')
        self._indices = array('I')
        self._values = array('Q')

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._lengths)

    @property
    def nbytes(self) -> int:
        """Return the memory of the counts in bytes."""
        parts = (self._lengths, self._indices, self._values)
        return sum(part.itemsize * len(part) for part in parts)

    def add(self, counts: SCDConfusion) -> None:
        """Add the counts of a pair."""
        vector = counts.flatten()
        indices = np.flatnonzero(vector)
        self._lengths.append(len(indices))
        self._indices.frombytes(indices.astype(np.uint32).tobytes())
        self._values.frombytes(vector[indices].astype(np.uint64).tobytes())

    def extend(self, other: PairCounts) -> None:
        """Append the pairs of another collection."""
        self._lengths += other._lengths
        self._indices += other._indices
        self._values += other._values

    def with_land_cover(self) -> PairCounts:
        """Return the pairs whose land cover is annotated, in their order."""
        # The number of pairs of change alone is the last of the counts, and seldom above 0.
        mark = SCDConfusion.zeros(self.num_classes).flatten().size - 1
        ends = np.cumsum(self._lengths, dtype=np.int64)
        found = PairCounts(self.num_classes)
        for end, length in zip(ends, self._lengths, strict=True):
            if not length or self._indices[end - 1] != mark:
                found._lengths.append(length)
                found._indices += self._indices[end - length : end]
                found._values += self._values[end - length : end]
        return found

    def pack(self, number: int | None = None) -> PackedCounts:
        """Return the first ``number`` pairs, by default all of them."""
        lengths = np.array(self._lengths[:number], np.int64)
        end = int(lengths.sum())
        indices, values = self._indices[:end], self._values[:end]
        return PackedCounts(lengths, np.array(indices, np.uint32), np.array(values, np.uint64))

    @classmethod
    def merge(cls, parts: Iterable[PackedCounts], num_classes: int) -> PairCounts:
        """Return the pairs of all processes, sorted by their counts.

        The order doesn't depend on the distribution of the pairs over processes and batches, so
        the draws of pairs don't either.
        """
        rows = []
        for lengths, indices, values in parts:
            ends = np.cumsum(lengths)[:-1]
            rows += [
                (one.tobytes(), two.tobytes())
                for one, two in zip(np.split(indices, ends), np.split(values, ends), strict=True)
            ][: len(lengths)]
        merged = cls(num_classes)
        for one, two in sorted(rows):
            merged._indices.frombytes(one)
            merged._values.frombytes(two)
            merged._lengths.append(len(one) // merged._indices.itemsize)
        return merged

    def sums(self, weights: np.ndarray) -> Iterator[SCDConfusion]:
        """Sum the counts of the pairs, each times its weight.

        Args:
            weights: Whole numbers (sums, pairs), the weight of each pair in each sum.

        Yields:
            The counts of each sum, exact up to 2 ** 53 pixels.
        """
        lengths, indices, values = self.pack()
        used, columns = np.unique(indices, return_inverse=True)
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
