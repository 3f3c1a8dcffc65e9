"""Place windows over a scene, and blend their predictions into one seamless map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import Window
from tfinet_mm.scenes.validity import BOTH_SEEN
from tfinet_mm.utils.opencv import cv2
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
        values: (C, h, w) float32, or None where no pixel of the window is valid.
        valid: (h, w) bool, False where the scene has no data.
        codes: (h, w) uint8, why pixels are not valid (:mod:`tfinet_mm.scenes.validity`), or None
            where that isn't known.
    """

    window: Window
    values: np.ndarray | None
    valid: np.ndarray
    codes: np.ndarray | None = None


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
    plan: WindowPlan, predictions: Iterable[Prediction], channels: int, done: int = 0
) -> Iterator[Stripe]:
    """Yield the mean of the windows' predictions, weighted by :func:`blending_weight`.

    No more than one row of windows is held in memory: (C + 1) float32 values a pixel.

    Args:
        plan: The windows.
        predictions: One for each window in the order of
            ``plan.rows(plan.first_needed(done))``.
        channels: Number of maps C of a prediction.
        done: Number of rows of the scene that are finished already and left out, the
            end of a stripe.

    Yields:
        Stripes from above to below, each as soon as no later window touches it.

    Raises:
        SceneError: The predictions aren't those of the windows, or stop too early.
    """
    source = iter(predictions)
    first = plan.first_needed(done)
    height = min(plan.size, plan.height)
    weight = blending_weight(height, min(plan.size, plan.width), plan.overlap)
    total = np.zeros((channels, height, plan.width), np.float32)
    # Allocating large arrays for each window would cost more than the arithmetic.
    weighted = np.empty((channels, *weight.shape), np.float32)
    weights = np.zeros((height, plan.width), np.float32)
    codes = np.zeros((height, plan.width), np.uint8)
    for windows, (start, stop) in zip(plan.rows(first), plan.stripes[first:], strict=True):
        for window in windows:
            prediction = _checked(next(source, None), window, channels)
            columns = slice(window.left, window.left + window.width)
            if prediction.values is not None:
                total[:, :, columns] += np.multiply(prediction.values, weight, out=weighted)
                weights[:, columns] += weight
            found = prediction.valid if prediction.codes is None else prediction.codes
            part = codes[:, columns]
            # A pixel that any window shows is valid.
            np.copyto(part, found, where=part != BOTH_SEEN, casting='unsafe')
        rows = stop - start
        if stop > done:
            skip = max(done - start, 0)
            valid = codes[skip:rows] == BOTH_SEEN
            yield Stripe(
                start + skip,
                _mean(total[:, skip:rows], weights[skip:rows], valid),
                valid,
                codes[skip:rows].copy(),
            )
        for array in (total, weights, codes):
            kept = array[..., rows:, :].copy()
            array[..., : height - rows, :] = kept
            array[..., height - rows :, :] = 0


def _mean(total: np.ndarray, weights: np.ndarray, valid: np.ndarray) -> np.ndarray:
    # Where no window with data reached, 0 / 0 is NaN as it should be. A masked division is slower.
    with np.errstate(invalid='ignore'):
        mean = total / weights
    if not valid.all():
        mean[:, ~valid] = np.nan
    return mean


def _checked(prediction: Prediction | None, window: Window, channels: int) -> Prediction:
    if prediction is None:
        raise SceneError(f'the predictions stop before that of {window}; give one for each window')
    shape = channels, window.height, window.width
    if prediction.window != window:
        raise SceneError(
            f'expected the prediction of {window}, got that of {prediction.window}; give them in '
            'the order of the plan'
        )
    if prediction.valid.shape != shape[1:] or (
        (prediction.values is None and prediction.valid.any())
        or (prediction.values is not None and prediction.values.shape != shape)
    ):
        found = None if prediction.values is None else prediction.values.shape
        raise SceneError(
            f'expected values of shape {shape} and a mask of {shape[1:]} for {window} (values may '
            f'be None where nothing is valid), got {found} and {prediction.valid.shape}'
        )
    return prediction


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
    _, labels = cv2.distanceTransformWithLabels(
        (~valid).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    sources = np.zeros(labels.max() + 1, np.intp)
    sources[labels[valid]] = np.flatnonzero(valid)
    return pair.reshape(len(pair), -1)[:, sources[labels]]
