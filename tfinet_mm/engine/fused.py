"""Let optimizers update all parameters in one step of the device."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from tfinet_mm.utils.class_names import class_name

FUSED = ('Adam', 'AdamW', 'SGD')
"""Optimizers of torch that have a fused step."""
DEVICES = ('cpu', 'cuda')
"""Devices that have it in all versions of torch that this package takes."""
CHOICES = ('fused', 'foreach', 'capturable', 'differentiable')
"""Options that choose another way, or don't go with it."""


def with_fused(wrapper: Any, device: torch.device) -> Any:
    """Return the config of an optimizer wrapper whose optimizer is fused where that is possible.

    A fused step launches one kernel where others launch hundreds, and reads no number of the
    device.

    Args:
        wrapper: The config, which isn't changed; anything else is returned as it is.
        device: Device of the network.

    Example:
        >>> with_fused(dict(optimizer=dict(type='Adam', lr=1e-4)), torch.device('cuda'))
        {'optimizer': {'type': 'Adam', 'lr': 0.0001, 'fused': True}}
    """
    optimizer = wrapper.get('optimizer') if isinstance(wrapper, Mapping) else None
    if (
        not isinstance(optimizer, Mapping)
        or device.type not in DEVICES
        or not _of_torch(optimizer.get('type'))
        or any(option in optimizer for option in CHOICES)
    ):
        return wrapper
    wrapper = copy.deepcopy(wrapper)
    wrapper['optimizer']['fused'] = True
    return wrapper


def _of_torch(kind: Any) -> bool:
    if isinstance(kind, type):
        return kind.__module__.startswith('torch.optim') and class_name(kind) in FUSED
    return kind in FUSED
