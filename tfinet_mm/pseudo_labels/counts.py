"""Counting what pseudo labels are made of: whole numbers, summed over pairs and processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from tfinet_mm.pseudo_labels.predictions import Prediction


@dataclass
class Counts:
    """Counts over pairs; pixels of the two dates are added up.

    Attributes:
        pairs: Number of pairs.
        pixels: Pixels of both dates.
        ignored: Pixels of which the annotation says nothing (255).
        annotated: Pixels of each annotated class, (K,).
        unlabelled: Unchanged pixels without an annotated class.
        assigned: Of these, by the class that the networks would give them, (K,).
        filled: Of these, by the class that they got, (K,).
        unchanged: Unchanged pixels of one date, annotated or not.
        unanimous: See :class:`~tfinet_mm.pseudo_labels.predictions.Prediction`.
        pairwise: The same, (M, M).
        steady: The same, (M,).
        truth: Unlabelled pixels whose true class is known, by that class (row)
            and the one they got (column, 0 for none), (K, K + 1).
    """

    pairs: np.ndarray
    pixels: np.ndarray
    ignored: np.ndarray
    annotated: np.ndarray
    unlabelled: np.ndarray
    assigned: np.ndarray
    filled: np.ndarray
    unchanged: np.ndarray
    unanimous: np.ndarray
    pairwise: np.ndarray
    steady: np.ndarray
    truth: np.ndarray

    @classmethod
    def zeros(cls, num_classes: int, num_members: int) -> Counts:
        """Nothing counted yet, for K classes and M networks."""
        shapes: dict[str, tuple[int, ...]] = dict(
            annotated=(num_classes,),
            assigned=(num_classes,),
            filled=(num_classes,),
            pairwise=(num_members, num_members),
            steady=(num_members,),
            truth=(num_classes, num_classes + 1),
        )
        return cls(**{f.name: np.zeros(shapes.get(f.name, ()), np.int64) for f in fields(cls)})

    def add(
        self,
        prediction: Prediction,
        labels: Sequence[np.ndarray],
        truth: Sequence[np.ndarray] | None = None,
    ) -> None:
        """Count a pair.

        Args:
            prediction: What was predicted for it.
            labels: What was written, the two maps (H, W) of 0..K.
            truth: True land cover of both dates, (H, W) of 0..K, 0 and 255
                where unknown.
        """
        classes = len(self.filled)
        self.pairs += 1
        for name in ('unchanged', 'unanimous', 'pairwise', 'steady'):
            setattr(self, name, getattr(self, name) + getattr(prediction, name))
        annotations = (prediction.label_from, prediction.label_to)
        for date, (annotation, label) in enumerate(zip(annotations, labels, strict=True)):
            counted = np.bincount(annotation.ravel(), minlength=256)
            self.pixels += annotation.size
            self.ignored += counted[255]
            self.annotated += counted[1 : classes + 1]
            free = annotation == 0
            self.unlabelled += counted[0]
            self.assigned += _by_class(prediction.cover[free], classes)[1:]
            got = label[free]
            self.filled += _by_class(got, classes)[1:]
            if truth is not None:
                real = truth[date][free]
                known = (real > 0) & (real <= classes)
                codes = (real[known].astype(np.int64) - 1) * (classes + 1) + got[known]
                self.truth += np.bincount(codes, minlength=self.truth.size).reshape(
                    self.truth.shape
                )

    def flatten(self) -> np.ndarray:
        """Return all counts as one vector of int64, to be summed over processes."""
        return np.concatenate([getattr(self, f.name).ravel() for f in fields(self)])

    def unflatten(self, vector: np.ndarray) -> Counts:
        """Return counts of the shapes of these, from a vector as :meth:`flatten` makes it."""
        parts = [getattr(self, f.name) for f in fields(self)]
        pieces = np.split(vector, np.cumsum([part.size for part in parts])[:-1])
        return Counts(*(p.reshape(q.shape) for p, q in zip(pieces, parts, strict=True)))


def _by_class(values: np.ndarray, num_classes: int) -> np.ndarray:
    return np.bincount(values.ravel(), minlength=num_classes + 1)
