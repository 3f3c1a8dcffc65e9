"""Check that a detector's parts fit each other, in the words of the config."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from tfinet_mm.models.backbones.two_images import TwoImageBackbone
from tfinet_mm.utils.config.values import is_number


def check_threshold(value: Any, name: str) -> None:
    """Refuse a threshold on P(changed) that isn't a number in 0..1."""
    if not is_number(value) or not 0 <= value <= 1:
        raise ValueError(f'{name} must be a number from 0 to 1, got {value!r}')


def backbone_bands(config: Mapping[str, Any], backbone: nn.Module) -> int | None:
    """Return the bands of one date that a backbone takes; None where neither config nor class says.

    Some backbones of two images count the bands of both, so that none of them is asked.
    """
    if isinstance(backbone, TwoImageBackbone):
        return None
    bands = config.get('in_channels')
    owners = type(backbone).__mro__ if bands is None else ()
    for function in (owner.__dict__.get('__init__') for owner in owners):
        if callable(function) and 'in_channels' in inspect.signature(function).parameters:
            bands = inspect.signature(function).parameters['in_channels'].default
            break
    return bands if isinstance(bands, int) else None


def with_channels(
    config: dict[str, Any], name: str, backbone: nn.Module, neck: nn.Module | None = None
) -> dict[str, Any]:
    """Fill in the channels that a neck or a head leaves to the backbone.

    ``in_channels=None`` becomes the channels of the features. ``channels=None`` beside it becomes
    a quarter of them, rounded down, the hidden width of torchvision's ``FCNHead``.

    Args:
        config: Config of the part, which isn't changed.
        name: Its key in the config of the model.
        backbone: A backbone, with ``out_channels`` if it is to fill anything in.
        neck: For a head, the neck before it: ``keeps_channels`` says that all its branches have
            the channels of the backbone.

    Returns:
        The config with numbers, or as it is where it leaves nothing open.

    Raises:
        ValueError: The channels of the features aren't known.
    """
    if config.get('in_channels', 0) is not None:
        return config
    channels = getattr(backbone, 'out_channels', None)
    if neck is not None and not (
        getattr(neck, 'keeps_channels', False) and isinstance(channels, int)
    ):
        raise ValueError(
            f'model.{name} has in_channels=None, which takes the channels of a backbone of one '
            f'level before a neck that keeps them, got {type(backbone).__name__} and '
            f'{type(neck).__name__}; set model.{name}.in_channels'
        )
    if channels is None:
        raise ValueError(
            f'model.{name} has in_channels=None, but {type(backbone).__name__} has no '
            f'out_channels; set model.{name}.in_channels'
        )
    filled = {**config, 'in_channels': channels}
    if neck is not None and config.get('channels', 0) is None:
        filled['channels'] = channels // 4
    return filled


def check_bands(found: int, expected: int | None) -> None:
    """Refuse images whose number of bands isn't that of the backbone.

    Raises:
        ValueError: They differ; the message names ``in_channels``.
    """
    if expected is not None and found != expected:
        raise ValueError(
            f'the images have {found} bands a date, the backbone takes in_channels={expected}; set '
            'model.backbone.in_channels, or load other bands in the pipeline'
        )


def check_features(name: str, head: nn.Module, features: Sequence[Tensor]) -> None:
    """Refuse features that don't fit a head's ``in_channels`` and ``in_index``.

    Args:
        name: Key of the head in the config.
        head: A head; one without ``in_channels`` and ``in_index`` isn't checked.
        features: One (N, C, H, W) a level.

    Raises:
        ValueError: Their channels or levels don't fit; the message names ``in_channels``
            and ``in_index``.
    """
    expected, index = getattr(head, 'in_channels', None), getattr(head, 'in_index', None)
    if not isinstance(expected, int | list | tuple) or not isinstance(index, int | list | tuple):
        return
    indices = [index] if isinstance(index, int) else list(index)
    found = [feature.shape[1] for feature in features]
    if any(not -len(found) <= one < len(found) for one in indices):
        raise ValueError(
            f'model.{name} has in_index={index}, but it gets {len(found)} level(s) of features; '
            f'set in_index, or the out_indices of the backbone'
        )
    given = [found[one] for one in indices]
    if getattr(head, 'input_transform', None) == 'resize_concat':
        # mmseg keeps the sum of the channels that the config lists.
        fits = sum(given) == (expected if isinstance(expected, int) else sum(expected))
    else:
        fits = given == ([expected] if isinstance(expected, int) else list(expected))
    if not fits:
        raise ValueError(
            f'model.{name} takes in_channels={expected}, but its features have '
            f'{given[0] if len(given) == 1 else given} channels; set model.{name}.in_channels'
        )


def check_stride(head: nn.Module, logits: Tensor, inputs: Tensor) -> None:
    """Refuse logits of another size than the inputs, where a head names its stride.

    Args:
        head: A head; one without ``stride`` isn't checked.
        logits: (N, C, h, w).
        inputs: (N, 2B, H, W).

    Raises:
        ValueError: The sizes differ; the message has the stride that fits.
    """
    stride = getattr(head, 'stride', None)
    if not isinstance(stride, int) or logits.shape[2:] == inputs.shape[2:]:
        return
    fitting = stride * inputs.shape[2] / logits.shape[2]
    raise ValueError(
        f'stride={stride} of the {type(head).__name__} with {head.out_channels} output channels '
        f'does not fit its features: inputs of {tuple(inputs.shape[2:])} pixels give logits of '
        f'{tuple(logits.shape[2:])}; their stride is {fitting:g}'
    )
