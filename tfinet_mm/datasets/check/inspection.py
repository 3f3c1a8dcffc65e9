"""Load each pair as training does, and count its pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfinet_mm.datasets.check.problems import ERROR, WARNING, Problem
from tfinet_mm.datasets.scd_dataset import SCDDataset
from tfinet_mm.datasets.transforms import LoadImagePair, LoadPairAnnotations
from tfinet_mm.errors import TFINetError
from tfinet_mm.structures import IGNORE_INDEX, SEG_CHANGE, SEG_FROM, SEG_TO


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
