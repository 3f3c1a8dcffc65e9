"""Run backbones that take both images of a pair, as those of Open-CD do."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from tfinet_mm.models.foreign import build_foreign, class_of
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import Branches, Features

DATES, CHANGE, MAPS = 'dates', 'change', 'maps'
RETURNS = {
    'IA_ResNet': DATES,
    'IA_MixVisionTransformer': DATES,
    'TinyNet': CHANGE,
    'SNUNet_ECAM': CHANGE,
    'FC_EF': CHANGE,
    'FC_Siam_diff': CHANGE,
    'FC_Siam_conc': CHANGE,
    'HAN': CHANGE,
    'LightCDNet': CHANGE,
    'TinyCD': MAPS,
    'CGNet': MAPS,
    'IFN': MAPS,
}
"""Kinds of features that Open-CD's backbones return, by class; subclasses return the same.

``'dates'``: levels with the channels of both dates side by side. ``'change'``: features of the
change alone. ``'maps'``: maps of one channel, in which the change is decoded already.
"""


def takes_two_images(backbone: type | None) -> bool:
    """Return whether the ``forward`` of a backbone's class needs two arguments."""
    if backbone is None or not hasattr(backbone, 'forward'):
        return False
    parameters = list(inspect.signature(backbone.forward).parameters.values())[1:]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.default is p.empty and p.kind in positional for p in parameters) == 2


def check_two_images(backbone: type | None, returns: str | None = None) -> str:
    """Return what a backbone of two images returns.

    Args:
        backbone: Its class.
        returns: What the config says; None for Open-CD's own.

    Returns:
        ``'dates'`` or ``'change'``, see :data:`RETURNS`.

    Raises:
        ValueError: It isn't known, or nothing that a semantic head can read; the message names
            the class.
    """
    owners = () if backbone is None else backbone.__mro__
    name = owners[0].__name__ if owners else 'the backbone'
    known = next((RETURNS[one.__name__] for one in owners if one.__name__ in RETURNS), None)
    found = returns or known
    if found == MAPS:
        raise ValueError(
            f'{name} decodes the change itself and returns maps of one channel, in which there is '
            'no land cover; use another backbone in tfinet_mm.SemanticChangeDetector'
        )
    if found not in (DATES, CHANGE):
        raise ValueError(
            f"{name} takes both images of a pair, and returns='dates' (levels with the channels "
            "of both dates side by side) or 'change' (features of the change alone) isn't said, "
            f'got {returns!r}; set model.backbone = '
            "dict(type='tfinet_mm.TwoImageBackbone', backbone=..., returns=...)"
        )
    return found


@MODELS.register_module()
class TwoImageBackbone(BaseModule):
    """Run a backbone that is called with both images on the batch of both dates.

    The detector puts backbones of this kind into this class by itself.

    From a backbone that returns features of the change alone, the land cover of a date is read
    in the features of two equal images of that date. So it runs on 3N pairs: before and before,
    after and after, before and after.

    Args:
        backbone: Config of the backbone, or the backbone.
        returns: ``'dates'`` if each level has the channels of both dates side by side, before
            first, ``'change'`` if it has features of the change alone. None for Open-CD's
            backbones, whose kind is known.
        init_cfg: Initialisation, as everywhere in MMEngine.

    Attributes:
        returns: ``'dates'`` or ``'change'``.

    Raises:
        ValueError: See :func:`check_two_images`.
    """

    def __init__(
        self,
        backbone: dict[str, Any] | nn.Module,
        returns: str | None = None,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if isinstance(backbone, nn.Module):
            self.backbone = backbone
        else:
            # Before it is built, since some of them download weights.
            if (kind := class_of(backbone)) is not None:
                check_two_images(kind, returns)
            self.backbone = build_foreign(backbone)
        self.returns = check_two_images(type(self.backbone), returns)

    def forward(self, both: Tensor) -> Features | Branches:
        """Compute features of pairs.

        Args:
            both: (2N, B, H, W), all images before and then all after.

        Returns:
            Levels (2N, C, h, w) in the order of the input if the backbone returns dates, else
            the three branches, each level (N, C, h, w).

        Raises:
            ValueError: A level hasn't the channels of two dates.
        """
        before, after = both.chunk(2)
        if self.returns == CHANGE:
            first = torch.cat([before, after, before])
            levels = _levels(self.backbone(first, torch.cat([before, after, after])))
            return Branches(*zip(*(level.chunk(3) for level in levels), strict=True))
        levels = _levels(self.backbone(before, after))
        if odd := [level.shape[1] for level in levels if level.shape[1] % 2]:
            raise ValueError(
                f'{type(self.backbone).__name__} returns a level of {odd[0]} channels, which '
                "aren't those of two dates side by side; set model.backbone.returns='change'"
            )
        return tuple(torch.cat(level.chunk(2, dim=1)) for level in levels)


def _levels(found: Any) -> tuple[Tensor, ...]:
    return (found,) if isinstance(found, Tensor) else tuple(found)
