"""Sum up a folder of pseudo labels, as numbers and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfinet_mm.pseudo_labels.counts import Counts
from tfinet_mm.pseudo_labels.rules import LEVELS
from tfinet_mm.structures import ClassTable


def make_report(
    counts: Counts,
    table: ClassTable,
    method: str,
    members: Sequence[str],
    thresholds: np.ndarray | None = None,
    options: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return everything that is known about pseudo labels, ready for JSON, shares in percent.

    Args:
        counts: Over all pairs.
        table: The classes.
        method: 'vote' or 'soft'.
        members: Names of the M networks.
        thresholds: Least confidence of each class in 0..LEVELS, (K,); None for
            the vote.
        options: What was asked for: thresholds, quotas.

    Returns:
        A dictionary of

        * ``method``, ``members``, ``options``, ``pairs``;
        * ``pixels``: numbers ``total``, ``annotated``, ``ignored``,
          ``unlabelled`` (unchanged, of no annotated class) and ``filled``;
        * ``filled``: share of the unlabelled pixels that got a class;
        * ``classes``: for each class ``annotated`` (share of the annotated
          pixels), ``assigned`` (share of the unlabelled pixels for which it is
          the networks' class), ``filled`` (share of the unlabelled pixels that
          got it), ``kept`` (share of the assigned pixels that got it, None
          where there are none), ``threshold`` (used; None for the vote) and
          ``pixels`` (that got it);
        * ``agreement``: shares of the unchanged pixels, before any rule:
          ``all``, for which all members predict one class (mean of the dates;
          None for a single member), ``pairwise`` (M x M) and
          ``same_on_both_dates`` (M);
        * ``accuracy``: None where no true land cover is known. Else of the
          unlabelled pixels with a true class: ``pixels``; ``filled``, share that
          got a class; ``correct``, share of these with the true one; for each
          class ``precision`` (of the pixels that got it) and ``recall`` (of the
          pixels that are it, filled or not); ``confusion``, rows true classes,
          columns "no label" and the classes.
    """
    return dict(
        method=method,
        members=list(members),
        options=options or {},
        pairs=int(counts.pairs),
        pixels=dict(
            total=int(counts.pixels),
            annotated=int(counts.annotated.sum()),
            ignored=int(counts.ignored),
            unlabelled=int(counts.unlabelled),
            filled=int(counts.filled.sum()),
        ),
        filled=_percent(counts.filled.sum(), counts.unlabelled),
        classes={
            name: dict(
                annotated=_percent(counts.annotated[index], counts.annotated.sum()),
                assigned=_percent(counts.assigned[index], counts.unlabelled),
                filled=_percent(counts.filled[index], counts.unlabelled),
                kept=_percent(counts.filled[index], counts.assigned[index]),
                threshold=None if thresholds is None else float(thresholds[index]) / LEVELS,
                pixels=int(counts.filled[index]),
            )
            for index, name in enumerate(table.land_cover)
        },
        agreement=_agreement(counts),
        accuracy=_accuracy(counts, table) if counts.truth.any() else None,
    )


def _agreement(counts: Counts) -> dict[str, Any]:
    both = 2 * counts.unchanged
    return dict(
        all=_percent(counts.unanimous, both) if len(counts.steady) > 1 else None,
        pairwise=[[_percent(value, both) for value in row] for row in counts.pairwise],
        same_on_both_dates=[_percent(value, counts.unchanged) for value in counts.steady],
    )


def _accuracy(counts: Counts, table: ClassTable) -> dict[str, Any]:
    truth = counts.truth
    correct, got = truth[:, 1:].diagonal(), truth[:, 1:].sum(axis=0)
    return dict(
        pixels=int(truth.sum()),
        filled=_percent(got.sum(), truth.sum()),
        correct=_percent(correct.sum(), got.sum()),
        classes={
            name: dict(
                precision=_percent(correct[index], got[index]),
                recall=_percent(correct[index], truth[index].sum()),
            )
            for index, name in enumerate(table.land_cover)
        },
        confusion=truth.tolist(),
    )


def _percent(part: Any, whole: Any) -> float | None:
    return 100 * int(part) / int(whole) if whole else None


def format_report(report: dict[str, Any]) -> str:
    """Return a report as plain text.

    Args:
        report: What :func:`make_report` returned.
    """
    pairs, pixels = report['pairs'], report['pixels']
    lines = [
        f'Pseudo labels of {pairs} pair{"" if pairs == 1 else "s"} by {report["method"]} of '
        f'{len(report["members"])}: {", ".join(report["members"])}',
        f'{_number(report["filled"])} % of the unchanged pixels without a class got one '
        f'({pixels["filled"]} of {pixels["unlabelled"]})',
    ]
    agreement = report['agreement']
    if agreement['all'] is not None:
        lines.append(
            f'{_number(agreement["all"])} % of the unchanged pixels have one class for all members'
        )
    steady = ', '.join(_number(value) for value in agreement['same_on_both_dates'])
    lines.append(f'{steady} % of them have one class on both dates, by member')
    accuracy = report['accuracy']
    if accuracy is not None:
        lines.append(
            f'{_number(accuracy["correct"])} % of the pseudo labels are right, '
            f'of {accuracy["pixels"]} pixels whose land cover is known'
        )
    header = ['class, %', 'annotated', 'assigned', 'filled', 'kept']
    keys = ['annotated', 'assigned', 'filled', 'kept']
    rows = [
        [name, *(_number(values[key]) for key in keys)]
        for name, values in report['classes'].items()
    ]
    if any(values['threshold'] is not None for values in report['classes'].values()):
        header.append('threshold')
        for row, values in zip(rows, report['classes'].values(), strict=True):
            row.append(f'{values["threshold"]:.4f}')
    if accuracy is not None:
        header += ['precision', 'recall']
        for row, values in zip(rows, accuracy['classes'].values(), strict=True):
            row += [_number(values['precision']), _number(values['recall'])]
    return '\n'.join([*lines, '', _grid([header, *rows])])


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.2f}'


def _grid(lines: list[list[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return '\n'.join(
        '  '.join(
            text.rjust(width) if column else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
