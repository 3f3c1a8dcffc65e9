"""Number the pixels of a scene by what its maps say of them."""

from __future__ import annotations

import numpy as np


def cell_numbers(codes: np.ndarray, cover_from: np.ndarray, number: int, nodata: int) -> np.ndarray:
    """Return for each pixel a number of what the maps say of it.

    Args:
        codes: Transitions of :func:`tfinet_mm.scenes.result_rasters.transition_codes`, any shape.
        cover_from: Land cover before, 1..K, of that shape.
        number: K.
        nodata: Code of pixels without data.

    Returns:
        int64 of that shape: 0..K-1 for unchanged pixels, by the class before; K.. for changed ones,
        by transition; K + K K where the scene is not seen.

    Example:
        >>> codes = np.array([0, 0, 2, 255])
        >>> cell_numbers(codes, np.array([1, 2, 1, 0]), 2, 255).tolist()
        [0, 1, 3, 6]
    """
    codes = codes.astype(np.int64)
    cells = np.where(codes == 0, cover_from.astype(np.int64) - 1, number + codes - 1)
    unseen = (codes == nodata) | ((codes == 0) & (cover_from == 0))
    return np.where(unseen, number + number**2, cells)
