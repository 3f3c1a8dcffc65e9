"""Cross entropy of land-cover classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfinet_mm.registry import MODELS
from tfinet_mm.structures import IGNORE_INDEX
from tfinet_mm.utils.config.values import is_number


@MODELS.register_module()
class SemanticCELoss(nn.Module):
    """Weighted mean of the cross entropy over labelled pixels, as torch computes it.

    Unlike mmseg's ``CrossEntropyLoss`` it combines class weights with ignored
    pixels, and a batch without a labelled pixel gives 0 (with a gradient of
    0), not NaN.

    Args:
        class_weight: Weight >= 0 of each class, one above 0. None weighs all the same.
        loss_weight: Factor on the result.
        loss_name: Key in the log; must hold ``loss`` to be trained on.

    Raises:
        ValueError: ``class_weight`` isn't a list of such numbers.
    """

    _class_weight: Tensor

    def __init__(
        self,
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_ce',
    ) -> None:
        super().__init__()
        self.class_weight = _checked_weights(class_weight)
        # On the device of the network; copied there in each step, it would be waited for.
        values = None if self.class_weight is None else torch.tensor(self.class_weight)
        self.register_buffer('_class_weight', values, persistent=False)
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
            logits: (N, K, H, W).
            label: (N, H, W), 0..K-1 or ``ignore_index``.
            weight: Further weight >= 0 of each pixel, (N, H, W).
            ignore_index: Label value that is left out.

        Returns:
            Scalar >= 0.

        Raises:
            ValueError: The number of class weights is not K.
        """
        logits = logits if logits.dtype == torch.float64 else logits.float()
        class_weight = None
        if self.class_weight is not None:
            if len(self.class_weight) != logits.shape[1]:
                raise ValueError(
                    f'the model has {logits.shape[1]} land-cover classes, class_weight has '
                    f'{len(self.class_weight)}; give one weight a class'
                )
            class_weight = self._class_weight.to(logits)
        each = F.cross_entropy(
            logits, label, weight=class_weight, ignore_index=ignore_index, reduction='none'
        )
        known = label != ignore_index
        share = known.to(logits.dtype)
        if class_weight is not None:
            share = share * class_weight[label.masked_fill(~known, 0)]
        if weight is not None:
            each, share = each * weight, share * weight
        total = share.sum()
        return self.loss_weight * each.sum() / total.where(total > 0, torch.ones_like(total))


def _checked_weights(weights: Any) -> tuple[float, ...] | None:
    if weights is None:
        return None
    listed = isinstance(weights, Sequence) and not isinstance(weights, str)
    if not listed or not all(is_number(one) and one >= 0 for one in weights) or not any(weights):
        raise ValueError(
            'class_weight must be a list of one number >= 0 a class, not all 0, or None; '
            f'got {weights!r}'
        )
    return tuple(map(float, weights))
