"""From probabilities to the prediction fields of a data sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from tfinet_mm.calibration import Calibration
from tfinet_mm.conventions import CONVENTION, COVER_SEMANTIC, OWN, to_cover_semantic
from tfinet_mm.structures import (
    GT_CHANGE,
    GT_FROM,
    GT_TO,
    PRED_CHANGE,
    PRED_CHANGE_PROB,
    PRED_COVER_FROM,
    PRED_COVER_TO,
    PRED_FROM,
    PRED_PROB_FROM,
    PRED_PROB_TO,
    PRED_TO,
    SCDProbabilities,
    to_semantic_change,
)

SIZES = ('img_shape', 'ori_shape')
"""Keys of the metainfo by which predictions are cut and resized."""


def with_predictions(
    probabilities: SCDProbabilities,
    data_samples: Sequence[SegDataSample] | None,
    threshold: float = 0.5,
    cover_semantic: bool = False,
    calibration: Calibration | None = None,
) -> list[SegDataSample]:
    """Decide classes and change of a batch, and put them into its data samples.

    Args:
        probabilities: Probabilities of the batch, at the size of the model's inputs.
        data_samples: One a pair, or None for new ones. Their ground truth
            stays as it is, unless ``cover_semantic`` shifts it.
        threshold: Pixels with P(changed) at or above it count as changed.
        cover_semantic: Give the samples the ground truth of land cover as semantic change, as
            Open-CD's option ``postprocess_pred_and_label`` does, in new maps.
        calibration: Replaces P(changed) before the threshold applies.

    Returns:
        The samples, with the prediction fields of :mod:`tfinet_mm.structures`
        at the pairs' original size.
    """
    if data_samples is None:
        data_samples = [SegDataSample() for _ in range(probabilities.change.shape[0])]
    for sample, fields in zip(
        data_samples, _each(probabilities, data_samples, threshold, calibration), strict=True
    ):
        sample.set_data({name: PixelData(data=data) for name, data in fields.items()})
        if cover_semantic:
            change = sample.get(GT_CHANGE)
            for name in (GT_FROM, GT_TO):
                if name in sample:
                    shifted = to_cover_semantic(
                        getattr(sample, name).data, None if change is None else change.data
                    )
                    sample.set_field(PixelData(data=shifted), name)
        sample.set_metainfo({CONVENTION: COVER_SEMANTIC if cover_semantic else OWN})
    return list(data_samples)


def _each(
    probabilities: SCDProbabilities,
    data_samples: Sequence[SegDataSample],
    threshold: float,
    calibration: Calibration | None,
) -> Iterator[dict[str, Tensor]]:
    """Yield the prediction fields of each pair; pairs of one size are decided together."""
    metas = [sample.metainfo for sample in data_samples]
    sizes = {tuple(tuple(meta.get(key, ())[:2]) for key in SIZES) for meta in metas}
    if len(sizes) == 1 and len(metas) == len(probabilities.change):
        together = predictions(probabilities, metas[0], threshold, calibration)
        for index in range(len(metas)):
            yield {name: maps[index] for name, maps in together.items()}
        return
    for index, meta in enumerate(metas):
        one = SCDProbabilities(*(x[index] for x in probabilities))
        yield predictions(one, meta, threshold, calibration)


def predictions(
    probabilities: SCDProbabilities,
    metainfo: dict[str, Any],
    threshold: float = 0.5,
    calibration: Calibration | None = None,
) -> dict[str, Tensor]:
    """Return probabilities and maps of one pair, or of pairs of one size, at the original size.

    Args:
        probabilities: Probabilities of one pair, (K, H, W), (K, H, W) and (1, H, W), or of N
            pairs, with N in front.
        metainfo: Metainfo of the sample. ``img_shape`` (h, w) is the size without
            padding, which is cut off below and on the right. ``ori_shape``
            (h, w) is the size to which probabilities are then resized where it
            differs. Both may be absent.
        threshold: Pixels with P(changed) at or above it count as changed.
        calibration: Replaces P(changed) at the original size, before the threshold applies.

    Returns:
        The prediction fields of :mod:`tfinet_mm.structures` by name.
    """
    height, width = metainfo.get('img_shape', probabilities.change.shape[-2:])[:2]
    maps = [p[..., :height, :width] for p in probabilities]
    original = tuple(metainfo.get('ori_shape', (height, width))[:2])
    if original != (height, width):
        maps = [
            F.interpolate(
                p if p.dim() == 4 else p[None], original, mode='bilinear', align_corners=False
            ).view(*p.shape[:-2], *original)
            for p in maps
        ]
    prob_from, prob_to, change_prob = maps
    if calibration is not None:
        change_prob = calibration(change_prob)
    return maps_from_probabilities(prob_from, prob_to, change_prob, threshold)


def maps_from_probabilities(
    prob_from: Tensor, prob_to: Tensor, change_prob: Tensor, threshold: float = 0.5
) -> dict[str, Tensor]:
    """Decide the classes and the change of each pixel.

    Args:
        prob_from: Class probabilities before, (K, H, W), or (N, K, H, W).
        prob_to: Class probabilities after, of the same shape.
        change_prob: P(changed), (1, H, W), or (N, 1, H, W).
        threshold: Pixels with P(changed) at or above it count as changed.

    Returns:
        The prediction fields by name, maps as uint8 (1, H, W), or (N, 1, H, W).
    """
    change = (change_prob >= threshold).to(torch.uint8)
    cover_from = prob_from.argmax(-3, keepdim=True).to(torch.uint8)
    cover_to = prob_to.argmax(-3, keepdim=True).to(torch.uint8)
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
