"""Load each pair as training does, and count its pixels."""

from __future__ import annotations

import hashlib
import random
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch

from tfinet_mm.datasets.annotations import FROM, TO
from tfinet_mm.datasets.check.fingerprint import (
    Fingerprint,
    date_difference,
    fingerprint,
    reduced_pair,
)
from tfinet_mm.datasets.check.label_fit import ReducedPair
from tfinet_mm.datasets.check.problems import ERROR, WARNING, Problem
from tfinet_mm.datasets.roles import LABEL_ROLES
from tfinet_mm.datasets.scd_dataset import SCDDataset
from tfinet_mm.datasets.transforms import (
    LoadCroppedPair,
    LoadGeneratedPair,
    LoadImagePair,
    LoadMadePair,
    LoadPairAnnotations,
)
from tfinet_mm.errors import TFINetError
from tfinet_mm.io.images import image_size
from tfinet_mm.structures import IGNORE_INDEX, SEG_CHANGE, SEG_FROM, SEG_TO
from tfinet_mm.utils.command import is_expected, message_of

IMAGE_LOADERS = (LoadImagePair, LoadGeneratedPair, LoadMadePair)
LOADERS = (*IMAGE_LOADERS, LoadPairAnnotations)
CHUNK = 4
"""Pairs that a process takes at a time."""
LEAST_CELLS = 8
"""Cells of 64 x 64 that a kind of pixels needs before its mean difference is compared."""


@dataclass
class PairFacts:
    """Contribution of one pair to the report.

    Attributes:
        index: Its place in the data set.
        sample_id: Its name.
        problems: Problems found in it.
        size: (height, width) of its images as stored.
        packed: Shape and type of the tensor that the pipeline makes of it, () for another
            result; None after an error.
        dropped: True if the pipeline returned nothing, so that a training takes another pair.
        storages: Storage of each label file.
        labelled: True if it has a change map.
        class_counts: Pixels of each class, (2, K).
        unlabelled: Changed pixels without a class, (2,): before, after.
        from_to: Changed pixels by class before and after, (K, K).
        change_counts: Unchanged, changed, and ignored pixels, (3,).
        conflicts: Pixels ignored because labels contradict each other.
        unknown: Pixels of label files ignored because their colours belong to no class.
        transitions: Places of the types that occur in the table of transitions.
        digest: Hash of the content of its images; empty if both have one value everywhere.
        fingerprint: Its fingerprint, or None.
        changed_difference: Mean grey levels by which the images differ where change is
            labelled, or NaN.
        unchanged_difference: Mean difference where none is labelled, or NaN.
        labels_digest: Hash of its labels as loaded, whatever their files are; empty without any.
        reduced: Its colours and its land cover at a few points, or None without land cover.
    """

    index: int
    sample_id: str
    problems: list[Problem] = field(default_factory=list)
    size: tuple[int, int] | None = None
    packed: tuple[tuple[int, ...], str] | None = None
    dropped: bool = False
    storages: dict[str, str] = field(default_factory=dict)
    labelled: bool = False
    class_counts: np.ndarray | None = None
    unlabelled: np.ndarray | None = None
    from_to: np.ndarray | None = None
    change_counts: np.ndarray | None = None
    conflicts: int = 0
    unknown: int = 0
    transitions: tuple[int, ...] = ()
    digest: bytes = b''
    fingerprint: Fingerprint | None = None
    changed_difference: float = np.nan
    unchanged_difference: float = np.nan
    labels_digest: bytes = b''
    reduced: ReducedPair | None = None


