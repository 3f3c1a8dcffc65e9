"""Compute losses of mmseg's heads on the labels of a pair, with optional weights of pixels.

Of heads that compute their losses as mmseg's base class does, the same is computed here, except
for the accuracy that mmseg adds to it: a number that a step would have to wait for. Heads with
losses of their own compute them. The only source from which they take weights of pixels is their
pixel sampler, so that a sampler with the weights replaces their own meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from tfinet_mm.errors import LabelFormatError
from tfinet_mm.models.data_preprocessor import check_weights
from tfinet_mm.models.losses.roles import loss_title
from tfinet_mm.structures import GT_FROM, GT_TO, IGNORE_INDEX, WEIGHT_FROM, WEIGHT_TO

Padding = tuple[int, int, int, int]
"""Pixels to add: left, right, top, bottom."""

WEIGHTS = {GT_FROM: WEIGHT_FROM, GT_TO: WEIGHT_TO}
"""Field of weights for each field of labels."""

_taking_weights: WeakSet[nn.Module] = WeakSet()


def label_views(
    data_samples: Sequence[SegDataSample] | None,
    field: str,
    padding: Padding,
    size: tuple[int, int] | None = None,
) -> list[SegDataSample]:
    """Return new samples that hold one label as ``gt_sem_seg``, the field of mmseg's heads.

    The given samples are not changed.

    Args:
        data_samples: One sample for each pair.
        field: Name of the label, of shape (1, H, W) in each sample.
        padding: Pixels that were added to the images; their labels are ignored.
        size: (height, width) of the images before that. Labels that the data preprocessor
            didn't pad with the images, as Open-CD's and mmseg's don't pad land cover, are
            padded as the metainfo says. None takes labels as they are.

    Raises:
        ValueError: A sample lacks the label, or its size isn't that of its image.
    """
    views = []
    for sample in data_samples or [None]:
        if sample is None or field not in sample:
            raise ValueError(
                f'training needs the label {field} in every data sample, which this batch lacks; '
                'load it with tfinet_mm.LoadPairAnnotations in the train pipeline'
            )
        label = _at_size(getattr(sample, field).data, field, sample.metainfo, size, IGNORE_INDEX)
        label = F.pad(label, padding, value=IGNORE_INDEX)
        views.append(SegDataSample(metainfo=sample.metainfo, gt_sem_seg=PixelData(data=label)))
    return views


def _at_size(
    values: Tensor,
    field: str,
    metainfo: Mapping[str, Any],
    size: tuple[int, int] | None,
    filling: int,
) -> Tensor:
    """Return a map (1, H, W) at the size of its image, padded as the image was."""
    if size is None or values.shape[-2:] == size:
        return values
    padding = tuple(metainfo.get('padding_size') or ())
    padded = F.pad(values, padding, value=filling) if len(padding) == 4 else values
    if padded.shape[-2:] != size:
        raise LabelFormatError(
            f'{field} of {metainfo.get("sample_id") or metainfo.get("img_path")} is '
            f'{tuple(values.shape[-2:])} (H, W), but the network gets images of {tuple(size)} and '
            f'the metainfo has padding_size={padding or None}; use a data preprocessor that pads '
            'labels with the images, as tfinet_mm.PairDataPreprocessor does'
        )
    return padded


def pixel_weights(
    data_samples: Sequence[SegDataSample],
    field: str,
    padding: Padding,
    size: tuple[int, int] | None = None,
    check: bool = True,
) -> Tensor | None:
    """Return the weights of the pixels of one label.

    Args:
        data_samples: One sample for each pair, with the label.
        field: Name of the label; :data:`WEIGHTS` has the name of its weights.
        padding: Pixels that were added to the images.
        size: (height, width) of the images before that, see :func:`label_views`.
        check: Check the values. False where the data preprocessor has done so, before they
            were copied to a device that the check would have to wait for.

    Returns:
        Weights (N, H, W): 1 in samples that have none, 0 where the label is
        ignored. None if no sample has any.

    Raises:
        ValueError: Weights differ in size from their label, or are below 0 or not finite.
    """
    name = WEIGHTS[field]
    if not any(name in sample for sample in data_samples):
        return None
    weights = []
    for sample in data_samples:
        label = getattr(sample, field).data
        weight = torch.ones_like(label, dtype=torch.float32)
        if name in sample:
            weight = getattr(sample, name).data
        if weight.shape != label.shape:
            raise ValueError(
                f'{name} is {tuple(weight.shape)}, but {field} is {tuple(label.shape)}; a '
                'transform treats them differently; list the map of weights in seg_fields'
            )
        weight = _at_size(weight, name, sample.metainfo, size, 0)
        label = _at_size(label, field, sample.metainfo, size, IGNORE_INDEX)
        # Transforms that fill corners write 255 into every map in seg_fields, weights too.
        weight = weight.masked_fill(label == IGNORE_INDEX, 0)
        weights.append(F.pad(weight, padding).squeeze(0))
    stacked = torch.stack(weights)
    if check:
        check_weights(name, stacked)
    return stacked


def head_losses(
    prefix: str,
    head: Any,
    logits: Any,
    views: Sequence[SegDataSample],
    weight: Tensor | None = None,
    log_accuracy: bool = False,
) -> dict[str, Tensor]:
    """Return the losses of one head by name.

    Args:
        prefix: Text in front of each name, joined by a dot.
        head: A head of mmseg, a ``BaseDecodeHead``.
        logits: Output of the head.
        views: Samples with the label as ``gt_sem_seg``, one for each pair.
        weight: Weight of each pixel (N, H, W), 0 or more. Each loss defines its
            weighted mean: ``SemanticCELoss`` divides by the sum of weights.
        log_accuracy: Add ``acc_seg``, the percentage of labelled pixels whose class is
            right, for heads of two classes or more.

    Raises:
        ValueError: Weights are given, but the head or one of its losses takes none.
    """
    if weight is not None:
        _check_takes_weights(head, weight.device)
    if type(head).loss_by_feat is BaseDecodeHead.loss_by_feat:
        losses = _plain_losses(head, logits, views, weight, log_accuracy)
    elif weight is None:
        losses = head.loss_by_feat(logits, views)
    else:
        with _weighing(head, weight) as sampler:
            losses = head.loss_by_feat(logits, views)
        if not sampler.used:
            raise _no_weights(f'the head {type(head).__name__} computes its own losses, which')
    if getattr(head, 'out_channels', None) == 1 or not log_accuracy:
        # With one channel mmseg's accuracy is the share of pixels labelled 0.
        losses.pop('acc_seg', None)
    return {f'{prefix}.{name}': value for name, value in losses.items()}


def _plain_losses(
    head: Any,
    logits: Tensor,
    views: Sequence[SegDataSample],
    weight: Tensor | None,
    log_accuracy: bool,
) -> dict[str, Tensor]:
    """Return the losses of a head by name, those of one name added up."""
    label = torch.stack([view.gt_sem_seg.data for view in views])
    if logits.shape[2:] != label.shape[2:]:
        logits = F.interpolate(
            logits, label.shape[2:], mode='bilinear', align_corners=head.align_corners
        )
    if head.sampler is not None:
        sampled = head.sampler.sample(logits, label)
        weight = sampled if weight is None else weight * sampled
    label = label.squeeze(1)
    own = head.loss_decode
    terms: list[Any] = list(own) if isinstance(own, nn.ModuleList) else [own]
    losses: dict[str, Any] = {}
    for loss in terms:
        value = loss(logits, label, weight=weight, ignore_index=head.ignore_index)
        losses[loss.loss_name] = losses.get(loss.loss_name, 0) + value
    if log_accuracy:
        losses['acc_seg'] = _accuracy(logits, label, head.ignore_index)
    return losses


@torch.no_grad()
def _accuracy(logits: Tensor, label: Tensor, ignore_index: int) -> Tensor:
    """Return the percentage of labelled pixels whose likeliest class is right."""
    known = label != ignore_index
    right = (logits.argmax(1) == label) & known
    return 100 * right.sum() / known.sum().clamp(min=1)


class _WeightSampler:
    """Pixel sampler that returns given weights, times those of the head's own sampler."""

    def __init__(self, weight: Tensor, sampler: Any) -> None:
        self.weight = weight
        self.sampler = sampler
        self.used = False

    def sample(self, seg_logit: Tensor, seg_label: Tensor) -> Tensor:
        """Return weights (N, H, W), as mmseg's pixel samplers give them."""
        self.used = True
        if self.sampler is None:
            return self.weight
        return self.weight * self.sampler.sample(seg_logit, seg_label)


