"""Check a whole data set before training: count its contents and report its problems."""

from tfinet_mm.datasets.check.checking import check_dataset
from tfinet_mm.datasets.check.duplicates import find_leaks, leaked_pairs
from tfinet_mm.datasets.check.expected import expected_figures, expected_problems
from tfinet_mm.datasets.check.inspection import leaf_datasets, load_pair
from tfinet_mm.datasets.check.problems import (
    ERROR,
    NOTHING,
    WARNING,
    Copy,
    DatasetReport,
    Problem,
    find_other_masks,
)
from tfinet_mm.datasets.check.strange import StrangePair, strangest_pairs
from tfinet_mm.datasets.check.text import format_report

__all__ = [
    'ERROR',
    'NOTHING',
    'WARNING',
    'Copy',
    'DatasetReport',
    'Problem',
    'StrangePair',
    'check_dataset',
    'expected_figures',
    'expected_problems',
    'find_leaks',
    'find_other_masks',
    'format_report',
    'leaf_datasets',
    'leaked_pairs',
    'load_pair',
    'strangest_pairs',
]
