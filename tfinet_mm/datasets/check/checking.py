"""Check all pairs of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from tqdm import tqdm

from tfinet_mm.datasets.check.inspection import PairFacts, inspect_pairs
from tfinet_mm.datasets.check.problems import (
    ERROR,
    WARNING,
    DatasetReport,
    Problem,
    overall_problems,
)
from tfinet_mm.datasets.scd_dataset import SCDDataset


def check_dataset(
    dataset: SCDDataset,
    workers: int = 0,
    batch_size: int = 1,
    progress: Callable[[Iterable[PairFacts]], Iterable[PairFacts]] | None = None,
) -> DatasetReport:
    """Load every pair of a data set and report its contents and its problems.

    Args:
        dataset: The data set.
        workers: Number of processes beside this one.
        batch_size: Batch size of the dataloader; a batch in testing needs pairs of one size.
        progress: Wraps the pairs to show the progress; the default draws a bar.

    Returns:
        The report. An error is a finding that would stop training or make its result
        wrong: a file that can't be read or holds unknown values, no change or no class
        anywhere, all pixels ignored, masks that can be read in two ways.
    """
    storages = dataset.label_spec.storages
    decided = {role: str(storage) for role, storage in storages.items()}
    report = DatasetReport(dataset.class_table, decided=decided)
    shown = progress or (lambda pairs: tqdm(pairs, total=len(dataset), unit='pair', leave=False))
    labelled = 0
    for facts in shown(inspect_pairs(dataset, workers)):
        _add(report, facts)
        labelled += facts.labelled
    report.problems += overall_problems(report, dataset, labelled, batch_size)
    report.problems.sort(key=lambda problem: (problem.level != ERROR, problem.where != ''))
    return report


def _add(report: DatasetReport, facts: PairFacts) -> None:
    report.pairs += 1
    report.problems += facts.problems
    report.conflicts += facts.conflicts
    report.unknown += facts.unknown
    if facts.size is not None:
        report.sizes[facts.size] += 1
    for role, storage in facts.storages.items():
        report.storages.setdefault(role, Counter())[storage] += 1
    for name in ('class_counts', 'from_to', 'change_counts'):
        counts = getattr(facts, name)
        if counts is not None:
            setattr(report, name, getattr(report, name) + counts)
    if facts.digest:
        first = report.digests.setdefault(facts.digest, facts.sample_id)
        if first != facts.sample_id:
            message = f'its images are the same as those of {first!r}'
            report.problems.append(Problem(WARNING, facts.sample_id, message))