@contextmanager
def _weighing(head: Any, weight: Tensor) -> Iterator[_WeightSampler]:
    own = head.sampler
    head.sampler = _WeightSampler(weight, own)
    try:
        yield head.sampler
    finally:
        head.sampler = own


def _check_takes_weights(head: Any, device: torch.device) -> None:
    """Refuse a head with a loss that ignores the weights of pixels, after one trial.

    Several of mmseg's losses accept weights without using them, or take one for each
    sample, so their signature isn't enough.
    """
    if head in _taking_weights:
        return
    channels = head.out_channels
    logits = torch.linspace(-1, 1, 4 * channels, device=device).view(1, channels, 2, 2)
    label = torch.arange(4, device=device).view(1, 2, 2) % channels
    uneven = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]], device=device)
    own = head.loss_decode
    for loss in own if isinstance(own, nn.ModuleList) else [own]:
        results = []
        for weight in (torch.ones_like(uneven), uneven):
            with torch.no_grad():
                try:
                    value = loss(logits, label, weight=weight, ignore_index=head.ignore_index)
                except (AssertionError, RuntimeError, TypeError, ValueError) as error:
                    raise _no_weights(f'the loss {loss_title(loss)}') from error
            results.append(float(value))
        if results[0] == results[1]:
            raise _no_weights(f'the loss {loss_title(loss)}')
    _taking_weights.add(head)


def _no_weights(what: str) -> ValueError:
    return ValueError(
        f'{what} can not weigh pixels, but the data samples have weights ({WEIGHT_FROM}, '
        f'{WEIGHT_TO}); use tfinet_mm.SemanticCELoss for land cover, or drop the option weight '
        'of LoadPseudoLabels and MeanTeacherHook'
    )
