"""Move the second date of a scene onto the first, by its georeference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.grid import (
    SceneGrid,
    apply_affine,
    near_all,
    transform_points,
    warp_crs,
)
from tfinet_mm.scenes.registration import Registration

LEAST_SHIFT = 0.1
"""Shift in pixels up to which the dates count as aligned: resampling would blur for nothing."""
# Points along each axis at which a correction is followed into another CRS.
LOOKS = 9


def find_correction(registration: Registration, grid: SceneGrid) -> tuple[float, ...] | None:
    """Return the move of after onto before.

    Args:
        registration: A shift measured on ``grid``.
        grid: The grid.

    Returns:
        The numbers a, b, c, d, e, f of a map from a place (x, y) of after to that of before,
        ``(a x + b y + c, d x + e y + f)``, in the CRS of the grid; None where after needs none,
        or where its shift isn't known.
    """
    if registration.model is None or registration.largest <= LEAST_SHIFT:
        return None
    # Content of before's pixel p is at p + model(p) in after.
    there = np.eye(3)
    there[:2] += registration.model
    place = np.array(grid.transform[:9], float).reshape(3, 3)
    move = place @ np.linalg.inv(there) @ np.linalg.inv(place)
    return tuple(float(one) for one in move[:2].ravel())


def corrected(
    after: SceneGrid, common: SceneGrid, correction: Sequence[float], name: str
) -> SceneGrid:
    """Return the grid of after with a correction.

    Args:
        after: Its grid by its own georeference.
        common: The grid on which both dates are compared, in the CRS of the correction.
        correction: The numbers of :func:`find_correction`.
        name: Date and file, for messages.

    Returns:
        The grid in its own CRS. There a correction is an affine map at first order, which is
        fitted to points all over ``common``.

    Raises:
        SceneError: The correction isn't six finite numbers, or can't be followed into that CRS.
    """
    a, b, c, d, e, f = _six(correction)
    along = np.linspace(0, 1, LOOKS)
    columns, rows = (
        side.ravel() for side in np.meshgrid(along * common.width, along * common.height)
    )
    x, y = apply_affine(common.transform, columns, rows)
    system = common.crs and warp_crs(common, after)
    ends = [
        near_all(after, *transform_points(system, after.crs, *place))
        for place in ((x, y), (a * x + b * y + c, d * x + e * y + f))
    ]
    points = np.stack(apply_affine(~after.transform, *ends[0]), axis=1)
    moves = np.stack([new - old for old, new in zip(*ends, strict=True)], axis=1)
    known = np.isfinite(points).all(axis=1) & np.isfinite(moves).all(axis=1)
    if known.sum() < 3:
        raise SceneError(
            f'{name} can not be aligned: its CRS has no place for {common.describe()}; leave out '
            'align=True (--align)'
        )
    middle = points[known].mean(axis=0)
    design = np.column_stack([points[known] - middle, np.ones(int(known.sum()))])
    fitted = np.linalg.lstsq(design, moves[known], rcond=None)[0].T
    constant = fitted[:, 2] - fitted[:, :2] @ middle
    old = after.transform
    place = type(old)(
        old.a + fitted[0, 0],
        old.b + fitted[0, 1],
        old.c + constant[0],
        old.d + fitted[1, 0],
        old.e + fitted[1, 1],
        old.f + constant[1],
    )
    return replace(after, transform=place)


def _six(correction: Sequence[float]) -> tuple[float, ...]:
    try:
        numbers = tuple(float(one) for one in correction)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != 6 or not np.isfinite(numbers).all():
        raise SceneError(
            f'expected correction as six finite numbers a, b, c, d, e, f, got {correction!r}'
        )
    return numbers
