"""One readable table, and one JSON file, of all scores of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfinet_mm.errors import ClassMismatchError
from tfinet_mm.evaluation.confusion import SCDConfusion
from tfinet_mm.evaluation.functional import (
    binary_scores,
    class_scores,
    from_to_scores,
    from_to_shares,
    scd_scores,
)
from tfinet_mm.structures import ClassTable

DATES = ('from', 'to')


def overall_scores(counts: SCDConfusion) -> dict[str, float]:
    """Return the scores that sum a data set up, in percent.

    Args:
        counts: Counts over the whole data set.

    Returns:
        The ten scores of :func:`~tfinet_mm.evaluation.scd_scores`, then
        ``SeK_from_to`` and ``Fscd_from_to``, then ``change/precision``,
        ``change/recall`` and ``change/F1``.
    """
    change = binary_scores(counts.change)
    return {
        **scd_scores(counts.scd),
        **from_to_scores(counts.from_to),
        **{f'change/{name}': change[name] for name in ('precision', 'recall', 'F1')},
    }


def per_class_scores(counts: SCDConfusion, table: ClassTable) -> dict[str, dict[str, Any]]:
    """IoU and F1 of every class on each date.

    Args:
        counts: Counts over the whole data set.
        table: Classes of the data set.

    Returns:
        ``{'from': {class: {'IoU': percent, 'F1': percent}}, 'to': ...}`` with
        "unchanged" as the first class.
    """
    _check_classes(counts, table)
    result = {}
    for date, matrix in zip(DATES, (counts.date_from, counts.date_to), strict=True):
        scores = class_scores(matrix)
        result[date] = {
            name: {score: float(values[i]) for score, values in scores.items()}
            for i, name in enumerate(table.names)
        }
    return result


def scores_report(counts: SCDConfusion, table: ClassTable, num_samples: int) -> dict[str, Any]:
    """Return everything that is known about one evaluation, ready for JSON.

    Args:
        counts: Counts over the whole data set.
        table: Classes of the data set.
        num_samples: Number of pairs that were scored.

    Returns:
        ``num_samples``; ``classes``, K + 1 names; ``scores``, see
        :func:`overall_scores`; ``change``, see
        :func:`~tfinet_mm.evaluation.binary_scores`; ``per_class``, see
        :func:`per_class_scores`; ``confusion`` with the matrices ``scd``,
        ``change``, ``date_from``, ``date_to`` and ``from_to`` as nested lists,
        rows annotation, and ``from_to_classes``, the names of the last one's rows.
    """
    pairs = [f'{a} -> {b}' for a in table.land_cover for b in table.land_cover]
    return dict(
        num_samples=num_samples,
        classes=list(table.names),
        scores=overall_scores(counts),
        change=binary_scores(counts.change),
        per_class=per_class_scores(counts, table),
        confusion={'scd': counts.scd.tolist(), **counts.to_lists()},
        from_to_classes=[table.names[0], *pairs],
    )


def format_table(counts: SCDConfusion, table: ClassTable, num_samples: int) -> str:
    """Return the table that an evaluation prints.

    Args:
        counts: Counts over the whole data set.
        table: Classes of the data set.
        num_samples: Number of pairs that were scored.

    Returns:
        Several lines of plain text: the overall scores, then IoU and F1 of each
        class and date, then the area of each transition. "-" stands for a class
        or a transition that is neither annotated nor predicted.

    Example:
        >>> counts = SCDConfusion.zeros(1)
        >>> table = ClassTable(('unchanged', 'built'), ((255, 255, 255), (128, 0, 0)))
        >>> print(format_table(counts, table, 0).splitlines()[0])
        Scores over 0 pairs, in percent
    """
    _check_classes(counts, table)
    scores = overall_scores(counts)
    blocks = [
        f'Scores over {num_samples} pair{"" if num_samples == 1 else "s"}, in percent',
        _columns(scores, ('Score', 'SeK', 'mIoU', 'Fscd', 'OA', 'Kappa')),
        _columns(scores, ('IoU_changed', 'IoU_unchanged', 'Precision_scd', 'Recall_scd')),
        _columns(
            scores,
            ('SeK_from_to', 'Fscd_from_to', 'change/precision', 'change/recall', 'change/F1'),
        ),
        _class_block(counts, table),
        _transition_block(counts, table),
    ]
    return '\n\n'.join(blocks)


def _check_classes(counts: SCDConfusion, table: ClassTable) -> None:
    if counts.date_from.shape[0] != len(table.names):
        raise ClassMismatchError(
            f'the counts are of {counts.date_from.shape[0]} classes, the class table has '
            f'{len(table.names)}: {table.names}; count with the number of classes of the data set'
        )


def _class_block(counts: SCDConfusion, table: ClassTable) -> str:
    scores = per_class_scores(counts, table)
    present = [m.sum(axis=0) + m.sum(axis=1) > 0 for m in (counts.date_from, counts.date_to)]
    rows = [
        [
            name,
            *(
                f'{scores[date][name][score]:.2f}' if seen[i] else '-'
                for score in ('IoU', 'F1')
                for date, seen in zip(DATES, present, strict=True)
            ),
        ]
        for i, name in enumerate(table.names)
    ]
    return _grid(['class', 'IoU from', 'IoU to', 'F1 from', 'F1 to'], rows)


def _transition_block(counts: SCDConfusion, table: ClassTable) -> str:
    shares = from_to_shares(counts.from_to)

    def cell(annotated: np.floating, predicted: np.floating) -> str:
        return f'{annotated:.2f}/{predicted:.2f}' if annotated or predicted else '-'

    rows = [
        [name, *(cell(a, p) for a, p in zip(annotated, predicted, strict=True))]
        for name, annotated, predicted in zip(
            table.land_cover, shares['annotation'], shares['prediction'], strict=True
        )
    ]
    title = 'Area of each transition, annotated/predicted, in percent of all pixels'
    return f'{title}\n{_grid(["from, to", *table.land_cover], rows)}'


def _columns(scores: dict[str, float], names: Sequence[str]) -> str:
    return _grid(list(names), [[f'{scores[name]:.2f}' for name in names]], left=0)


def _grid(header: list[str], rows: list[list[str]], left: int = 1) -> str:
    """Columns as wide as they must be, the first ``left`` of them flush left."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return '\n'.join(
        '  '.join(
            text.ljust(width) if i < left else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
