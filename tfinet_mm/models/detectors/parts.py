"""Build parts of a detector, those of other packages with their adapters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from tfinet_mm.models.backbones.two_images import CHANGE, TwoImageBackbone, takes_two_images
from tfinet_mm.models.foreign import build_foreign, class_of
from tfinet_mm.models.necks.one_date import OneDateNeck, takes_one_date
from tfinet_mm.models.norms import with_fitting_norms
from tfinet_mm.registry import MODELS

LAND_COVER = 'land_cover'
AUXILIARY_BRANCHES = ('difference', 'change', 'semantic', LAND_COVER)


def build_backbone(config: dict[str, Any]) -> nn.Module:
    """Build a backbone that takes (2N, B, H, W), the images of both dates.

    Args:
        config: Its config; a backbone that takes two images gets into a ``TwoImageBackbone``.

    Raises:
        ValueError: A backbone of two images can't be used, see ``TwoImageBackbone``.
    """
    if takes_two_images(class_of(config)):
        return TwoImageBackbone(config)
    backbone = build_foreign(config)
    return TwoImageBackbone(backbone) if takes_two_images(type(backbone)) else backbone


def build_neck(config: dict[str, Any] | None, backbone: nn.Module) -> nn.Module | None:
    """Build the neck that fits a backbone.

    Args:
        config: Its config; None after a backbone that fuses the dates. A neck of one date gets
            into a ``OneDateNeck``.
        backbone: The backbone, built.

    Raises:
        ValueError: The backbone fuses the dates, and so does the neck, or neither does.
    """
    fuses = isinstance(backbone, TwoImageBackbone) and backbone.returns == CHANGE
    if config is None:
        if fuses:
            return None
        raise ValueError(
            f'model.neck=None needs a backbone that fuses the dates, got {_name(backbone)}; set '
            "model.neck=dict(type='tfinet_mm.AbsoluteDifference')"
        )
    neck = build_foreign(config)
    if not isinstance(neck, OneDateNeck) and takes_one_date(neck):
        neck = OneDateNeck(neck)
    if fuses and not isinstance(neck, OneDateNeck):
        raise ValueError(
            f'{_name(backbone)} returns features of the change, so that there is nothing left for '
            f'the neck {type(neck).__name__} to fuse; set model.neck=None'
        )
    return neck


def build_auxiliary(config: Mapping[str, Any]) -> tuple[str, nn.Module]:
    """Build an auxiliary head.

    Args:
        config: Its config, with the key ``branch``; it isn't changed.

    Returns:
        The branch that it reads, and the head.

    Raises:
        ValueError: The branch is unknown, or not one for this type of head.
    """
    config = dict(config)
    branch = config.pop('branch', None)
    if branch not in AUXILIARY_BRANCHES:
        raise ValueError(
            f'an auxiliary head needs branch=... out of {AUXILIARY_BRANCHES}, got {branch!r}'
        )
    head: nn.Module = MODELS.build(with_fitting_norms(config))
    compares = getattr(head, 'compares_dates', False)
    if compares != (branch == LAND_COVER):
        fix = f'set branch={LAND_COVER!r}' if compares else 'use tfinet_mm.ConsistencyHead there'
        raise ValueError(
            f'branch={LAND_COVER!r} has the land cover of both dates, for heads that compare '
            f'them; got branch={branch!r} for {type(head).__name__}; {fix}'
        )
    return branch, head


def _name(backbone: nn.Module) -> str:
    inner = backbone.backbone if isinstance(backbone, TwoImageBackbone) else backbone
    return type(inner).__name__
