"""Decide which pixels of a scene are changed, from P(changed) in blocks of rows.

The result doesn't depend on the blocks: smoothing reads the rows around each of them, and
hysteresis follows regions over their borders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.rasters import read_rows
from tfinet_mm.scenes.filters import count_around
from tfinet_mm.scenes.result_rasters import CHANGE_NODATA
from tfinet_mm.scenes.vectorize.components import Components

LARGEST_SMOOTH = 255


@dataclass(frozen=True)
class ChangeRules:
    """Rules for changed pixels.

    Attributes:
        threshold: Pixels with P(changed) at or above it are changed.
        hysteresis: (low, high) in place of the threshold: changed is each region of pixels with P
            at or above ``low`` that has a pixel at or above ``high``. Pixels of a region share
            sides.
        smooth: Odd side of a square in pixels. A pixel reaches a threshold if more than half of
            the seen pixels in the square around it do, as their median of P. 1 doesn't smooth.

    Raises:
        SceneError: A value is out of range.
    """

    threshold: float = 0.5
    hysteresis: tuple[float, float] | None = None
    smooth: int = 1

    def __post_init__(self) -> None:
        low, high = self.levels
        if not 0 <= low <= high <= 1:
            raise SceneError(
                f'a threshold is a probability from 0 to 1, got {self.threshold}'
                if self.hysteresis is None
                else f'hysteresis takes LOW HIGH with 0 <= LOW <= HIGH <= 1, got {low} {high}'
            )
        check_side(self.smooth)

    @property
    def levels(self) -> tuple[float, float]:
        """Return the lower and the upper threshold."""
        return self.hysteresis or (self.threshold, self.threshold)

    def settings(self) -> dict[str, Any]:
        """Return the rules as values of JSON."""
        low, high = self.levels
        return dict(
            threshold=high,
            hysteresis=None if self.hysteresis is None else [low, high],
            smooth=self.smooth,
        )


def check_side(side: int) -> None:
    """Refuse the side of a square that has no middle or is too large.

    Raises:
        SceneError: It isn't an odd number from 1 to 255.
    """
    if not 1 <= side <= LARGEST_SMOOTH or side % 2 == 0:
        raise SceneError(f'smooth must be an odd number from 1 to {LARGEST_SMOOTH}, got {side}')


def change_blocks(
    probabilities: Any, rules: ChangeRules, blocks: Sequence[tuple[int, int]]
) -> Iterator[np.ndarray]:
    """Yield the change of blocks of rows.

    With hysteresis the raster is read twice; memory holds a block and a few bytes for each region.

    Args:
        probabilities: Open raster of P(changed), NaN where not seen.
        rules: The rules.
        blocks: First row and number of rows of each block, from above to below, without gaps.

    Yields:
        (rows, width) uint8: 1 changed, 0 unchanged, 255 not seen.
    """
    low, high = rules.levels
    components = Components(probabilities.width)
    kept = _kept_regions(probabilities, rules, blocks) if low < high else []
    for number, (top, rows) in enumerate(blocks):
        seen, changed, _ = _reached(probabilities, rules, top, rows)
        if low < high:
            last = number == len(blocks) - 1
            labels = components.add(changed.view(np.uint8), last=last).labels
            changed = np.concatenate([[False], kept[number]])[labels]
        # Nothing that isn't seen is changed.
        yield changed.view(np.uint8) + ~seen * np.uint8(CHANGE_NODATA)


def _reached(
    probabilities: Any, rules: ChangeRules, top: int, rows: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where pixels are seen, and where they reach the lower and the upper threshold."""
    first, values = read_around(probabilities, top, rows, rules.smooth // 2)
    seen = ~np.isnan(values)
    low, high = rules.levels
    reached = [majority(values >= low, seen, rules.smooth)]
    reached.append(majority(values >= high, seen, rules.smooth) if high > low else reached[0])
    inner = slice(top - first, top - first + rows)
    return seen[inner], reached[0][inner], reached[1][inner]


def _kept_regions(
    probabilities: Any, rules: ChangeRules, blocks: Sequence[tuple[int, int]]
) -> list[np.ndarray]:
    """Return for each block which regions of the lower threshold have a pixel of the upper."""
    components = Components(probabilities.width)
    found = []
    for number, (top, rows) in enumerate(blocks):
        _, low, high = _reached(probabilities, rules, top, rows)
        block = components.add(low.view(np.uint8), high, last=number == len(blocks) - 1)
        found.append((block.sums[:, 1] > 0, block.above, block.open))
    # The sums of a region are complete in the block where it ends; from there, upwards.
    for (kept, _, is_open), (below, above, _) in zip(found[-2::-1], found[:0:-1], strict=True):
        kept[is_open] = below[above]
    return [kept for kept, _, _ in found]


def read_around(raster: Any, top: int, rows: int, margin: int) -> tuple[int, np.ndarray]:
    """Return rows of a raster with those around, as far as there are, and the first row's number.

    Args:
        raster: Open raster of one band.
        top: First row.
        rows: Number of rows.
        margin: Rows above and below.
    """
    first = max(top - margin, 0)
    return first, read_rows(raster, first, min(top + rows + margin, raster.height) - first)


def majority(reached: np.ndarray, seen: np.ndarray, side: int) -> np.ndarray:
    """Return where more than half of the seen pixels around each seen pixel are marked.

    Args:
        reached: (H, W) bool, False where not seen.
        seen: (H, W) bool.
        side: Side of the square around each pixel.

    Example:
        >>> row = np.array([[True, False, True, True, False]])
        >>> majority(row, np.array([[True, True, True, True, False]]), 3).astype(int)
        array([[0, 1, 1, 1, 0]])
    """
    if side == 1:
        return reached
    result: np.ndarray = 2 * count_around(reached, side) > count_around(seen, side)
    return result & seen


def majority_class(cover: np.ndarray, side: int, number: int) -> np.ndarray:
    """Return the most frequent class around each pixel, of equally frequent ones its own.

    Args:
        cover: (H, W) uint8 of classes 1..K, 0 where not seen, which doesn't count.
        side: Side of the square around each pixel.
        number: Number of classes K.

    Returns:
        (H, W) uint8, 0 where not seen. Of equally frequent classes other than the pixel's own,
        the first.

    Example:
        >>> majority_class(np.array([[1, 2, 2, 1, 0, 1]], np.uint8), 3, 2)
        array([[1, 2, 2, 1, 0, 1]], dtype=uint8)
    """
    best = np.zeros_like(cover)
    most = np.zeros(cover.shape, np.int32)
    own = np.zeros(cover.shape, np.int32)
    for label in range(1, number + 1):
        mine = cover == label
        counts = count_around(mine, side)
        np.copyto(own, counts, where=mine)
        np.copyto(best, np.uint8(label), where=counts > most)
        np.maximum(most, counts, out=most)
    return np.where((own == most) | (cover == 0), cover, best)
