"""Stop a training that has nothing to learn from."""

from __future__ import annotations

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
    """Raise an error after the first epoch if no pixel of it had a label.

    A loss over ignored pixels only is 0, so such a training would run to its
    end and learn nothing. Labels are looked at until one is found, which is
    usually in the first pair.

    Raises:
        LabelValueError: Every pixel of every pair, on all ranks, was ignored in
            one of the label maps; the message names the map and the first file.
    """

    def __init__(self) -> None:
        self._missing = set(FIELDS)
        self._first = 'unknown file'
        self._pairs = 0

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | None = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Look for a label in the batch."""
        if not self._missing or data_batch is None:
            return
        samples: Sequence[Any] = data_batch.get('data_samples') or []
        if samples and not self._pairs:
            meta = samples[0].metainfo
            self._first = str(meta.get('seg_map_path_from') or meta.get('sample_id'))
        self._pairs += len(samples)
        for field in list(self._missing):
            if any((getattr(s, field).data != IGNORE_INDEX).any() for s in samples if field in s):
                self._missing.discard(field)

    def after_train_epoch(self, runner: Runner) -> None:
        """Compare what the ranks have found, once."""
        if self._pairs == 0:
            return
        found = torch.tensor([field not in self._missing for field in FIELDS], dtype=torch.long)
        all_reduce(found)
        missing = [what for what, count in zip(FIELDS.values(), found, strict=True) if not count]
        self._missing, self._pairs = set(), 0
        if missing:
            raise LabelValueError(
                f'no pixel of the training pairs is labelled with {" or ".join(missing)}: 100 % '
                f'are {IGNORE_INDEX} (ignored), the first file is {self._first}; expected labels '
                'to learn from. Run tools/check_dataset.py on the config'
            )
