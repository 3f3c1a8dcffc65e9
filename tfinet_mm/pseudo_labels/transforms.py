"""Land cover of unchanged pixels from a folder of pseudo labels."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log
from torch.utils.data import get_worker_info

from tfinet_mm.datasets.annotations import to_land_cover
from tfinet_mm.datasets.transforms.consistency import COMBINATIONS, label_combinations
from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.io.images import PathLike
from tfinet_mm.io.label_files import read_stored_label
from tfinet_mm.io.labels import read_semantic_label
from tfinet_mm.pseudo_labels.layout import (
    CONFIDENCE_FOLDERS,
    DATES,
    LABEL_FOLDERS,
    confidence_path,
    pseudo_label_path,
)
from tfinet_mm.pseudo_labels.weights import CONFIDENCE, check_weight
from tfinet_mm.registry import TRANSFORMS
from tfinet_mm.structures import (
    IGNORE_INDEX,
    SEG_CHANGE,
    SEG_FROM,
    SEG_TO,
    WEIGHT_FROM,
    WEIGHT_TO,
    ClassTable,
)

KEYS = {'from': (SEG_FROM, WEIGHT_FROM), 'to': (SEG_TO, WEIGHT_TO)}
MISSING = ('error', 'keep')
SLOTS = 256
"""Data loader workers that can count at once without waiting for each other."""


@TRANSFORMS.register_module()
class LoadPseudoLabels(BaseTransform):
    """Fill in the land cover of unannotated, unchanged pixels from a folder of pseudo labels.

    ``tools/pseudo_label.py`` writes such a folder: ``label1`` and ``label2`` with
    a palette PNG 0..K for each sample, named by its ``sample_id``, 0 where
    unlabelled; and, with ``--confidence``, ``confidence1`` and ``confidence2``
    with grey PNGs of round(255 * p). Only pixels that the annotation says are
    unchanged, without a class, are filled in; annotated ones and the change map
    stay as they are. Put it directly after ``LoadPairAnnotations``.

    Required keys: ``sample_id``, ``label_spec``, ``gt_seg_map``,
    ``gt_seg_map_from``, ``gt_seg_map_to``.

    Modified keys: the last two. Added keys, with ``weight``, each (H, W) float32
    and listed in ``seg_fields``: ``gt_weight_from`` and ``gt_weight_to``, 1 for
    annotated pixels, ``weight`` for those filled in, 0 where no class is known.
    Pairs without pseudo labels get these keys too.

    Args:
        data_root: Folder of pseudo labels.
        min_confidence: Pixels below it stay ignored, 0..1; above 0 it needs the
            folder's confidence.
        weight: Weight of a filled pixel in the loss of land cover: None for that
            of an annotated one, a number above 0, or ``'confidence'`` for the
            pixel's confidence. ``SemanticCELoss`` is a weighted mean, so numbers
            shift the balance between annotated and filled pixels, not the size
            of the loss.
        missing: ``'error'``, or ``'keep'`` to take pairs that have no pseudo
            labels as they are. These are counted over all workers of the data
            loader (:attr:`counts`), and a warning says the number when it
            reaches 1, 10, 100 and so on.

    Raises:
        FileNotFoundError: The folder or a file is missing.
        LabelFormatError: A file has another storage (RGB, grey) or size.
        LabelValueError: A file holds a class that the data set doesn't have, or
            contradicts the annotation where there is one.
        ValueError: An option is out of its range, labels are missing, or the
            pair was flipped, rotated, cropped or exchanged before.
    """

    def __init__(
        self,
        data_root: PathLike,
        min_confidence: float = 0.0,
        weight: float | str | None = None,
        missing: str = 'error',
    ) -> None:
        """See the class."""
        if not 0 <= min_confidence <= 1:
            raise ValueError(f'min_confidence has to be in 0 .. 1, got {min_confidence}')
        if missing not in MISSING:
            raise ValueError(f'missing has to be one of {MISSING}, got {missing!r}')
        self.data_root = Path(data_root)
        self.min_confidence = min_confidence
        self.weight = check_weight(weight)
        self.missing = missing
        self._checked = False
        # Shared by the processes that load data, a column for each, so that none waits.
        self._counts = torch.zeros(2, SLOTS, dtype=torch.int64)
        self._counts.untyped_storage().share_memory_()

    @property
    def _needs_confidence(self) -> bool:
        return self.min_confidence > 0 or self.weight == CONFIDENCE

    @property
    def counts(self) -> tuple[int, int]:
        """Return how many pairs were loaded so far with pseudo labels, and how many without."""
        found, missing = self._counts.sum(1).tolist()
        return found, missing

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Fill in the labels of a pair."""
        if not self._checked:
            self._check_folders()
        _check_untouched(results)
        paths = [pseudo_label_path(self.data_root, results['sample_id'], date) for date in DATES]
        absent = [path for path in paths if not path.is_file()]
        # One date alone is a broken folder, not a pair that was left out.
        if absent and (self.missing == 'error' or len(absent) == 1):
            raise FileNotFoundError(
                f'there are no pseudo labels {absent[0]}; make them for all pairs with the same '
                "windows and folds as these, or set missing='keep' to train on pairs without any"
            )
        self._count(bool(absent), paths[0])
        for date, path in zip(DATES, paths, strict=True):
            self._fill(results, date, None if absent else path)
        results[COMBINATIONS] = label_combinations(
            results[SEG_CHANGE],
            results[SEG_FROM],
            results[SEG_TO],
            results['label_spec'].table.num_classes,
        )
        return results

    def _check_folders(self) -> None:
        # With the first pair and not before: a config may be read before its folder is made.
        needed = [self.data_root / name for name in LABEL_FOLDERS.values()]
        if self._needs_confidence:
            needed += [self.data_root / name for name in CONFIDENCE_FOLDERS.values()]
        if absent := [str(folder) for folder in needed if not folder.is_dir()]:
            raise FileNotFoundError(
                f'there is no folder {", ".join(absent)}; data_root has to be a '
                'folder of tools/pseudo_label.py (with --confidence, if min_confidence or '
                f'weight={CONFIDENCE!r} is used)'
            )
        self._checked = True

    def _fill(self, results: dict[str, Any], date: str, path: Path | None) -> None:
        key, weight_key = KEYS[date]
        cover = results[key]
        weights = (cover != IGNORE_INDEX).astype(np.float32)
        if path is not None:
            pseudo = _read_pseudo_labels(path, results['label_spec'].table, cover)
            empty = (results[SEG_CHANGE] == 0) & (cover == IGNORE_INDEX)
            filled = empty & (pseudo != IGNORE_INDEX)
            if self._needs_confidence:
                stored = confidence_path(self.data_root, results['sample_id'], date)
                confidence = _read_confidence(stored, cover.shape)
                filled &= confidence >= self.min_confidence
                if self.weight == CONFIDENCE:
                    weights[filled] = confidence[filled]
            results[key] = np.where(filled, pseudo, cover)
            if self.weight != CONFIDENCE:
                weights[filled] = 1.0 if self.weight is None else self.weight
        if self.weight is not None:
            results[weight_key] = weights
            if weight_key not in results['seg_fields']:
                results['seg_fields'].append(weight_key)

    def _count(self, missing: bool, path: Path) -> None:
        worker = get_worker_info()
        before = self.counts[1]
        self._counts[int(missing), 0 if worker is None else (worker.id + 1) % SLOTS] += 1
        found, after = self.counts
        if missing and (before == 0 or len(str(after)) > len(str(before))):
            print_log(
                f'{after} of {found + after} pairs loaded so far had no pseudo labels (last: '
                f'{path}) and are trained on with their annotation alone',
                logger='current',
                level=logging.WARNING,
            )

    def __repr__(self) -> str:
        """Name and options."""
        return (
            f'{type(self).__name__}(data_root={str(self.data_root)!r}, '
            f'min_confidence={self.min_confidence}, weight={self.weight!r}, '
            f'missing={self.missing!r})'
        )


