"""Find the pixel grid on which two scenes are compared: their overlap, in whole pixels.

rasterio, the extra ``geo``, is imported where it is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import Window

# Two grids are the same lattice, and an edge lies on a pixel's edge, within this part of a pixel.
PIXEL_TOLERANCE = 0.01
# Straight edges bend in another CRS; this many points on each follow them.
EDGE_POINTS = 65


@dataclass(frozen=True)
class SceneGrid:
    """Pixel grid on the ground.

    Attributes:
        crs: The ``rasterio.crs.CRS``, None where it is unknown.
        transform: The ``affine.Affine`` from (column, row) to coordinates of ``crs``;
            whole numbers are the corners of pixels.
        width: Columns.
        height: Rows.
    """

    crs: Any
    transform: Any
    width: int
    height: int

    def cut(self, window: Window) -> SceneGrid:
        """Return the part of the grid in ``window``, which may reach over its edges."""
        old = self.transform
        x, y = apply_affine(old, window.left, window.top)
        moved = type(old)(old.a, old.b, x, old.d, old.e, y)
        return replace(self, transform=moved, width=window.width, height=window.height)

    def reduced(self, max_side: int) -> SceneGrid:
        """Return the same extent in larger pixels, so that no side has more than ``max_side``."""
        factor = max(self.width, self.height) / max_side
        if factor <= 1:
            return self
        return self.in_pixels(*(max(round(s / factor), 1) for s in (self.width, self.height)))

    def in_pixels(self, width: int, height: int) -> SceneGrid:
        """Return the same extent in another number of pixels."""
        old, x, y = self.transform, self.width / width, self.height / height
        transform = type(old)(old.a * x, old.b * y, old.c, old.d * x, old.e * y, old.f)
        return SceneGrid(self.crs, transform, width, height)

    def outline(self) -> tuple[np.ndarray, np.ndarray]:
        """Return points all around the edge: x and y in ``crs``, each of one dimension."""
        along = np.linspace(0, 1, EDGE_POINTS)
        low, high = np.zeros_like(along), np.ones_like(along)
        columns = np.concatenate([along, high, along, low]) * self.width
        rows = np.concatenate([low, along, high, along]) * self.height
        return apply_affine(self.transform, columns, rows)

    def describe(self) -> str:
        """Return extent and CRS as text, for messages."""
        x, y = self.outline()
        name = 'no CRS' if self.crs is None else self.crs.to_string()
        return f'x {x.min():.10g} to {x.max():.10g}, y {y.min():.10g} to {y.max():.10g} ({name})'


def apply_affine(transform: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Transform points, numbers or arrays, by an ``affine.Affine``.

    The sums are written out, since affine 2 and 3 have different operators for it.
    """
    return (
        transform.a * x + transform.b * y + transform.c,
        transform.d * x + transform.e * y + transform.f,
    )


def pixel_offset(target: SceneGrid, source: SceneGrid) -> tuple[int, int] | None:
    """Return the column and row of the source at the target's first pixel, if both are one lattice.

    Args:
        target: A grid.
        source: Another grid.

    Returns:
        The offset, which may be negative; None where the CRS or the pixels
        differ, or lie shifted by parts of a pixel.
    """
    if target.crs != source.crs:
        return None
    corners = [(0, 0), (target.width, 0), (0, target.height)]
    there = [
        apply_affine(~source.transform, *apply_affine(target.transform, *corner))
        for corner in corners
    ]
    left, top = (round(value) for value in there[0])
    for (column, row), (x, y) in zip(corners, there, strict=True):
        if max(abs(x - column - left), abs(y - row - top)) > PIXEL_TOLERANCE:
            return None
    return left, top


def common_grid(
    before: SceneGrid,
    after: SceneGrid,
    grid: str | float = 'before',
    names: tuple[str, ...] = ('', ''),
) -> SceneGrid:
    """Return the grid that covers the overlap of two scenes.

    Args:
        before: Grid of the first scene.
        after: Grid of the second.
        grid: Pixels of the result: those of ``'before'`` or ``'after'``, or a
            number: square pixels of that size in the units of ``before``'s CRS,
            north up, the first at the upper left corner of ``before``.
        names: Names of the scenes in messages.

    Returns:
        The pixels of that grid that lie wholly in the other scene's extent (in
        its bounding box as seen from this grid, where the scenes are rotated
        against each other; pixels outside it are nodata there).

    Raises:
        SceneError: The scenes don't overlap by a whole pixel, or ``grid`` is
            out of range.

    Example:
        >>> from rasterio import Affine
        >>> from rasterio.crs import CRS
        >>> utm = CRS.from_epsg(32633)
        >>> before = SceneGrid(utm, Affine(10, 0, 5000, 0, -10, 9000), 100, 100)
        >>> after = SceneGrid(utm, Affine(20, 0, 5895, 0, -20, 8505), 100, 100)
        >>> overlap = common_grid(before, after)
        >>> overlap.transform.c, overlap.transform.f, overlap.width, overlap.height
        (5900.0, 8500.0, 10, 50)
    """
    base, other = (after, before) if grid == 'after' else (before, after)
    if not isinstance(grid, str):
        base = _squares(before, float(grid))
    elif grid not in ('before', 'after'):
        raise SceneError(
            f"expected grid='before', 'after' or the size of a pixel as a number, got {grid!r}"
        )
    left, top, right, bottom = 0, 0, base.width, base.height
    columns, rows = outline_in(base, other)
    if columns.size:
        left = max(left, math.ceil(columns.min() - PIXEL_TOLERANCE))
        right = min(right, math.floor(columns.max() + PIXEL_TOLERANCE))
        top = max(top, math.ceil(rows.min() - PIXEL_TOLERANCE))
        bottom = min(bottom, math.floor(rows.max() + PIXEL_TOLERANCE))
    if not columns.size or right <= left or bottom <= top:
        raise SceneError(
            "the scenes don't overlap by a whole pixel: "
            f'before{names[0]} covers {before.describe()}, after{names[1]} '
            f'{after.describe()}; give two scenes of one place, or replace a wrong CRS by '
            'before_crs or after_crs (--before-crs, --after-crs)'
        )
    return base.cut(Window(left, top, right - left, bottom - top))


def _squares(scene: SceneGrid, size: float) -> SceneGrid:
    """Return a grid of north-up square pixels over a scene's extent."""
    x, y = scene.outline()
    spans = float(np.ptp(x)), float(np.ptp(y))
    if not (math.isfinite(size) and 0 < size <= min(spans)):
        raise SceneError(
            f'a grid with pixels of {size:g} was asked for, expected more than 0 and at most '
            f'{min(spans):g}: the number counts in the units of the CRS of before, whose extent '
            f'is {scene.describe()}'
        )
    width, height = (math.floor(span / size + PIXEL_TOLERANCE) for span in spans)
    transform = type(scene.transform)(size, 0.0, float(x.min()), 0.0, -size, float(y.max()))
    return SceneGrid(scene.crs, transform, width, height)


def outline_in(base: SceneGrid, other: SceneGrid) -> tuple[np.ndarray, np.ndarray]:
    """Return the outline of ``other`` in columns and rows of ``base``."""
    x, y = other.outline()
    if base.crs != other.crs:
        from rasterio.warp import transform

        moved = transform(other.crs, base.crs, x.tolist(), y.tolist())
        x, y = np.asarray(moved[0]), np.asarray(moved[1])
        finite = np.isfinite(x) & np.isfinite(y)
        x, y = x[finite], y[finite]
    return apply_affine(~base.transform, x, y)
