"""Leave out, or refuse, batches of one pair that a network can't train on.

Batch norm can't train where it sees one value per channel: in a branch that is pooled to 1 x 1,
in a batch of one pair. Such batches are found before the first step.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import all_reduce, get_world_size
from mmengine.logging import print_log
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import BatchSampler, DataLoader

from tfinet_mm.checkpoints.weights import unwrapped
from tfinet_mm.engine.land_cover import with_land_cover
from tfinet_mm.engine.randomness import SeededDataset, SeededIndex, preserved_randomness
from tfinet_mm.errors import BatchSizeError


def check_batches(loader: DataLoader[Any], model: nn.Module) -> None:
    """Leave out a last batch of one pair that a network can't train on.

    Nothing changes for a network that can, or for a loader without such a batch.

    Args:
        loader: The data loader of a training; its ``drop_last`` may be set.
        model: The network, on its device.

    Raises:
        BatchSizeError: All batches are of one pair and the network can't train
            on any, or there are no batches.
    """
    batches = loader.batch_sampler
    if type(batches) is not BatchSampler:
        return
    pairs, size = _length(batches.sampler), batches.batch_size
    ranks = get_world_size()
    each = f' on each of {ranks} processes' if ranks > 1 else ''
    rest = size == 1 or (pairs is not None and not batches.drop_last and pairs % size == 1)
    # All ranks must decide the same, even where one of them has a pair less.
    if _any_rank(rest) and (layer := layer_that_needs_two(loader, model)) is not None:
        if size == 1:
            raise BatchSizeError(
                f'train_dataloader.batch_size is 1, but the layer {layer} is a batch norm that '
                'sees one value per channel of a single pair, and needs two to train; set '
                'train_dataloader.batch_size=2 or more, or a norm_cfg without batches, such as '
                "dict(type='GN', num_groups=8)"
            )
        batches.drop_last = True
        # DataLoader refuses to change its own copy, which only tells others what the batches do.
        loader.__dict__['drop_last'] = True
        if len(batches):
            print_log(
                f'{pairs} training pairs{each} in batches of train_dataloader.batch_size={size} '
                f"end with one pair, which the batch norm of {layer} can't train on: it is left "
                'out (drop_last). Where pairs are shuffled, it is another one in each epoch',
                logger='current',
                level=logging.WARNING,
            )
    if pairs is not None and len(batches) == 0:
        raise BatchSizeError(
            f'no batch is left to train on: {pairs} training pairs{each}, '
            f'train_dataloader.batch_size is {size} and smaller batches are left out; expected at '
            'least as many pairs. Add pairs, or lower train_dataloader.batch_size'
        )


def last_batch_note(loader: Mapping[str, Any], pairs: int) -> str | None:
    """Return a note on the batches of one pair that a training on one process meets.

    Args:
        loader: Config of the training's data loader.
        pairs: Number of training pairs.

    Returns:
        The note; None where all batches have two pairs or more.
    """
    size = loader.get('batch_size')
    endless = 'Infinite' in str((loader.get('sampler') or {}).get('type'))
    if not size or loader.get('batch_sampler') is not None:
        return None
    if size == 1:
        return (
            'train_dataloader.batch_size is 1: a network with batch norm in a branch that is '
            "pooled to 1 x 1 can't train on one pair, and tools/train.py stops before the first "
            'step; set 2 or more'
        )
    if endless or loader.get('drop_last') or pairs % size != 1:
        return None
    return (
        f'the last batch of an epoch holds one pair ({pairs} pairs, train_dataloader.batch_size '
        f'{size}). Where the network has batch norm in a branch that is pooled to 1 x 1, '
        'tools/train.py leaves it out; another batch_size keeps it'
    )


def layer_that_needs_two(loader: DataLoader[Any], model: nn.Module) -> str | None:
    """Find a batch norm that can't train on one pair, by the first pair of a data loader.

    The network computes its loss without training on it: no statistics, weights
    or random states change.

    Args:
        loader: The data loader.
        model: The network, on its device.

    Returns:
        Name and type of the first such layer. None if there is none, or if the
        network can't be run like this.
    """
    network: Any = unwrapped(model)
    collate: Any = loader.collate_fn
    found: list[str] = []
    try:
        with preserved_randomness(), _watched(network, found), torch.no_grad():
            data = collate([loader.dataset[_first(loader.dataset)]])
            if 'data_samples' in data:
                data['data_samples'] = with_land_cover(data['data_samples'])
            network._run_forward(network.data_preprocessor(data, True), mode='loss')
    except Exception as error:
        print_log(
            f'whether the network trains on one pair is unknown: {type(error).__name__}: {error}',
            logger='current',
            level=logging.DEBUG,
        )
    return found[0] if found else None


@contextmanager
def _watched(model: nn.Module, found: list[str]) -> Iterator[None]:
    """Note batch norms that would train on one value per channel, in evaluation mode."""
    modes = [(module, module.training) for module in model.modules()]
    # The network decides which of them train: some freeze those of the backbone.
    model.train()
    watched = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
        and (module.training or module.running_mean is None)
        and not (isinstance(module, nn.SyncBatchNorm) and get_world_size() > 1)
    }

    def note(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            features = inputs[0]
            if features.numel() == features.shape[1]:
                found.append(f'{name} ({type(module).__name__})')

        return hook

    handles = [module.register_forward_pre_hook(note(name)) for name, module in watched.items()]
    model.eval()
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training


def _first(dataset: Any) -> int:
    return SeededIndex(0, (0,)) if isinstance(dataset, SeededDataset) else 0


def _length(sampler: Any) -> int | None:
    """Return the number of samples in an epoch of a sampler; None if it never ends."""
    if getattr(sampler, 'infinite', isinstance(sampler, InfiniteSampler)):
        return None
    return len(sampler)


def _any_rank(answer: bool) -> bool:
    count = torch.tensor(int(answer))
    all_reduce(count)
    return bool(count)
