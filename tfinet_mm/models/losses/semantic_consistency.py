"""Consistency of the land cover of both dates with the change between them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfinet_mm.registry import MODELS
from tfinet_mm.structures import IGNORE_INDEX


@MODELS.register_module()
class SemanticConsistencyLoss(nn.Module):
    """Cosine embedding loss between the class probabilities of both dates.

    With the cosine c of the two vectors of probabilities, an unchanged pixel costs 1 - c, a
    changed one max(0, c - margin). The formula is that of Ding et al. (Bi-Temporal Semantic
    Reasoning for the Semantic Change Detection in HR Remote Sensing Images, 2022), with margin 0.

    Args:
        margin: Cosine in -1..1 up to which a changed pixel costs nothing.
        loss_weight: Factor on the result.
        loss_name: Key in the log; must hold ``loss`` to be trained on.

    Raises:
        ValueError: ``margin`` isn't in -1..1.
    """

    def __init__(
        self,
        margin: float = 0.0,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_consistency',
    ) -> None:
        super().__init__()
        if not -1 <= margin <= 1:
            raise ValueError(f'margin has to be a cosine in -1 .. 1, got {margin!r}')
        self.margin = margin
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self,
        logits: Tensor,
        label: Tensor,
        ignore_index: int = IGNORE_INDEX,
    ) -> Tensor:
        """Compute the loss.

        Args:
            logits: Land cover (2N, K, H, W), before's samples and then after's.
            label: Change (N, H, W), 1 changed, 0 unchanged, or ``ignore_index``.
            ignore_index: Label value that is left out.

        Returns:
            Scalar >= 0, the mean over labelled pixels; 0 without any.

        Raises:
            ValueError: There aren't two maps of logits for each label.
        """
        if len(logits) != 2 * len(label):
            raise ValueError(
                f'{type(self).__name__} compares the land cover of both dates: expected logits '
                f'of {2 * len(label)} images for {len(label)} change labels, got {len(logits)}; '
                "use it in a tfinet_mm.ConsistencyHead with branch='land_cover'"
            )
        logits = logits if logits.dtype == torch.float64 else logits.float()
        before, after = logits.softmax(1).chunk(2)
        cosine = F.cosine_similarity(before, after, dim=1)
        changed = (cosine - self.margin).clamp(min=0)
        each = torch.where(label == 1, changed, 1 - cosine)
        known = label != ignore_index
        # Masked, not taken out: their number would be waited for.
        return self.loss_weight * (each * known).sum() / known.sum().clamp(min=1)
