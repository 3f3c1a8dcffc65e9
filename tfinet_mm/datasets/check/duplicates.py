"""Find pairs that are in a data set twice, or in two splits."""

from __future__ import annotations

from collections.abc import Mapping

from tfinet_mm.datasets.check.problems import ERROR, DatasetReport, Problem


def find_leaks(reports: Mapping[str, DatasetReport]) -> list[Problem]:
    """Find pairs of images that are in the training split and in another split as well.

    Args:
        reports: Reports by the name of the split. The splits "train", or "train (1 of 2)"
            and so on, are together compared with each other split.

    Returns:
        One error for each other split that shares images with training.
    """
    train = {
        digest
        for name, report in reports.items()
        if name.split()[0] == 'train'
        for digest in report.digests
    }
    problems = []
    for name, report in reports.items():
        shared = sorted(report.digests[digest] for digest in report.digests if digest in train)
        if name.split()[0] != 'train' and shared:
            listed = ', '.join(repr(sample) for sample in shared[:10])
            message = (
                f'{len(shared)} of {report.pairs} pairs of {name} are trained on as well, so '
                'that their scores mean nothing; remove them from one of the splits: '
                f'{listed}{", ..." if len(shared) > 10 else ""}'
            )
            problems.append(Problem(ERROR, '', message))
    return problems
