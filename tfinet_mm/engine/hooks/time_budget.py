"""Apply test-time augmentation to as many images as the time allows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from logging import INFO, WARNING
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from tfinet_mm.engine.hooks.sample_info import dataset_index
from tfinet_mm.models.detectors import SCDTTAModel
from tfinet_mm.registry import HOOKS
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.json_text import json_text


@HOOKS.register_module()
class TimeBudgetHook(Hook):
    """Stop test-time augmentation when the test would take too long with it.

    The model must be a ``tfinet_mm.SCDTTAModel``. The first images are tested
    with augmentation. As soon as augmenting all of them would exceed the budget,
    some batches are tested without: a few, and more where the data loader has some
    ready, so that the time to load an image is measured too. From then on both
    costs are known. Images are augmented again while this one, and all others
    without augmentation, can be done in time, and never afterwards. Where the time
    is enough, every image is augmented.

    Time runs from the start of the test loop, data loading and the first, slower
    batch included. Every rank keeps the budget for its own share of the images. At
    the end the number of augmented images is logged, and in the metrics as
    ``images_with_tta``.

    Args:
        seconds: The budget; 0 augments nothing.
        reserve: Share of it, 0..1, kept for the work after the last image, and for
            images that take longer than those before.
        out_file: JSON file of the scores to add the numbers to, as
            ``test_time_augmentation``.
        clock: Function that returns seconds, for tests.

    Raises:
        ValueError: The budget is negative or ``reserve`` not in 0..1, or, before
            testing, the model isn't augmented.
    """

    def __init__(
        self,
        seconds: float,
        reserve: float = 0.05,
        out_file: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not seconds >= 0 or not 0 <= reserve < 1:
            raise ValueError(
                'the time budget must be 0 seconds or more and its reserve a share in 0..1, got '
                f'{seconds} and {reserve}'
            )
        self.seconds = seconds
        self.reserve = reserve
        self.out_file = out_file
        self.clock = clock
        self._model: Any = None

    def before_test(self, runner: Runner) -> None:
        """Start the clock."""
        model: Any = runner.model
        while is_model_wrapper(model):
            model = model.module
        if not isinstance(model, SCDTTAModel):
            raise ValueError(
                'a time budget decides which images get test-time augmentation, but the model is '
                f'a {type(model).__name__}; use it with tools/test.py --tta, or make the model a '
                'tfinet_mm.SCDTTAModel'
            )
        loader = runner.test_dataloader
        self._model = model
        self._share = len(loader.sampler)
        # Number of batches tested without augmentation to measure that cost. The later ones count,
        # since those loaded ahead come at once. Some images get no augmentation in any case.
        self._shown = max(3, loader.num_workers)
        self._probes = self._shown + 2 * loader.num_workers * (loader.prefetch_factor or 0)
        self._done = self._augmented = 0
        self._dropped = False
        # Seconds an image, one entry a batch, with and without augmentation.
        self._with: list[float] = []
        self._without: list[float] = []
        self._start = self._last = self.clock()

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Decide whether this batch is augmented."""
        self._model.active = self._affordable(len(data_batch['inputs']))

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Note the seconds of this batch, from the end of the one before."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now, images = self.clock(), len(data_batch['inputs'])
        costs = self._with if self._model.active else self._without
        costs.append((now - self._last) / images)
        self._last = now
        if self._model.active:
            size = len(runner.test_dataloader.dataset)
            # Samples that fill up ranks beyond the last image aren't scored.
            indices = map(dataset_index, range(self._done, self._done + images))
            self._augmented += sum(index < size for index in indices)
        self._done += images

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Report how many images were augmented.

        Args:
            runner: The runner.
            metrics: The scores; gets ``images_with_tta``.
        """
        self._model.active = True
        count = torch.tensor(self._augmented)
        all_reduce(count)
        augmented, size = int(count), len(runner.test_dataloader.dataset)
        took = self.clock() - self._start
        passed = took > self.seconds
        print_log(
            f'{augmented} of {size} images had test-time augmentation; the test took '
            f'{took:.1f} s of {self.seconds:g} s' + (', more than the budget' if passed else ''),
            logger='current',
            level=WARNING if passed else INFO,
        )
        if metrics is not None:
            metrics['images_with_tta'] = augmented
        if self.out_file is not None and is_main_process():
            report = json.loads(Path(self.out_file).read_text(encoding='utf-8'))
            report['test_time_augmentation'] = dict(
                images=augmented, of=size, seconds=took, budget=self.seconds
            )
            with whole_file(self.out_file) as partial:
                partial.write_text(json_text(report, indent=None), encoding='utf-8')

    def _affordable(self, images: int) -> bool:
        """Return whether the next batch, of ``images`` images, can be augmented."""
        if self._dropped:
            return False
        left = self._start + self.seconds * (1 - self.reserve) - self.clock()
        rest = self._share - self._done
        # The first batch starts workers and tunes kernels; it counts only while it is alone.
        measured = self._with[1:] or self._with
        augmented = sum(measured) / len(measured) if measured else 0.0
        if left <= 0 or images * augmented > left:
            return self._drop(rest)
        if len(self._with) < 2 or rest * augmented <= left:
            return True
        if len(self._without) < self._probes:
            return False
        plain = sum(self._without[-self._shown :]) / self._shown
        if images * augmented + (rest - images) * plain <= left:
            return True
        return self._drop(rest)

    def _drop(self, rest: int) -> bool:
        self._dropped = True
        print_log(
            f'no test-time augmentation for the remaining {rest} of {self._share} images, to '
            f'keep to {self.seconds:g} s',
            logger='current',
        )
        return False