def _check_untouched(results: dict[str, Any]) -> None:
    """Refuse pairs without labels, and pairs that no longer have the pixels of their files."""
    if absent := [key for key in (SEG_CHANGE, SEG_FROM, SEG_TO) if results.get(key) is None]:
        raise ValueError(
            f'pseudo labels complete annotated pairs, but {absent} are missing; put '
            'LoadPseudoLabels after LoadPairAnnotations, in pipelines of labelled data only'
        )
    done = [key for key in ('flip', 'rotation', 'exchanged') if results.get(key)]
    done += [key for key in ('crop_bbox', 'scale_factor') if key in results]
    if done:
        raise ValueError(
            f'the pair was changed before its pseudo labels were loaded ({", ".join(done)}); put '
            'LoadPseudoLabels directly after LoadPairAnnotations'
        )


def _read_pseudo_labels(path: Path, table: ClassTable, cover: np.ndarray) -> np.ndarray:
    """Read land cover 0..K-1 and 255, (H, W) uint8, that agrees with the annotated cover."""
    # Read by the stored colours, so that files with classes in another order are read right.
    values = read_semantic_label(path, table, storage='palette').values
    _check_size(path, values.shape, cover.shape)
    pseudo = to_land_cover(values)
    annotated = cover != IGNORE_INDEX
    wrong = annotated & (pseudo != cover)
    if wrong.any():
        raise LabelValueError(
            f'{path} contradicts the annotation at {np.count_nonzero(wrong)} of '
            f'{np.count_nonzero(annotated)} annotated pixels, where pseudo labels hold the '
            'annotated class: they may be of another data set or of other windows, or older '
            'than the labels. Make them again with tools/pseudo_label.py'
        )
    return pseudo


def _read_confidence(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read the confidence 0..1, (H, W) float32, from an 8-bit grey file."""
    if not path.is_file():
        raise FileNotFoundError(
            f'there is no confidence {path}; make the pseudo labels again with --confidence'
        )
    stored = read_stored_label(path)
    if stored.palette is not None or stored.pixels.ndim != 2 or stored.pixels.dtype != np.uint8:
        raise LabelFormatError(
            f'{path} is no confidence map: expected 8-bit grey values, got '
            f'{"a palette" if stored.palette is not None else stored.pixels.dtype} of shape '
            f'{stored.pixels.shape}; make it with tools/pseudo_label.py --confidence'
        )
    _check_size(path, stored.pixels.shape, shape)
    return stored.pixels.astype(np.float32) / np.float32(255)


def _check_size(path: Path, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise LabelFormatError(
            f'{path} is {found[1]} x {found[0]} pixels (width x height), but the labels of its '
            f'pair are {expected[1]} x {expected[0]}; make the pseudo labels with the same windows'
        )
