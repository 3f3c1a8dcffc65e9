"""Tell the problems of a data set from the counts of all its pairs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfinet_mm.datasets.scd_dataset import SCDDataset
from tfinet_mm.structures import ClassTable

ERROR, WARNING = 'error', 'warning'
NOTHING = re.compile(
    r'chang|same|stable|background|ignor|void|label|known|class|defin|none|nothing|null|zero|empty|'
    r'valid|mask|other|clutter|no.?data|\bno\b|\bno[-_]|^rest$|^n/?a$|^bg$',
    re.IGNORECASE,
)
"""Names that mean no land cover: unchanged, no information, unlabelled, background, ..."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with a data set.

    Attributes:
        level: 'error' if training or testing would stop or give wrong results; 'warning'
            if a person should look at it.
        where: The pair, or '' for the data set as a whole.
        message: The finding, with the file and the fix.
    """

    level: str
    where: str
    message: str


@dataclass(frozen=True, slots=True)
class PairRow:
    """Numbers of one pair that the strangest pairs are chosen by.

    Attributes:
        index: Its place in the data set.
        name: Its name.
        changed: Share of changed pixels, 0..1 of those not ignored; NaN without labels.
        ignored: Share of ignored pixels, 0..1; NaN without labels.
        conflicts: Pixels about which its labels contradict each other.
        changed_difference: Mean grey levels by which the images differ where change is
            labelled, or NaN.
        unchanged_difference: Mean difference where none is labelled, or NaN.
    """

    index: int
    name: str
    changed: float
    ignored: float
    conflicts: int
    changed_difference: float
    unchanged_difference: float


@dataclass(frozen=True, slots=True)
class Copy:
    """Two pairs that show the same images.

    Attributes:
        split: Name of the split of the later pair.
        index: Place of the later pair in it.
        name: Name of the later pair.
        of_split: Split of the other pair.
        of_index: Its place there.
        of_name: Its name.
        identical: True if all values are equal; False if they only look the same.
    """

    split: str
    index: int
    name: str
    of_split: str
    of_index: int
    of_name: str
    identical: bool


@dataclass
class DatasetReport:
    """Contents of a data set; numbers of pixels are over all pairs.

    Attributes:
        table: The classes.
        pairs: Number of pairs, or of windows where tiles are read in windows.
        sizes: Number of pairs of each (height, width).
        decided: Storage decided for all files of 'from', 'to' and 'change', in words.
        storages: Number of files of each storage, for 'from', 'to' and 'change'.
        class_counts: Labelled pixels of each class, (2, K): before, after.
        from_to: Changed pixels by class before (row) and after (column), (K, K).
        change_counts: Unchanged, changed, and ignored pixels, (3,).
        conflicts: Pixels ignored because labels contradict each other.
        unknown: Pixels of label files ignored because their colours belong to no class.
        transitions: Places of the types that occur in the table ``transitions``.
        digests: Place of the first pair with each content of images, by the hash of the content.
        problems: Problems found, errors first.
        unlabelled: Changed pixels without a class, (2,): before, after.
        empty: Number of pairs with labels and without a changed pixel.
        dropped: Number of pairs that the pipeline returned nothing for.
        rows: Numbers of each pair.
        packed: Number of the shape and type of the tensor of each pair, see ``packed_kinds``.
        packed_kinds: Number and first pair of each shape and type that the pipeline makes.
        example: For each transition, the pair with most of its pixels, (K, K); -1 for none.
        most: Number of these pixels, (K, K).
        fingerprints: Bits and thumbnails of each pair that can be recognised, by its place.
        copies: Pairs that show the same images as an earlier one.
        labels_hash: Hash of the names of the pairs and their labels as loaded, in hexadecimal
            digits; '' without labels.
        label_fit: Share of the variance of colours that lies between classes, 0..1, for the
            labels as they are and in other orders, see
            :class:`~tfinet_mm.datasets.check.label_fit.LabelFit`.
        fast: True if only headers were read, so that all numbers of pixels are of the first pair.
    """

    table: ClassTable
    pairs: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    decided: dict[str, str] = field(default_factory=dict)
    storages: dict[str, Counter[str]] = field(default_factory=dict)
    class_counts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    from_to: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    change_counts: np.ndarray = field(default_factory=lambda: np.zeros(3, np.int64))
    conflicts: int = 0
    unknown: int = 0
    transitions: set[int] = field(default_factory=set)
    digests: dict[bytes, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unlabelled: np.ndarray = field(default_factory=lambda: np.zeros(2, np.int64))
    empty: int = 0
    dropped: int = 0
    rows: list[PairRow] = field(default_factory=list)
    packed: list[int] = field(default_factory=list)
    packed_kinds: dict[tuple[tuple[int, ...], str], tuple[int, int]] = field(default_factory=dict)
    example: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    most: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    fingerprints: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    copies: list[Copy] = field(default_factory=list)
    labels_hash: str = ''
    label_fit: dict[str, float] = field(default_factory=dict)
    fast: bool = False

    def __post_init__(self) -> None:
        """Start from zero pixels of each class."""
        classes = self.table.num_classes
        if not self.class_counts.size:
            self.class_counts = np.zeros((2, classes), np.int64)
            self.from_to = np.zeros((classes, classes), np.int64)
        if not self.example.size:
            self.example = np.full((classes, classes), -1, np.int64)
            self.most = np.zeros((classes, classes), np.int64)

    @property
    def ok(self) -> bool:
        """True if no error was found; warnings are allowed."""
        return all(problem.level != ERROR for problem in self.problems)

    @property
    def change_share(self) -> float:
        """Share of changed pixels, 0..1, of those that are not ignored."""
        known = int(self.change_counts[:2].sum())
        return int(self.change_counts[1]) / known if known else 0.0

    @property
    def ignored_share(self) -> float:
        """Share of ignored pixels of the change maps, 0..1."""
        return int(self.change_counts[2]) / max(1, int(self.change_counts.sum()))

    @property
    def unlabelled_shares(self) -> tuple[float, float]:
        """Shares of the changed pixels without a class, 0..1: before, after."""
        changed = max(1, int(self.change_counts[1]))
        return int(self.unlabelled[0]) / changed, int(self.unlabelled[1]) / changed

    def frequent_transitions(self) -> list[tuple[str, str, float]]:
        """Return the transitions that occur, the most frequent first: before, after, share."""
        names, total = self.table.land_cover, max(1, int(self.from_to.sum()))
        order = np.argsort(-self.from_to, axis=None, kind='stable')
        return [
            (names[row], names[column], int(self.from_to[row, column]) / total)
            for row, column in (divmod(int(one), len(names)) for one in order)
            if self.from_to[row, column]
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary for JSON, shares in percent."""
        counts = Counter(self.packed)
        return dict(
            pairs=self.pairs,
            fast=self.fast,
            sizes={f'{height}x{width}': number for (height, width), number in self.sizes.items()},
            decided=self.decided,
            storages={role: dict(found) for role, found in self.storages.items()},
            classes=list(self.table.land_cover),
            class_pixels=dict(
                zip(('from', 'to'), (row.tolist() for row in self.class_counts), strict=True)
            ),
            from_to=self.from_to.tolist(),
            change=dict(
                zip(('unchanged', 'changed', 'ignored'), self.change_counts.tolist(), strict=True)
            ),
            change_share=100 * self.change_share,
            ignored_share=100 * self.ignored_share,
            empty=self.empty,
            unlabelled_shares=dict(
                zip(('from', 'to'), (100 * share for share in self.unlabelled_shares), strict=True)
            ),
            transitions=[
                {'from': before, 'to': after, 'share': 100 * share}
                for before, after, share in self.frequent_transitions()
            ],
            packed={
                f'{"x".join(map(str, shape))} {dtype}': counts[number]
                for (shape, dtype), (number, _) in self.packed_kinds.items()
            },
            copies=[
                dict(pair=one.name, of=one.of_name, identical=one.identical) for one in self.copies
            ],
            conflicts=self.conflicts,
            unknown=self.unknown,
            labels_hash=self.labels_hash,
            label_fit={order: 100 * share for order, share in self.label_fit.items()},
            ok=self.ok,
            problems=[vars(problem) for problem in self.problems],
        )


