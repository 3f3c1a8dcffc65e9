"""Stop a training that has nothing to learn from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tfinet_mm.errors import LabelValueError
from tfinet_mm.registry import HOOKS
from tfinet_mm.structures import GT_CHANGE, GT_FROM, GT_TO, IGNORE_INDEX

FIELDS = {
    GT_CHANGE: 'whether it changed',
    GT_FROM: 'the land cover before',
    GT_TO: 'the land cover after',
}


@HOOKS.register_module()
class LabelCheckHook(Hook):
    """Raise an error early in a training if no pixel had a label.

    A loss over ignored pixels only is 0, so such a training would run to its
    end and learn nothing. Labels are checked until one is found, usually in
    the first pair. Missing labels are an error

    - after ``iterations`` iterations, where no pixel had any label, or pixels
      changed and none of them had a land cover;
    - after the first pass over the data, in a loop of epochs or of iterations,
      where any of the three label maps had none. (Land cover may be labelled in
      few pairs, where few of them changed.)

    Args:
        iterations: Number of iterations before the first check, which comes after
            one pass over the data at the latest.

    Raises:
        LabelValueError: Every pixel of every pair, on all ranks, was ignored in
            one of the label maps; the message names the map and the first file.
        ValueError: ``iterations`` is below 1.
    """

    def __init__(self, iterations: int = 100) -> None:
        if iterations < 1:
            raise ValueError(f'iterations must be 1 or more, got {iterations}')
        self.iterations = iterations
        self._missing = set(FIELDS)
        self._changed = False
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
        """Look for a label in the batch, and compare the findings of the ranks when due."""
        if self._done or data_batch is None:
            return
        samples: Sequence[Any] = data_batch.get('data_samples') or []
        if samples and not self._seen:
            meta = samples[0].metainfo
            self._first = str(meta.get('seg_map_path_from') or meta.get('sample_id'))
        self._seen += 1
        for field in list(self._missing):
            if any((getattr(s, field).data != IGNORE_INDEX).any() for s in samples if field in s):
                self._missing.discard(field)
        if self._missing and not self._changed:
            self._changed = any(
                (getattr(s, GT_CHANGE).data == 1).any() for s in samples if GT_CHANGE in s
            )
        # All ranks must compare at the same iterations, whatever each has found.
        one_pass = math.inf if runner is None else len(runner.train_dataloader)
        if self._seen >= one_pass:
            self._check(whole_pass=True)
        elif self._seen == self.iterations:
            self._check(whole_pass=False)

    def after_train_epoch(self, runner: Runner) -> None:
        """Compare the findings of the ranks, once."""
        if self._seen and not self._done:
            self._check(whole_pass=True)

    def _check(self, whole_pass: bool) -> None:
        """Compare the findings of the ranks, and refuse to train where no pixel has a label."""
        found = torch.tensor(
            [*(field not in self._missing for field in FIELDS), self._changed], dtype=torch.long
        )
        all_reduce(found)
        *counts, changed = found.tolist()
        missing = [what for what, count in zip(FIELDS.values(), counts, strict=True) if not count]
        if not missing:
            self._done = True
            return
        if not whole_pass and any(counts) and not (changed and not any(counts[1:])):
            return
        self._done = True
        raise LabelValueError(
            f'no pixel of the training pairs is labelled with {" or ".join(missing)}: 100 % '
            f'are {IGNORE_INDEX} (ignored), the first file is {self._first}; expected labels '
            'to learn from. Run tools/check_dataset.py on the config'
            + ('' if whole_pass else ', or look later with label_check=dict(iterations=...)')
        )
