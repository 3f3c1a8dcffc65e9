"""Choose the pairs that a person should look at."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tfinet_mm.datasets.check.problems import Copy, DatasetReport, PairRow

LEAST_RATIO = 0.8
"""Difference of the images elsewhere over that at labelled change from which a pair is strange.

It is 0.4 for most pairs, and above 0.8 where the labels are those of another pair, but for a few
good pairs as well.
"""

Finding = tuple[int, str]
"""Place of a pair in its report, and the reason to look at it."""


@dataclass
class StrangePair:
    """A pair to look at.

    Attributes:
        split: Name of its report.
        index: Place in its data set.
        name: Its name.
        reasons: Reasons, the strongest first.
        twin: The pair that shows the same images: split, place and name.
    """

    split: str
    index: int
    name: str
    reasons: list[str] = field(default_factory=list)
    twin: tuple[str, int, str] | None = None


def strangest_pairs(
    reports: Mapping[str, DatasetReport], leaked: Sequence[Copy] = (), each: int = 3
) -> list[StrangePair]:
    """Choose pairs of every kind that is worth a look.

    Args:
        reports: Reports by the name of the split.
        leaked: Pairs of other splits that are trained on.
        each: Number of pairs of each kind in each split.

    Returns:
        Pairs with the reasons for each, none twice: those that are in two splits first, then
        split by split.
    """
    chosen: dict[tuple[str, int], StrangePair] = {}

    def add(split: str, index: int, name: str, reason: str) -> StrangePair:
        pair = chosen.setdefault((split, index), StrangePair(split, index, name))
        pair.reasons.append(reason)
        return pair

    for split, _ in _different(reports):
        for one in [copy for copy in leaked if copy.split == split][:each]:
            how = 'identical to' if one.identical else 'looks the same as'
            reason = f'{how} {one.of_name} of {one.of_split}, which is trained on'
            add(split, one.index, one.name, reason).twin = (
                one.of_split,
                one.of_index,
                one.of_name,
            )
    for split, report in _different(reports):
        for one in report.copies[:each]:
            how = 'identical to' if one.identical else 'looks the same as'
            pair = add(split, one.index, one.name, f'{how} {one.of_name}')
            pair.twin = pair.twin or (split, one.of_index, one.of_name)
        for place, reason in _findings(report, each):
            row = report.rows[place]
            add(split, row.index, row.name, reason)
    return list(chosen.values())


def _different(reports: Mapping[str, DatasetReport]) -> list[tuple[str, DatasetReport]]:
    """Return the reports without those of the same pairs as an earlier one, as test and val."""
    kept: list[tuple[str, DatasetReport]] = []
    for split, report in reports.items():
        if not any(_same_pairs(report, one) for _, one in kept):
            kept.append((split, report))
    return kept


def _same_pairs(first: DatasetReport, second: DatasetReport) -> bool:
    names = [[row.name for row in one.rows] for one in (first, second)]
    return names[0] == names[1] and first.digests == second.digests


def _findings(report: DatasetReport, each: int) -> Iterator[Finding]:
    yield from _top(
        report,
        each,
        _differing_less,
        lambda row: (
            f'the images differ by {row.changed_difference:.0f} grey levels where change is '
            f'labelled and by {row.unchanged_difference:.0f} elsewhere'
        ),
    )
    yield from _top(
        report,
        each,
        lambda row: row.unchanged_difference,
        lambda row: (
            'the images differ most where no change is labelled: by '
            f'{row.unchanged_difference:.0f} grey levels'
        ),
    )
    yield from _rare_transitions(report, each)
    yield from _top(
        report,
        each,
        lambda row: row.conflicts or math.nan,
        lambda row: f'the labels contradict each other at {row.conflicts} pixels',
    )
    yield from _top(
        report,
        each,
        lambda row: row.ignored or math.nan,
        lambda row: f'{100 * row.ignored:.1f} % of its pixels are ignored, the most',
    )
    yield from _top(
        report,
        each,
        lambda row: row.changed or math.nan,
        lambda row: f'the largest share of change: {100 * row.changed:.1f} %',
    )
    yield from _top(
        report,
        each,
        lambda row: -row.changed or math.nan,
        lambda row: f'the smallest share of change that is not 0: {100 * row.changed:.2g} %',
    )


def _differing_less(row: PairRow) -> float:
    """Return the difference elsewhere over that at labelled change; NaN where it is as usual."""
    ratio = (
        row.unchanged_difference / row.changed_difference if row.changed_difference else math.inf
    )
    return ratio if ratio > LEAST_RATIO else math.nan


def _top(
    report: DatasetReport,
    each: int,
    score: Callable[[PairRow], float],
    reason: Callable[[PairRow], str],
) -> Iterator[Finding]:
    """Return the pairs of the highest scores; a score of NaN leaves a pair out."""
    scores = np.array([score(row) for row in report.rows], np.float64)
    for place in np.argsort(-scores, kind='stable')[:each].tolist():
        if not np.isnan(scores[place]):
            yield place, reason(report.rows[place])


def _rare_transitions(report: DatasetReport, each: int) -> Iterator[Finding]:
    total = int(report.from_to.sum())
    for before, after, share in report.frequent_transitions()[::-1][:each]:
        names = report.table.land_cover
        cell = names.index(before), names.index(after)
        yield (
            int(report.example[cell]),
            f'the rare transition {before} to {after}: {int(report.most[cell])} of its '
            f'{round(share * total)} pixels',
        )
