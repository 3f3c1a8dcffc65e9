"""Measure the time of loading pairs, and say how many workers feed a network."""

from __future__ import annotations

import copy
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from tfinet_mm.analysis.benchmark import Measurement
from tfinet_mm.utils.opencv import cv2

WORKER = 'a worker, processor time of a pair'
"""Setting of the row from which the number of workers is computed."""


def measure_data(cfg: Config, pairs: int = 64) -> Iterator[Measurement]:
    """Measure loading and augmenting the config's training pairs.

    Args:
        cfg: The config.
        pairs: Number of pairs to load in each way.

    Yields:
        The row of one process that loads pair by pair, that of the processor time that a worker
        takes for a pair, and that of the config's data loader.

    Raises:
        FileNotFoundError: The files of the data set are missing.
    """
    loader_cfg = copy.deepcopy(cfg.train_dataloader)
    dataset = MMENGINE_DATASETS.build(loader_cfg.dataset)
    indices = [index % len(dataset) for index in range(pairs + 1)]
    dataset[indices.pop()]
    times = [_seconds(time.perf_counter, dataset.__getitem__, index) for index in indices]
    middle = statistics.median(times)
    yield Measurement('data', 'one process, a pair', 1000 * middle, 1 / middle)

    with _one_thread():
        work = [_seconds(time.process_time, _as_worker, dataset, index) for index in indices]
    each = statistics.mean(work)
    yield Measurement('data', WORKER, 1000 * each, 1 / each)

    loader = Runner.build_dataloader(loader_cfg, seed=0)
    size, workers = loader_cfg.batch_size, loader_cfg.get('num_workers', 0)
    batches = max(2, min(len(loader), pairs // size))
    # The first batch waits for the workers to start.
    iterator: Iterator[Any] = iter(loader)
    next(iterator)
    start = time.perf_counter()
    count = sum(len(batch['inputs']) for batch in islice(_forever(loader, iterator), batches))
    each = (time.perf_counter() - start) / count
    setting = f'{workers} workers, a batch of {size}'
    yield Measurement('data', setting, 1000 * each * size, 1 / each)


def workers_needed(wanted: float, milliseconds: float) -> int:
    """Return the number of workers, each on a core of its own, that load pairs fast enough.

    Args:
        wanted: Pairs a second.
        milliseconds: Processor time that a worker takes for a pair.

    Example:
        >>> workers_needed(100, 25)
        3
    """
    return math.ceil(wanted * milliseconds / 1000)


def describe_workers(wanted: float, milliseconds: float) -> str:
    """Return a sentence on the workers that a rate takes, and on whether this machine has them.

    Args:
        wanted: Pairs a second.
        milliseconds: Processor time that a worker takes for a pair.
    """
    needed, cores = workers_needed(wanted, milliseconds), os.cpu_count() or 1
    words = (
        f'{wanted:g} pairs a second take {needed} worker{"s" * (needed != 1)}, each on a core of '
        f'its own (train_dataloader.num_workers={needed}): {wanted:g} x {milliseconds:.1f} ms of '
        'processor time'
    )
    if needed < cores:
        return f'{words}; this machine has {cores} cores'
    most = (cores - 1 or cores) * 1000 / milliseconds
    return (
        f'{words}; this machine has {cores} cores, one of which feeds the network, so it loads '
        f'about {most:.0f} pairs a second at most'
    )


def _as_worker(dataset: Any, index: int) -> None:
    """Load a pair and move it to shared memory, as a worker process of a loader does."""
    for tensor in _tensors(pseudo_collate([dataset[index]])):
        tensor.share_memory_()  # type: ignore[no-untyped-call]


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, BaseDataElement):
        for _, one in value.items():
            yield from _tensors(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _tensors(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch and OpenCV use one thread in the block, as they do in a worker."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])


def _seconds(clock: Callable[[], float], function: Callable[..., Any], *arguments: Any) -> float:
    start = clock()
    function(*arguments)
    return clock() - start


def _forever(loader: Any, first: Iterator[Any]) -> Iterator[Any]:
    """Yield batches from an iterator, then from the loader again and again."""
    yield from first
    while True:
        yield from loader
