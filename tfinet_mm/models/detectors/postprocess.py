"""From logits to the prediction fields of a data sample."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tfinet_mm.structures import (
    PRED_CHANGE,
    PRED_CHANGE_PROB,
    PRED_COVER_FROM,
    PRED_COVER_TO,
    PRED_FROM,
    PRED_PROB_FROM,
    PRED_PROB_TO,
    PRED_TO,
    SCDLogits,
    to_semantic_change,
)


def predictions(
    logits: SCDLogits, metainfo: dict[str, Any], threshold: float = 0.5
) -> dict[str, Tensor]:
    """Probabilities and maps of one pair, at its original size.

    Args:
        logits: Logits of one pair, (K, H, W), (K, H, W) and (1, H, W).
        metainfo: Of the sample. ``img_shape`` (h, w), the part of the maps
            that is image; what lies below and to the right of it is padding
            and cut off. ``ori_shape`` (h, w), to which probabilities are then
            resized where it differs. Both may be absent.
        threshold: Pixels with P(changed) at or above it count as changed.

    Returns:
        The prediction fields of :mod:`tfinet_mm.structures` by name.
    """
    probabilities = [
        logits.semantic_from.softmax(0),
        logits.semantic_to.softmax(0),
        logits.change.sigmoid(),
    ]
    height, width = metainfo.get('img_shape', logits.change.shape[1:])[:2]
    probabilities = [p[:, :height, :width] for p in probabilities]
    original = tuple(metainfo.get('ori_shape', (height, width))[:2])
    if original != (height, width):
        probabilities = [
            F.interpolate(p[None], original, mode='bilinear', align_corners=False)[0]
            for p in probabilities
        ]
    prob_from, prob_to, change_prob = probabilities
    return maps_from_probabilities(prob_from, prob_to, change_prob, threshold)


def maps_from_probabilities(
    prob_from: Tensor, prob_to: Tensor, change_prob: Tensor, threshold: float = 0.5
) -> dict[str, Tensor]:
    """Decide for classes and change.

    Args:
        prob_from: Class probabilities before, (K, H, W).
        prob_to: Class probabilities after, (K, H, W).
        change_prob: P(changed), (1, H, W).
        threshold: Pixels with P(changed) at or above it count as changed.

    Returns:
        The prediction fields by name, maps as uint8 (1, H, W).
    """
    change = (change_prob >= threshold).to(torch.uint8)
    cover_from = prob_from.argmax(0, keepdim=True).to(torch.uint8)
    cover_to = prob_to.argmax(0, keepdim=True).to(torch.uint8)
    return {
        PRED_CHANGE: change,
        PRED_FROM: to_semantic_change(cover_from, change),
        PRED_TO: to_semantic_change(cover_to, change),
        PRED_COVER_FROM: cover_from + 1,
        PRED_COVER_TO: cover_to + 1,
        PRED_CHANGE_PROB: change_prob,
        PRED_PROB_FROM: prob_from,
        PRED_PROB_TO: prob_to,
    }
