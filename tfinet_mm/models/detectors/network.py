"""Compute the logits of pairs from tensors alone: what is compiled, exported and timed.

The functions take the detector for its parts (backbone, neck, heads) and options. They read no
data samples, write no log and never wait for a device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tfinet_mm.models.detectors.parts import LAND_COVER
from tfinet_mm.models.detectors.shapes import check_bands, check_features, check_stride
from tfinet_mm.models.necks.one_date import join_branches
from tfinet_mm.structures import Branches, SCDLogits
from tfinet_mm.utils.windows import window_starts


class HeadOutputs(NamedTuple):
    """Outputs of the heads, each at its own stride.

    Attributes:
        semantic: Land-cover logits (2N, K, h, w), before's samples and then after's; None where
            land cover isn't asked for.
        change: Logits of change, (N, 1, h, w), or (N, 2, h, w) for unchanged and changed.
        auxiliary: Outputs of the auxiliary heads in their order; None for one that isn't run.
    """

    semantic: Tensor | None
    change: Tensor
    auxiliary: tuple[Any, ...] = ()


def padding_of(inputs: Tensor, divisor: int) -> tuple[int, int, int, int]:
    """Return the pixels (left, right, top, bottom) that make height and width multiples."""
    height, width = inputs.shape[2:]
    return (0, -width % divisor, 0, -height % divisor)


def padded(inputs: Tensor, divisor: int) -> Tensor:
    """Repeat the border pixels at the bottom and right up to a multiple of the divisor."""
    padding = padding_of(inputs, divisor)
    return F.pad(inputs, padding, mode='replicate') if any(padding) else inputs


def pair_branches(network: Any, inputs: Tensor) -> Branches:
    """Run backbone and neck.

    Args:
        network: The detector.
        inputs: Pairs (N, 2B, H, W), H and W multiples of its ``size_divisor``.

    Raises:
        ValueError: The bands aren't those of the backbone.
    """
    check_bands(inputs.shape[1] // 2, network.bands)
    both = torch.cat(inputs.chunk(2, dim=1))
    if network.channels_last:
        both = both.contiguous(memory_format=torch.channels_last)
    return join_branches(network.backbone(both), network.neck, inputs.shape[0])


def head_outputs(
    network: Any, inputs: Tensor, land_cover: bool = True, auxiliary: bool = False
) -> HeadOutputs:
    """Run backbone, neck and heads.

    Args:
        network: The detector.
        inputs: Pairs (N, 2B, H, W) of any size; they are padded to a multiple of
            ``size_divisor``.
        land_cover: Run the semantic head and the auxiliary heads on its features or its logits.
        auxiliary: Run the auxiliary heads.

    Raises:
        ValueError: Bands, features or strides don't fit, or the neck predicts no difference that
            an auxiliary head is to read.
        TypeError: A head returns more than one map.
    """
    inputs = padded(inputs, network.size_divisor)
    branches = pair_branches(network, inputs)
    dates = _both_dates(branches) if land_cover else []
    semantic = None
    if land_cover:
        check_features('semantic_head', network.semantic_head, dates)
        semantic = _one_map('semantic', network.semantic_head(dates))
        check_stride(network.semantic_head, semantic, inputs)
    check_features('change_head', network.change_head, branches.change)
    change = _one_map('change', network.change_head(branches.change))
    check_stride(network.change_head, change, inputs)
    others = []
    if auxiliary:
        for branch, head in zip(network.auxiliary_branches, network.auxiliary_heads, strict=True):
            features = _features_of(network, branch, branches, dates, semantic)
            if features is not None:
                check_features('auxiliary_head', head, features)
            others.append(None if features is None else head(features))
    return HeadOutputs(semantic, change, tuple(others))


def full_size_logits(network: Any, inputs: Tensor) -> SCDLogits:
    """Compute logits of all three maps at the size of the inputs, without windows.

    Args:
        network: The detector.
        inputs: Pairs (N, 2B, H, W) of any size.

    Returns:
        float32 (or float64) logits.
    """
    pairs, size = inputs.shape[0], inputs.shape[2:]
    inputs = padded(inputs, network.size_divisor)
    outputs = head_outputs(network, inputs)
    semantic, change = outputs.semantic, outputs.change
    assert semantic is not None  # It was asked for.
    if change.shape[1] == 2:
        # sigmoid of the difference is the softmax of the two.
        change = change[:, 1:] - change[:, :1]
    logits = []
    for head, raw in ((network.semantic_head, semantic), (network.change_head, change)):
        raw = raw if raw.dtype == torch.float64 else raw.float()
        if raw.shape[2:] != inputs.shape[2:]:
            raw = F.interpolate(
                raw, inputs.shape[2:], mode='bilinear', align_corners=head.align_corners
            )
        logits.append(raw[..., : size[0], : size[1]])
    both, change = logits
    # No chunk(2), which would fix the number of pairs of an exported graph.
    return SCDLogits(both[:pairs], both[pairs:], change)


def windowed_logits(
    run: Callable[[Tensor], SCDLogits],
    inputs: Tensor,
    crop_size: Sequence[int],
    stride: Sequence[int],
) -> SCDLogits:
    """Compute logits as the mean over overlapping windows.

    The last window of a row or column moves back inside the image; an image smaller than the
    window is one window.

    Args:
        run: Function that returns the logits of a window.
        inputs: Pairs (N, 2B, H, W).
        crop_size: (height, width) of a window.
        stride: Steps (down, right) between windows.
    """
    height, width = inputs.shape[2:]
    (crop_h, crop_w), (step_h, step_w) = crop_size, stride
    sums: list[Tensor] = []
    count = inputs.new_zeros((1, 1, height, width))
    for top in window_starts(height, crop_h, step_h):
        for left in window_starts(width, crop_w, step_w):
            window = (..., slice(top, top + crop_h), slice(left, left + crop_w))
            part = run(inputs[window])
            if not sums:
                sums = [x.new_zeros((*x.shape[:2], height, width)) for x in part]
            for total, x in zip(sums, part, strict=True):
                total[window] += x
            count[window] += 1
    return SCDLogits(*(total / count for total in sums))


def _features_of(
    network: Any, branch: str, branches: Branches, dates: list[Tensor], semantic: Tensor | None
) -> Sequence[Tensor] | None:
    """Return what an auxiliary head reads; None for land cover that isn't asked for."""
    if branch == 'semantic':
        return dates or None
    if branch == LAND_COVER:
        return None if semantic is None else [semantic]
    if branch == 'change':
        return branches.change
    if branches.difference is None:
        raise ValueError(
            f'{type(network.neck).__name__} predicts no difference; drop the auxiliary head '
            "with branch='difference' or use the neck tfinet_mm.FeatureInteraction"
        )
    return branches.difference


def _one_map(name: str, logits: Any) -> Tensor:
    if not isinstance(logits, Tensor):
        raise TypeError(
            f'the {name} head returned {type(logits).__name__}; '
            'expected one map of logits: use another type of head'
        )
    return logits


def _both_dates(branches: Branches) -> list[Tensor]:
    """Stack the features of both dates on the batch axis: (2N, C, H, W) for each level."""
    return [torch.cat(pair) for pair in zip(branches.before, branches.after, strict=True)]
