"""Supervision of the difference logits that TFINet's neck predicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS as MMSEG_MODELS
from torch import Tensor, nn

from tfinet_mm.models.losses.roles import fit_loss
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import GT_CHANGE, IGNORE_INDEX, Features
from tfinet_mm.utils.class_names import find_class


@MODELS.register_module()
class DifferenceHead(BaseModule):
    """Auxiliary head without weights, which compares logits with the change label.

    The logits of every level are resized to the label's size and judged by
    the loss; several levels give the mean of their losses.

    Args:
        loss_decode: Config of the loss, or a list of several: this package's or
            mmseg's for one logit, such as ``FocalLoss``.
        align_corners: Align the corners when resizing; True as published.
        ignore_index: Label value that is left out.

    Raises:
        ValueError: A loss can't be computed on one logit.
    """

    def __init__(
        self,
        loss_decode: dict[str, Any] | Sequence[dict[str, Any]] | None = None,
        align_corners: bool = True,
        ignore_index: int = IGNORE_INDEX,
    ) -> None:
        super().__init__()
        loss_decode = loss_decode or {'type': 'tfinet_mm.ChangeBCELoss', 'positive_weight': 1.0}
        self.loss_decode: nn.Module
        if isinstance(loss_decode, dict):
            self.loss_decode = _loss(loss_decode, ignore_index)
        else:
            self.loss_decode = nn.ModuleList(_loss(one, ignore_index) for one in loss_decode)
        self.align_corners = align_corners
        self.ignore_index = ignore_index

    def forward(self, inputs: Features) -> Features:
        """Return the logits unchanged, one (N, 1, H, W) for each level."""
        return inputs

    def loss_by_feat(self, logits: Features, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Compare with ``gt_sem_seg`` (1, H, W) of the samples: 1 changed, 0 not, 255 ignored.

        Returns:
            The losses by their ``loss_name``; those of one name are added up.
        """
        label = torch.stack([getattr(sample, GT_CHANGE).data for sample in data_samples])
        size, label = label.shape[2:], label.squeeze(1)
        resized = [
            F.interpolate(logit, size, mode='bilinear', align_corners=self.align_corners)
            for logit in logits
        ]
        made: dict[str, Tensor] = {}
        own = self.loss_decode
        for loss in own if isinstance(own, nn.ModuleList) else [own]:
            each = [loss(logit, label, ignore_index=self.ignore_index) for logit in resized]
            name = str(loss.loss_name)
            mean = torch.stack(each).mean()
            made[name] = made[name] + mean if name in made else mean
        return made


def _loss(config: dict[str, Any], ignore_index: int) -> Any:
    """Build a loss of this package or, where it has none of the name, of mmseg."""
    registry = MODELS if find_class(MODELS, config['type']) is not None else MMSEG_MODELS
    return fit_loss(registry.build(config), 1, 'difference head', ignore_index)
