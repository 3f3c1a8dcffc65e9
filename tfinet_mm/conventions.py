"""Convert predicted samples of Open-CD's conventions of classes to this package's, and back.

A sample that a detector has predicted holds annotated and predicted maps of classes. They are
land cover (0..K-1, 255 unknown) or semantic change (0..K, 0 unchanged), see
:mod:`tfinet_mm.structures`:

================== =============== ================ ===========================================
convention         annotation      prediction       detector
================== =============== ================ ===========================================
``tfinet_mm``      land cover      semantic change  this package's
``cover_semantic`` semantic change semantic change  Open-CD's, and this package's, with
                                                    ``postprocess_pred_and_label`` of this name
``land_cover``     land cover      land cover       Open-CD's without this option
================== =============== ================ ===========================================

Nothing in a map tells one from the other, so a sample has to state its convention.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfinet_mm.errors import LabelValueError
from tfinet_mm.structures import IGNORE_INDEX, Array, to_semantic_change

if TYPE_CHECKING:
    # Only named in annotations: pictures are drawn without torch.
    from torch import Tensor

CONVENTION = 'label_convention'
"""Key of the metainfo of a predicted sample."""
OWN, COVER_SEMANTIC, LAND_COVER = 'tfinet_mm', 'cover_semantic', 'land_cover'
CONVENTIONS = (OWN, COVER_SEMANTIC, LAND_COVER)
OPENCD_FIELDS = ('seg_logits_from', 'seg_logits_to')
"""Fields that Open-CD's detectors of semantic change add to a sample, and no other does."""


def check_convention(convention: Any) -> None:
    """Refuse a name that isn't one of :data:`CONVENTIONS`; None passes.

    Raises:
        ValueError: It is another.
    """
    if convention is not None and convention not in CONVENTIONS:
        raise ValueError(f'convention must be one of {CONVENTIONS} or None, got {convention!r}')


def convention_of(sample: Any, given: str | None = None) -> str:
    """Return the convention of a predicted sample.

    Args:
        sample: Data sample, or its dictionary.
        given: The convention that a config states, which is that of samples that don't.

    Raises:
        LabelValueError: The sample is of Open-CD's detectors and nobody states its convention,
            or the sample and the config state different ones.
    """
    stated = sample.get(CONVENTION)
    name = sample.get('sample_id') or sample.get('img_path')
    if stated is not None and given not in (None, stated):
        raise LabelValueError(
            f'the sample {name} states the convention {stated!r} of its classes, but '
            f'convention={given!r} is set; leave this option out'
        )
    found = stated or given
    if found is None and any(sample.get(field) is not None for field in OPENCD_FIELDS):
        raise LabelValueError(
            f"the sample {name} is of a detector of Open-CD's and doesn't state whether its "
            "classes count from 0 or 1. Set convention='cover_semantic' if the detector has "
            "postprocess_pred_and_label='cover_semantic', 'land_cover' if it doesn't, in "
            'tfinet_mm.SCDMetric and, for hooks, in tfinet_mm.LabelConventionHook'
        )
    return found or OWN


def to_cover_semantic(land_cover: Tensor, change: Tensor | None = None) -> Tensor:
    """Shift annotated land cover 0..K-1 to semantic change 1..K, as Open-CD's detectors do.

    Args:
        land_cover: Integer map of any shape, 255 where unknown, which becomes 0.
        change: Annotated change of this shape; 0 (unchanged) becomes 0 whatever its land cover.

    Example:
        >>> import torch
        >>> to_cover_semantic(torch.tensor([3, 0, 255, 2]), torch.tensor([1, 1, 1, 0]))
        tensor([4, 1, 0, 0])
    """
    import torch

    nothing = land_cover == IGNORE_INDEX
    if change is not None:
        nothing = nothing | (change == 0)
    return torch.where(nothing, 0, land_cover + 1).to(land_cover.dtype)


def own_annotation(labels: Array, convention: str) -> Array:
    """Return annotated land cover 0..K-1, 255 unknown, from maps of a convention.

    Args:
        labels: Integer map of any shape.
        convention: One of :data:`CONVENTIONS`.

    Example:
        >>> own_annotation(np.array([4, 1, 0, 255]), 'cover_semantic')
        array([  3,   0, 255, 255])
    """
    if convention != COVER_SEMANTIC:
        return labels
    unknown = (labels == 0) | (labels == IGNORE_INDEX)
    if isinstance(labels, np.ndarray):
        return np.where(unknown, IGNORE_INDEX, labels - 1).astype(labels.dtype)
    import torch

    return torch.where(unknown, labels * 0 + IGNORE_INDEX, labels - 1).to(labels.dtype)


def own_prediction(labels: Array, change: Array, convention: str) -> Array:
    """Return predicted semantic change 0..K from maps of a convention.

    Args:
        labels: Integer map of any shape.
        change: Predicted change of this shape, 1 or 0.
        convention: One of :data:`CONVENTIONS`.

    Example:
        >>> own_prediction(np.array([3, 0, 2]), np.array([1, 1, 0]), 'land_cover')
        array([4, 1, 0])
    """
    return to_semantic_change(labels, change) if convention == LAND_COVER else labels
