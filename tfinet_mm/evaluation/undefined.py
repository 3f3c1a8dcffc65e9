"""Find the scores that are 0 / 0, with the reasons."""

from __future__ import annotations

import numpy as np

from tfinet_mm.evaluation.confusion import SCDConfusion

NO_PIXELS = 'no pixel is annotated'
NO_CHANGE = 'no pixel is annotated or predicted as changed'
NO_UNCHANGED = 'no pixel is annotated or predicted as unchanged'
NONE_ANNOTATED = 'no pixel is annotated as changed'
NONE_PREDICTED = 'no pixel is predicted as changed'
ONE_CLASS = (
    'all changed pixels are of one class, in the annotation and in the prediction, so that chance '
    'agrees as well as the prediction'
)


def undefined_scores(counts: SCDConfusion) -> dict[str, str]:
    """Return the overall scores that are 0 / 0 and therefore counted as 0.

    Args:
        counts: Counts over the whole data set.

    Returns:
        Reason for each score, by its name in :func:`~tfinet_mm.evaluation.overall_scores`.
        ``Score`` and ``mIoU`` are defined if any pixel is annotated, even if one of their terms
        is undefined.

    Example:
        >>> undefined_scores(SCDConfusion(*(np.diag([9, 0]) for _ in range(4))))['SeK']
        'no pixel is annotated or predicted as changed'
    """
    found: dict[str, str] = {}
    if not counts.change.any():
        found['change/OA'] = NO_PIXELS
    found |= _change_reasons(
        counts.change, 'change/IoU', 'change/precision', 'change/recall', 'change/F1'
    )
    if not counts.has_land_cover:
        return found
    scd = counts.scd
    if not scd.any():
        found |= dict.fromkeys(('OA', 'mIoU', 'Score'), NO_PIXELS)
    if not scd[0].any() and not scd[:, 0].any():
        found['IoU_unchanged'] = NO_UNCHANGED
    found |= _change_reasons(scd, 'IoU_changed', 'Precision_scd', 'Recall_scd', 'Fscd')
    if reason := _kappa_reason(scd):
        found |= dict.fromkeys(('Kappa', 'SeK'), reason)
    if len(counts.annotated_dates) == 1:
        return found
    if reason := _kappa_reason(counts.from_to):
        found['SeK_from_to'] = reason
    binary = _change_reasons(counts.from_to, '', '', '', 'Fscd_from_to')
    found |= {name: reason for name, reason in binary.items() if name}
    return found


def _change_reasons(
    matrix: np.ndarray, iou: str, precision: str, recall: str, both: str
) -> dict[str, str]:
    """Return the reasons of undefined scores among four scores of change, by their names."""
    annotated, predicted = matrix[1:].any(), matrix[:, 1:].any()
    if not annotated and not predicted:
        return dict.fromkeys((iou, precision, recall, both), NO_CHANGE)
    if not predicted:
        return {precision: NONE_PREDICTED}
    return {} if annotated else {recall: NONE_ANNOTATED}


def _kappa_reason(matrix: np.ndarray) -> str | None:
    changed = matrix.copy()
    changed[0, 0] = 0
    if not changed.any():
        return NO_CHANGE
    # Chance agreement is 1 if one class has all pixels in the rows and in the columns.
    return ONE_CLASS if np.count_nonzero(changed) == 1 and np.diag(changed).any() else None
