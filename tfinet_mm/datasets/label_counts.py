"""Count the labels of all pairs of a data set, once, and keep the numbers in the user's cache."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.logging import print_log

from tfinet_mm.datasets.label_cache import keep, label_key, read_kept
from tfinet_mm.datasets.roles import IMAGE_ROLES, LABEL_ROLES
from tfinet_mm.datasets.transforms.loading import LABEL_PATHS, LoadPairAnnotations
from tfinet_mm.io.images import Window, image_size
from tfinet_mm.structures import IGNORE_INDEX, SEG_CHANGE, SEG_FROM, SEG_TO
from tfinet_mm.utils.dist import read_once

VERSION = 1
"""Version of the rules of counting; raise it with them, so that old numbers aren't reused."""
WHOLE_PIXELS = 1 << 24
"""Most pixels of a tile whose windows are cut out of one array, in place of reading each."""


@dataclass(frozen=True)
class LabelCounts:
    """Numbers of the labels of N pairs with K classes.

    Attributes:
        change: Pixels that are unchanged, changed and ignored, (N, 3) int64.
        classes: True for each class that occurs before or after, (N, K) bool.
        transitions: True for each pair of classes (before, after) that occurs where something
            changed, (N, K, K) bool.
    """

    change: np.ndarray
    classes: np.ndarray
    transitions: np.ndarray

    def __len__(self) -> int:
        """Return the number N of pairs."""
        return len(self.change)

    def share(self) -> np.ndarray:
        """Return the share of changed pixels of those not ignored, (N,) in 0..1.

        It is 0 where all pixels are ignored.
        """
        known = self.change[:, 0] + self.change[:, 1]
        share: np.ndarray = self.change[:, 1] / np.maximum(known, 1)
        return share

    def take(self, indices: Sequence[int] | np.ndarray) -> LabelCounts:
        """Return the numbers of the pairs at the given places, which may be repeated."""
        return LabelCounts(*(getattr(self, one.name)[indices] for one in fields(self)))


