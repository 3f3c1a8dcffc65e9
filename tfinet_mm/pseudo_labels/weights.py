"""Weight of a pseudo-labelled pixel in the loss of land cover."""

from __future__ import annotations

import math

CONFIDENCE = 'confidence'
"""The weight that is the pixel's own confidence."""


def check_weight(weight: float | str | None) -> float | str | None:
    """Check the option ``weight`` of a transform or hook that sets pseudo labels.

    Args:
        weight: None for equal weights; a number above 0, where an annotated pixel
            has 1; or ``'confidence'``.

    Returns:
        The same; a number as float.

    Raises:
        ValueError: The weight is none of these.
    """
    if weight is None or weight == CONFIDENCE:
        return weight
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not number or not math.isfinite(float(weight)) or float(weight) <= 0:
        raise ValueError(
            f'weight has to be None (equal weights), a number above 0 or {CONFIDENCE!r}, '
            f'got {weight!r}'
        )
    return float(weight)