class PairInspector:
    """Load pairs through the whole pipeline of their data set, and count their pixels as loaded.

    Args:
        dataset: The data set.
    """

    def __init__(self, dataset: SCDDataset) -> None:
        """See the class."""
        self.dataset = dataset
        # Whole pairs are counted, not the crops of them.
        self.steps = [
            part
            for one in dataset.pipeline.transforms
            for part in (one.parts if isinstance(one, LoadCroppedPair) else (one,))
        ]
        loads = [isinstance(one, LOADERS) for one in self.steps]
        images = any(isinstance(one, IMAGE_LOADERS) for one in self.steps)
        self.loading = len(loads) - loads[::-1].index(True) if images else 0
        """Number of transforms until all that is counted is loaded; 0 for foreign loaders."""

    def __call__(self, index: int) -> PairFacts:
        """Inspect one pair, and return errors of its files as problems instead of raising them."""
        info = self.dataset.get_data_info(index)
        facts = PairFacts(index, info['sample_id'])
        if not self.loading:
            # Counted by the loaders of this package; the pipeline has its own.
            self._run([LoadImagePair(), LoadPairAnnotations()], info, facts)
            if not facts.problems:
                self._pack(self._run(self.steps, self.dataset.get_data_info(index), facts), facts)
            return facts
        loaded = self._run(self.steps[: self.loading], info, facts)
        if loaded is not None and not any(one.level == ERROR for one in facts.problems):
            self._pack(self._run(self.steps[self.loading :], loaded, facts), facts)
        return facts

    def _run(self, steps: list[Any], results: Any, facts: PairFacts) -> Any:
        """Run transforms and count what those of this package load; None after an error."""
        failed = False
        for step in steps:
            if failed and not isinstance(step, LOADERS):
                continue
            try:
                results = step(results)
            except Exception as error:
                # Labels are tried after a damaged image too, so that it doesn't hide theirs.
                failed = True
                message = self._explain(step, error).removeprefix(f'{facts.sample_id}: ')
                facts.problems.append(Problem(ERROR, facts.sample_id, message))
                continue
            if results is None:
                facts.dropped = True
                return None
            if isinstance(step, IMAGE_LOADERS) and facts.size is None:
                self._count_images(results, facts)
            if isinstance(step, LOADERS) and SEG_CHANGE in results and not facts.labelled:
                self._count_labels(results, facts)
        return None if failed else results

    @staticmethod
    def _explain(step: Any, error: Exception) -> str:
        if is_expected(error):
            return message_of(error)
        return (
            f'the transform {type(step).__name__} of the pipeline fails: '
            f'{type(error).__name__}: {message_of(error)}'
        )

    def _pack(self, results: Any, facts: PairFacts) -> None:
        if results is None:
            return
        inputs = results.get('inputs') if isinstance(results, dict) else None
        shape = getattr(inputs, 'shape', ())
        facts.packed = (tuple(shape), str(getattr(inputs, 'dtype', 'no inputs')))

    def _count_images(self, results: dict[str, Any], facts: PairFacts) -> None:
        image = results['img']
        facts.size = tuple(results['img_shape'])
        bands = image.shape[2] // 2
        if np.array_equal(image[..., :bands], image[..., bands:]):
            message = f'both dates are the same image: {", ".join(results["img_path"])}'
            facts.problems.append(Problem(WARNING, facts.sample_id, message))
        reduced = reduced_pair(image)
        facts.fingerprint = fingerprint(reduced)
        self._difference = date_difference(reduced)
        self._reduced = reduced
        # Windows of one value are equal to each other without being a leak.
        if image.min() != image.max():
            facts.digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()

    def _count_labels(self, results: dict[str, Any], facts: PairFacts) -> None:
        stored = results.get('label_storages')
        if stored is None and SEG_FROM in results:
            stored = {FROM: 'generated', TO: 'generated'}
        facts.storages = stored or {}
        facts.conflicts = results.get('label_conflicts', 0)
        facts.unknown = results.get('label_unknown', 0)
        facts.transitions = results.get('label_transitions', ())
        facts.labelled = True
        change = results[SEG_CHANGE]
        covers = [results[SEG_FROM], results[SEG_TO]] if SEG_FROM in results else []
        facts.labels_digest = _digest(change, *covers)
        counts = _histogram(change)
        facts.change_counts = counts[[0, 1, IGNORE_INDEX]]
        if facts.change_counts[:2].sum() == 0 and not self.dataset.without_change:
            message = 'every pixel of its change map is ignored, so it teaches nothing'
            facts.problems.append(Problem(WARNING, facts.sample_id, message))
        if facts.size is not None:
            self._compare(change, facts)
        if not covers:
            return
        if facts.size is not None:
            facts.reduced = ReducedPair.of(self._reduced, *covers)
        classes = self.dataset.class_table.num_classes
        facts.class_counts = np.stack([_histogram(cover)[:classes] for cover in covers])
        # Changed pixels alone, which are few, one after the other.
        before, after = (cover[change == 1].astype(np.int64) for cover in covers)
        facts.unlabelled = np.array(
            [np.count_nonzero(one == IGNORE_INDEX) for one in (before, after)], np.int64
        )
        known = (before != IGNORE_INDEX) & (after != IGNORE_INDEX)
        transitions = before[known] * classes + after[known]
        facts.from_to = np.bincount(transitions, minlength=classes**2).reshape(classes, classes)

    def _compare(self, change: np.ndarray, facts: PairFacts) -> None:
        """Measure how much the images differ where change is labelled, and where none is."""
        size = self._difference.shape[::-1]
        shares = [
            cv2.resize((change == value).view(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
            for value in (1, 0)
        ]
        # Cells that are of one kind for the most part.
        changed, unchanged = (share >= 192 for share in shares)
        if np.count_nonzero(changed) >= LEAST_CELLS:
            facts.changed_difference = float(self._difference[changed].mean())
        if np.count_nonzero(unchanged) >= LEAST_CELLS:
            facts.unchanged_difference = float(self._difference[unchanged].mean())


class HeaderInspector:
    """Compare the sizes of the files of a pair, of which headers are read only.

    The first pair is inspected completely, so that a first step can be tried with it.

    Args:
        dataset: The data set.
    """

    def __init__(self, dataset: SCDDataset) -> None:
        """See the class."""
        self.dataset = dataset
        self.inspect = PairInspector(dataset)

    def __call__(self, index: int) -> PairFacts:
        """Inspect one pair, and return what is wrong with its files as problems."""
        info = self.dataset.get_data_info(index)
        paths = info.get('img_path')
        if index == 0 or paths is None:
            return self.inspect(index)
        facts = PairFacts(index, info['sample_id'])
        labels = [info.get(key) for key in LABEL_ROLES.values()]
        try:
            sizes = {path: image_size(path) for path in [*paths, *filter(None, labels)]}
        except (TFINetError, OSError) as error:
            facts.problems.append(Problem(ERROR, facts.sample_id, str(error)))
            return facts
        width, height = sizes[paths[0]]
        facts.size = (height, width) if info['window'] is None else tuple(info['window'][3:1:-1])
        if len(set(sizes.values())) > 1:
            listed = ', '.join(f'{path} {size[0]} x {size[1]}' for path, size in sizes.items())
            message = (
                f'its files have to be of one size, got (width x height) {listed}; export them on '
                'one grid'
            )
            facts.problems.append(Problem(ERROR, facts.sample_id, message))
        return facts


def _digest(*maps: np.ndarray) -> bytes:
    """Return a hash of label maps and their size."""
    found = hashlib.blake2b(str(maps[0].shape).encode(), digest_size=16)
    for one in maps:
        found.update(np.ascontiguousarray(one, np.uint8).tobytes())
    return found.digest()


def _histogram(values: np.ndarray) -> np.ndarray:
    """Return the number of pixels of each value 0..255, (256,) int64."""
    counts = cv2.calcHist([np.ascontiguousarray(values)], [0], None, [256], [0, 256])
    # A float32 counts to 16 million exactly.
    if values.size >= 1 << 24:
        return np.bincount(values.ravel(), minlength=256)
    return counts.ravel().astype(np.int64)


_inspector: PairInspector | HeaderInspector | None = None


def _start_worker(dataset: SCDDataset, headers: bool) -> None:
    global _inspector
    # The process that shows the progress stops the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    _inspector = HeaderInspector(dataset) if headers else PairInspector(dataset)


def _inspect(indices: range) -> list[PairFacts]:
    if _inspector is None:
        raise RuntimeError('the worker was not started with a data set')
    found = []
    for index in indices:
        # The random transforms draw the same in every check.
        _seed(index)
        found.append(_inspector(index))
    return found


def _seed(index: int) -> None:
    random.seed(index)
    np.random.seed(index)  # noqa: NPY002 (transforms of MMCV draw from it)
    torch.manual_seed(index)


def inspect_pairs(
    dataset: SCDDataset, workers: int = 0, headers: bool = False
) -> Iterator[PairFacts]:
    """Inspect all pairs in their order, in ``workers`` processes (0: in this process).

    Random transforms draw the same numbers in every run, whatever ``workers`` is. Memory holds
    the facts of a few pairs at a time.

    Args:
        dataset: The data set.
        workers: Number of processes.
        headers: Read headers only, see :class:`HeaderInspector`.

    Yields:
        The facts of each pair.
    """
    if workers < 1:
        inspector = HeaderInspector(dataset) if headers else PairInspector(dataset)
        state = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        try:
            for index in range(len(dataset)):
                _seed(index)
                yield inspector(index)
        finally:
            random.setstate(state[0])
            np.random.set_state(state[1])  # noqa: NPY002
            torch.set_rng_state(state[2])
        return
    pool = ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(dataset, headers))
    waiting: deque[Future[list[PairFacts]]] = deque()
    try:
        for start in range(0, len(dataset), CHUNK):
            waiting.append(pool.submit(_inspect, range(start, min(start + CHUNK, len(dataset)))))
            if len(waiting) > 4 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            f'one of {workers} processes that load pairs was killed, as happens where memory is '
            'full; use fewer: --workers 1'
        ) from error
    finally:
        # Ctrl-C, too, waits for the pairs at hand only.
        pool.shutdown(cancel_futures=True)


def load_pair(dataset: SCDDataset, index: int) -> dict[str, Any]:
    """Load the images and labels of a pair as its pipeline does, without augmentation.

    Args:
        dataset: The data set.
        index: Place of the pair.

    Returns:
        Dictionary of the pipeline: ``img`` (H, W, 2B), and the label maps that the pair has.

    Raises:
        TFINetError, OSError: A file can't be read.
    """
    inspector = PairInspector(dataset)
    results = dataset.get_data_info(index)
    steps = inspector.steps[: inspector.loading] or [LoadImagePair(), LoadPairAnnotations()]
    for step in steps:
        results = step(results)
    return results


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
