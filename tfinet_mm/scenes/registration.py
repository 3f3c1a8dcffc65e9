"""Measure the shift between the two dates of a scene, on patches all over it.

Where the dates don't lie on each other, edges look like change. Only the patches are read, so the
cost hardly depends on the size of the scene.
"""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from tfinet_mm.io.images import Window
from tfinet_mm.scenes.correlation import patch_shift
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.ground import Ground, ground_steps
from tfinet_mm.utils.prefetch import map_ahead

SIDES = (256, 128, 64)
"""Sides of patches in pixels: the first one of which :data:`ENOUGH` fit."""
ENOUGH, MOST = 25, 81
"""Numbers of patches: those that may overlap, and the most of all."""
# Threads that correlate.
WORKERS = 2
# A peak below this many standard deviations may be chance.
LEAST_QUALITY = 6.0
# Patches agree whose shifts lie within this many pixels of the common one.
TOLERANCE = 2.0
# Patches that must agree: this many, and this share of those with a clear peak.
LEAST_AGREEING, LEAST_SHARE = 5, 0.25
# An affine model needs these patches, and must leave this part of the spread around one shift.
AFFINE_PATCHES, AFFINE_GAIN, AFFINE_SPREAD = 12, 0.6, 0.3
# Models that are tried, each through three patches.
TRIALS = 300
# Greatest distortion of an affine model: pixels a pixel.
MOST_DISTORTION = 0.02
WARNING_PIXELS = 1.0
"""Shift from which a warning is given."""


class PairReader(Protocol):
    """Two dates on one grid, such as :class:`~tfinet_mm.scenes.reader.ScenePair`."""

    grid: SceneGrid

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return the pair (2B, h, w) and its valid pixels (h, w) in a window."""
        ...


class Patches(NamedTuple):
    """Shifts of the patches of a scene, arrays of one length.

    Attributes:
        column: Middle of each patch, in columns of the grid.
        row: The same in rows.
        right: Pixels by which after lies further right.
        down: Pixels by which it lies further down.
        quality: Height of the peak, in standard deviations of the correlation.
        used: Whether the patch agrees with the others and counts.
    """

    column: np.ndarray
    row: np.ndarray
    right: np.ndarray
    down: np.ndarray
    quality: np.ndarray
    used: np.ndarray


@dataclass(frozen=True, eq=False)
class Registration:
    """Shift of after against before.

    Attributes:
        patches: The :class:`Patches`.
        model: Pixels that after lies further right and down, as a linear function of column and
            row: (2, 3), the constants last; None where the shift can't be measured.
        is_affine: The shift varies over the scene, so the model isn't constant.
        size: Width and height of the grid.
        ground: The grid's steps on the ground.
        reason: Text that says why the shift can't be measured, else empty.
    """

    patches: Patches
    model: np.ndarray | None
    is_affine: bool
    size: tuple[int, int]
    ground: Ground
    reason: str = ''

    @cached_property
    def shift(self) -> tuple[float, float] | None:
        """Return the median shift in pixels right and down, None where it isn't known."""
        if self.model is None:
            return None
        used = self.patches.used
        right, down = (np.median(one[used]) for one in (self.patches.right, self.patches.down))
        return float(right), float(down)

    @cached_property
    def spread(self) -> float:
        """Return the pixels within which two thirds of the used patches lie from the median."""
        if self.shift is None:
            return math.nan
        return _spread(self.patches, np.array([[0, 0, one] for one in self.shift]))

    @cached_property
    def largest(self) -> float:
        """Return the largest shift of the model in the scene, in pixels."""
        if self.model is None:
            return math.nan
        width, height = self.size
        corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]])
        return float(np.hypot(*(self.model @ corners.T)).max())

    @property
    def is_far(self) -> bool:
        """Return whether the shift is above a pixel somewhere in the scene."""
        return self.model is not None and self.largest > WARNING_PIXELS

    @property
    def count(self) -> int:
        """Return the number of patches that are used."""
        return int(self.patches.used.sum())

    def describe(self) -> str:
        """Return one line for people: shift, directions, and number of patches."""
        if self.shift is None:
            return f'the shift between the dates can not be measured: {self.reason}'
        right, down = self.shift
        said = (
            f'after lies {self.ground.name_column(right)} and {self.ground.name_row(down)} '
            f'{"of" if self.ground.is_north_up else "from"} before, '
            f'from {self.count} of {len(self.patches.used)} patches'
        )
        if self.is_affine:
            return (
                f'{said}; the shift varies over the scene, up to {self.largest:.2f} px, as by a '
                'rotation or another scale'
            )
        return f'{said}, two thirds of them within {self.spread:.2f} px'

    def metadata(self) -> dict[str, Any]:
        """Return the numbers as values of JSON, without the patches."""
        found: dict[str, Any] = dict(
            text=self.describe(), patches=len(self.patches.used), used=self.count
        )
        if self.shift is None or self.model is None:
            return found
        right, down = (round(one, 4) + 0.0 for one in self.shift)
        across, along = self.ground.column_metres, self.ground.row_metres
        return found | dict(
            right_px=right,
            up_px=-down + 0.0,
            right_m=None if across is None else round(right * across, 4),
            up_m=None if along is None else round(-down * along, 4) + 0.0,
            spread_px=round(self.spread, 4),
            largest_px=round(self.largest, 4),
            model='affine' if self.is_affine else 'shift',
        )


