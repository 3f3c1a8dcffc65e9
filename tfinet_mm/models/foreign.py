"""Read what models of other packages say about themselves."""

from __future__ import annotations

from typing import Any


def land_cover_classes(model: Any) -> int | None:
    """Return the number K of land-cover classes of a model.

    Args:
        model: A detector, ensemble or test-time augmentation of this package, whose
            ``num_classes`` is K; or another model. Open-CD's detectors of semantic change have
            K as ``semantic_num_classes``, and as ``num_classes`` the 2 of their change head.

    Returns:
        K; None if the model doesn't state it.
    """
    if hasattr(model, 'predict_probabilities'):
        number = getattr(model, 'num_classes', None)
    else:
        number = getattr(model, 'semantic_num_classes', None)
    return number if isinstance(number, int) else None
