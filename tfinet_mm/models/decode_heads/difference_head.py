"""Supervision of the difference logits that TFINet's neck predicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from tfinet_mm.registry import MODELS
from tfinet_mm.structures import GT_CHANGE, IGNORE_INDEX, Features


@MODELS.register_module()
class DifferenceHead(BaseModule):
    """An auxiliary head without weights: it only compares logits with the change map.

    The logits of every level are resized to the label's size and judged by
    the loss; several levels give the mean of their losses.

    Args:
        loss_decode: Config of the loss.
        align_corners: How to resize; True as published.
        ignore_index: Label value that is left out.
    """

    def __init__(
        self,
        loss_decode: dict[str, Any] | None = None,
        align_corners: bool = True,
        ignore_index: int = IGNORE_INDEX,
    ) -> None:
        super().__init__()
        loss_decode = loss_decode or {'type': 'tfinet_mm.ChangeBCELoss', 'positive_weight': 1.0}
        self.loss_decode = MODELS.build(loss_decode)
        self.align_corners = align_corners
        self.ignore_index = ignore_index

    def forward(self, inputs: Features) -> Features:
        """Return the logits, one (N, 1, H, W) a level, as they came."""
        return inputs

    def loss_by_feat(self, logits: Features, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Compare with ``gt_sem_seg`` (1, H, W) of the samples: 1 changed, 0 not, 255 ignored.

        Returns:
            One entry, named as the loss says.
        """
        label = torch.stack([getattr(sample, GT_CHANGE).data for sample in data_samples])
        size = label.shape[2:]
        losses = [
            self.loss_decode(
                F.interpolate(logit, size, mode='bilinear', align_corners=self.align_corners),
                label.squeeze(1),
                ignore_index=self.ignore_index,
            )
            for logit in logits
        ]
        return {self.loss_decode.loss_name: torch.stack(losses).mean()}
