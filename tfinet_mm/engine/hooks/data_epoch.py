"""Tell data sets the number of the epoch."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import IterBasedTrainLoop, Runner

from tfinet_mm.registry import HOOKS


@HOOKS.register_module()
class DataEpochHook(Hook):
    """Tell the data sets of a training the number of each epoch before its pairs are loaded.

    Data sets that draw other pairs in each epoch, such as
    :class:`~tfinet_mm.datasets.single_date.SingleDateDataset` with ``redraw=True``, have a method
    ``set_epoch``. A resumed training draws the pairs that an uninterrupted one would draw.
    ``SCDRunner`` registers the hook.
    """

    def before_train(self, runner: Runner) -> None:
        """Warn of pairs that would be drawn again in each epoch of a loop without epochs."""
        if not isinstance(runner.train_loop, IterBasedTrainLoop):
            return
        for dataset in parts(runner.train_dataloader.dataset):
            if getattr(dataset, 'redraw', False):
                print_log(
                    f'{type(dataset).__name__} has redraw=True, but a loop by iterations has one '
                    'epoch, so the pairs stay those of the first; use EpochBasedTrainLoop',
                    logger='current',
                    level=logging.WARNING,
                )

    def before_train_epoch(self, runner: Runner) -> None:
        """Set the epoch, also in wrappers of data sets."""
        for dataset in parts(runner.train_dataloader.dataset):
            if hasattr(dataset, 'set_epoch'):
                dataset.set_epoch(runner.epoch)


def parts(dataset: Any) -> Iterator[Any]:
    """Yield a data set and the data sets in it, if it is a wrapper."""
    yield dataset
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    for one in inner:
        if one is not None:
            yield from parts(one)
