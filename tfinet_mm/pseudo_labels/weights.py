"""Weight of a pseudo-labelled pixel in the loss of land cover."""

from __future__ import annotations

import math

CONFIDENCE = 'confidence'
"""The weight that is the pixel's own confidence."""


def check_weight(weight: float | str | None) -> float | str | None:
    """Check the option ``weight`` of whatever gives pixels pseudo labels.

    Args:
        weight: None, all pixels count alike; a number above 0, as against 1 of an
            annotated pixel; or ``'confidence'``.

    Returns:
        The same; a number as float.

    Raises:
        ValueError: It is something else.
    """
    if weight is None or weight == CONFIDENCE:
        return weight
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not number or not math.isfinite(float(weight)) or float(weight) <= 0:
        raise ValueError(
            f'weight has to be None (all pixels count alike), a number above 0 or {CONFIDENCE!r}, '
            f'got {weight!r}'
        )
    return float(weight)
