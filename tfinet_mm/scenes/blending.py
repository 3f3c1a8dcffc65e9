"""Place windows over a scene, and blend their predictions into one seamless map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import Window
from tfinet_mm.scenes.nearest import nearest_marked
from tfinet_mm.scenes.validity import BOTH_SEEN
from tfinet_mm.utils.windows import window_starts


@dataclass(frozen=True)
class WindowPlan:
    """Plan of the windows of a scene: rows of squares that overlap.

    The last window of a row and the last row are moved back, so that they end
    with the scene. A scene smaller than a window is one window of its own size.

    Attributes:
        width: Columns of the scene.
        height: Rows of the scene.
        size: Pixels of a window's side.
        overlap: Pixels that neighbours share, 0..size-1.

    Raises:
        SceneError: A number is out of range.

    Example:
        >>> plan = WindowPlan(width=10, height=5, size=4, overlap=1)
        >>> [[(w.left, w.top) for w in row] for row in plan.rows()]
        [[(0, 0), (3, 0), (6, 0)], [(0, 1), (3, 1), (6, 1)]]
        >>> plan.stripes
        [(0, 1), (1, 5)]
    """

    width: int
    height: int
    size: int
    overlap: int

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.size) < 1 or not 0 <= self.overlap < self.size:
            raise SceneError(
                'expected a scene and windows of at least one pixel and an overlap of 0 to '
                f'window - 1; got a scene of {self.width} x {self.height}, windows of '
                f'{self.size} and an overlap of {self.overlap}'
            )

    @property
    def tops(self) -> list[int]:
        """Return the first row of each row of windows."""
        return window_starts(self.height, self.size, self.size - self.overlap)

    @property
    def stripes(self) -> list[tuple[int, int]]:
        """Return the rows that each row of windows completes: first, and the one after the last."""
        tops = self.tops
        return list(zip(tops, [*tops[1:], self.height], strict=True))

    def rows(self, first: int = 0) -> Iterator[list[Window]]:
        """Yield the windows, row by row, from the row of windows number ``first`` on."""
        lefts = window_starts(self.width, self.size, self.size - self.overlap)
        width, height = min(self.size, self.width), min(self.size, self.height)
        for top in self.tops[first:]:
            yield [Window(left, top, width, height) for left in lefts]

    def first_needed(self, done: int) -> int:
        """Return the first row of windows that reaches below the scene's row ``done``.

        Where the ``done`` first rows of a scene are finished, a run that resumes there
        with these windows gives the same as one that never stopped, bit for bit.
        """
        ends = [min(top + self.size, self.height) for top in self.tops]
        return next((number for number, end in enumerate(ends) if end > done), len(ends))


class Prediction(NamedTuple):
    """Maps predicted in a window.

    Attributes:
        window: Its place in the scene.
        values: (C, h, w) float32, or a list of arrays (c, h, w) that are C maps together, or None
            where no pixel of the window is valid.
        valid: (h, w) bool, False where the scene has no data.
        codes: (h, w) uint8, why pixels are not valid (:mod:`tfinet_mm.scenes.validity`), or None
            where that isn't known.
    """

    window: Window
    values: np.ndarray | Sequence[np.ndarray] | None
    valid: np.ndarray
    codes: np.ndarray | None = None

    def parts(self) -> Sequence[np.ndarray]:
        """Return the arrays (c, h, w) of the values, none where there are no values."""
        if self.values is None:
            return []
        return [self.values] if isinstance(self.values, np.ndarray) else self.values


class Stripe(NamedTuple):
    """Finished rows of a scene.

    Attributes:
        top: The first row.
        values: (C, rows, width) float32, NaN where there are no data.
        valid: (rows, width) bool.
        codes: (rows, width) uint8, 1 where valid, see :class:`Prediction`.
    """

    top: int
    values: np.ndarray
    valid: np.ndarray
    codes: np.ndarray


def blending_weight(height: int, width: int, overlap: int) -> np.ndarray:
    """Return the weight of each pixel of a window.

    Towards each edge the weight falls from 1 as a squared sine over the overlap, so
    that it is nearly 0 at the end of a window, and that two neighbours sum to 1.

    Args:
        height: Rows of the window.
        width: Columns of the window.
        overlap: Pixels that neighbours share.

    Returns:
        (height, width) float32 in (0, 1].

    Example:
        >>> blending_weight(1, 6, 2).round(3)
        array([[0.146, 0.854, 1.   , 1.   , 0.854, 0.146]], dtype=float32)
    """
    return np.outer(_ramps(height, overlap), _ramps(width, overlap)).astype(np.float32)


def _ramps(length: int, overlap: int) -> np.ndarray:
    ramp = max(min(overlap, (length + 1) // 2), 0)
    weight = np.ones(length)
    if ramp and length > 1:
        rising = np.sin(np.pi / 2 * (np.arange(ramp) + 0.5) / ramp) ** 2
        weight[:ramp] = rising
        weight[-ramp:] = np.minimum(weight[-ramp:], rising[::-1])
    return weight


def blend(
    plan: WindowPlan,
    predictions: Iterable[Prediction],
    channels: int,
    done: int = 0,
    most_rows: int | None = None,
) -> Iterator[Stripe]:
    """Yield the mean of the windows' predictions, weighted by :func:`blending_weight`.

    Memory holds the predictions of one row of windows, and sums of the rows that it shares with
    the next one.

    Args:
        plan: The windows.
        predictions: One for each window in the order of
            ``plan.rows(plan.first_needed(done))``.
        channels: Number of maps C of a prediction.
        done: Number of rows of the scene that are finished already and left out, the
            end of a stripe.
        most_rows: Most rows of a stripe; by default it has all rows that a row of windows
            completes. The values are the same.

    Yields:
        Stripes from above to below, each as soon as no later window touches it.

    Raises:
        SceneError: The predictions aren't those of the windows, or stop too early.
    """
    source = iter(predictions)
    first = plan.first_needed(done)
    height = min(plan.size, plan.height)
    weight = blending_weight(height, min(plan.size, plan.width), plan.overlap)
    carried = np.empty((channels, 0, plan.width), np.float32)
    weights = np.zeros((height, plan.width), np.float32)
    codes = np.zeros((height, plan.width), np.uint8)
    for windows, (start, stop) in zip(plan.rows(first), plan.stripes[first:], strict=True):
        row = [_checked(next(source, None), window, channels) for window in windows]
        for prediction in row:
            left, _, width, _ = prediction.window
            if prediction.values is not None:
                weights[:, left : left + width] += weight
            found = prediction.valid if prediction.codes is None else prediction.codes
            part = codes[:, left : left + width]
            # A pixel that any window shows is valid.
            np.copyto(part, found, where=part != BOTH_SEEN, casting='unsafe')
        rows = stop - start
        for top, end in _blocks(max(done - start, 0), rows, carried.shape[1], most_rows):
            sums = np.empty((channels, end - top, plan.width), np.float32)
            _sum_up(row, weight, carried, top, sums)
            valid = codes[top:end] == BOTH_SEEN
            yield Stripe(
                start + top, _mean(sums, weights[top:end], valid), valid, codes[top:end].copy()
            )
        below = np.empty((channels, height - rows, plan.width), np.float32)
        for top, end in _blocks(rows, height, carried.shape[1]):
            _sum_up(row, weight, carried, top, below[:, top - rows : end - rows])
        carried = below
        # Free the predictions before those of the next row are made.
        del row, prediction
        for array in (weights, codes):
            array[: height - rows] = array[rows:]
            array[height - rows :] = 0


def _blocks(top: int, end: int, border: int, most: int | None = None) -> list[tuple[int, int]]:
    """Return blocks of the rows ``top`` to ``end``, none of which lies across ``border``."""
    ends = [max(min(border, end), top), end]
    return [
        (start, min(start + (most or stop), stop))
        for begin, stop in zip([top, ends[0]], ends, strict=True)
        for start in range(begin, stop, most or max(stop - begin, 1))
    ]


def _sum_up(
    row: Sequence[Prediction], weight: np.ndarray, carried: np.ndarray, top: int, sums: np.ndarray
) -> None:
    """Write the weighted sums of some rows of a row of windows.

    Args:
        row: The predictions of the windows, from left to right.
        weight: (h, w) weight of the pixels of a window.
        carried: (C, rows, width) sums over earlier windows of the first rows.
        top: First of the rows; all lie within ``carried``, or none.
        sums: (C, rows, width) result.
    """
    end = top + sums.shape[1]
    fresh = top >= carried.shape[1]
    if not fresh:
        sums[:] = carried[:, top:end]
    set_to = 0
    for prediction in row:
        left, _, width, _ = prediction.window
        # Columns of the window that have a sum already; the others needn't be 0 before.
        shared = max(set_to - left, 0) if fresh else width
        place = sums[:, :, left : left + width]
        first = 0
        for part in prediction.parts():
            target = place[first : first + len(part)]
            first += len(part)
            maps, factor = part[:, top:end], weight[top:end]
            if shared:
                target[..., :shared] += maps[..., :shared] * factor[:, :shared]
            np.multiply(maps[..., shared:], factor[:, shared:], out=target[..., shared:])
        if prediction.values is None:
            place[..., shared:] = 0
        set_to = left + width


def _mean(sums: np.ndarray, weights: np.ndarray, valid: np.ndarray) -> np.ndarray:
    # Where no window with data reached, 0 / 0 is NaN as it should be. A masked division is slower.
    with np.errstate(invalid='ignore'):
        sums /= weights
    if not valid.all():
        sums[:, ~valid] = np.nan
    return sums


def _checked(prediction: Prediction | None, window: Window, channels: int) -> Prediction:
    if prediction is None:
        raise SceneError(f'the predictions stop before that of {window}; give one for each window')
    shape = channels, window.height, window.width
    if prediction.window != window:
        raise SceneError(
            f'expected the prediction of {window}, got that of {prediction.window}; give them in '
            'the order of the plan'
        )
    found = _shape(prediction.parts())
    if prediction.valid.shape != shape[1:] or (
        prediction.valid.any() if prediction.values is None else found != shape
    ):
        raise SceneError(
            f'expected values of shape {shape} and a mask of {shape[1:]} for {window} (values may '
            f'be None where nothing is valid), got {found} and {prediction.valid.shape}'
        )
    return prediction


def _shape(parts: Sequence[np.ndarray]) -> tuple[int, ...] | None:
    """Return the shape of arrays (c, h, w) together; None without any, or where sizes differ."""
    sizes = {part.shape[1:] for part in parts}
    return (sum(map(len, parts)), *sizes.pop()) if len(sizes) == 1 else None


def fill_invalid(pair: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Give pixels without data the values of a valid pixel next to them.

    A network's result at a pixel depends on those around it; black nodata would change
    the results at its edge.

    Args:
        pair: (C, H, W), both dates' bands.
        valid: (H, W) bool.

    Returns:
        (C, H, W) of the same type: valid pixels as they are, each other one with the
        values of the (to a few percent of the distance) nearest valid one, the same for
        both dates. The array itself where all pixels are valid, or none is.

    Example:
        >>> pair = np.array([[[0, 7, 9, 0, 0]]], np.uint8)
        >>> fill_invalid(pair, pair[0] > 0)
        array([[[7, 7, 9, 9, 9]]], dtype=uint8)
    """
    if valid.all() or not valid.any():
        return pair
    return pair.reshape(len(pair), -1)[:, nearest_marked(valid)]
