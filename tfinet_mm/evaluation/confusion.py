"""Count label maps in integer confusion matrices.

Maps hold semantic change: 0 = unchanged, 1..K = the class of a changed pixel,
and in annotations 255 = ignored. Rows are the annotation, columns the
prediction. All functions take NumPy arrays or tensors, and count tensors on
their own device. They return NumPy arrays of int64, so that sums over a data
set are exact and don't depend on the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tfinet_mm.errors import LabelValueError
from tfinet_mm.structures import IGNORE_INDEX, to_semantic_change

if TYPE_CHECKING:
    from torch import Tensor

LabelMap: TypeAlias = 'np.ndarray | Tensor'
DATES = ('from', 'to')


def _flat_maps(*maps: LabelMap) -> list[Tensor]:
    """Return maps of one shape as flat int64 tensors on the device of the last one."""
    shapes = [tuple(m.shape) for m in maps]
    if len(set(shapes)) > 1:
        raise LabelValueError(
            f'annotation and prediction must be maps of one size, got {shapes}; predictions are '
            'scored at the size of the labels, with the padding cut off'
        )
    # Counts alone, such as those of reports, are read without torch.
    import torch

    tensors = []
    for one in maps:
        # A copy of arrays: torch refuses negative strides and warns of read-only memory.
        tensor = one if isinstance(one, torch.Tensor) else torch.from_numpy(np.array(one))
        if tensor.is_floating_point():
            raise LabelValueError(
                f'label maps must hold integers, got values of {tensor.dtype}; '
                'take the argmax or the threshold of probabilities first'
            )
        tensors.append(tensor)
    device = tensors[-1].device
    return [tensor.to(device, torch.int64).flatten() for tensor in tensors]


def _check_range(what: str, values: Tensor, num_classes: int, ignore_index: int) -> None:
    if not values.numel():
        return
    for extreme in map(int, values.aminmax()):
        if not 0 <= extreme < num_classes:
            also = f' or {ignore_index} (ignored)' if what != 'prediction' else ''
            raise LabelValueError(
                f'the {what} holds {extreme}, expected 0..{num_classes - 1}{also}; '
                'check the number of classes of data set and model'
            )


def confusion_matrix(
    annotation: LabelMap,
    prediction: LabelMap,
    num_classes: int,
    ignore_index: int = IGNORE_INDEX,
) -> np.ndarray:
    """Count how often each class was predicted where each class is annotated.

    Args:
        annotation: Integer map of any shape, 0..num_classes-1 or ``ignore_index``.
        prediction: Integer map of the same shape, 0..num_classes-1; any value where
            the annotation is ``ignore_index``.
        num_classes: Number of classes, "unchanged" included if it is one of them.
        ignore_index: Annotation of the pixels that aren't counted.

    Returns:
        Counts (num_classes, num_classes) of int64, rows annotation.

    Raises:
        LabelValueError: The maps differ in shape or aren't integer, or a counted
            pixel holds a value out of range; the message names it.

    Example:
        >>> import numpy as np
        >>> confusion_matrix(np.array([0, 1, 1, 255]), np.array([0, 1, 0, 1]), 2)
        array([[1, 0],
               [1, 1]])
    """
    annotated, predicted = _flat_maps(annotation, prediction)
    ignored = annotated == ignore_index
    # Class 0 for now, and a bin of their own below: many times faster than selecting pixels.
    annotated, predicted = (m.masked_fill(ignored, 0) for m in (annotated, predicted))
    _check_range('annotation', annotated, num_classes, ignore_index)
    _check_range('prediction', predicted, num_classes, ignore_index)
    bins = num_classes**2
    pairs = (annotated * num_classes + predicted).masked_fill_(ignored, bins)
    counts = pairs.bincount(minlength=bins + 1)[:bins]
    return counts.reshape(num_classes, num_classes).cpu().numpy()


def scd_confusion(
    annotation_from: LabelMap,
    annotation_to: LabelMap,
    prediction_from: LabelMap,
    prediction_to: LabelMap,
    num_classes: int,
) -> np.ndarray:
    """Return the matrix for :func:`~tfinet_mm.evaluation.scd_scores`, the sum of both dates.

    Args:
        annotation_from: Semantic change of the first date, 0..K, 255 ignored.
        annotation_to: That of the second date, of the same shape.
        prediction_from: Predicted semantic change of the first date, 0..K.
        prediction_to: That of the second date.
        num_classes: Number K of land-cover classes, without "unchanged".

    Returns:
        Counts (K+1, K+1) of int64.

    Raises:
        LabelValueError: See :func:`confusion_matrix`.
    """
    return confusion_matrix(annotation_from, prediction_from, num_classes + 1) + confusion_matrix(
        annotation_to, prediction_to, num_classes + 1
    )


def from_to_confusion(
    annotation_from: LabelMap,
    annotation_to: LabelMap,
    prediction_from: LabelMap,
    prediction_to: LabelMap,
    num_classes: int,
) -> np.ndarray:
    """Return the matrix of transitions for :func:`~tfinet_mm.evaluation.from_to_scores`.

    A transition is (from - 1) * K + to, 1..K*K; unchanged is 0. A pixel is ignored
    if the annotation of either date is 255, or is 0 on one date only (such an
    annotation contradicts itself). A pixel that is predicted as unchanged on
    either date counts as predicted unchanged.

    Args:
        annotation_from: Semantic change of the first date, 0..K, 255 ignored.
        annotation_to: That of the second date, of the same shape.
        prediction_from: Predicted semantic change of the first date, 0..K.
        prediction_to: That of the second date.
        num_classes: Number K of land-cover classes, without "unchanged".

    Returns:
        Counts (K*K+1, K*K+1) of int64.

    Raises:
        LabelValueError: See :func:`confusion_matrix`.

    Example:
        >>> import numpy as np
        >>> before, after = np.array([0, 1, 2]), np.array([0, 2, 2])
        >>> np.argwhere(from_to_confusion(before, after, before, before, 2)).tolist()
        [[0, 0], [2, 1], [4, 4]]
    """
    ann_from, ann_to, pred_from, pred_to = _flat_maps(
        annotation_from, annotation_to, prediction_from, prediction_to
    )
    ignored = (ann_from == IGNORE_INDEX) | (ann_to == IGNORE_INDEX)
    ignored |= (ann_from == 0) != (ann_to == 0)
    ann_from, ann_to, pred_from, pred_to = (
        m.masked_fill(ignored, 0) for m in (ann_from, ann_to, pred_from, pred_to)
    )
    # A class out of range would get the code of another transition, so check before coding.
    for what, one in (
        ('annotation', ann_from),
        ('annotation', ann_to),
        ('prediction', pred_from),
        ('prediction', pred_to),
    ):
        _check_range(what, one, num_classes + 1, IGNORE_INDEX)
    changed = (pred_from > 0) & (pred_to > 0)
    annotated = ((ann_from - 1) * num_classes + ann_to).masked_fill(ann_from <= 0, 0)
    predicted = ((pred_from - 1) * num_classes + pred_to).masked_fill(~changed, 0)
    # Not 255, which is the code of a transition with 16 classes or more.
    annotated.masked_fill_(ignored, -1)
    return confusion_matrix(annotated, predicted, num_classes**2 + 1, ignore_index=-1)


@dataclass(frozen=True)
class SCDConfusion:
    """Counts for all scores, of one pair or summed over many.

    Attributes:
        change: Counts (2, 2) of unchanged and changed, each pixel once.
        date_from: Counts (K+1, K+1) of the first date.
        date_to: Counts (K+1, K+1) of the second date.
        from_to: Counts (K*K+1, K*K+1) of transitions.
        change_only: Number (1,) of pairs without annotated land cover. They count in ``change``
            alone.
    """

    change: np.ndarray
    date_from: np.ndarray
    date_to: np.ndarray
    from_to: np.ndarray
    # The last part, and 0 for pairs with land cover, which so have the same counts as ever.
    change_only: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))

    @classmethod
    def zeros(cls, num_classes: int) -> SCDConfusion:
        """Return counts of 0, for K land-cover classes."""
        sides = (2, num_classes + 1, num_classes + 1, num_classes**2 + 1)
        return cls(*(np.zeros((side, side), np.int64) for side in sides))

    @classmethod
    def from_maps(
        cls,
        change: LabelMap,
        land_cover_from: LabelMap | None,
        land_cover_to: LabelMap | None,
        predicted_change: LabelMap,
        predicted_from: LabelMap | None,
        predicted_to: LabelMap | None,
        num_classes: int,
    ) -> SCDConfusion:
        """Count one pair from the maps of a data sample.

        Args:
            change: Annotated change (H, W), 1 changed, 0 unchanged, 255 ignored.
            land_cover_from: Annotated land cover of the first date (H, W),
                0..K-1, 255 unknown. The land cover of unchanged pixels isn't scored.
                None for a pair whose land cover isn't annotated.
            land_cover_to: That of the second date; None as well, or neither.
            predicted_change: Predicted change (H, W), 1 or 0.
            predicted_from: Predicted semantic change of the first date (H, W),
                0..K; counted as 0 where no change is predicted. Not used without
                annotated land cover.
            predicted_to: That of the second date.
            num_classes: Number K of land-cover classes.

        Returns:
            The counts of this pair.

        Raises:
            LabelValueError: See :func:`confusion_matrix`; or a map of one date is missing.
        """
        if land_cover_from is None and land_cover_to is None:
            binary = confusion_matrix(change, predicted_change, 2)
            return replace(cls.zeros(num_classes), change=binary, change_only=np.ones(1, np.int64))
        if (
            land_cover_from is None
            or land_cover_to is None
            or predicted_from is None
            or predicted_to is None
        ):
            raise LabelValueError(
                'the land cover of one date is missing in the annotation or the prediction; '
                'expected both dates in both, or no annotated land cover'
            )
        change, ann_from, ann_to, pred_change, pred_from, pred_to = _flat_maps(
            change, land_cover_from, land_cover_to, predicted_change, predicted_from, predicted_to
        )
        binary = confusion_matrix(change, pred_change, 2)
        # Before the shift by one, which would turn a wrong 254 into 255, ignored.
        for cover in (ann_from, ann_to):
            known = cover.masked_fill(cover == IGNORE_INDEX, 0)
            _check_range('annotated land cover', known, num_classes, IGNORE_INDEX)
        ann_from, ann_to = (to_semantic_change(m, change) for m in (ann_from, ann_to))
        pred_from, pred_to = pred_from * pred_change, pred_to * pred_change
        return cls(
            binary,
            confusion_matrix(ann_from, pred_from, num_classes + 1),
            confusion_matrix(ann_to, pred_to, num_classes + 1),
            from_to_confusion(ann_from, ann_to, pred_from, pred_to, num_classes),
        )

    @property
    def annotated_dates(self) -> tuple[str, ...]:
        """Dates with annotated land cover: 'from', 'to' or both.

        One date alone counts if changed pixels have a class on that date and on the other none.
        """
        found = [one[1:].any() for one in (self.date_from, self.date_to)]
        if not any(found):
            return DATES
        return tuple(date for date, one in zip(DATES, found, strict=True) if one)

    @property
    def scd(self) -> np.ndarray:
        """Counts (K+1, K+1), the sum of the dates with annotated land cover."""
        return self.scd_of(self.annotated_dates)

    def scd_of(self, dates: Sequence[str]) -> np.ndarray:
        """Return counts (K+1, K+1), the sum of some dates, 'from' and 'to'."""
        matrices = dict(zip(DATES, (self.date_from, self.date_to), strict=True))
        return np.sum([matrices[date] for date in dates], axis=0)

    @property
    def has_land_cover(self) -> bool:
        """True unless all pairs that were counted lack annotated land cover."""
        return not self.change_only.any() or bool(self.date_from.any() or self.date_to.any())

    def __add__(self, other: SCDConfusion) -> SCDConfusion:
        """Return the sum of the counts."""
        return SCDConfusion(*(a + b for a, b in zip(self._parts(), other._parts(), strict=True)))

    def _parts(self) -> list[np.ndarray]:
        return [getattr(self, one.name) for one in fields(self)]

    def flatten(self) -> np.ndarray:
        """Return all counts as one vector of int64, to sum over ranks in one call."""
        return np.concatenate([part.ravel() for part in self._parts()])

    def unflatten(self, vector: np.ndarray) -> SCDConfusion:
        """Return counts in the shapes of these, from a vector that :meth:`flatten` made."""
        parts = self._parts()
        pieces = np.split(vector, np.cumsum([part.size for part in parts])[:-1])
        return SCDConfusion(*(p.reshape(q.shape) for p, q in zip(pieces, parts, strict=True)))

    def to_lists(self) -> dict[str, Any]:
        """Return the matrices as nested lists, for JSON; of change alone without land cover."""
        names = [one.name for one in fields(self)[: 4 if self.has_land_cover else 1]]
        return {name: getattr(self, name).tolist() for name in names}
