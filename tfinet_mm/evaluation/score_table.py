"""Report all scores of a data set as a table and for a JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tfinet_mm.errors import ClassMismatchError
from tfinet_mm.evaluation.confusion import DATES, SCDConfusion
from tfinet_mm.evaluation.functional import (
    binary_scores,
    class_scores,
    from_to_scores,
    from_to_shares,
    scd_scores,
)
from tfinet_mm.evaluation.intervals import RESAMPLES, ScoreIntervals, bootstrap_intervals
from tfinet_mm.evaluation.pair_counts import PairCounts
from tfinet_mm.evaluation.undefined import undefined_scores
from tfinet_mm.structures import ClassTable

CLASS_SCORES = ('IoU', 'F1')
OVERALL_LINES = (
    ('Score', 'SeK', 'mIoU', 'Fscd', 'OA', 'Kappa'),
    ('IoU_changed', 'IoU_unchanged', 'Precision_scd', 'Recall_scd'),
    ('SeK_from_to', 'Fscd_from_to'),
    ('change/precision', 'change/recall', 'change/F1', 'change/IoU', 'change/OA'),
)
CHANGE_SCORES = OVERALL_LINES[-1]
"""Scores of the change alone, which need no land cover."""


def overall_scores(counts: SCDConfusion, dates: Sequence[str] | None = None) -> dict[str, float]:
    """Return the scores of a data set over all classes, in percent.

    Args:
        counts: Counts over the whole data set.
        dates: Dates with annotated land cover; by default those of the counts. State those of
            the data set for counts of a part of it, which may lack the classes of a date.

    Returns:
        The ten scores of :func:`~tfinet_mm.evaluation.scd_scores`, then
        ``SeK_from_to`` and ``Fscd_from_to``, both over the pairs with annotated land
        cover and left out without any; the last two need it on both dates. Then
        ``change/precision``, ``change/recall``, ``change/F1``, ``change/IoU`` and
        ``change/OA`` over all pairs.
    """
    change = {f'change/{name}': value for name, value in binary_scores(counts.change).items()}
    if not counts.has_land_cover:
        return change
    dates = counts.annotated_dates if dates is None else dates
    both = from_to_scores(counts.from_to) if len(dates) == len(DATES) else {}
    return {**scd_scores(counts.scd_of(dates)), **both, **change}


def land_cover_note(counts: SCDConfusion, num_samples: int) -> str | None:
    """Return on which pairs and dates the scores are, where some have no annotated land cover.

    Args:
        counts: Counts over the whole data set.
        num_samples: Number of pairs that were scored.

    Example:
        >>> counts = SCDConfusion.from_maps(*[np.ones(4, int), None, None] * 2, num_classes=6)
        >>> land_cover_note(counts, 1)
        'Only change is scored: no pair has annotated land cover, which all other scores need'
    """
    change_only = int(counts.change_only[0])
    if not counts.has_land_cover:
        return (
            'Only change is scored: no pair has annotated land cover, which all other scores need'
        )
    notes = []
    if change_only:
        notes.append(
            f'{num_samples - change_only} of {num_samples} pairs have annotated land cover: scores '
            'of change/ are over all pairs, all others over those'
        )
    if len(counts.annotated_dates) == 1:
        date = {'from': 'before', 'to': 'after'}[counts.annotated_dates[0]]
        notes.append(
            f'Land cover is annotated {date} the change only: scores of classes are over that '
            'date, and from-to scores are left out'
        )
    return '. '.join(notes) or None


def per_class_scores(
    counts: SCDConfusion, table: ClassTable, dates: Sequence[str] | None = None
) -> dict[str, dict[str, Any]]:
    """Return IoU and F1 of every class on each date.

    Args:
        counts: Counts over the whole data set.
        table: Classes of the data set.
        dates: See :func:`overall_scores`.

    Returns:
        ``{'from': {class: {'IoU': percent, 'F1': percent}}, 'to': ...}`` with
        "unchanged" as the first class; without the dates whose land cover isn't annotated.
    """
    _check_classes(counts, table)
    if not counts.has_land_cover:
        return {}
    result = {}
    for date, matrix in zip(DATES, (counts.date_from, counts.date_to), strict=True):
        if date not in (counts.annotated_dates if dates is None else dates):
            continue
        scores = class_scores(matrix)
        result[date] = {
            name: {score: float(values[i]) for score, values in scores.items()}
            for i, name in enumerate(table.names)
        }
    return result


def score_intervals(
    pairs: PairCounts, table: ClassTable, resamples: int = RESAMPLES, seed: int = 0
) -> ScoreIntervals | None:
    """Return the confidence intervals of all scores over pairs.

    Args:
        pairs: Counts of each pair.
        table: Classes of the data set.
        resamples: Number of draws of pairs; 0 for no intervals.
        seed: Seed of the draws.

    Returns:
        Intervals that :func:`format_table` and :func:`scores_report` take; None for fewer than
        two pairs, or without draws. Those of land cover come from draws of the pairs that
        have it annotated, and are missing for fewer than two of these.
    """

    def change_only(counts: SCDConfusion) -> dict[str, float]:
        scores = binary_scores(counts.change)
        return {
            **{_key('scores', f'change/{name}'): value for name, value in scores.items()},
            **{_key('change', name): value for name, value in scores.items()},
        }

    def flat(counts: SCDConfusion) -> dict[str, float]:
        return {
            **{
                _key('scores', name): value for name, value in overall_scores(counts, dates).items()
            },
            **change_only(counts),
            **{
                _key(date, name, score): value
                for date, classes in per_class_scores(counts, table, dates).items()
                for name, scores in classes.items()
                for score, value in scores.items()
            },
        }

    covered = pairs.with_land_cover()
    # Of all pairs, since a draw may hold none whose changed pixels have classes.
    dates = next(covered.sums(np.ones((1, len(covered))))).annotated_dates
    every = covered if len(covered) == len(pairs) else pairs
    found = bootstrap_intervals(every, flat if every is covered else change_only, resamples, seed)
    if found is None or every is covered:
        return found
    cover = bootstrap_intervals(covered, flat, resamples, seed)
    return replace(found, bounds={**({} if cover is None else cover.bounds), **found.bounds})


def _key(*parts: str) -> str:
    return '\0'.join(parts)


def _intervals_report(intervals: ScoreIntervals, table: ClassTable) -> dict[str, Any]:
    """Return the intervals in the structure of the scores in the report."""
    bounds = {tuple(key.split('\0')): list(pair) for key, pair in intervals.bounds.items()}
    per_class = {
        date: {
            name: {score: bounds[date, name, score] for score in CLASS_SCORES}
            for name in table.names
        }
        for date in DATES
        if (date, table.names[0], CLASS_SCORES[0]) in bounds
    }
    return dict(
        **intervals.about(),
        scores={key[1]: value for key, value in bounds.items() if key[0] == 'scores'},
        change={key[1]: value for key, value in bounds.items() if key[0] == 'change'},
        per_class=per_class,
    )


def scores_report(
    counts: SCDConfusion,
    table: ClassTable,
    num_samples: int,
    intervals: ScoreIntervals | None = None,
) -> dict[str, Any]:
    """Return all results of an evaluation, for JSON.

    Args:
        counts: Counts over the whole data set.
        table: Classes of the data set.
        num_samples: Number of pairs that were scored.
        intervals: Intervals from :func:`score_intervals`, or None.

    Returns:
        ``num_samples``; ``land_cover_samples``, the number of pairs with annotated land
        cover, and ``note``, None or on which pairs the scores are, see
        :func:`land_cover_note`; ``classes``, K + 1 names; ``scores``, see
        :func:`overall_scores`; ``change``, see
        :func:`~tfinet_mm.evaluation.binary_scores`; ``per_class``, see
        :func:`per_class_scores`; ``intervals``, None or their method and [lower, upper] in
        the structure of ``scores``, ``change`` and ``per_class``;
        ``undefined``, see :func:`~tfinet_mm.evaluation.undefined_scores`;
        ``confusion`` with the matrices ``scd``, ``change``, ``date_from``,
        ``date_to`` and ``from_to`` as nested lists, rows annotation (``change`` alone
        without annotated land cover), and ``from_to_classes``, the names of the last
        one's rows.
    """
    scd = {'scd': counts.scd.tolist()} if counts.has_land_cover else {}
    pairs = [f'{a} -> {b}' for a in table.land_cover for b in table.land_cover]
    return dict(
        num_samples=num_samples,
        land_cover_samples=num_samples - int(counts.change_only[0]),
        note=land_cover_note(counts, num_samples),
        classes=list(table.names),
        scores=overall_scores(counts),
        change=binary_scores(counts.change),
        per_class=per_class_scores(counts, table),
        intervals=None if intervals is None else _intervals_report(intervals, table),
        undefined=undefined_scores(counts),
        confusion={**scd, **counts.to_lists()},
        from_to_classes=[table.names[0], *pairs],
    )


def format_table(
    counts: SCDConfusion,
    table: ClassTable,
    num_samples: int,
    intervals: ScoreIntervals | None = None,
) -> str:
    """Return the table that an evaluation prints.

    Args:
        counts: Counts over the whole data set.
        table: Classes of the data set.
        num_samples: Number of pairs that were scored.
        intervals: Intervals from :func:`score_intervals`, or None.

    Returns:
        Several lines of plain text: the overall scores with their intervals below, then IoU and F1
        of each class and date with their intervals in brackets, then the share of each transition,
        and last the scores that are undefined. Without annotated land cover it has the scores of
        change alone. "-" means a class or a transition that is neither
        annotated nor predicted.

    Example:
        >>> counts = SCDConfusion.zeros(1)
        >>> table = ClassTable(('unchanged', 'built'), ((255, 255, 255), (128, 0, 0)))
        >>> print(format_table(counts, table, 0).splitlines()[0])
        Scores over 0 pairs, in percent
    """
    _check_classes(counts, table)
    scores = overall_scores(counts)
    title = f'Scores over {num_samples} pair{"" if num_samples == 1 else "s"}, in percent'
    if intervals is not None:
        title += (
            f', with {100 * intervals.level:g} % confidence intervals '
            f'({intervals.resamples} draws of pairs)'
        )
    if (note := land_cover_note(counts, num_samples)) is not None:
        title += f'\n{note}'
    lines_of_scores = [names for names in OVERALL_LINES if names[0] in scores]
    blocks = [title, *(_columns(scores, names, intervals) for names in lines_of_scores)]
    if counts.has_land_cover:
        blocks.append(_class_block(counts, table, intervals))
        if counts.annotated_dates == DATES:
            blocks.append(_transition_block(counts, table))
    by_reason: dict[str, list[str]] = {}
    for name, reason in undefined_scores(counts).items():
        by_reason.setdefault(reason, []).append(name)
    if by_reason:
        lines = [f'{", ".join(names)}: {reason}' for reason, names in by_reason.items()]
        blocks.append(
            'Undefined (0 / 0), counted as 0; other programs give NaN\n' + '\n'.join(lines)
        )
    return '\n\n'.join(blocks)


def _check_classes(counts: SCDConfusion, table: ClassTable) -> None:
    if counts.date_from.shape[0] != len(table.names):
        raise ClassMismatchError(
            f'the counts are of {counts.date_from.shape[0]} classes, the class table has '
            f'{len(table.names)}: {table.names}; count with the number of classes of the data set'
        )


def _class_block(counts: SCDConfusion, table: ClassTable, intervals: ScoreIntervals | None) -> str:
    scores = per_class_scores(counts, table)

    def cell(date: str, name: str, score: str) -> str:
        text = f'{scores[date][name][score]:.2f}'
        bounds = None if intervals is None else intervals.bounds.get(_key(date, name, score))
        if bounds is None:
            return text
        low, high = bounds
        return f'{text} [{low:.2f}, {high:.2f}]'

    present = [m.sum(axis=0) + m.sum(axis=1) > 0 for m in (counts.date_from, counts.date_to)]
    rows = [
        [
            name,
            *(
                cell(date, name, score) if date in scores and seen[i] else '-'
                for score in CLASS_SCORES
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


def _columns(
    scores: dict[str, float], names: Sequence[str], intervals: ScoreIntervals | None
) -> str:
    rows = [[f'{scores[name]:.2f}' for name in names]]
    bounds = {} if intervals is None else intervals.bounds
    if any(_key('scores', name) not in bounds for name in names):
        return _grid(list(names), rows, left=0)
    for side in (0, 1):
        rows.append([f'{bounds[_key("scores", name)][side]:.2f}' for name in names])
    labelled = [[label, *row] for label, row in zip(('', 'lower', 'upper'), rows, strict=True)]
    return _grid(['', *names], labelled)


def _grid(header: list[str], rows: list[list[str]], left: int = 1) -> str:
    """Return text in columns of the least width, the first ``left`` of them flush left."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return '\n'.join(
        '  '.join(
            text.ljust(width) if i < left else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