def overall_problems(
    report: DatasetReport, dataset: SCDDataset, labelled: int, batch_size: int
) -> Iterator[Problem]:
    """Find the problems of a data set as a whole.

    Args:
        report: Counts of all pairs, and the problems of each.
        dataset: The data set.
        labelled: Number of pairs with labels.
        batch_size: Batch size of the dataloader.

    Yields:
        The problems.
    """
    if not labelled:
        if not any(problem.level == ERROR for problem in report.problems):
            message = 'no pair has labels, so that predictions can not be scored'
            yield Problem(WARNING, '', message)
    elif dataset.without_change:
        yield from _unknown_change_problems(report, dataset)
    else:
        yield from _label_problems(report)
    yield from _storage_problems(report, dataset)
    if dataset.test_mode and batch_size > 1 and len(report.packed_kinds) > 1:
        parts = range(0, len(report.packed), batch_size)
        mixed = any(len(set(report.packed[one : one + batch_size])) > 1 for one in parts)
        yield Problem(
            ERROR if mixed else WARNING,
            '',
            f'pairs differ in size ({_sizes(report)}) but are tested in batches of {batch_size}'
            + ('' if mixed else ', which several processes fill with other pairs than one')
            + '; set batch_size=1 in the dataloader',
        )
    if report.dropped:
        message = (
            f'the pipeline returns None for {report.dropped} of {report.pairs} pairs, so that '
            + ('a test stops' if dataset.test_mode else 'others are trained on in their place')
            + '; correct the transform that does'
        )
        every = report.dropped == report.pairs
        yield Problem(ERROR if dataset.test_mode or every else WARNING, '', message)


