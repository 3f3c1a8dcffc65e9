"""Format the report on a checked data set as plain text."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tfinet_mm.datasets.check.label_fit import OWN
from tfinet_mm.datasets.check.problems import ERROR, WARNING, DatasetReport, Problem


def format_report(report: DatasetReport, title: str, limit: int = 20) -> str:
    """Return the report as plain text.

    Args:
        report: The report.
        title: First line.
        limit: Number of problems to list; the rest are only counted.
    """
    lines = [title, f'  pairs      {report.pairs}']
    sizes = [f'{w} x {h} ({number})' for (h, w), number in report.sizes.most_common(5)]
    more = f', and {len(report.sizes) - 5} more' if len(report.sizes) > 5 else ''
    lines.append(f'  sizes      {", ".join(sizes)}{more}')
    lines += [f'  storage    {role}: {words}' for role, words in report.decided.items()]
    if report.fast:
        lines.append('  pixels     not read (--fast)')
        return '\n'.join(lines + _problem_lines(report.problems, limit))
    for role, found in report.storages.items():
        listed = ', '.join(f'{name} ({number})' for name, number in found.most_common())
        lines.append(f'  labels     {role}: {listed}')
    if report.labels_hash:
        lines.append(f'  hash       {report.labels_hash} (names and labels)')
    if OWN in report.label_fit:
        share = 100 * report.label_fit[OWN]
        others = 100 * max(v for order, v in report.label_fit.items() if order != OWN)
        lines.append(
            f'  fit        {share:.1f} % of the variance of colours lies between classes, at most '
            f'{others:.1f} % with labels in another order'
        )
    total = int(report.change_counts.sum())
    if total:
        ignored = 100 * int(report.change_counts[2]) / total
        lines.append(
            f'  change     {100 * report.change_share:.2f} % of the pixels, {ignored:.2f} % ignored'
        )
        lines.append(f'  empty      {report.empty} pairs without a changed pixel')
    if report.class_counts.any():
        shares = ' before, '.join(f'{100 * share:.2f} %' for share in report.unlabelled_shares)
        lines.append(f'  no class   {shares} after, of the changed pixels')
    if report.copies:
        same = sum(one.identical for one in report.copies)
        lines.append(f'  copies     {same} identical, {len(report.copies) - same} look the same')
    if report.class_counts.any():
        lines += _class_lines(report)
    lines += _problem_lines(report.problems, limit)
    return '\n'.join(lines)


def _class_lines(report: DatasetReport) -> list[str]:
    names = report.table.land_cover
    width = max(len(name) for name in names) + 2
    shares = 100 * report.class_counts / np.maximum(report.class_counts.sum(axis=1), 1)[:, None]
    lines = ['', '  ' + 'class, % of labelled'.ljust(width + 12) + 'from      to']
    lines += [
        f'  {name.ljust(width + 8)}{shares[0, i]:8.2f}{shares[1, i]:8.2f}'
        for i, name in enumerate(names)
    ]
    matrix = 100 * report.from_to / max(int(report.from_to.sum()), 1)
    cells = [max(len(name), 6) + 2 for name in names]
    header = ''.join(name.rjust(cell) for name, cell in zip(names, cells, strict=True))
    lines += ['', '  from (row) to (column), % of changed', '  ' + ' ' * width + header]
    lines += [
        f'  {name.ljust(width)}'
        + ''.join(f'{value:{cell}.2f}' for value, cell in zip(row, cells, strict=True))
        for name, row in zip(names, matrix, strict=True)
    ]
    if top := report.frequent_transitions()[:5]:
        listed = ', '.join(f'{before} to {after} {100 * share:.1f}' for before, after, share in top)
        lines += ['', f'  most frequent, % of changed: {listed}']
    return lines


def _problem_lines(problems: list[Problem], limit: int) -> list[str]:
    if not problems:
        return ['', '  no problems found']
    counts = Counter(problem.level for problem in problems)
    found = ', '.join(
        f'{counts[level]} {level}{"s" * (counts[level] > 1)}'
        for level in (ERROR, WARNING)
        if counts[level]
    )
    lines = ['', f'  {found}']
    lines += [
        f'  {problem.level}: ' + (f'{problem.where}: ' if problem.where else '') + problem.message
        for problem in problems[:limit]
    ]
    if len(problems) > limit:
        lines.append(f'  ... and {len(problems) - limit} more (--json FILE has all of them)')
    return lines
