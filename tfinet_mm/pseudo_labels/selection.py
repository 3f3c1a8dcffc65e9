"""Select pseudo labels by a threshold of each class, fixed or by quota."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfinet_mm.errors import LabelValueError
from tfinet_mm.pseudo_labels.rules import LEVELS, threshold_levels
from tfinet_mm.structures import ClassTable

PerClass = float | Sequence[float] | Mapping[str, float]
"""One number for all classes, K numbers, or some by the names of their classes."""


@dataclass(frozen=True)
class Selection:
    """Thresholds and quotas of the rule ``soft``.

    Attributes:
        threshold: Least confidence, 0..1, of classes not in ``class_thresholds``.
        class_thresholds: Least confidence by class: K numbers, or some by name.
        quota: Least share 0..1 of the pixels assigned to a class that is kept,
            the most confident ones of the whole data set, even below the
            threshold: one for all, K numbers, or some by name. It keeps
            classes that the networks are seldom sure of.
        max_change_prob: Leave out pixels whose P(changed) is above this, 0..1.

    Raises:
        LabelValueError: A number is out of range.
    """

    threshold: float = 0.9
    class_thresholds: Sequence[float] | Mapping[str, float] | None = None
    quota: PerClass | None = None
    max_change_prob: float | None = None

    def __post_init__(self) -> None:
        """Check the range of all numbers, for which no classes are needed."""
        for name, value in asdict(self).items():
            numbers = value.values() if isinstance(value, Mapping) else np.atleast_1d(value)
            for number in () if value is None else numbers:
                if not 0 <= number <= 1:
                    raise LabelValueError(f'{name} takes numbers from 0 to 1, got {value}')

    def levels(self, table: ClassTable, histogram: np.ndarray | None = None) -> np.ndarray:
        """Return the threshold of each class in 0..LEVELS, (K,) int64.

        Args:
            table: The classes, for those given by name.
            histogram: Pixels of the data set by class and confidence, see
                :func:`confidence_histogram`; needed for quotas.

        Raises:
            LabelValueError: A class is unknown, or there are not K numbers.
        """
        named = per_class(self.class_thresholds, table, self.threshold, 'class_thresholds')
        levels = threshold_levels(named, table.num_classes)
        if self.quota is None:
            return levels
        if histogram is None:
            raise ValueError('quotas need the histogram of confidences of the whole data set')
        return np.minimum(levels, quota_levels(histogram, self.quotas(table)))

    def quotas(self, table: ClassTable) -> list[float]:
        """Return the quota of each class, 0 where there is none."""
        return per_class(self.quota, table, 0.0, 'quota')

    def to_dict(self, table: ClassTable) -> dict[str, Any]:
        """Return all options for JSON, with numbers of classes in the order of the table."""
        return dict(
            thresholds=per_class(self.class_thresholds, table, self.threshold, 'class_thresholds'),
            quota=None if self.quota is None else self.quotas(table),
            max_change_prob=self.max_change_prob,
        )


def per_class(values: PerClass | None, table: ClassTable, default: float, name: str) -> list[float]:
    """Return one number for each of the K classes.

    Args:
        values: One for all, K, some by the names of their classes, or None.
        table: The classes.
        default: Number of classes that ``values`` doesn't name.
        name: Name of the option, for messages.

    Raises:
        LabelValueError: A class is unknown, or there are not K numbers.

    Example:
        >>> from tfinet_mm.structures import LANDSAT_SCD
        >>> per_class({'water': 0.7}, LANDSAT_SCD, 0.9, 'class_thresholds')
        [0.9, 0.9, 0.9, 0.7]
    """
    if isinstance(values, Mapping):
        if unknown := sorted(set(values) - set(table.land_cover)):
            raise LabelValueError(
                f'{name} names the classes {unknown}, which the data set does not have; it has '
                f'{list(table.land_cover)}'
            )
        return [float(values.get(label, default)) for label in table.land_cover]
    if values is None:
        return [float(default)] * table.num_classes
    if isinstance(values, int | float):
        return [float(values)] * table.num_classes
    if len(values) != table.num_classes:
        raise LabelValueError(
            f'{name} needs one number for each of {table.num_classes} classes '
            f'{list(table.land_cover)}, or NAME=NUMBER for some of them; got {list(values)}'
        )
    return [float(value) for value in values]


def confidence_histogram(cover: np.ndarray, confidence: np.ndarray, num_classes: int) -> np.ndarray:
    """Count the pixels of each class by their confidence.

    Args:
        cover: Classes 1..K, 0 for none, (H, W) uint8.
        confidence: 0..LEVELS, (H, W) uint16.
        num_classes: K.

    Returns:
        (K, LEVELS + 1) int64; pixels of no class are not counted.
    """
    given = cover > 0
    codes = (cover[given].astype(np.int64) - 1) * (LEVELS + 1) + confidence[given]
    counts = np.bincount(codes, minlength=num_classes * (LEVELS + 1))
    return counts.reshape(num_classes, LEVELS + 1).astype(np.int64)


def quota_levels(histogram: np.ndarray, quotas: Sequence[float]) -> np.ndarray:
    """Return the highest threshold of each class that keeps at least a share of its pixels.

    Args:
        histogram: Pixels by class and confidence, (K, L) int64.
        quotas: Share 0..1 of each class, K of them.

    Returns:
        (K,) int64 in 0..L; L, above every confidence, where nothing has to be kept.

    Example:
        Five pixels of confidence 0, 1, 1, 2 and 3; two fifths of them are those of 2 and 3:

        >>> import numpy as np
        >>> quota_levels(np.array([[1, 2, 1, 1]]), [0.4]).item()
        2
    """
    above = histogram[:, ::-1].cumsum(axis=1)[:, ::-1]  # pixels at or above each level
    levels = np.full(len(histogram), histogram.shape[1], np.int64)
    for index, quota in enumerate(quotas):
        # Rounded first, as 0.1 * 30 is a little more than 3.
        wanted = math.ceil(round(quota * int(above[index, 0]), 6))
        if wanted:
            levels[index] = np.flatnonzero(above[index] >= wanted)[-1]
    return levels
