"""Compute scores: pure functions of confusion matrices, and an MMEngine metric."""

from typing import TYPE_CHECKING

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
from tfinet_mm.evaluation.intervals import ScoreIntervals, bootstrap_intervals
from tfinet_mm.evaluation.pair_counts import PairCounts
from tfinet_mm.evaluation.paired import PairedTest, paired_tests
from tfinet_mm.evaluation.score_table import (
    format_table,
    overall_scores,
    per_class_scores,
    score_intervals,
    scores_report,
)
from tfinet_mm.evaluation.undefined import undefined_scores
from tfinet_mm.utils.lazy_names import lazy_names

if TYPE_CHECKING:
    from tfinet_mm.evaluation.metric import SCDMetric
    from tfinet_mm.evaluation.reliability_metric import ReliabilityMetric

__all__ = [
    'PairCounts',
    'PairedTest',
    'ReliabilityMetric',
    'SCDConfusion',
    'SCDMetric',
    'ScoreIntervals',
    'binary_scores',
    'bootstrap_intervals',
    'class_scores',
    'confusion_matrix',
    'format_table',
    'from_to_confusion',
    'from_to_scores',
    'from_to_shares',
    'overall_scores',
    'paired_tests',
    'per_class_scores',
    'scd_confusion',
    'scd_scores',
    'score_intervals',
    'scores_report',
    'undefined_scores',
]

# The functions need no MMEngine.
__getattr__, __dir__ = lazy_names(
    __name__, {'SCDMetric': '.metric', 'ReliabilityMetric': '.reliability_metric'}
)
