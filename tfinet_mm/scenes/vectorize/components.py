"""Find connected regions of equal values in a raster that is read in blocks of rows.

A region may reach over any number of blocks. Memory holds one block, and the sums of the
regions that reach its lower edge.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.vectorize.graph import connected


class PixelRuns(NamedTuple):
    """Neighbouring pixels of one value in a row, from above to below and from left to right.

    Attributes:
        row: Their rows.
        left: First columns.
        right: The columns after the last ones.
        value: Their values, never 0.
    """

    row: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray


class Block(NamedTuple):
    """Regions in a block of rows, including those that begin above it.

    Attributes:
        labels: (h, w) int32: number of the region + 1, 0 where the raster is 0.
        values: (n,) value of each region.
        sums: (n, S) sums over each region's pixels of the weights of :meth:`Components.add`,
            including blocks above; the number of pixels comes first.
        own: (n,) number of pixels in this block.
        boxes: (n, 4) first column, first row, and the ones after the last, of the region's pixels
            in this block, rows counted from the block's first; meaningless where it has none.
        above: (m,) for each region that was open after the block before, its number in this one.
        open: (n,) bool: it reaches the block's last row and may continue below.
    """

    labels: np.ndarray
    values: np.ndarray
    sums: np.ndarray
    own: np.ndarray
    boxes: np.ndarray
    above: np.ndarray
    open: np.ndarray


class Components:
    """Regions of a raster whose blocks are added from above to below.

    Args:
        width: Columns.
        connectivity: 4: pixels of a region share sides; 8: or corners.

    Raises:
        SceneError: The connectivity is neither 4 nor 8.

    Example:
        >>> components = Components(width=3, connectivity=4)
        >>> block = components.add(np.array([[1, 0, 1], [1, 0, 2]]))
        >>> block.values.tolist(), block.sums.tolist(), block.open.tolist()
        ([1, 1, 2], [[2.0], [1.0], [1.0]], [True, False, True])
        >>> block = components.add(np.array([[1, 1, 2]]), last=True)
        >>> block.sums.tolist(), block.own.tolist(), block.above.tolist()
        ([[4.0], [2.0]], [2, 1], [0, 1])
    """

    def __init__(self, width: int, connectivity: int = 4) -> None:
        if connectivity not in (4, 8):
            raise SceneError(f'expected a connectivity of 4 or 8, got {connectivity}')
        self.width = width
        self.reach = int(connectivity == 8)
        # PixelRuns of the row above, the open region of each, and the sums of those regions.
        nothing = np.zeros(0, np.int64)
        self._runs = PixelRuns(nothing, nothing, nothing, nothing)
        self._regions = nothing
        self._sums: np.ndarray | None = None

    def add(self, values: np.ndarray, *weights: np.ndarray, last: bool = False) -> Block:
        """Add the next rows.

        Args:
            values: (h, w) integers, 0 for pixels outside all regions.
            *weights: Arrays that broadcast to (h, w), to sum over the regions.
            last: No rows follow.
        """
        height = len(values)
        own = find_runs(values)
        runs = PixelRuns(*(np.concatenate(both) for both in zip(self._runs, own, strict=True)))
        carried = len(self._regions)
        count, numbers = self._connect(runs)
        above = np.zeros(self._regions.max(initial=-1) + 1, np.int64)
        above[self._regions] = numbers[:carried]
        numbers_own = numbers[carried:]

        changed = values != 0
        lengths = own.right - own.left
        labels = _filled(own, lengths, numbers_own + 1, values.shape)
        pixels = np.bincount(numbers_own, lengths, minlength=count).astype(np.int64)
        parts: list[np.ndarray] = [pixels.astype(np.float64)]
        by_pixel = np.repeat(numbers_own, lengths if weights else 0)
        for weight in weights:
            taken = np.broadcast_to(weight, values.shape)[changed]
            parts.append(np.bincount(by_pixel, taken, minlength=count))
        sums = np.stack(parts, axis=1)
        if self._sums is not None:
            np.add.at(sums, above, self._sums)

        opened = np.zeros(count, bool)
        if not last:
            bottom = own.row == height - 1
            opened[numbers_own[bottom]] = True
            open_numbers = np.cumsum(opened) - 1
            self._runs = PixelRuns(*(part[bottom] for part in own))._replace(
                row=np.full(bottom.sum(), -1)
            )
            self._regions = open_numbers[numbers_own[bottom]]
            self._sums = sums[opened]
        kinds = np.zeros(count, np.int64)
        kinds[numbers] = runs.value
        return Block(labels, kinds, sums, pixels, _boxes(own, numbers_own, count), above, opened)

    def _connect(self, runs: PixelRuns) -> tuple[int, np.ndarray]:
        """Return the number of regions and that of each run, in the order of their first runs."""
        first, second = touching(runs, self.width, self.reach)
        # PixelRuns of the row above that are connected further up.
        order = np.argsort(self._regions, kind='stable')
        same = np.flatnonzero(np.diff(self._regions[order]) == 0)
        first = np.concatenate([first, order[same]])
        second = np.concatenate([second, order[same + 1]])
        size = len(runs.row)
        count, numbers = connected(size, first, second)
        # Number the regions by their first runs, a fixed order.
        _, starts = np.unique(numbers, return_index=True)
        rank = np.empty(count, np.int64)
        rank[np.argsort(starts)] = np.arange(count)
        return count, rank[numbers]


def find_runs(values: np.ndarray) -> PixelRuns:
    """Return the runs of an (h, w) array of integers.

    Example:
        >>> find_runs(np.array([[5, 5, 0, 7], [7, 0, 0, 0]]))._asdict()['right'].tolist()
        [2, 4, 1]
    """
    height, width = values.shape
    padded = np.zeros((height, width + 2), values.dtype)
    padded[:, 1:-1] = values
    flat = padded.ravel()
    steps = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    # Between two steps there is one value.
    inside = flat[steps] != 0
    starts = steps[inside]
    stops = steps[1:][inside[:-1]]
    row = starts // (width + 2)
    base = row * (width + 2) + 1
    return PixelRuns(row, starts - base, stops - base, flat[starts].astype(np.int64))


def touching(runs: PixelRuns, width: int, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of runs of one value in neighbouring rows that touch.

    Args:
        runs: PixelRuns in order.
        width: Columns of the raster.
        reach: 0 where they have to share a side, 1 where a corner is enough.

    Returns:
        Numbers of the upper and of the lower runs.
    """
    # Positions in rows of width + 1 columns, so that a run that reaches over the end touches none.
    base = runs.row * (width + 1)
    starts, stops = base + runs.left, base + runs.right
    low = np.searchsorted(stops, starts + width + 1 - reach, 'right')
    high = np.searchsorted(starts, stops + width + 1 + reach, 'left')
    counts = np.maximum(high - low, 0)
    upper = np.repeat(np.arange(len(starts)), counts)
    lower = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    lower += np.repeat(low, counts)
    same = runs.value[upper] == runs.value[lower]
    return upper[same], lower[same]


def _filled(
    runs: PixelRuns, lengths: np.ndarray, numbers: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Return an array (h, w) int32 with a number in each run and 0 between them."""
    starts = runs.row * shape[1] + runs.left
    # Gap and run by turns: faster than a mask.
    parts = np.zeros((len(starts) + 1, 2), np.int64)
    parts[:-1, 1] = lengths
    parts[1:, 0] = starts + lengths
    parts[:-1, 0] = starts - parts[:-1, 0]
    parts[-1, 0] = math.prod(shape) - parts[-1, 0]
    values = np.zeros((len(starts) + 1, 2), np.int32)
    values[:-1, 1] = numbers
    return np.repeat(values.ravel(), parts.ravel()).reshape(shape)


def _boxes(runs: PixelRuns, numbers: np.ndarray, count: int) -> np.ndarray:
    far = np.iinfo(np.int64).max
    boxes = np.zeros((count, 4), np.int64)
    boxes[:, :2] = far
    np.minimum.at(boxes[:, 0], numbers, runs.left)
    np.minimum.at(boxes[:, 1], numbers, runs.row)
    np.maximum.at(boxes[:, 2], numbers, runs.right)
    np.maximum.at(boxes[:, 3], numbers, runs.row + 1)
    return boxes
