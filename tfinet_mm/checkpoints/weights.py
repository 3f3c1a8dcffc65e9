"""Put the weights of a checkpoint into a model, and name those that don't fit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import Tensor, nn

from tfinet_mm.checkpoints.contents import check_kinds, listed, not_finite, weights_of
from tfinet_mm.errors import CheckpointMismatchError, NotFiniteWeightsError

AUXILIARY = 'auxiliary_head'
"""Prefix of the keys of heads for training only."""
SHOWN = 8
"""Greatest number of keys that a message lists."""


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model within wrappers for several processes and for test-time augmentation."""
    inner: Any = model
    while is_model_wrapper(inner) or isinstance(inner, BaseTTAModel):
        inner = inner.module
    return inner


def named_weights(checkpoint: dict[str, Any], name: str) -> dict[str, Tensor]:
    """Return the weights of a checkpoint, keys without the ``module.`` of wrapped models."""
    stored = weights_of(checkpoint, name)
    return {re.sub(r'^module\.', '', key): value for key, value in stored.items()}


def check_savable(model: nn.Module, filename: str, iteration: int) -> None:
    """Refuse to save weights that aren't finite.

    Args:
        model: The model, wrapped or not.
        filename: The checkpoint that would be written.
        iteration: Iteration of the training, for the message.

    Raises:
        NotFiniteWeightsError: A weight is NaN or infinite; the message names the first keys.
    """
    bad = not_finite(unwrapped(model).state_dict())
    if bad:
        raise NotFiniteWeightsError(
            f'at iteration {iteration} the weights {listed(bad)} hold NaN or infinity, so '
            f'{filename} is not written and the last checkpoint stays. Resume from that with a '
            'lower learning rate'
        )


def load_weights(
    model: nn.Module,
    checkpoint: dict[str, Any],
    training: bool = False,
    name: str = 'the checkpoint',
) -> str | None:
    """Load the weights of a checkpoint that fit.

    Args:
        model: The model itself, not wrapped.
        checkpoint: Result of :func:`~tfinet_mm.checkpoints.reading.load_checkpoint_file`:
            a state dict, or a dictionary that has one as ``state_dict``.
        training: Require auxiliary heads, which are for training only, to fit too.
        name: Origin of the checkpoint, for messages.

    Returns:
        None where every weight of the model got a value, and every value a
        weight. Otherwise a message that names the weights missing, left over or
        of another shape.

    Raises:
        DamagedCheckpointError: The checkpoint holds no tensors by name.
        CheckpointMismatchError: Its weights are integers or complex.
    """
    weights = named_weights(checkpoint, name)
    own = model.state_dict()
    check_kinds(own, weights, name)
    other = {
        key: f'{key} is {tuple(value.shape)}, expected {tuple(own[key].shape)}'
        for key, value in weights.items()
        if isinstance(own.get(key), Tensor) and value.shape != own[key].shape
    }
    # By way of the model, since modules may rename the keys of older versions.
    fitting = {key: value for key, value in weights.items() if key not in other}
    found = model.load_state_dict(fitting, strict=False)
    missing = [key for key in found.missing_keys if key not in other]
    parts = [
        f'{len(keys)} {what}: {", ".join(keys[:SHOWN])}{", ..." if len(keys) > SHOWN else ""}'
        for what, keys in (
            ('missing', _counted(missing, training)),
            ('of another shape', [other[key] for key in _counted(list(other), training)]),
            ('that the model does not have', _counted(found.unexpected_keys, training)),
        )
        if keys
    ]
    if not parts:
        return None
    return (
        f'the checkpoint does not fit the model of the config, weights {"; ".join(parts)}. Use the '
        'config the checkpoint was trained with; of a published one, tools/convert_checkpoint.py '
        'changes the names'
    )


def _counted(keys: Sequence[str], training: bool) -> list[str]:
    """Return the keys that matter: no counters of batch norm; auxiliary heads in training only."""
    return [
        key
        for key in keys
        if 'num_batches_tracked' not in key and (training or not key.startswith(AUXILIARY))
    ]


def unmatched_keys(optim_wrapper: Any, model: nn.Module) -> list[str]:
    """Return the keys of learning rates that no parameter of a network has in its name.

    They may be misspelt, or of a part that this network doesn't have.

    Args:
        optim_wrapper: Config of the optimizer wrapper.
        model: The network.
    """
    paramwise = optim_wrapper.get('paramwise_cfg') if isinstance(optim_wrapper, Mapping) else None
    keys = paramwise.get('custom_keys') if isinstance(paramwise, Mapping) else None
    names = [name for name, _ in unwrapped(model).named_parameters()]
    return [str(key) for key in keys or () if not any(str(key) in f'.{name}' for name in names)]


def check_optimizers(optim_wrapper: Any, name: str) -> None:
    """Refuse optimizers that took over the settings of another one from a checkpoint.

    Args:
        optim_wrapper: MMEngine's wrapper of one optimizer, or of several.
        name: The checkpoint, for messages.

    Raises:
        CheckpointMismatchError: One of them lacks its own settings now.
    """
    wrappers = (
        optim_wrapper.values() if hasattr(optim_wrapper, 'optim_wrappers') else [optim_wrapper]
    )
    for wrapper in wrappers:
        optimizer = wrapper.optimizer
        lacking = {
            key for group in optimizer.param_groups for key in optimizer.defaults.keys() - group
        }
        if lacking:
            raise CheckpointMismatchError(
                f'{name} holds the state of another optimizer than {type(optimizer).__name__}: it '
                f'lacks {listed(sorted(lacking))}. Resume with the optimizer of the checkpoint, or '
                'start a new training from its weights with load_from'
            )
