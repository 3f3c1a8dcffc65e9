"""Tell data sets the number of the epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from tfinet_mm.registry import HOOKS


@HOOKS.register_module()
class DataEpochHook(Hook):
    """Tell the data sets of a training the number of each epoch before its pairs are loaded.

    Data sets that draw other pairs in each epoch, such as
    :class:`~tfinet_mm.datasets.single_date.SingleDateDataset` with ``redraw=True``, have a method
    ``set_epoch``. A resumed training draws the pairs that an uninterrupted one would draw.
    ``SCDRunner`` registers the hook.
    """

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
