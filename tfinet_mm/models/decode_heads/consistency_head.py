"""Supervision of the land cover of both dates by the change between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from tfinet_mm.registry import MODELS
from tfinet_mm.structures import GT_CHANGE, IGNORE_INDEX


@MODELS.register_module()
class ConsistencyHead(BaseModule):
    """Auxiliary head without weights, which compares the land cover of both dates.

    It reads the logits of the semantic head (``branch='land_cover'``) and takes the change
    label alone, so that pairs without labels of land cover teach it too.

    Args:
        loss_decode: Config of the loss, by default
            :class:`~tfinet_mm.models.SemanticConsistencyLoss`; another one is called with the
            same arguments.
        align_corners: Align the corners when resizing the logits to the label's size.
        ignore_index: Label value that is left out.
    """

    compares_dates = True
    """Takes the logits of both dates, as a head on ``branch='land_cover'`` has to."""

    def __init__(
        self,
        loss_decode: dict[str, Any] | None = None,
        align_corners: bool = False,
        ignore_index: int = IGNORE_INDEX,
    ) -> None:
        super().__init__()
        loss = loss_decode or {'type': 'tfinet_mm.SemanticConsistencyLoss'}
        self.loss_decode = MODELS.build(loss)
        self.align_corners = align_corners
        self.ignore_index = ignore_index

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the logits (2N, K, h, w) unchanged, the only level of the branch."""
        (logits,) = inputs
        return logits

    def loss_by_feat(self, logits: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Compare with ``gt_sem_seg`` (1, H, W) of the samples: 1 changed, 0 not, 255 ignored.

        Returns:
            The loss by its ``loss_name``.
        """
        label = torch.stack([getattr(sample, GT_CHANGE).data for sample in data_samples])
        size, label = label.shape[2:], label.squeeze(1)
        if logits.shape[2:] != size:
            logits = F.interpolate(logits, size, mode='bilinear', align_corners=self.align_corners)
        loss = self.loss_decode
        return {str(loss.loss_name): loss(logits, label, ignore_index=self.ignore_index)}
