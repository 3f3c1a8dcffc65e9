"""Seed random numbers by the seed and the place in a training, and by nothing else.

A resumed training then draws the same numbers as one that was never killed, with any number of
workers, and no two ranks draw the same.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_dist_info
from mmengine.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import IterableDataset, Sampler, get_worker_info

SAMPLE, MODEL = range(2)
"""Use of random numbers: the transforms of one sample, or the network in one iteration."""


class SeededIndex(int):
    """Index of a sample that carries the seed of its random numbers through the workers.

    Args:
        index: The index.
        entropy: Whole numbers that the seed is made of.

    Example:
        >>> index = SeededIndex(3, (0, 1))
        >>> index, index + 1, index.entropy
        (3, 4, (0, 1))
    """

    entropy: tuple[int, ...]

    def __new__(cls, index: int, entropy: tuple[int, ...]) -> SeededIndex:
        """Make an int with a seed."""
        self = super().__new__(cls, index)
        self.entropy = entropy
        return self

    def __reduce__(self) -> tuple[type[SeededIndex], tuple[int, tuple[int, ...]]]:
        """Keep the seed when a worker process is sent the index."""
        return SeededIndex, (int(self), self.entropy)


class SeededSampler(Sampler[int]):
    """Sampler that gives every index of another one a seed, by training, epoch and place in it.

    Places are counted over all ranks, so a pair that is drawn as the fifth of an
    epoch is augmented in the same way by one process and by several.

    Args:
        sampler: Config of the sampler.
        dataset: The data set.
        seed: Seed of the training, the same on all ranks.
    """

    def __init__(self, sampler: Mapping[str, Any], dataset: Any, seed: int) -> None:
        self._cfg, self._dataset = copy.deepcopy(dict(sampler)), dataset
        self.epoch = 0
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Set another seed, before the first index is drawn.

        Args:
            seed: Seed of the training, the same on all ranks.
        """
        self.seed = seed
        self.sampler = DATA_SAMPLERS.build(
            copy.deepcopy(self._cfg), default_args=dict(dataset=self._dataset, seed=seed)
        )
        self._position = 0

    @property
    def infinite(self) -> bool:
        """Return whether the sampler never ends; an iterator then begins where the last stopped."""
        return isinstance(self.sampler, InfiniteSampler)

    def __iter__(self) -> Iterator[int]:
        """Yield the indices with their seeds."""
        rank, ranks = get_dist_info()
        if not self.infinite:
            self._position = 0
        for index in self.sampler:
            place = self._position * ranks + rank
            self._position += 1
            yield SeededIndex(index, (self.seed, SAMPLE, self.epoch, place))

    def __len__(self) -> int:
        """Return the number of samples of this rank."""
        return len(self.sampler)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the sampler; its ``skip`` is noted."""
        if name.startswith('__') or name == 'sampler':
            raise AttributeError(name)
        value = getattr(self.sampler, name)
        if name != 'skip':
            return value

        def skip(number: int) -> None:
            value(number)
            self._position = number

        return skip

    def set_epoch(self, epoch: int) -> None:
        """Shuffle and augment for another epoch.

        Args:
            epoch: Number of the epoch, counted from 0.
        """
        self.epoch = epoch
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)


class SeededDataset:
    """Data set that loads every sample with the random numbers of its :class:`SeededIndex`.

    In everything else this is the data set that it holds: attributes are read
    and set there. In the process that trains, the generators get their state back
    afterwards.

    Args:
        dataset: The data set.
    """

    def __init__(self, dataset: Any) -> None:
        object.__setattr__(self, '_seeded', dataset)

    def __getitem__(self, index: int) -> Any:
        """Load a sample."""
        if not isinstance(index, SeededIndex):
            return self._seeded[index]
        # Workers draw for samples alone, and keeping their state would take 0.3 ms a sample.
        with preserved_randomness() if get_worker_info() is None else nullcontext():
            seed_generators(*index.entropy)
            return self._seeded[int(index)]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._seeded)

    def __getattr__(self, name: str) -> Any:
        """Read an attribute of the data set."""
        if name.startswith('__') or name == '_seeded':
            raise AttributeError(name)
        return getattr(self._seeded, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute of the data set."""
        setattr(self._seeded, name, value)


def seeded_loader(cfg: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the config of a data loader that seeds each sample.

    Args:
        cfg: Config of a data loader, which isn't changed. Data sets and samplers
            that are built already, and data sets without indices, stay as they are.
        seed: Seed of the training, the same on all ranks.

    Returns:
        A new config.
    """
    cfg = dict(cfg)
    sampler = cfg.get('sampler')
    if not isinstance(sampler, Mapping):
        return cfg
    cfg['sampler'] = dict(type=SeededSampler, sampler=sampler, seed=seed)
    dataset = cfg['dataset']
    if isinstance(dataset, Mapping):
        cfg['dataset'] = dict(type=_built_dataset, dataset=dataset)
    elif not isinstance(dataset, IterableDataset):
        cfg['dataset'] = SeededDataset(dataset)
    return cfg


def _built_dataset(dataset: Mapping[str, Any]) -> Any:
    built = DATASETS.build(dataset)
    return built if isinstance(built, IterableDataset) else SeededDataset(built)


def seed_generators(*entropy: int) -> None:
    """Seed Python's, NumPy's and torch's generators; torch's on the CPU alone.

    Args:
        *entropy: Whole numbers, 0 or more. Different ones give unrelated states.
    """
    words = np.random.SeedSequence(entropy).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))  # noqa: NPY002 (transforms of MMCV draw from it)
    torch.default_generator.manual_seed(int(words[2]) << 32 | int(words[3]))


def seed_network(*entropy: int) -> None:
    """Seed as :func:`seed_generators`, and the GPU in use as well.

    Args:
        *entropy: Whole numbers, 0 or more.
    """
    seed_generators(*entropy)
    # torch.manual_seed, which does so too, takes half a millisecond where there is no GPU.
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(torch.initial_seed())


@contextmanager
def preserved_randomness() -> Iterator[None]:
    """Restore the generators of Python, NumPy and torch (on the CPU) after the block."""
    python, state = random.getstate(), torch.get_rng_state()
    numpy = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(state)