def _storage_problems(report: DatasetReport, dataset: SCDDataset) -> Iterator[Problem]:
    masks = report.storages.get('change', Counter())
    stated = dataset.label_spec.change_storage
    if stated == 'auto' and masks['0/255'] and (masks['0/1/255'] or masks['0/1']):
        yield Problem(
            WARNING,
            '',
            f'{masks["0/255"]} change masks hold 0 and 255 only, other masks of the data set hold '
            '1, so 255 is ignored. If 255 means changed in those files, store all masks in one '
            'way; if it does mean ignored, set change_storage="0/1" in the config',
        )
    for role, found in report.storages.items():
        if len(found) > 1 and (role != 'change' or stated == 'semantic'):
            listed = ', '.join(f'{number} {name}' for name, number in found.most_common())
            message = f'labels ({role}) are stored in several ways: {listed}; store them in one way'
            yield Problem(WARNING, '', message)
    if report.unknown:
        message = (
            f'{report.unknown} pixels of label files are ignored because their colours belong '
            'to no class (unknown_colours="ignore"), or no band of a one-hot label is set'
        )
        yield Problem(WARNING, '', message)
    yield from _unused_transitions(report, dataset)
    if len(dates := {'from', 'to'} & set(report.storages)) == 1:
        message = (
            f'land cover is labelled at one date only ({dates.pop()}), and is unknown at the '
            'other. Change is scored everywhere; scores of classes are over the labelled date, and '
            'from-to scores are left out'
        )
        yield Problem(WARNING, '', message)
    first = dataset.class_table.names[0]
    known = int(report.class_counts.sum()) // 2
    others = int(report.change_counts.sum()) - known
    stated_zero = any(one.zero_is for one in dataset.label_spec.rules.values())
    labelled = {'from', 'to'} & set(report.storages) and not stated_zero
    if labelled and others and not NOTHING.search(first):
        meaning = (
            'unchanged' if dataset.label_spec.semantics == 'semantic_change' else 'no information'
        )
        zero = 'unchanged' if meaning == 'unchanged' else 'unknown'
        message = (
            f'the first of semantic_classes, {first!r}, is named like a land cover, but index 0 '
            f'(and its colour) means {meaning} in '
            f'{100 * others / (others + known):.1f} % of the pixels. If {first!r} is a class, set '
            'zero_is="class" (with label_semantics="land_cover" if labels have the class of every '
            f'pixel); if it does mean {meaning}, set zero_is={zero!r}'
        )
        yield Problem(WARNING, '', message)


def _unused_transitions(report: DatasetReport, dataset: SCDDataset) -> Iterator[Problem]:
    table = dataset.label_spec.transitions
    if table is None or not report.transitions:
        return
    unused = [key for at, key in enumerate(table.keys) if at not in report.transitions]
    if unused:
        message = (
            f'no label holds the types {", ".join(str(key) for key in unused)} of transitions; '
            'check the table, unless these types are rare'
        )
        yield Problem(WARNING, '', message)


