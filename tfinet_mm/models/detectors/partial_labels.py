"""Average losses over labelled pixels of all ranks, where pairs lack some kinds of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmengine.dist import all_reduce, get_world_size
from mmseg.structures import SegDataSample
from torch import Tensor

from tfinet_mm.structures import GT_CHANGE, GT_FROM, GT_TO, IGNORE_INDEX

ROLES = {GT_FROM: 'from', GT_TO: 'to', GT_CHANGE: 'change'}
"""Name in the log of each label."""


def weigh_ranks(
    losses: Mapping[str, Tensor], views: Mapping[str, Sequence[SegDataSample]]
) -> dict[str, Tensor]:
    """Return losses whose gradients count every labelled pixel of all ranks equally.

    A loss is a mean over the labelled pixels of its rank, and data-parallel training averages the
    gradients of all ranks. A rank without a label would halve the gradient of another rank that
    has some. So the gradient of each loss is multiplied by the share of its rank in all labelled
    pixels, times the number of ranks. Its value stays the mean over the rank's own pixels.

    Args:
        losses: Losses by name, as :meth:`tfinet_mm.models.SemanticChangeDetector.loss` names them.
        views: Samples with the label as ``gt_sem_seg``, for each label.

    Returns:
        The losses, and ``labelled.from``, ``labelled.to`` and ``labelled.change``: the labelled
        pixels of the batch on this rank.
    """
    counts = {field: _labelled(samples) for field, samples in views.items()}
    weighed = dict(losses)
    world = get_world_size()
    if world > 1:
        own = torch.stack(list(counts.values()))
        every = own.clone()
        all_reduce(every)
        factors = dict(zip(counts, own * world / every.clamp(min=1), strict=True))
        for name, loss in losses.items():
            if 'loss' in name:
                # The factor changes the gradient alone.
                fixed = loss.detach()
                weighed[name] = fixed + factors[label_of(name)].to(loss) * (loss - fixed)
    return weighed | {f'labelled.{ROLES[field]}': one for field, one in counts.items()}


def label_of(name: str) -> str:
    """Return the label that a loss is of.

    Example:
        >>> [label_of(f'{one}.loss_ce') for one in ('semantic_to', 'aux1_semantic_from', 'change')]
        ['gt_sem_seg_to', 'gt_sem_seg_from', 'gt_sem_seg']
    """
    head = name.split('.')[0]
    if head.endswith('semantic_from'):
        return GT_FROM
    return GT_TO if head.endswith('semantic_to') else GT_CHANGE


def _labelled(samples: Sequence[SegDataSample]) -> Tensor:
    """Return the number of labelled pixels, float32, without waiting for the device."""
    labels = [sample.gt_sem_seg.data for sample in samples]
    counts = [(label != IGNORE_INDEX).sum() for label in labels]
    return torch.stack(counts).sum().float()
