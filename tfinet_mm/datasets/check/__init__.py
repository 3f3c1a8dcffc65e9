"""Check a whole data set before training: count its contents and report its problems."""

from tfinet_mm.datasets.check.checking import check_dataset
from tfinet_mm.datasets.check.duplicates import find_leaks
from tfinet_mm.datasets.check.inspection import leaf_datasets
from tfinet_mm.datasets.check.problems import (
    ERROR,
    NOTHING,
    WARNING,
    DatasetReport,
    Problem,
    find_other_masks,
)
from tfinet_mm.datasets.check.text import format_report

__all__ = [
    'ERROR',
    'NOTHING',
    'WARNING',
    'DatasetReport',
    'Problem',
    'check_dataset',
    'find_leaks',
    'find_other_masks',
    'format_report',
    'leaf_datasets',
]
