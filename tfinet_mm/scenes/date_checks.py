"""Refuse files that state what can't be compared, and warn of what two dates hardly share."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import PathLike
from tfinet_mm.io.stored_values import WHITE_ZERO, is_white_zero
from tfinet_mm.scenes.grid import SceneGrid, outline_in
from tfinet_mm.scenes.series.dates import ACQUIRED, date_in
from tfinet_mm.utils.places import stem

if TYPE_CHECKING:
    from tfinet_mm.scenes.dates import SceneDate

COLOURS = ['red', 'green', 'blue']
LEAST_OVERLAP = 0.1
"""Share of the smaller scene below which a warning says how little is compared."""
MOST_TIMES = 3
"""Times that pixels may be longer than those of the result without a warning."""


def refuse_white_zero(raster: Any, path: PathLike, role: str) -> None:
    """Refuse a raster of grey values whose 0 is white.

    Raises:
        SceneError: It is one.
    """
    if is_white_zero(raster):
        raise SceneError(f'{role} ({path}) {WHITE_ZERO}')


def check_band_order(before: SceneDate, after: SceneDate) -> None:
    """Refuse two dates with the same bands in another order.

    Their colours and their names are compared, where all bands have them.

    Raises:
        SceneError: They are in another order.
    """
    for one, two in ((before.colours, after.colours), (before.band_names, after.band_names)):
        keys = [[name.casefold() for name in names] for names in (one, two)]
        if not all(one) or not all(two) or keys[0] == keys[1] or sorted(keys[0]) != sorted(keys[1]):
            continue
        order = [before.bands[keys[0].index(name)] for name in keys[1]]
        raise SceneError(
            f'{before.name} has the bands {", ".join(one)} and {after.name} {", ".join(two)}, '
            'expected one order; state it with --bands '
            f'before={",".join(map(str, order))} after={",".join(map(str, after.bands))} (from '
            f"Python bands={{'before': {order}, 'after': {after.bands}}})"
        )
    if before.colours == after.colours == COLOURS[::-1]:
        warnings.warn(
            f'{before.name} and {after.name} have the bands blue, green and red in this order, '
            'and most networks take red, green and blue; for these state --bands '
            f'{" ".join(map(str, before.bands[::-1]))}',
            stacklevel=4,
        )


def warn_of_local_systems(before: SceneDate, after: SceneDate) -> None:
    """Warn of two local coordinate systems of different names, which may be two places."""
    systems = [date.grid.crs for date in (before, after)]
    if any(one is None or one.is_geographic or one.is_projected for one in systems):
        return
    names = [one.to_wkt().partition('"')[2].partition('"')[0] for one in systems]
    if names[0] != names[1]:
        warnings.warn(
            f'{before.name} has the local coordinate system {names[0]!r} and {after.name} '
            f'{names[1]!r}, which are taken for one; if they are two, bring both into one CRS',
            stacklevel=4,
        )


def warn_of_order(before: SceneDate, after: SceneDate) -> None:
    """Warn where tags of acquisition, or else the names of the files, say that before is later."""
    tagged = [
        next(
            (date_in(str(date.tags_of_file[one])) for one in ACQUIRED if one in date.tags_of_file),
            None,
        )
        for date in (before, after)
    ]
    named = [date_in(stem(date.path)) for date in (before, after)]
    for source, (first, second) in (('tags', tagged), ('names', named)):
        if first is None or second is None:
            continue
        # A year alone says nothing about a day in it.
        length = min(len(first), len(second))
        if first[:length] > second[:length]:
            warnings.warn(
                f'{before.name} is of {first} and {after.name} of {second}, by their {source}: '
                'losses and gains are swapped. Give the earlier one first',
                stacklevel=4,
            )
        return


def warn_of_places(dates: Sequence[SceneDate], grid: SceneGrid) -> None:
    """Warn of scenes that share little of the smaller one, or of which one shows less detail.

    Args:
        dates: The dates.
        grid: The grid of the result.
    """
    pixels = {}
    for date in dates:
        with contextlib.suppress(SceneError):
            columns, rows = outline_in(date.grid, grid)
            if columns.size:
                pixels[date.name] = float(np.ptp(columns) * np.ptp(rows))
    if len(pixels) < len(dates):
        return
    shares = [min(pixels[date.name] / (date.grid.width * date.grid.height), 1.0) for date in dates]
    if max(shares) < LEAST_OVERLAP:
        found = ' and '.join(
            f'{100 * share:.2g} % of {date.name}' for date, share in zip(dates, shares, strict=True)
        )
        warnings.warn(
            f'the scenes overlap in {grid.width} x {grid.height} pixels, {found}: only these are '
            'compared. If they show the same place, check the CRS and the transform of both',
            stacklevel=4,
        )
    for name, count in pixels.items():
        times = math.sqrt(grid.width * grid.height / count)
        if times >= MOST_TIMES:
            warnings.warn(
                f'the pixels of {name} are {times:.2g} times as long as those of the result, so '
                'that it shows less detail, which the network may see as change; compare in its '
                'pixels (--grid before or after)',
                stacklevel=4,
            )


def stated_crs(role: str, crs: Any) -> Any:
    """Return the CRS that a user states for a date.

    Raises:
        SceneError: It is none.
    """
    import rasterio

    try:
        return rasterio.crs.CRS.from_user_input(crs)
    except rasterio.errors.CRSError as error:
        raise SceneError(
            f'{role}_crs={crs!r} is no CRS ({error}); expected one such as EPSG:32633'
        ) from error


def stated_nodata(nodata: Any, kinds: Sequence[str], name: str) -> float:
    """Return the nodata that a user states for a date.

    Args:
        nodata: The option.
        kinds: Types of the bands.
        name: Date and file, for messages.

    Raises:
        SceneError: It is no number, or one that a band can't hold.
    """
    try:
        value = float(nodata)
    except (TypeError, ValueError):
        raise SceneError(
            f'expected nodata (--nodata) of {name} as a number, got {nodata!r}'
        ) from None
    for kind in sorted(set(kinds)):
        if np.dtype(kind).kind == 'f':
            continue
        limits = np.iinfo(kind)
        if not (limits.min <= value <= limits.max and value == int(value)):
            raise SceneError(
                f'{name} stores {kind} values, which are never nodata={nodata}; expected a whole '
                f'number from {limits.min} to {limits.max} (--nodata)'
            )
    return value
