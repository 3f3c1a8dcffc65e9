"""Compute scores of semantic change detection from one confusion matrix.

Rows are the annotation, columns the prediction, class 0 is "unchanged", and
every score is in percent. **A score that is undefined (0 / 0) is 0**, so an
empty matrix, a data set without change or a prediction without change gives
zeros and no warning.

The formulas are those of the benchmark of SECOND (Yang et al., Asymmetric
Siamese Networks for Semantic Change Detection in Aerial Images, TGRS 2022) with
the F1 of semantic change (Ding et al., Bi-Temporal Semantic Reasoning for the
Semantic Change Detection in HR Remote Sensing Images, TGRS 2022). The matrices
are counted by :mod:`tfinet_mm.evaluation.confusion`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfinet_mm.errors import ConfusionMatrixError


def as_confusion(confusion: Any) -> np.ndarray:
    """Check a confusion matrix and return it as int64.

    Args:
        confusion: Square matrix of whole numbers >= 0 with two or more classes:
            an array, a tensor on any device, or nested lists.

    Returns:
        Array (C, C) of int64.

    Raises:
        ConfusionMatrixError: It isn't square, has fewer than two classes, or
            holds a number that is negative, not whole or not finite.
    """
    array = np.asarray(confusion.cpu() if hasattr(confusion, 'cpu') else confusion)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.shape[0] < 2:
        raise ConfusionMatrixError(
            f'expected one square confusion matrix of 2 or more classes, got shape {array.shape}'
        )
    if array.dtype.kind == 'f' and np.isfinite(array).all() and (array == np.rint(array)).all():
        array = array.astype(np.int64)
    if array.dtype.kind not in 'iu':
        raise ConfusionMatrixError(
            f'a confusion matrix counts pixels in whole numbers, got values of {array.dtype}; '
            'pass the counts, not shares of them'
        )
    if (array < 0).any():
        raise ConfusionMatrixError(
            f'a confusion matrix counts pixels, got the negative number {array.min()}; expected '
            'numbers of 0 or more'
        )
    return array.astype(np.int64)


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else 0.0


def _kappa(counts: np.ndarray) -> float:
    """Return Cohen's kappa (po - pe) / (1 - pe), -1..1, from integers: both sides times n * n."""
    # Python's integers, since n * n overflows int64 for a data set of 10000 x 10000 tiles.
    total, agreed = int(counts.sum()), int(np.trace(counts))
    by_chance = sum(
        int(r) * int(c) for r, c in zip(counts.sum(axis=1), counts.sum(axis=0), strict=True)
    )
    return _ratio(total * agreed - by_chance, total * total - by_chance)


def _semantic_scores(counts: np.ndarray) -> dict[str, float]:
    """Return the ten scores of :func:`scd_scores` of a checked matrix."""
    total, unchanged = counts.sum(), counts[0, 0]
    changed_right = np.trace(counts) - unchanged
    iou_unchanged = _ratio(unchanged, counts[0].sum() + counts[:, 0].sum() - unchanged)
    iou_changed = _ratio(counts[1:, 1:].sum(), total - unchanged)
    mean_iou = (iou_unchanged + iou_changed) / 2
    changed = counts.copy()
    changed[0, 0] = 0
    kappa = _kappa(changed)
    sek = kappa * math.exp(iou_changed - 1)
    precision = _ratio(changed_right, counts[:, 1:].sum())
    recall = _ratio(changed_right, counts[1:].sum())
    scores = dict(
        OA=_ratio(np.trace(counts), total),
        IoU_unchanged=iou_unchanged,
        IoU_changed=iou_changed,
        mIoU=mean_iou,
        Kappa=kappa,
        SeK=sek,
        Score=0.3 * mean_iou + 0.7 * sek,
        Precision_scd=precision,
        Recall_scd=recall,
        Fscd=_ratio(2 * precision * recall, precision + recall),
    )
    return {name: 100 * value for name, value in scores.items()}


def scd_scores(confusion: Any) -> dict[str, float]:
    """Return scores of semantic change detection over both dates.

    With H the matrix, Q the same with Q[0, 0] = 0, and i from 1::

        OA    = trace(H) / sum(H)
        IoU_unchanged = H[0, 0] / (row_0 + column_0 - H[0, 0])
        IoU_changed   = sum(H[1:, 1:]) / (sum(H) - H[0, 0])
        mIoU  = (IoU_unchanged + IoU_changed) / 2
        Kappa = (po - pe) / (1 - pe), po and pe those of Q
        SeK   = Kappa * exp(IoU_changed - 1)
        Score = 0.3 mIoU + 0.7 SeK
        Precision_scd = sum_i H[i, i] / sum_i column_i
        Recall_scd    = sum_i H[i, i] / sum_i row_i
        Fscd  = 2 P R / (P + R)

    Args:
        confusion: Counts (K+1, K+1) over the whole data set and both dates,
            rows annotation, columns prediction, class 0 = unchanged.

    Returns:
        The ten scores in percent, 0..100 (Kappa, SeK and Score can be below 0),
        0 for a score that is undefined.

    Raises:
        ConfusionMatrixError: See :func:`as_confusion`.

    Example:
        >>> scores = scd_scores([[50, 3, 2], [4, 20, 1], [1, 2, 17]])
        >>> {name: round(value, 3) for name, value in scores.items()}
        ... # doctest: +NORMALIZE_WHITESPACE
        {'OA': 87.0, 'IoU_unchanged': 83.333, 'IoU_changed': 80.0, 'mIoU': 81.667,
         'Kappa': 55.172, 'SeK': 45.171, 'Score': 56.12, 'Precision_scd': 82.222,
         'Recall_scd': 82.222, 'Fscd': 82.222}
    """
    return _semantic_scores(as_confusion(confusion))


