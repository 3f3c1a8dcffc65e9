"""Binary cross entropy of change."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfinet_mm.registry import MODELS
from tfinet_mm.structures import IGNORE_INDEX


@MODELS.register_module()
class ChangeBCELoss(nn.Module):
    """Binary cross entropy in which changed pixels count more.

    The mean divides by the number of labelled pixels, not by the sum of their
    weights, as published; without a labelled pixel it is 0.

    Args:
        positive_weight: Weight of a changed pixel; 2 as published.
        loss_weight: Factor on the result.
        loss_name: Key in the log; must hold ``loss`` to be trained on.
    """

    def __init__(
        self,
        positive_weight: float = 2.0,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_bce',
    ) -> None:
        super().__init__()
        self.positive_weight = positive_weight
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self,
        logits: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = IGNORE_INDEX,
    ) -> Tensor:
        """Compute the loss.

        Args:
            logits: (N, 1, H, W), positive where changed.
            label: (N, H, W), 1 changed, 0 unchanged, or ``ignore_index``.
            weight: Further weight >= 0 of each pixel, (N, H, W).
            ignore_index: Label value that is left out.

        Returns:
            Scalar >= 0.
        """
        logits = logits.squeeze(1)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        known = label != ignore_index
        each = F.binary_cross_entropy_with_logits(
            logits,
            (label == 1).to(logits.dtype),
            weight=known.to(logits.dtype) if weight is None else known * weight.to(logits.dtype),
            # Filled on the device; a tensor of a number would be copied there, and waited for.
            pos_weight=logits.new_full((), self.positive_weight),
            reduction='none',
        )
        return self.loss_weight * each.sum() / known.sum().clamp(min=1)
