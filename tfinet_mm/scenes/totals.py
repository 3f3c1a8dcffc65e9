"""Tell how much of each class a scene has on both dates, as a table and as sentences."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from tfinet_mm.scenes.from_to import FromToAreas
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.numbers import percent, percent_number

TOTALS_FILE = 'totals.csv'
QUANTITIES = 'before', 'after', 'lost', 'gained', 'net', 'same'
MOST_SENTENCES = 5


def total_columns(unit: str) -> list[str]:
    """Return the columns of a table of totals, after the class.

    Args:
        unit: 'ha' or 'pixels'.

    Example:
        >>> total_columns('pixels')[:3]
        ['before_pixels', 'after_pixels', 'lost_pixels']
    """
    units = ['hectares', 'pixels'] if unit == 'ha' else ['pixels']
    columns = [f'{quantity}_{one}' for one in units for quantity in QUANTITIES]
    return [*columns, 'net_percent']


def total_rows(areas: FromToAreas) -> list[list[Any]]:
    """Return the rows of a table of totals: the class, then the values of the columns."""
    units = ['', '_pixels'] if areas.unit == 'ha' else ['_pixels']
    keys = [f'{quantity}{one}' for one in units for quantity in QUANTITIES]
    rows = areas.by_class()
    return [[row['name'], *(row.get(key) for key in [*keys, 'net_percent'])] for row in rows]


def write_totals(areas: FromToAreas, folder: str | Path) -> None:
    """Write ``totals.csv``, a row for each class; the file appears once it is complete."""
    with (
        whole_file(Path(folder) / TOTALS_FILE) as partial,
        partial.open('w', encoding='utf-8', newline='') as file,
    ):
        columns = ['class', *total_columns(areas.unit)]
        csv.writer(file).writerows([columns, *total_rows(areas)])


def sentences(areas: FromToAreas, most: int = MOST_SENTENCES) -> list[str]:
    """Describe the largest net changes, and the change that left the class as it was.

    Args:
        areas: The areas.
        most: Number of classes to describe, those of the largest net change.

    Returns:
        Sentences; none for a scene without change, or without areas of unchanged classes.

    Example:
        >>> import numpy as np
        >>> areas = FromToAreas(
        ...     ('forest', 'town'), 'ha', 'planar', 0.0, np.array([[0, 3.0], [0, 1.5]]),
        ...     np.array([[0, 300], [0, 150]]), 25.5, 2550, 0.0, 0, {}, np.array([22.0, 3.5]),
        ...     np.array([2200, 350]),
        ... )
        >>> for line in sentences(areas):
        ...     print(line)
        12.0 % of forest was lost on balance: 25.00 ha before, 22.00 ha after (lost 3.00, gained 0.00).
        town grew by 60.0 % on balance: 5.00 ha before, 8.00 ha after (lost 0.00, gained 3.00).
        1.50 ha of town changed and is town again; it is in no loss or gain.
    """  # noqa: E501
    if areas.unchanged_classes is None:
        return []
    rows = areas.by_class()

    def shown(value: float) -> str:
        return f'{value:,.{0 if areas.unit == "pixels" else 2}f}'

    def is_shown(value: float) -> bool:
        return float(shown(abs(value)).replace(',', '')) > 0

    found = []
    moved = sorted((row for row in rows if is_shown(row['net'])), key=lambda row: -abs(row['net']))
    for row in moved[:most]:
        name, share = row['name'], row['net_percent']
        if share is None:
            start = f'{name} is new'
        elif share < 0:
            start = f'{percent(-share)} of {name} was lost on balance'
        else:
            start = f'{name} grew by {percent(share)} on balance'
        found.append(
            f'{start}: {shown(row["before"])} {areas.unit} before, {shown(row["after"])} '
            f'{areas.unit} after (lost {shown(row["lost"])}, gained {shown(row["gained"])}).'
        )
    again = sorted((row for row in rows if is_shown(row['same'])), key=lambda row: -row['same'])
    found += [
        f'{shown(row["same"])} {areas.unit} of {row["name"]} changed and is {row["name"]} again; '
        'it is in no loss or gain.'
        for row in again[:most]
    ]
    return found


def format_totals(areas: FromToAreas) -> str:
    """Return the totals of the classes that are there as text; empty without their areas.

    Example:
        >>> import numpy as np
        >>> areas = FromToAreas(
        ...     ('forest', 'town'), 'ha', 'planar', 0.0, np.array([[0, 3.0], [0, 1.5]]),
        ...     np.array([[0, 300], [0, 150]]), 25.5, 2550, 0.0, 0, {}, np.array([22.0, 3.5]),
        ...     np.array([2200, 350]),
        ... )
        >>> print(format_totals(areas))
          ha      before  after  lost  gained    net   net %
          forest   25.00  22.00  3.00    0.00  -3.00   -12.0
          town      5.00   8.00  0.00    3.00  +3.00   +60.0
    """
    if areas.unchanged_classes is None:
        return ''
    digits = 0 if areas.unit == 'pixels' else 2
    table = [[areas.unit, 'before', 'after', 'lost', 'gained', 'net', 'net %']]
    for row in areas.by_class():
        if not row['before'] and not row['after']:
            continue
        share = row['net_percent']
        table.append(
            [
                row['name'],
                *(f'{row[key]:,.{digits}f}' for key in ('before', 'after', 'lost', 'gained')),
                # Without the sign of a number that is shown as 0.
                f'{round(row["net"], digits) + 0.0:+,.{digits}f}',
                'new' if share is None and row['net'] else percent_number(share or 0, sign='+'),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    widths[-1] = max(widths[-1], 6)
    return '\n'.join(
        f'  {name:<{widths[0]}}  '
        + '  '.join(f'{value:>{width}}' for value, width in zip(values, widths[1:], strict=True))
        for name, *values in table
    )
