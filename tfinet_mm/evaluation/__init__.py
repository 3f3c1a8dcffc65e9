"""Scores: pure functions of confusion matrices, and the MMEngine metric over them."""

from tfinet_mm.evaluation.confusion import (
    SCDConfusion,
    confusion_matrix,
    from_to_confusion,
    scd_confusion,
)
from tfinet_mm.evaluation.functional import (
    binary_scores,
    class_scores,
    from_to_scores,
    from_to_shares,
    scd_scores,
)
from tfinet_mm.evaluation.metric import SCDMetric
from tfinet_mm.evaluation.score_table import (
    format_table,
    overall_scores,
    per_class_scores,
    scores_report,
)

__all__ = [
    'SCDConfusion',
    'SCDMetric',
    'binary_scores',
    'class_scores',
    'confusion_matrix',
    'format_table',
    'from_to_confusion',
    'from_to_scores',
    'from_to_shares',
    'overall_scores',
    'per_class_scores',
    'scd_confusion',
    'scd_scores',
    'scores_report',
]
