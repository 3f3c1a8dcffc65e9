"""Stop a training that has nothing to learn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tfinet_mm.datasets.annotations import FROM, TO
from tfinet_mm.engine.land_cover import roles_of
from tfinet_mm.errors import LabelValueError
from tfinet_mm.registry import HOOKS
from tfinet_mm.structures import (
    GT_CHANGE,
    GT_FROM,
    GT_TO,
    IGNORE_INDEX,
    LAND_COVER_ROLE,
)

FIELDS = {
    GT_CHANGE: 'change',
    GT_FROM: 'land cover before',
    GT_TO: 'land cover after',
}
DATES = {GT_FROM: FROM, GT_TO: TO}


UNCHANGED, CHANGED, DIFFERENT, SEVERAL = 'unchanged', 'changed', 'different', 'several'
NEEDED = {
    UNCHANGED: (
        'no pixel of the training pairs is unchanged, so that a network learns to call everything '
        'changed. If 255 means unchanged, set unchanged_value=255; if the labels hold the land '
        'cover of every pixel, set label_semantics="land_cover" and give change masks.'
    ),
    CHANGED: (
        'no pixel of the training pairs is changed, so that a network learns to call nothing '
        'changed. If 255 means changed in the masks, set change_storage="0/255".'
    ),
    DIFFERENT: (
        'every changed pixel of the training pairs has the same class on both dates. Check that '
        'the label folders are of different dates and hold classes, not change masks.'
    ),
}
"""Kinds of pixels that the pairs need besides labels, and the error if one is missing."""


@HOOKS.register_module()
class LabelCheckHook(Hook):
    """Raise an error early in a training if its labels teach nothing.

    A loss over ignored pixels only is 0, so such a training would run to its
    end and learn nothing. Without unchanged pixels, without changed pixels, or
    if all changed pixels keep their class, it would learn a single answer.
    Labels are checked until all of these are found, usually in the first pairs.
    The hook raises an error

    - after ``iterations`` iterations, if no pixel had any label, or if pixels
      changed and none of them had a land cover;
    - after the first pass over the data, in a loop of epochs or of iterations,
      if one of the three label maps had no labels, if no pixel was unchanged or
      none changed, or if no pixel changed its class though there are several
      classes. (Land cover may be labelled in few pairs, if few pairs changed.)

    A date without label files, beside files of the other date, isn't expected to have labels, nor
    is one whose class no transition names.

    Land cover isn't looked for in a training of change alone, see
    :class:`~tfinet_mm.engine.hooks.LandCoverHook`.

    Args:
        iterations: Number of iterations before the first check, which comes after
            one pass over the data at the latest.

    Raises:
        LabelValueError: Every pixel of every pair, on all ranks, was ignored in
            one of the label maps, or a kind of pixels is missing; the message names
            the map or the kind, and the first file.
        ValueError: ``iterations`` is below 1.
    """

    def __init__(self, iterations: int = 100) -> None:
        if iterations < 1:
            raise ValueError(f'iterations must be 1 or more, got {iterations}')
        self.iterations = iterations
        self._missing = set(FIELDS)
        self._needed = tuple(FIELDS)
        self._seen_kinds: set[str] = set()
        self._first = 'unknown file'
        self._seen = 0
        self._done = False

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | None = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Look for labels in the batch, and check those of all ranks when it is time."""
        if self._done or data_batch is None:
            return
        samples: Sequence[Any] = data_batch.get('data_samples') or []
        if samples and not self._seen:
            meta = samples[0].metainfo
            self._first = str(meta.get('seg_map_path_from') or meta.get('sample_id'))
        if not self._seen and runner is not None:
            self._needed = needed_fields(runner)
            dates = labelled_dates(getattr(runner.train_dataloader, 'dataset', None))
            self._missing -= {field for field, date in DATES.items() if dates and date not in dates}
        self._seen += 1
        for field in list(self._missing):
            if any((getattr(s, field).data != IGNORE_INDEX).any() for s in samples if field in s):
                self._missing.discard(field)
        for sample in samples:
            self._missing.difference_update(_unlabelled(sample.metainfo))
        if not self._seen_kinds.issuperset(KINDS):
            for sample in samples:
                self._seen_kinds |= _kinds(sample)
        # All ranks must compare at the same iterations, whatever each has found.
        one_pass = math.inf if runner is None else len(runner.train_dataloader)
        if self._seen >= one_pass:
            self._check(whole_pass=True)
        elif self._seen == self.iterations:
            self._check(whole_pass=False)

    def after_train_epoch(self, runner: Runner) -> None:
        """Check the labels of all ranks, once."""
        if self._seen and not self._done:
            self._check(whole_pass=True)

    def _check(self, whole_pass: bool) -> None:
        """Join the findings of all ranks, and refuse to train if no pixel has a label."""
        found = torch.tensor(
            [
                *(field not in self._missing for field in FIELDS),
                *(kind in self._seen_kinds for kind in KINDS),
            ],
            dtype=torch.long,
        )
        all_reduce(found)
        counts, kinds = found.tolist()[: len(FIELDS)], found.tolist()[len(FIELDS) :]
        seen = {kind for kind, count in zip(KINDS, kinds, strict=True) if count}
        count_of = dict(zip(FIELDS, counts, strict=True))
        missing = [FIELDS[field] for field in self._needed if not count_of[field]]
        covered = len(self._needed) == 1 or any(counts[1:])
        if not missing and (whole_pass or seen.issuperset(KINDS)):
            self._done = True
            self._check_kinds(seen)
            return
        if not whole_pass and any(counts) and not (CHANGED in seen and not covered):
            return
        self._done = True
        raise LabelValueError(
            f'no pixel of the training pairs is labelled with {" or ".join(missing)}: 100 % '
            f'are {IGNORE_INDEX} (ignored), the first file is {self._first}; expected labels '
            'to learn from. Run tools/check_dataset.py on the config'
            + ('' if whole_pass else ', or check later with label_check=dict(iterations=...)')
        )

    def _check_kinds(self, seen: set[str]) -> None:
        """Refuse to train if a needed kind of pixels is missing."""
        needed = [UNCHANGED, CHANGED]
        # With a single class, before and after can't differ.
        needed += [DIFFERENT] if SEVERAL in seen else []
        for kind in needed:
            if kind not in seen:
                raise LabelValueError(
                    f'{NEEDED[kind]} The first file is {self._first}; run tools/check_dataset.py '
                    'on the config'
                )


