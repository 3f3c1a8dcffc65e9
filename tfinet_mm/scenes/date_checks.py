"""Refuse files that state what can't be compared, and warn of what two dates hardly share."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Sequence

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.acquisition import ACQUIRED, date_in
from tfinet_mm.scenes.band_colours import (
    both_options,
    disagreement,
    option_bands,
    order_of,
    plain_name,
)
from tfinet_mm.scenes.dates import SceneDate
from tfinet_mm.scenes.grid import SceneGrid, outline_in
from tfinet_mm.scenes.statements import COLOURS
from tfinet_mm.utils.places import stem

LEAST_OVERLAP = 0.1
"""Share of the smaller scene below which a warning says how little is compared."""
MOST_TIMES = 3
"""Times that pixels may be longer than those of the result without a warning."""


def check_band_order(before: SceneDate, after: SceneDate) -> None:
    """Refuse two dates with the same bands in another order.

    Their names are compared where all bands have one, and what their marks and names say that
    they show.

    Raises:
        SceneError: They are in another order.
    """
    names = [[plain_name(name) for name in date.band_names] for date in (before, after)]
    named = all(map(all, names)) and sorted(names[0]) == sorted(names[1])
    same = list(range(len(before.bands)))
    order = order_of(*names) if named else None
    if order is None or order == same:
        order = order_of(before.colours, after.colours)
    if order is not None and order != same:
        first, second = _in_one_order(before, after, order)
        raise SceneError(
            f'{_both_shown(before, after)}, expected one order; state it with '
            f'{both_options(first, second)}'
        )


def warn_of_bands(before: SceneDate, after: SceneDate) -> None:
    """Warn of two dates that may show different colours, and of blue, green and red on both."""
    found = _both_shown(before, after)
    place = disagreement(before.colours, after.colours)
    unsure = disagreement(before.likely_colours, after.likely_colours)
    if place is not None:
        warnings.warn(
            f'{found}: band {before.bands[place]} of before and band {after.bands[place]} of '
            'after show different colours, which the network sees as change; choose the same '
            'bands of both with --bands before=... after=...',
            stacklevel=4,
        )
    elif unsure is not None:
        order = order_of(before.likely_colours, after.likely_colours)
        fix = 'choose the same bands of both with --bands before=... after=...'
        if order is not None:
            fix = f'state --bands {option_bands(*_in_one_order(before, after, order))}'
        warnings.warn(
            f'{found}. If B2, B3 and B4 are blue, green and red, as of Sentinel-2 and of Landsat 8 '
            f'and 9, different colours are compared: {fix}. If the order is right, state '
            f'--bands {option_bands(before.bands, after.bands)}',
            stacklevel=4,
        )
    elif before.likely_colours == after.likely_colours == COLOURS[::-1]:
        sure = before.colours == after.colours == COLOURS[::-1]
        warnings.warn(
            f'{before.name} has the bands {_shown(before)} in this order, {after.name} too, and '
            f'most networks take red, green and blue; {"for these" if sure else "if so,"} state '
            f'--bands {option_bands(before.bands[::-1], after.bands[::-1])}',
            stacklevel=4,
        )


def _in_one_order(
    before: SceneDate, after: SceneDate, order: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Return the bands of both dates in one order: red, green and blue first where these are known.

    Args:
        before: The first date.
        after: The second.
        order: For each band of after, the place of the same band of before.
    """
    places = list(range(len(order)))
    colours = after.likely_colours
    if set(COLOURS) <= set(colours):
        # Most networks take these in this order.
        places.sort(key=lambda one: [*COLOURS, *colours].index(colours[one]))
    return (
        [before.bands[order[one]] for one in places],
        [after.bands[one] for one in places],
    )


def _both_shown(before: SceneDate, after: SceneDate) -> str:
    return f'{before.name} has the bands {_shown(before)} and {after.name} {_shown(after)}'


def _shown(date: SceneDate) -> str:
    """Return the bands of a date as a message lists them, with what they show."""
    texts = []
    for number, name, sure, likely in zip(
        date.bands, date.band_names, date.colours, date.likely_colours, strict=True
    ):
        colour = sure or (likely and f'probably {likely}')
        said = f'{name} ({colour})' if name and colour and name.casefold() != colour else ''
        texts.append(said or name or colour or f'number {number}')
    return ', '.join(texts)


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