def _unknown_change_problems(report: DatasetReport, dataset: SCDDataset) -> Iterator[Problem]:
    if dataset.without_labels:
        message = (
            'the pairs have no labels (change_storage="unknown"): they are trained on only where '
            'MeanTeacherHook makes pseudo labels of change, beside pairs with labels'
        )
        yield Problem(WARNING, '', message)
    elif not report.class_counts.any():
        yield Problem(ERROR, '', 'no pixel has a land-cover class; every label is ignored')
    else:
        message = (
            'the change is not labelled (change_storage="unknown"), so that the pairs train land '
            'cover alone; mix them with pairs that have labels of change, by ConcatDataset'
        )
        yield Problem(WARNING, '', message)


def _label_problems(report: DatasetReport) -> Iterator[Problem]:
    unchanged, changed, ignored = (int(value) for value in report.change_counts)
    if unchanged + changed == 0:
        message = f'all {ignored} pixels are ignored: nothing can be learnt or scored'
        yield Problem(ERROR, '', message)
    elif changed == 0:
        message = (
            'no pixel of any pair is changed; check the folders of labels and masks, and the '
            'options that state their storage (label_storage, change_storage)'
        )
        yield Problem(ERROR, '', message)
    elif unchanged == 0:
        message = (
            'every pixel of every pair is changed; if the labels hold the land cover of every '
            'pixel, set label_semantics="land_cover" and give change masks'
        )
        yield Problem(ERROR, '', message)
    if {'from', 'to'} & set(report.storages):
        absent = [
            name
            for name, number in zip(
                report.table.land_cover, report.class_counts.sum(axis=0), strict=True
            )
            if not number
        ]
        if len(absent) == report.table.num_classes and changed:
            yield Problem(ERROR, '', 'no pixel has a land-cover class; every label is ignored')
        elif absent and changed:
            yield Problem(WARNING, '', f'no pixel has one of the classes {absent}')
        pairs = int(report.from_to.sum())
        unmoved = unchanged and pairs and pairs == int(np.trace(report.from_to))
        if unmoved and report.table.num_classes > 1:
            message = (
                'every changed pixel has the same class on both dates; check that the label '
                'folders are of different dates and hold classes, not change masks'
            )
            yield Problem(ERROR, '', message)
    else:
        message = (
            'there are change masks and no land cover: training trains change alone, and testing '
            'scores change alone (change/precision, change/recall, change/F1, change/IoU, '
            'change/OA). For all other losses and scores name the folders of land cover in '
            'data_prefix (seg_map_path_from, seg_map_path_to)'
        )
        yield Problem(WARNING, '', message)
    if report.conflicts > changed:
        message = (
            f'the label files contradict each other at {report.conflicts} pixels, more than are '
            f'changed ({changed}); check that index 0 means "unchanged" and that the labels of '
            'both dates belong to the same pairs'
        )
        yield Problem(ERROR, '', message)
    elif report.conflicts:
        total = unchanged + changed + ignored
        message = (
            f'{report.conflicts} pixels ({100 * report.conflicts / total:.3f} %) are ignored '
            'because they are changed in one label file and unchanged in another'
        )
        yield Problem(WARNING, '', message)


def _sizes(report: DatasetReport) -> str:
    sizes = dict.fromkeys(shape[-2:] for shape, _ in report.packed_kinds if len(shape) >= 2)
    return ', '.join(f'{width} x {height}' for height, width in list(sizes)[:5])


def find_other_masks(reports: Mapping[str, DatasetReport]) -> list[Problem]:
    """Find splits in whose change masks 255 means changed while training ignores it.

    Masks of 0, 1 and 255 in which 1 doesn't occur look like masks of 0 and 255.

    Args:
        reports: Reports by the name of the split.

    Returns:
        A warning for each such split.
    """
    ignoring = [
        name
        for name, report in reports.items()
        if name.split()[0] == 'train' and report.storages.get('change', Counter())['0/1/255']
    ]
    return [
        Problem(
            WARNING,
            '',
            f'the change masks of {name} hold 255 and no 1, so 255 means changed there, but it is '
            f'ignored in {ignoring[0]}; set change_storage="0/1" or "0/255" for both',
        )
        for name, report in reports.items()
        if ignoring and report.decided.get('change', '').startswith('0/255 (no 1')
    ]
