"""Compare the scores of several evaluations in a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfinet_mm.errors import ReportError

COLUMNS = {
    'Score': 'Score',
    'SeK': 'SeK',
    'Fscd': 'Fscd',
    'mIoU': 'mIoU',
    'IoU_changed': 'IoU of change',
    'change/F1': 'F1 of change',
}
"""Scores that are compared, with the titles of their columns."""


def read_scores(path: str | Path) -> dict[str, Any]:
    """Read the JSON file of an evaluation, as ``tools/test.py --json`` writes it.

    Raises:
        FileNotFoundError: There is no such file.
        ReportError: The file isn't one that ``tools/test.py --json`` wrote.
    """
    try:
        report = json.loads(Path(path).read_text(encoding='utf-8'))
        if 'change/F1' not in report['scores']:
            raise KeyError('change/F1')
        report['scores'] = {name: float(value) for name, value in report['scores'].items()}
        int(report['num_samples'])
    except (ValueError, TypeError, KeyError) as error:
        raise ReportError(
            f'{path} holds no scores ({error!r}); expected a file that tools/test.py --json wrote'
        ) from error
    return dict(report)


def compare_scores(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table of the scores of evaluations, one line each.

    Args:
        reports: Results of :func:`read_scores` by the names of their lines.

    Returns:
        Lines of text, in percent, "-" for scores that an evaluation lacks (of data without
        annotated land cover). Two evaluations of the same number of pairs also get a line
        of differences, second minus first.

    Example:
        >>> scores = dict.fromkeys(COLUMNS, 20.0)
        >>> reports = dict(
        ...     before=dict(num_samples=8, scores=scores),
        ...     after=dict(num_samples=8, scores=scores | dict(SeK=30.5)),
        ... )
        >>> print(compare_scores(reports))  # doctest: +NORMALIZE_WHITESPACE
                    pairs  Score     SeK   Fscd   mIoU  IoU of change  F1 of change
        before          8  20.00   20.00  20.00  20.00          20.00         20.00
        after           8  20.00   30.50  20.00  20.00          20.00         20.00
        difference         +0.00  +10.50  +0.00  +0.00          +0.00         +0.00
    """
    rows = [
        [name, str(report['num_samples']), *(_cell(report['scores'].get(one)) for one in COLUMNS)]
        for name, report in reports.items()
    ]
    if len(reports) == 2 and len({report['num_samples'] for report in reports.values()}) == 1:
        first, second = (report['scores'] for report in reports.values())
        differences = [
            f'{second[one] - first[one]:+.2f}' if one in first and one in second else '-'
            for one in COLUMNS
        ]
        rows.append(['difference', '', *differences])
    lines = [['', 'pairs', *COLUMNS.values()], *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return '\n'.join(
        '  '.join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in lines
    )


def _cell(score: float | None) -> str:
    return '-' if score is None else f'{score:.2f}'