def joined_counts(parts: Sequence[LabelCounts]) -> LabelCounts:
    """Return the numbers of several data sets in a row.

    Raises:
        ValueError: They have different numbers of classes.
    """
    numbers = {one.classes.shape[1] for one in parts}
    if len(numbers) > 1:
        raise ValueError(
            f'the joined data sets have {sorted(numbers)} classes, expected one number; state the '
            'same semantic_classes for all of them'
        )
    names = [one.name for one in fields(LabelCounts)]
    return LabelCounts(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def label_counts(dataset: Any) -> LabelCounts:
    """Return the numbers of the labels of a data set, or of a wrapper of one or of several.

    Args:
        dataset: An :class:`~tfinet_mm.datasets.SCDDataset`, or one of MMEngine's wrappers of it.

    Raises:
        TypeError: A data set has no label files of this package.
        ValueError: Joined data sets have different numbers of classes.
    """
    if hasattr(dataset, 'label_counts'):
        counts: LabelCounts = dataset.label_counts()
        return counts
    if hasattr(dataset, 'datasets'):
        return joined_counts([label_counts(one) for one in dataset.datasets])
    if hasattr(dataset, 'dataset'):
        counts = label_counts(dataset.dataset)
        if not hasattr(dataset, '_get_ori_dataset_idx'):
            return counts
        return counts.take([dataset._get_ori_dataset_idx(i) for i in range(len(dataset))])
    raise TypeError(
        f'the labels of a {type(dataset).__name__} can not be counted, expected an SCDDataset or a '
        "wrapper of it (ConcatDataset, RepeatDataset); use type='tfinet_mm.SCDDataset'"
    )


def category_ids(counts: LabelCounts, index: int) -> list[int]:
    """Return the classes of a pair, for samplers that balance classes.

    Args:
        counts: Numbers of the labels.
        index: Place of the pair.

    Returns:
        Land cover 0..K-1 that occurs at either date; without any land cover in the data set, 0
        if pixels are unchanged and 1 if pixels changed.
    """
    if counts.classes.any():
        return np.flatnonzero(counts.classes[index]).tolist()
    return np.flatnonzero(counts.change[index, :2]).tolist()


def count_labels(entries: Sequence[Mapping[str, Any]], num_classes: int) -> LabelCounts:
    """Count the labels of entries of a data set, or read the numbers from the cache.

    Args:
        entries: Entries as :meth:`~tfinet_mm.datasets.SCDDataset.get_data_info` returns them,
            all of one data set.
        num_classes: Number K of classes.

    Returns:
        The numbers, in the order of the entries.

    Raises:
        LabelFormatError, LabelValueError: A label can't be read, or holds values that have no
            meaning.
    """
    spec = entries[0]['label_spec']
    files = {role: _paths(entries, key) for role, key in LABEL_ROLES.items()}
    if spec.no_data:
        files |= {
            role: [entry['img_path'][date] for entry in entries]
            for date, role in enumerate(IMAGE_ROLES)
        }
    windows = [entry['window'] for entry in entries]
    storages = {role: storage.name for role, storage in spec.storages.items()}
    key = label_key(VERSION, spec, files, storages=storages, windows=windows)
    name = f'{key}.npz'

    def read_or_count() -> LabelCounts:
        found = read_kept(name, _read) if key is not None else None
        if found is not None and found.classes.shape == (len(entries), num_classes):
            return found
        print_log(
            f'The labels of {len(entries)} pairs are counted, once: the numbers are kept in the '
            'cache',
            logger='current',
            level=logging.INFO,
        )
        counted = _count(entries, num_classes)
        if key is not None:
            keep(name, lambda path: _write(path, counted))
        return counted

    # The cache too: ranks on several machines may have different ones.
    return read_once(read_or_count)


def _paths(entries: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    return [entry[key] for entry in entries if entry[key] is not None]


def _read(path: Path) -> LabelCounts:
    with np.load(path) as stored:
        bits = {name: stored[name] for name in ('classes', 'transitions')}
        number = stored['change'].shape[0]
        classes = int(stored['number'])
        return LabelCounts(
            stored['change'],
            np.unpackbits(bits['classes'], axis=1, count=classes).astype(bool),
            np.unpackbits(bits['transitions'], axis=1, count=classes**2)
            .astype(bool)
            .reshape(number, classes, classes),
        )


def _write(path: Path, counts: LabelCounts) -> None:
    with path.open('wb') as file:
        np.savez_compressed(
            file,
            change=counts.change,
            classes=np.packbits(counts.classes, axis=1),
            transitions=np.packbits(counts.transitions.reshape(len(counts), -1), axis=1),
            number=counts.classes.shape[1],
        )


def _count(entries: Sequence[Mapping[str, Any]], num_classes: int) -> LabelCounts:
    def files(entry: Mapping[str, Any]) -> tuple[Any, ...]:
        return (*entry['img_path'], *(entry[key] for key in LABEL_PATHS))

    tiles = [list(group) for _, group in groupby(entries, files)]
    load = LoadPairAnnotations()
    # Decoders of images work outside of Python's lock.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = pool.map(lambda tile: list(_count_tile(tile, num_classes, load)), tiles)
        rows = list(chain.from_iterable(found))
    return LabelCounts(*(np.stack(column) for column in zip(*rows, strict=True)))


def _count_tile(
    entries: Sequence[Mapping[str, Any]], classes: int, load: LoadPairAnnotations
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the numbers of the windows of one tile."""
    whole = None
    if len(entries) > 1:
        width, height = image_size(entries[0]['img_path'][0])
        if width * height <= WHOLE_PIXELS:
            whole = load.transform({**entries[0], 'window': None})
    for entry in entries:
        if whole is None:
            maps, cut = load.transform(dict(entry)), (slice(None), slice(None))
        else:
            maps, cut = whole, Window(*entry['window']).slices()
        covers = [maps[key][cut] if key in maps else None for key in (SEG_FROM, SEG_TO)]
        yield _count_maps(maps[SEG_CHANGE][cut], covers, classes)


def _count_maps(
    change: np.ndarray, covers: Sequence[np.ndarray | None], classes: int
) -> tuple[np.ndarray, ...]:
    """Return a row of each field of :class:`LabelCounts`."""
    counts = _histogram(change)[[0, 1, IGNORE_INDEX]].astype(np.int64)
    present = np.zeros(classes, bool)
    transitions = np.zeros((classes, classes), bool)
    before, after = covers
    if before is not None and after is not None:
        for cover in (before, after):
            present |= _histogram(cover)[:classes] > 0
        changed = change == 1
        first, second = before[changed], after[changed]
        known = (first != IGNORE_INDEX) & (second != IGNORE_INDEX)
        transitions[first[known], second[known]] = True
    return counts, present, transitions


def _histogram(values: np.ndarray) -> np.ndarray:
    """Return the number of pixels of each value 0..255, (256,)."""
    if values.size >= 1 << 24:  # A float32 counts to 16 million exactly.
        return np.bincount(values.ravel(), minlength=256)
    return cv2.calcHist([np.ascontiguousarray(values)], [0], None, [256], [0, 256]).ravel()
