"""Warn where PROJ lacks the file of a finer shift between the datums of two dates.

pyproj, of the extra ``geo``, is imported where it is used.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tfinet_mm.errors import MissingExtraError, SceneError
from tfinet_mm.io.rasters import import_geo
from tfinet_mm.scenes.dates import SceneDate
from tfinet_mm.scenes.grid import (
    PIXEL_TOLERANCE,
    SceneGrid,
    apply_affine,
    metres_a_unit,
    transform_points,
)

MOST_PIXELS = 0.5
"""Pixels that a shift may be off without a warning."""
AROUND_DEGREES = 0.01
"""Degrees around the centre of a grid in which a shift has to hold."""


class CoarseShift(NamedTuple):
    """Shift between two datums in place of one that needs a file.

    Attributes:
        used: Its accuracy in metres, negative where unknown.
        best: That of the other one in metres.
        files: Names of the files that the other one needs.
    """

    used: float
    best: float
    files: tuple[str, ...]


def warn_of_datums(dates: Sequence[SceneDate], grid: SceneGrid) -> None:
    """Warn of dates that a coarse shift of datum brings to the grid, for want of a file.

    Args:
        dates: The dates.
        grid: The grid of the result.
    """
    if grid.crs is None:
        return
    transform = grid.transform
    side = math.sqrt(abs(transform.a * transform.e - transform.b * transform.d))
    side *= metres_a_unit(grid.crs)
    for date in dates:
        if date.grid.crs is None or date.grid.crs == grid.crs:
            continue
        found = coarse_shift(date.grid.crs, grid)
        if found is None or 0 <= found.used <= MOST_PIXELS * side:
            continue
        used = f'{found.used:g} m' if found.used >= 0 else 'an unknown number of metres'
        needed = ' and '.join(found.files) or 'a file of a grid'
        warnings.warn(
            f'{date.name} is brought to the CRS of the result by a shift of datum that is '
            f'accurate to {used}, with pixels of {side:.3g} m. One accurate to {found.best:g} m '
            f'needs {needed}, which PROJ has not: set PROJ_NETWORK=ON in the environment, so that '
            'it fetches the file, or warp one date to the CRS of the other with a gdalwarp that '
            'has it',
            stacklevel=4,
        )


def coarse_shift(source: Any, grid: SceneGrid) -> CoarseShift | None:
    """Return the shift from a CRS to a grid, if PROJ knows a finer one and lacks its file.

    Only what holds at the centre of the grid counts. rasterio and pyproj may each have a PROJ of
    its own, and so other files: the shift is the one of pyproj that places the centre as rasterio
    does.

    Args:
        source: CRS of a file.
        grid: The grid that it is warped to.

    Returns:
        None where the datums are one, where the finest shift is used, and where nothing is known.
    """
    try:
        pyproj = import_geo('pyproj', 'The accuracy of a shift of datum')
    except MissingExtraError:
        return None
    from rasterio.crs import CRS

    centre = tuple(np.array([value]) for value in grid.centre())
    try:
        ends = [pyproj.CRS.from_wkt(crs.to_wkt()) for crs in (source, grid.crs)]
        if ends[0].geodetic_crs is None or ends[0].geodetic_crs == ends[1].geodetic_crs:
            return None
        x, y = transform_points(grid.crs, source, *centre)
        there = transform_points(source, grid.crs, x, y)
        (east,), (north,) = transform_points(grid.crs, CRS.from_epsg(4326), *centre)
        if not np.isfinite(np.array([*there, [east], [north]])).all():
            return None

        def is_used(shift: Any) -> bool:
            """Return whether a shift of pyproj places the centre as rasterio does."""
            placed = [
                np.array(apply_affine(~grid.transform, *one))
                for one in (shift.transform(x, y), there)
            ]
            return bool(np.abs(placed[0] - placed[1]).max() <= PIXEL_TOLERANCE)

        around = pyproj.aoi.AreaOfInterest(
            *(east - AROUND_DEGREES, north - AROUND_DEGREES),
            *(east + AROUND_DEGREES, north + AROUND_DEGREES),
        )
        with warnings.catch_warnings():
            # pyproj warns of a missing file in words of its own.
            warnings.simplefilter('ignore')
            group = pyproj.transformer.TransformerGroup(
                *ends, always_xy=True, area_of_interest=around
            )
        chosen = pyproj.Transformer.from_crs(*ends, always_xy=True, area_of_interest=around)
        is_same = is_used(chosen)
        own = chosen.get_last_used_operation()
        if is_same:
            if group.best_available:
                return None
            used, better = own.accuracy, group.unavailable_operations
        else:
            coarse = [one.accuracy for one in group.transformers if is_used(one)]
            if not coarse:
                return None
            used, better = coarse[0], [own]
    except (SceneError, pyproj.exceptions.ProjError):
        # Other checks refuse what can't be transformed.
        return None
    known = [one for one in better if one.accuracy >= 0]
    best = min(known, key=lambda one: one.accuracy, default=None)
    if best is None or 0 <= used <= best.accuracy:
        return None
    parts = [best, *(getattr(best, 'operations', None) or ())]
    files = [file.short_name for part in parts for file in getattr(part, 'grids', ())]
    return CoarseShift(used, best.accuracy, tuple(dict.fromkeys(files)))
