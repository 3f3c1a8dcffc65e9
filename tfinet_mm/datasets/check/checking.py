"""Check all pairs of a data set."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
from tqdm import tqdm

from tfinet_mm.datasets.check.duplicates import copy_problems, look_alikes
from tfinet_mm.datasets.check.inspection import PairFacts, inspect_pairs
from tfinet_mm.datasets.check.label_fit import LabelFit
from tfinet_mm.datasets.check.problems import (
    ERROR,
    WARNING,
    Copy,
    DatasetReport,
    PairRow,
    Problem,
    overall_problems,
)
from tfinet_mm.datasets.scd_dataset import SCDDataset


def check_dataset(
    dataset: SCDDataset,
    workers: int = 0,
    batch_size: int = 1,
    fast: bool = False,
    progress: Callable[[Iterable[PairFacts]], Iterable[PairFacts]] | None = None,
) -> DatasetReport:
    """Load every pair of a data set as training does, and report its contents and its problems.

    Args:
        dataset: The data set.
        workers: Number of processes beside this one.
        batch_size: Batch size of the dataloader; a batch in testing needs pairs of one size.
        fast: Read headers only: sizes and storages, and nothing of the content.
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
    fit: LabelFit | None = None
    label_digests: list[bytes] = []
    for facts in shown(inspect_pairs(dataset, workers, fast)):
        _add(report, facts)
        labelled += facts.labelled
        if facts.labels_digest:
            label_digests.append(facts.sample_id.encode() + b'\0' + facts.labels_digest)
        if facts.reduced is not None:
            fit = fit or LabelFit(dataset.class_table.num_classes, facts.reduced.colours.shape[-1])
            fit.add(facts.reduced)
    report.fast = fast
    if not fast:
        report.copies += look_alikes(report)
        report.problems += copy_problems(report)
        report.problems += overall_problems(report, dataset, labelled, batch_size)
        if label_digests:
            joined = b''.join(sorted(label_digests))
            report.labels_hash = hashlib.blake2b(joined, digest_size=16).hexdigest()
        if fit is not None:
            report.label_fit = fit.shares()
            report.problems += fit.problems()
    report.problems.sort(key=lambda problem: (problem.level != ERROR, problem.where != ''))
    return report


def _add(report: DatasetReport, facts: PairFacts) -> None:
    place = report.pairs
    report.pairs += 1
    report.problems += facts.problems
    report.conflicts += facts.conflicts
    report.unknown += facts.unknown
    report.transitions.update(facts.transitions)
    report.dropped += facts.dropped
    if facts.size is not None:
        report.sizes[facts.size] += 1
    if facts.packed is not None:
        new = (len(report.packed_kinds), facts.index)
        report.packed.append(report.packed_kinds.setdefault(facts.packed, new)[0])
    for role, storage in facts.storages.items():
        report.storages.setdefault(role, Counter())[storage] += 1
    for name in ('class_counts', 'unlabelled', 'from_to', 'change_counts'):
        counts = getattr(facts, name)
        if counts is not None:
            setattr(report, name, getattr(report, name) + counts)
    if facts.change_counts is not None:
        report.empty += not facts.change_counts[1]
    if facts.from_to is not None:
        more = facts.from_to > report.most
        report.example[more], report.most[more] = place, facts.from_to[more]
    report.rows.append(_row(facts))
    if facts.fingerprint is not None:
        bits, thumbnails = facts.fingerprint
        report.fingerprints[place] = (bits.tobytes(), thumbnails.tobytes())
    if facts.digest:
        first = report.digests.setdefault(facts.digest, place)
        if first != place:
            same = report.rows[first]
            report.copies.append(
                Copy('', facts.index, facts.sample_id, '', same.index, same.name, identical=True)
            )
            message = f'its images are the same as those of {same.name!r}'
            report.problems.append(Problem(WARNING, facts.sample_id, message))


def _row(facts: PairFacts) -> PairRow:
    changed = ignored = np.nan
    if facts.change_counts is not None:
        known = int(facts.change_counts[:2].sum())
        changed = int(facts.change_counts[1]) / known if known else np.nan
        ignored = int(facts.change_counts[2]) / max(1, int(facts.change_counts.sum()))
    numbers = (facts.conflicts, facts.changed_difference, facts.unchanged_difference)
    return PairRow(facts.index, facts.sample_id, changed, ignored, *numbers)
