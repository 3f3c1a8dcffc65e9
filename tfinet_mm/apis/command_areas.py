"""Make the table of areas that ``tfinet-predict`` prints for a scene."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tfinet_mm.scenes.from_to import FromToAreas
from tfinet_mm.scenes.totals import format_totals, sentences
from tfinet_mm.scenes.write_results import AREAS_FILE
from tfinet_mm.utils.numbers import percent

MOST_ROWS = 8


def area_table(folder: Path, most: int = MOST_ROWS) -> str:
    """Return the areas of a finished scene as text: transitions, classes, largest net changes.

    Args:
        folder: The scene's folder.
        most: Number of transitions to show, those of the largest areas.
    """
    areas = FromToAreas.from_json(json.loads((folder / AREAS_FILE).read_text(encoding='utf-8')))
    parts = [format_areas(areas, most), format_totals(areas)]
    parts.append('\n'.join(f'  {line}' for line in sentences(areas)))
    return '\n\n'.join(part for part in parts if part)


def format_areas(areas: FromToAreas, most: int = MOST_ROWS) -> str:
    """Return a line for each of the largest transitions, and one for each total.

    Example:
        >>> import numpy as np
        >>> areas = FromToAreas(
        ...     ('water', 'town'), 'ha', 'planar', 0.0, np.array([[0, 2.5], [0, 0]]),
        ...     np.array([[0, 250], [0, 0]]), 7.5, 750, 2.5, 250, {'after_bad_quality': (2.5, 250)},
        ... )
        >>> print(format_areas(areas))
          water to town   2.50 ha   25.0 %
          changed         2.50 ha   25.0 %
          unchanged       7.50 ha   75.0 %
          seen           10.00 ha  100.0 %
          not seen: 2.50 ha (20.0 %): bad quality after 2.50
    """
    totals = areas.totals()
    known = totals['changed'][0] + totals['unchanged'][0]
    largest = np.argsort(-areas.matrix, axis=None, kind='stable')[:most]
    rows = [
        (f'{areas.classes[old]} to {areas.classes[new]}', float(areas.matrix[old, new]))
        for old, new in zip(*np.unravel_index(largest, areas.matrix.shape), strict=True)
        if areas.matrix[old, new] > 0
    ]
    left_out = int((areas.matrix > 0).sum()) - len(rows)
    if left_out:
        rest = totals['changed'][0] - sum(area for _, area in rows)
        rows.append((f'{left_out} other transitions', rest))
    rows += [(name, totals[name][0]) for name in ('changed', 'unchanged')]
    rows.append(('seen', known))
    digits = 0 if areas.unit == 'pixels' else 2
    shown = [f'{area:,.{digits}f}' for _, area in rows]
    shares = [percent(100 * area / (known or 1)) for _, area in rows]
    widths = [max(map(len, column)) for column in ([name for name, _ in rows], shown, shares)]
    lines = [
        f'  {name:<{widths[0]}}  {number:>{widths[1]}} {areas.unit}  {share:>{widths[2]}}'
        for (name, _), number, share in zip(rows, shown, shares, strict=True)
    ]
    if areas.not_seen_pixels:
        lines.append(f'  not seen: {areas.describe_not_seen()}')
    return '\n'.join(lines)
