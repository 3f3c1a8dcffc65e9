"""Predict with a network of which change alone was trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from tfinet_mm.structures import ALL_ROLES, LAND_COVER_ROLE


class OneClassHead(nn.Module):
    """Semantic head that gives every pixel the only class there is."""

    out_channels = num_classes = 1
    align_corners = False

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return logits of 0.

        Args:
            features: One (N, C, h, w) a level, finest first.

        Returns:
            (N, 1, h, w), whose softmax is 1.
        """
        finest = features[0]
        return finest.new_zeros((finest.shape[0], 1, *finest.shape[2:]))


def without_land_cover(model: Any) -> bool:
    """Return whether a network has several classes of land cover, of which none was trained."""
    roles = getattr(model, 'trained_roles', ALL_ROLES)
    return LAND_COVER_ROLE not in roles and model.num_classes > 1


def merge_classes(model: Any) -> None:
    """Replace the untrained classes of land cover by a single one, in place.

    Args:
        model: A detector, or an ensemble of them.
    """
    for one in getattr(model, 'members', [model]):
        one.semantic_head = OneClassHead()
    if hasattr(model, 'members'):
        model.num_classes = 1
