"""Build the normalisation layers of a network by one config, whatever their channels."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from mmcv.cnn import build_norm_layer
from torch import nn

from tfinet_mm.registry import MODELS
from tfinet_mm.utils.class_names import class_name

NormCfg = dict[str, object]
BN: NormCfg = {'type': 'BN'}

Part = TypeVar('Part')


@MODELS.register_module()
class FittingGroupNorm(nn.GroupNorm):
    """Group normalisation that reduces the number of groups until it divides the channels.

    A network with one ``norm_cfg`` has layers of 1 to 8 channels, such as the logit of
    change in TFINet's neck, besides those of hundreds.

    Args:
        num_channels: Channels C.
        num_groups: Groups wanted; the greatest common divisor with C is taken.
        eps: Added to the variance.
        affine: Learn a weight and a bias for each channel.
    """

    def __init__(
        self, num_channels: int, num_groups: int, eps: float = 1e-5, affine: bool = True
    ) -> None:
        super().__init__(math.gcd(num_groups, num_channels), num_channels, eps, affine)


def fitting_norm(norm_cfg: Any) -> Any:
    """Make the config of a normalisation fit any number of channels.

    Args:
        norm_cfg: As mmcv takes it, or None.

    Returns:
        The config, with ``GN`` replaced by :class:`FittingGroupNorm`.

    Raises:
        ValueError: It is ``LN``, torch's layer normalisation, which works on the
            last axis, the width of a map.
    """
    if not isinstance(norm_cfg, Mapping) or 'type' not in norm_cfg:
        return norm_cfg
    name = class_name(norm_cfg['type'])
    if name in ('LN', 'LayerNorm'):
        raise ValueError(
            'norm_cfg of type LN normalises the last axis, which is the width of a map here; '
            "use norm_cfg=dict(type='GN', num_groups=1), which normalises channels and positions"
        )
    if name not in ('GN', 'GroupNorm'):
        return norm_cfg
    return {**norm_cfg, 'type': 'tfinet_mm.FittingGroupNorm'}


def build_norm(norm_cfg: NormCfg, channels: int) -> nn.Module:
    """Build a normalisation layer for maps (N, channels, H, W)."""
    layer: nn.Module = build_norm_layer(fitting_norm(norm_cfg), channels)[1]
    return layer


def conv_with_norm(conv_cfg: Any, norm_cfg: Any) -> Any:
    """Give convolutions with a normalisation inside the ``norm_cfg`` around them.

    Args:
        conv_cfg: Config of convolutions, or None.
        norm_cfg: Config of the normalisation around them, or None.

    Returns:
        ``conv_cfg``; a ``tfinet_mm.LightweightConv`` without its own
        ``norm_cfg`` gets this one.
    """
    if (
        not isinstance(conv_cfg, Mapping)
        or norm_cfg is None
        or conv_cfg.get('norm_cfg') is not None
        or class_name(conv_cfg.get('type')) != 'LightweightConv'
    ):
        return conv_cfg
    return {**conv_cfg, 'norm_cfg': norm_cfg}


def with_fitting_norms(part: Part) -> Part:
    """Apply :func:`fitting_norm` and :func:`conv_with_norm` in the config of any part of a network.

    This gives mmseg's backbones and heads the same layers as this package's.

    Args:
        part: Config of a backbone, neck or head; it isn't changed.
    """
    if isinstance(part, list | tuple):
        return type(part)(with_fitting_norms(one) for one in part)
    if not isinstance(part, dict):
        return part
    made = copy.copy(part)
    for key, value in part.items():
        made[key] = with_fitting_norms(value)
    if made.get('norm_cfg') is not None:
        made['norm_cfg'] = fitting_norm(made['norm_cfg'])
        if made.get('conv_cfg') is not None:
            made['conv_cfg'] = conv_with_norm(made['conv_cfg'], made['norm_cfg'])
    return made