def from_to_side(confusion: np.ndarray) -> int:
    """Return the number K of land-cover classes of a from-to matrix of side K * K + 1.

    Raises:
        ConfusionMatrixError: The side isn't K * K + 1.
    """
    side = confusion.shape[0]
    classes = math.isqrt(side - 1)
    if classes * classes + 1 != side:
        raise ConfusionMatrixError(
            f'a from-to matrix of K classes has side K * K + 1 (37 for 6 classes), got {side}; '
            'build it with from_to_confusion'
        )
    return classes


def from_to_scores(confusion: Any) -> dict[str, float]:
    """Return SeK and Fscd over transitions, by the formulas of :func:`scd_scores`.

    They are stricter: a changed pixel counts as right only if the classes of both
    dates are. Some papers report this SeK, so the numbers of the two conventions
    must not be compared.

    Args:
        confusion: Counts (K*K+1, K*K+1), rows annotation, columns prediction,
            class 0 = unchanged, else (from - 1) * K + to.

    Returns:
        ``SeK_from_to`` and ``Fscd_from_to`` in percent, 0 where undefined.

    Raises:
        ConfusionMatrixError: See :func:`as_confusion`, or the side isn't K * K + 1.

    Example:
        >>> from_to_scores([[60, 10], [5, 25]])['Fscd_from_to']  # K = 1
        76.92307692307692
    """
    counts = as_confusion(confusion)
    from_to_side(counts)
    scores = _semantic_scores(counts)
    return {'SeK_from_to': scores['SeK'], 'Fscd_from_to': scores['Fscd']}


def from_to_shares(confusion: Any) -> dict[str, np.ndarray]:
    """Return the share of each transition in all pixels, as annotated and as predicted.

    Args:
        confusion: Counts (K*K+1, K*K+1) as for :func:`from_to_scores`.

    Returns:
        ``annotation`` and ``prediction``, each (K, K) in percent of all pixels
        of the matrix, rows the class before, columns the class after.

    Raises:
        ConfusionMatrixError: As for :func:`from_to_scores`.
    """
    counts = as_confusion(confusion)
    classes = from_to_side(counts)
    total = max(int(counts.sum()), 1)
    return {
        name: 100 * (counts.sum(axis=axis)[1:] / total).reshape(classes, classes)
        for name, axis in (('annotation', 1), ('prediction', 0))
    }


def class_scores(confusion: Any) -> dict[str, np.ndarray]:
    """Return IoU and F1 of every class of a matrix, "unchanged" included.

    Args:
        confusion: Counts (C, C), rows annotation, columns prediction, of one
            date or of both.

    Returns:
        ``IoU`` and ``F1``, each (C,) in percent, 0 for a class that is neither
        annotated nor predicted.

    Raises:
        ConfusionMatrixError: See :func:`as_confusion`.

    Example:
        >>> class_scores([[50, 3, 2], [4, 20, 1], [1, 2, 17]])['F1'].round(2)
        array([90.91, 80.  , 85.  ])
    """
    counts = as_confusion(confusion)
    right = np.diag(counts)
    both = counts.sum(axis=0) + counts.sum(axis=1)
    return {
        'IoU': 100 * (right / np.maximum(both - right, 1)),
        'F1': 100 * (2 * right / np.maximum(both, 1)),
    }


def binary_scores(confusion: Any) -> dict[str, float]:
    """Return the scores of change against unchanged, whatever the classes.

    Args:
        confusion: Counts (2, 2), rows annotation, columns prediction, 1 = changed.

    Returns:
        ``precision``, ``recall``, ``F1`` and ``IoU`` of "changed" and ``OA``, in
        percent, 0 where undefined.

    Raises:
        ConfusionMatrixError: See :func:`as_confusion`, or the shape isn't (2, 2).

    Example:
        >>> scores = binary_scores([[60, 10], [5, 25]])
        >>> {name: round(value, 2) for name, value in scores.items()}
        {'precision': 71.43, 'recall': 83.33, 'F1': 76.92, 'IoU': 62.5, 'OA': 85.0}
    """
    counts = as_confusion(confusion)
    if counts.shape != (2, 2):
        raise ConfusionMatrixError(
            f'expected a matrix (2, 2) of unchanged and changed, got {counts.shape}; pass '
            'SCDConfusion.change'
        )
    right, false, missed = counts[1, 1], counts[0, 1], counts[1, 0]
    scores = dict(
        precision=_ratio(right, right + false),
        recall=_ratio(right, right + missed),
        F1=_ratio(2 * right, 2 * right + false + missed),
        IoU=_ratio(right, right + false + missed),
        OA=_ratio(counts.trace(), counts.sum()),
    )
    return {name: 100 * value for name, value in scores.items()}
