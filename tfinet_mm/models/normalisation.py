"""Check that images are normalised as in the training of the backbone's first weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from tfinet_mm.checkpoints.addresses import plain_address
from tfinet_mm.errors import NormalisationError
from tfinet_mm.models.data_preprocessor import IMAGENET_MEAN, IMAGENET_STD

TOLERANCE = 0.5
"""Largest difference of equal values, on the scale 0..255; some write 123.675 as 123.68."""
IMAGENET_WEIGHTS = re.compile(
    r'(torchvision|modelzoo)://.+'
    r'|(open-mmlab|openmmlab)://(msra/)?(resnet|resnext|hrnet)\w*'
    r'|(.*/)?(resnet\d+(_v1[a-d])?|resnext\d+_\w+|hrnet(v2)?_w\d+)(-[0-9a-f]{6,}\w*)?\.pth'
)
"""Addresses of weights for mmseg's backbones that were trained on RGB with ImageNet's values."""


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation that weights were trained with, in the order R, G, B.

    Args:
        weights: Name of the weights.
        mean: Mean of each channel on the scale 0..255.
        std: Standard deviation of each channel.
    """

    weights: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


def expected_normalisation(backbone: nn.Module) -> Normalisation | None:
    """Return the normalisation in which a backbone's first weights were trained.

    Args:
        backbone: The backbone. This package's have ``pretrained_mean`` and
            ``pretrained_std``, timm's have the values in their config; others are known
            by the address in ``init_cfg``.

    Returns:
        The normalisation; None for random weights and those of unknown origin.
    """
    # Of an adapter, the backbone inside.
    part: Any = getattr(backbone, 'backbone', backbone)
    if hasattr(part, 'timm_model') and getattr(part, '_is_init', False):
        cfg = getattr(part.timm_model, 'pretrained_cfg', None) or {}
        if 'mean' in cfg and 'std' in cfg:
            timm_mean, timm_std = (tuple(255 * one for one in cfg[key]) for key in ('mean', 'std'))
            return Normalisation(f'timm/{cfg.get("architecture")}', timm_mean, timm_std)
    init_cfg = getattr(part, 'init_cfg', None)
    entries = init_cfg if isinstance(init_cfg, list | tuple) else [init_cfg]
    addresses = [one.get('checkpoint') for one in entries if isinstance(one, dict)]
    for address in (plain_address(one) for one in addresses if isinstance(one, str)):
        if hasattr(part, 'pretrained_mean'):
            return Normalisation(address, part.pretrained_mean, part.pretrained_std)
        if IMAGENET_WEIGHTS.fullmatch(address) and 'caffe' not in address:
            return Normalisation(address, IMAGENET_MEAN, IMAGENET_STD)
    return None


def check_normalisation(
    backbone: nn.Module, preprocessor: nn.Module | None, bands: int | None
) -> None:
    """Refuse a normalisation that isn't that of the weights which a backbone begins with.

    The first layer of such weights takes three bands. For another number of bands it
    doesn't fit and stays random, so that any normalisation will do.

    Args:
        backbone: The backbone, before its weights are loaded.
        preprocessor: The data preprocessor of this package, mmseg or Open-CD; others
            aren't checked.
        bands: Bands of one date; None counts as three.

    Raises:
        NormalisationError: Mean or standard deviation differ.
    """
    expected = expected_normalisation(backbone)
    if expected is None or bands not in (None, 3) or not _normalises(preprocessor):
        return
    mean, std = _values(preprocessor, 'mean'), _values(preprocessor, 'std')
    if _near(mean, expected.mean) and _near(std, expected.std):
        return
    raise NormalisationError(
        f'model.data_preprocessor has mean={_text(mean)} and std={_text(std)}, but the weights '
        f'{expected.weights!r}, with which the backbone begins, were trained on RGB with '
        f'mean={_text(expected.mean)} and std={_text(expected.std)}. Set these values in '
        'model.data_preprocessor, or begin with random weights: model.backbone.init_cfg=None; '
        'to train with both as they are, set model.check_normalisation=False'
    )


def _normalises(preprocessor: Any) -> bool:
    """Return whether a data preprocessor is of a kind whose mean and std can be read."""
    return hasattr(preprocessor, 'normalize') or hasattr(preprocessor, '_enable_normalize')


def _values(preprocessor: Any, name: str) -> tuple[float, ...] | None:
    """Return ``mean`` or ``std`` of a data preprocessor; None where it doesn't normalise."""
    enabled = getattr(preprocessor, 'normalize', getattr(preprocessor, '_enable_normalize', False))
    values: Tensor | None = getattr(preprocessor, name, None)
    if not enabled or values is None:
        return None
    return tuple(round(value, 3) for value in values.flatten().tolist())


def _near(found: Sequence[float] | None, expected: Sequence[float]) -> bool:
    """Return whether values are the expected three, once or for both dates, or one for all."""
    if found is None or len(found) not in (1, 3, 6):
        return False
    found = found if len(found) > 1 else [found[0]] * 3
    return all(abs(one - expected[index % 3]) <= TOLERANCE for index, one in enumerate(found))


def _text(values: Sequence[float] | None) -> str:
    return 'None' if values is None else f'[{", ".join(f"{value:g}" for value in values)}]'
