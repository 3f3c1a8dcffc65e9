"""Check a whole data set before training: count its contents and report its problems."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from tfinet_mm.datasets.scd_dataset import SCDDataset
from tfinet_mm.datasets.transforms import LoadImagePair, LoadPairAnnotations, PackPairInputs
from tfinet_mm.errors import TFINetError
from tfinet_mm.structures import IGNORE_INDEX, SEG_CHANGE, SEG_FROM, SEG_TO, ClassTable

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
        digests: First pair with each content of images, by the hash of the content.
        problems: Problems found, errors first.
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
    digests: dict[bytes, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start from zero pixels of each class."""
        classes = self.table.num_classes
        if not self.class_counts.size:
            self.class_counts = np.zeros((2, classes), np.int64)
            self.from_to = np.zeros((classes, classes), np.int64)

    @property
    def ok(self) -> bool:
        """True if no error was found; warnings are allowed."""
        return all(problem.level != ERROR for problem in self.problems)

    @property
    def change_share(self) -> float:
        """Share of changed pixels, 0..1, of those that are not ignored."""
        known = int(self.change_counts[:2].sum())
        return int(self.change_counts[1]) / known if known else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary for JSON, shares in percent."""
        return dict(
            pairs=self.pairs,
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
            conflicts=self.conflicts,
            unknown=self.unknown,
            ok=self.ok,
            problems=[vars(problem) for problem in self.problems],
        )


@dataclass
class PairFacts:
    """Contribution of one pair to the report."""

    sample_id: str
    problems: list[Problem] = field(default_factory=list)
    size: tuple[int, int] | None = None
    storages: dict[str, str] = field(default_factory=dict)
    labelled: bool = False
    class_counts: np.ndarray | None = None
    from_to: np.ndarray | None = None
    change_counts: np.ndarray | None = None
    conflicts: int = 0
    unknown: int = 0
    transitions: tuple[int, ...] = ()
    digest: bytes = b''


class PairInspector:
    """Load pairs as the pipeline of their data set does, and count their pixels.

    Args:
        dataset: The data set; only the loading transforms of its pipeline are used.
    """

    def __init__(self, dataset: SCDDataset) -> None:
        """See the class."""
        self.dataset = dataset
        loaders = dataset.pipeline.transforms
        self.load_images = _first(loaders, LoadImagePair) or LoadImagePair()
        self.load_labels = _first(loaders, LoadPairAnnotations) or LoadPairAnnotations()

    def __call__(self, index: int) -> PairFacts:
        """Inspect one pair, and return errors of its files as problems instead of raising them."""
        info = self.dataset.get_data_info(index)
        facts = PairFacts(info['sample_id'])
        # Both are tried, so that one damaged image doesn't hide a damaged label.
        for load, count in (
            (self.load_images, self._count_images),
            (self.load_labels, self._count_labels),
        ):
            try:
                count(load(info), facts)
            except (TFINetError, OSError) as error:
                facts.problems.append(Problem(ERROR, facts.sample_id, str(error)))
        return facts

    def _count_images(self, results: dict[str, Any], facts: PairFacts) -> None:
        image = results['img']
        facts.size = tuple(results['img_shape'])
        bands = image.shape[2] // 2
        if np.array_equal(image[..., :bands], image[..., bands:]):
            message = f'both dates are the same image: {", ".join(results["img_path"])}'
            facts.problems.append(Problem(WARNING, facts.sample_id, message))
        # Windows of one value are equal to each other without being a leak.
        if image.min() != image.max():
            facts.digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()

    def _count_labels(self, results: dict[str, Any], facts: PairFacts) -> None:
        facts.storages = results['label_storages']
        facts.conflicts = results['label_conflicts']
        facts.unknown = results['label_unknown']
        facts.transitions = results['label_transitions']
        if SEG_CHANGE not in results:
            return
        facts.labelled = True
        change = results[SEG_CHANGE]
        facts.change_counts = np.array(
            [np.count_nonzero(change == value) for value in (0, 1, IGNORE_INDEX)], np.int64
        )
        if facts.change_counts[:2].sum() == 0:
            message = 'every pixel of its change map is ignored, so it teaches nothing'
            facts.problems.append(Problem(WARNING, facts.sample_id, message))
        if SEG_FROM not in results:
            return
        classes = self.dataset.class_table.num_classes
        before, after = results[SEG_FROM], results[SEG_TO]
        facts.class_counts = np.stack(
            [np.bincount(cover.ravel(), minlength=256)[:classes] for cover in (before, after)]
        )
        known = (change == 1) & (before != IGNORE_INDEX) & (after != IGNORE_INDEX)
        transitions = before[known].astype(np.int64) * classes + after[known]
        facts.from_to = np.bincount(transitions, minlength=classes**2).reshape(classes, classes)


_inspector: PairInspector | None = None


def _start_worker(dataset: SCDDataset) -> None:
    global _inspector
    _inspector = PairInspector(dataset)


def _inspect(index: int) -> PairFacts:
    if _inspector is None:
        raise RuntimeError('the worker was not started with a data set')
    return _inspector(index)


def inspect_pairs(dataset: SCDDataset, workers: int = 0) -> Iterator[PairFacts]:
    """Inspect all pairs in their order, in ``workers`` processes (0: in this process)."""
    if workers < 1:
        yield from map(PairInspector(dataset), range(len(dataset)))
        return
    with ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(dataset,)) as pool:
        yield from pool.map(_inspect, range(len(dataset)), chunksize=4)


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
    report.problems += _overall_problems(report, dataset, labelled, batch_size)
    report.problems.sort(key=lambda problem: (problem.level != ERROR, problem.where != ''))
    return report


def _add(report: DatasetReport, facts: PairFacts) -> None:
    report.pairs += 1
    report.problems += facts.problems
    report.conflicts += facts.conflicts
    report.unknown += facts.unknown
    report.transitions.update(facts.transitions)
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


def _overall_problems(
    report: DatasetReport, dataset: SCDDataset, labelled: int, batch_size: int
) -> Iterator[Problem]:
    if not labelled:
        if not any(problem.level == ERROR for problem in report.problems):
            message = 'no pair has labels, so that predictions can not be scored'
            yield Problem(WARNING, '', message)
    else:
        yield from _label_problems(report)
    yield from _storage_problems(report, dataset)
    plain = all(
        isinstance(transform, LoadImagePair | LoadPairAnnotations | PackPairInputs)
        for transform in dataset.pipeline.transforms
    )
    if dataset.test_mode and batch_size > 1 and len(report.sizes) > 1 and plain:
        yield Problem(
            ERROR,
            '',
            f'pairs differ in size ({_sizes(report)}) but are tested in batches of {batch_size}; '
            'set batch_size=1 in the dataloader',
        )


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
            'other. Change is scored everywhere; scores of semantic change count changed pixels of '
            'the labelled date, and from-to scores have none'
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
            'there are change masks but no land cover, which training and the scores of semantic '
            'change need; name its folders in data_prefix (seg_map_path_from, seg_map_path_to)'
        )
        yield Problem(ERROR, '', message)
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
    return ', '.join(f'{width} x {height}' for (height, width), _ in report.sizes.most_common(5))


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


def _first(transforms: Iterable[Any], kind: type) -> Any:
    return next((one for one in transforms if isinstance(one, kind)), None)


def leaf_datasets(dataset: Any) -> list[SCDDataset]:
    """Return the data sets inside wrappers (concatenation, repetition).

    Raises:
        TypeError: One of them isn't an :class:`SCDDataset`.
    """
    if isinstance(dataset, SCDDataset):
        return [dataset]
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    if inner == [None]:
        raise TypeError(f'expected an SCDDataset or a wrapper, got {type(dataset).__name__}')
    return [leaf for one in inner for leaf in leaf_datasets(one)]