def needed_fields(runner: Runner) -> tuple[str, ...]:
    """Return the fields of labels that a training needs: all, or change alone."""
    dataset = getattr(runner.train_dataloader, 'dataset', None)
    land_cover = dataset is None or LAND_COVER_ROLE in roles_of(dataset)
    return tuple(FIELDS) if land_cover else (GT_CHANGE,)


def labelled_dates(dataset: Any) -> set[str]:
    """Return the dates, 'from' and 'to', of which the labels of a data set have land cover.

    Args:
        dataset: A data set, or a wrapper of one or of several. Data sets of other packages count
            as labelled at both dates.
    """
    own = getattr(dataset, 'labelled_dates', None)
    if own is not None:
        return set(own)
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    return set(DATES.values()) if inner == [None] else set().union(*map(labelled_dates, inner))


KINDS = (UNCHANGED, CHANGED, DIFFERENT, SEVERAL)


def _unlabelled(meta: Mapping[str, Any]) -> set[str]:
    """Return the land cover that a pair has no file of, though it has one of the other date."""
    paths = {GT_FROM: 'seg_map_path_from', GT_TO: 'seg_map_path_to'}
    without = {field for field, key in paths.items() if meta.get(key, '') is None}
    return without if len(without) == 1 else set()


def _kinds(sample: Any) -> set[str]:
    """Return the kinds of pixels in a sample: unchanged, changed, of a changed class, ..."""
    found: set[str] = set()
    if GT_CHANGE not in sample:
        return found
    change = getattr(sample, GT_CHANGE).data
    changed = change == 1
    if (change == 0).any():
        found.add(UNCHANGED)
    if changed.any():
        found.add(CHANGED)
    if GT_FROM in sample and GT_TO in sample:
        before, after = getattr(sample, GT_FROM).data, getattr(sample, GT_TO).data
        known = changed & (before != IGNORE_INDEX) & (after != IGNORE_INDEX)
        if (known & (before != after)).any():
            found.add(DIFFERENT)
        if (known & (before > 0)).any() or DIFFERENT in found:
            found.add(SEVERAL)
    return found
