"""Label unchanged pixels with the moving average of a network."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmengine.model import BaseAveragedModel
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from tfinet_mm.pseudo_labels.weights import CONFIDENCE
from tfinet_mm.structures import (
    GT_CHANGE,
    GT_FROM,
    GT_NO_DATA,
    GT_TO,
    IGNORE_INDEX,
    WEIGHT_FROM,
    WEIGHT_TO,
    SCDProbabilities,
)

DATES = ((GT_FROM, WEIGHT_FROM), (GT_TO, WEIGHT_TO))
LABEL_KEYS = ('seg_map_path', 'seg_map_path_from', 'seg_map_path_to')
"""Keys of the metainfo that are None for a pair without label files."""


class MeanTeacher(BaseAveragedModel):  # type: ignore[misc, unused-ignore]
    """Exponential moving average of a network, of its weights and of its batch-norm statistics.

    Update t = 1, 2, ... keeps the share min(momentum, (1 + t) / (10 + t)) of the
    average and takes the rest from the network; the first of all, t = 0, copies
    it. So the average covers about the last ninth of a young training, and the
    weights of its first steps are soon forgotten.

    Args:
        model: The network, which isn't changed.
        momentum: Share that is kept in the long run, 0 <= momentum < 1.
    """

    def __init__(self, model: nn.Module, momentum: float) -> None:
        super().__init__(model, update_buffers=True)
        self.momentum = momentum
        self.eval()

    def avg_func(self, averaged_param: Tensor, source_param: Tensor, steps: int) -> None:
        """Move an average towards its source, in place."""
        done = int(steps)
        kept = min(self.momentum, (1 + done) / (10 + done))
        averaged_param.lerp_(source_param, 1 - kept)


class TeacherLabels(NamedTuple):
    """Labels of a batch by a teacher.

    Attributes:
        cover: The likeliest class by the mean of both dates, 0..K-1, (N, H, W).
        confidence: That mean, (N, H, W), 0..1.
        kept: True where it may become a label, bool (N, H, W).
    """

    cover: Tensor
    confidence: Tensor
    kept: Tensor


def teacher_labels(
    probabilities: SCDProbabilities, thresholds: Tensor, max_change_prob: float | None = None
) -> TeacherLabels:
    """Return the classes of unchanged pixels by the mean of both dates, and which of them are sure.

    Args:
        probabilities: Predictions of the teacher.
        thresholds: Least confidence of each class, (K,).
        max_change_prob: Greatest P(changed), 0..1, or None for any.
    """
    mean = (probabilities.land_cover_from + probabilities.land_cover_to) / 2
    confidence, cover = mean.max(dim=1)
    kept = confidence >= thresholds.to(confidence)[cover]
    if max_change_prob is not None:
        kept &= probabilities.change[:, 0] <= max_change_prob
    return TeacherLabels(cover, confidence, kept)


def sample_with_change(
    sample: SegDataSample, chance: Tensor, change_threshold: float
) -> SegDataSample:
    """Return a pair without any label with the change, where the teacher is sure of it.

    Args:
        sample: With the label of change (1, H, W), and ``gt_no_data`` where images have pixels
            without data, which stay ignored; it stays as it is. It is returned if its metainfo
            doesn't state that the pair has no label files.
        chance: P(changed) by the teacher, (1, H', W') with H' >= H and W' >= W.
        change_threshold: Least confidence of "changed" and of "unchanged", 0.5..1.
    """
    # Where all pixels of a pair with label files are ignored, as without data, they stay so.
    if any(sample.metainfo.get(key, '') is not None for key in LABEL_KEYS):
        return sample
    unknown = getattr(sample, GT_CHANGE).data
    height, width = unknown.shape[-2:]
    chance = chance[:, :height, :width]
    change = torch.full_like(unknown, IGNORE_INDEX, device=chance.device)
    change[chance >= change_threshold] = 1
    change[chance <= 1 - change_threshold] = 0
    if GT_NO_DATA in sample:
        change[getattr(sample, GT_NO_DATA).data.to(change.device) != 0] = IGNORE_INDEX
    new = sample.new()
    new.set_field(PixelData(data=change), GT_CHANGE)
    return new


def changed_sample(
    sample: SegDataSample,
    probabilities: SCDProbabilities,
    thresholds: Tensor,
    change_threshold: float,
    weight: float | str | None = None,
) -> SegDataSample:
    """Return a pair without any label with the change, and the classes of changed pixels.

    :func:`filled_sample` labels its unchanged pixels.

    Args:
        sample: With the three labels, (1, H, W); it stays as it is. It is returned if its metainfo
            doesn't state that the pair has no label files.
        probabilities: Predictions of the teacher for this pair, (K, H', W') and (1, H', W') with
            H' >= H and W' >= W.
        thresholds: Least confidence of each class, (K,).
        change_threshold: Least confidence of "changed" and of "unchanged", 0.5..1.
        weight: Weight of pixels that are labelled here, see :func:`filled_sample`.
    """
    new = sample_with_change(sample, probabilities.change, change_threshold)
    if new is sample:
        return sample
    change = getattr(new, GT_CHANGE).data
    height, width = change.shape[-2:]
    covers = (probabilities.land_cover_from, probabilities.land_cover_to)
    for (field, weight_field), cover in zip(DATES, covers, strict=True):
        confidence, classes = cover[:, :height, :width].max(dim=0, keepdim=True)
        sure = (change == 1) & (confidence >= thresholds.to(confidence)[classes])
        ignored = torch.full_like(change, IGNORE_INDEX)
        new.set_field(PixelData(data=torch.where(sure, classes, ignored)), field)
        if weight is not None:
            own = confidence
            if weight != CONFIDENCE:
                own = torch.full_like(confidence, float(weight))
            new.set_field(PixelData(data=own * sure), weight_field)
    return new


def filled_sample(
    sample: SegDataSample, labels: TeacherLabels, weight: float | str | None = None
) -> tuple[SegDataSample, Tensor]:
    """Return a sample with land cover where it had none and the annotation says unchanged.

    Args:
        sample: With the three labels, (1, H, W); it stays as it is.
        labels: Maps of one pair, (H', W') with H' >= H and W' >= W.
        weight: Weight of pixels that are labelled here: None for that of others,
            a number above 0, or ``'confidence'``.

    Returns:
        A new sample that shares the other fields; and three numbers, counted
        over both dates: unchanged pixels without a class, those of them
        labelled here, and the sum of the confidences of the former.
    """
    device = labels.cover.device
    change = getattr(sample, GT_CHANGE).data.to(device)
    height, width = change.shape[-2:]
    cover, confidence, kept = (maps[None, :height, :width] for maps in labels)
    new = sample.new()
    counts = torch.zeros(3, dtype=torch.float64, device=device)
    for field, weight_field in DATES:
        label = getattr(sample, field).data.to(device)
        empty = (change == 0) & (label == IGNORE_INDEX)
        filled = empty & kept
        new.set_field(PixelData(data=torch.where(filled, cover.to(label), label)), field)
        counts += torch.stack([empty.sum(), filled.sum(), confidence[empty].double().sum()])
        if weight is None and weight_field not in sample:
            continue
        weights = (label != IGNORE_INDEX).float()
        if weight_field in sample:
            weights = getattr(sample, weight_field).data.to(device)
        own = confidence
        if weight != CONFIDENCE:
            own = torch.full_like(confidence, 1.0 if weight is None else float(weight))
        new.set_field(PixelData(data=torch.where(filled, own.to(weights), weights)), weight_field)
    return new, counts