def measure_registration(pair: PairReader) -> Registration:
    """Measure how far after lies from before.

    Args:
        pair: The open scene.

    Returns:
        The shift, with that of each patch.
    """
    grid = pair.grid
    size, ground = (grid.width, grid.height), ground_steps(grid)
    patches = _measure(pair)

    def without(reason: str) -> Registration:
        return Registration(patches, None, False, size, ground, reason)

    number = len(patches.used)
    if min(size) < SIDES[-1]:
        return without(f'the scene has {size[0]} x {size[1]} pixels, a patch takes {SIDES[-1]}')
    if not number:
        tried = len(patch_windows(*size))
        return without(f'none of {tried} places all over it has texture and data on both dates')
    clear = patches.quality >= LEAST_QUALITY
    model, used, is_affine = _agree(patches, clear)
    needed = max(LEAST_AGREEING, math.ceil(LEAST_SHARE * clear.sum()))
    agreeing = int(used.sum())
    if agreeing < needed:
        return without(
            f'{agreeing} of {number} patches agree, and {needed} are needed. The dates may have '
            'little in common, or lie further apart than a quarter of a patch '
            f'({_side(*size) // 4} px)'
        )
    return Registration(patches._replace(used=used), model, is_affine, size, ground)


def _side(width: int, height: int) -> int:
    """Return the side of patches for a scene."""
    for side in SIDES:
        if math.prod(max(2 * length // side - 1, 0) for length in (width, height)) >= ENOUGH:
            return side
    return SIDES[-1]


def patch_windows(width: int, height: int) -> list[list[Window]]:
    """Return patches all over a scene, each with others to take in its place.

    They don't overlap where :data:`ENOUGH` fit side by side. In a large scene they lie on multiples
    of their side, so that few tiles of a file are read.

    Example:
        >>> [tuple(places[0]) for places in patch_windows(150, 64)]
        [(0, 0, 64, 64), (43, 0, 64, 64), (86, 0, 64, 64)]
    """
    side = _side(width, height)
    if min(width, height) < side:
        return []
    fit = [2 * length // side - 1 for length in (width, height)]
    wanted = float(np.clip(width * height / side**2, ENOUGH, MOST))
    across = int(np.clip(round(math.sqrt(wanted * width / height)), 1, min(fit[0], MOST)))
    down = int(np.clip(round(wanted / across), 1, fit[1]))
    across, down = min(across, MOST // down), min(down, MOST // across)
    found = []
    for top in _starts(height, side, down):
        for left in _starts(width, side, across):
            places = [Window(left, top, side, side)]
            for move in (side // 2, -side // 2):
                other = (
                    int(np.clip(left + move, 0, width - side)),
                    int(np.clip(top + move, 0, height - side)),
                )
                if other != (left, top):
                    places.append(Window(*other, side, side))
            found.append(places)
    return found


def _starts(length: int, side: int, number: int) -> list[int]:
    room = length - side
    starts = np.linspace(0, room, number) if number > 1 else np.array([room / 2])
    if number > 1 and room / (number - 1) >= 2 * side:
        starts = np.round(starts / side) * side
    return [int(min(start, room)) for start in starts]


def _measure(pair: PairReader) -> Patches:
    """Measure all patches; those without texture or data are left out."""

    def read(window: Window) -> list[np.ndarray]:
        values, valid = pair.read(window)
        return [*np.split(values, 2), valid]

    patches = patch_windows(pair.grid.width, pair.grid.height)
    # One thread may read; the correlations of the places that are tried first run beside it.
    firsts = (read(places[0]) for places in patches)
    shifts = map_ahead(lambda patch: patch_shift(*patch), firsts, WORKERS, 2 * WORKERS)
    rows = []
    seen = set()
    with closing(shifts):
        for places, first in zip(patches, shifts, strict=True):
            for window in places:
                # In its place, an overlapping neighbour may have been taken.
                if window in seen:
                    continue
                seen.add(window)
                shift = first if window is places[0] else patch_shift(*read(window))
                if shift is not None:
                    middle = window.left + window.width / 2, window.top + window.height / 2
                    rows.append((*middle, *shift))
                    break
    table = np.array(rows, np.float64).reshape(-1, 5).T
    column, row, right, down, quality = table
    return Patches(column, row, right, down, quality, np.zeros(len(rows), bool))


def _agree(patches: Patches, clear: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Find the model that most patches agree with.

    Returns:
        The model (2, 3), the patches that agree with it, and whether it is affine.
    """
    shifts = np.stack([patches.right, patches.down])
    if not clear.any():
        return np.zeros((2, 3)), clear, False
    # The clear patch with most others near it; a median would follow the wrong ones.
    away = np.hypot(*(shifts[:, clear, None] - shifts[:, None, clear]))
    best = shifts[:, clear][:, (away < TOLERANCE).sum(0).argmax()]
    model = np.array([[0, 0, best[0]], [0, 0, best[1]]])
    used = clear
    for _ in range(3):
        used = clear & (_residuals(patches, model) < TOLERANCE)
        model[:, 2] = np.median(shifts[:, used], axis=1)
    # Of those that agree by chance most lie at the edge.
    used &= _residuals(patches, model) < _limit(patches, model, used)
    model[:, 2] = np.median(shifts[:, used], axis=1)
    affine, fitting = _affine(patches, clear)
    if fitting.sum() >= max(AFFINE_PATCHES, 0.9 * used.sum()):
        around = _spread(patches._replace(used=fitting), model)
        left = _spread(patches._replace(used=fitting), affine)
        if around > AFFINE_SPREAD and left < AFFINE_GAIN * around:
            return affine, fitting, True
    return model, used, False


def _limit(patches: Patches, model: np.ndarray, used: np.ndarray) -> float:
    """Return the distance from the model beyond which a patch is an outlier."""
    if not used.any():
        return 0.0
    return max(3.5 * 1.4826 * float(np.median(_residuals(patches, model)[used])), 0.1)


def _affine(patches: Patches, clear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit an affine model by RANSAC.

    Returns:
        The model and the patches that agree with it.
    """
    nothing = np.zeros((2, 3)), np.zeros_like(clear)
    numbers = np.flatnonzero(clear)
    if len(numbers) < AFFINE_PATCHES:
        return nothing
    rng = np.random.default_rng(0)
    best = nothing
    for _ in range(TRIALS):
        chosen = np.zeros_like(clear)
        chosen[rng.choice(numbers, 3, replace=False)] = True
        model = _fit(patches, chosen)
        if model is None:
            continue
        used = clear & (_residuals(patches, model) < TOLERANCE / 2)
        if used.sum() > best[1].sum():
            best = model, used
        if len(numbers) == best[1].sum():
            # No other trial agrees with more.
            break
    for _ in range(3):
        model = _fit(patches, best[1])
        if model is None:
            return nothing
        used = clear & (_residuals(patches, model) < TOLERANCE / 2)
        used &= _residuals(patches, model) < _limit(patches, model, used)
        best = model, used
    return best


def _fit(patches: Patches, used: np.ndarray) -> np.ndarray | None:
    """Return the affine model through patches; None for one that no satellite image has."""
    points = _points(patches)[used]
    shifts = np.stack([patches.right, patches.down], axis=1)[used]
    if np.linalg.matrix_rank(points) < 3:
        return None
    # Coordinates around the middle, for the accuracy of the sums.
    middle = np.append(points[:, :2].mean(axis=0), 0)
    model = np.linalg.lstsq(points - middle, shifts, rcond=None)[0].T
    model[:, 2] -= model[:, :2] @ middle[:2]
    return model if np.abs(model[:, :2]).max() <= MOST_DISTORTION else None


def _points(patches: Patches) -> np.ndarray:
    return np.stack([patches.column, patches.row, np.ones_like(patches.row)], axis=1)


def _residuals(patches: Patches, model: np.ndarray) -> np.ndarray:
    right, down = model @ _points(patches).T
    return np.hypot(patches.right - right, patches.down - down)


def _spread(patches: Patches, model: np.ndarray) -> float:
    """Return the pixels within which two thirds of the used patches lie from the model."""
    return float(np.quantile(_residuals(patches, model)[patches.used], 2 / 3))
