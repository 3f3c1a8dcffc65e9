"""Keep the probabilities of the likeliest land-cover classes of each pixel in bytes.

Each date has five bands: P of the likeliest class, whose number is in ``land_cover_from.tif`` or
``land_cover_to.tif``, then number and P of the second and of the third class. P is stored as
``round(255 P)``; a class whose P rounds to 0 is not kept, and both its bands are 0.
"""

from __future__ import annotations

import numpy as np

PROBABILITIES = 'probabilities'
"""Name of the staged map and, with the suffix ``.tif``, of the file."""
RANKS = ('P of the likeliest class', 'second class', 'P of it', 'third class', 'P of it')
PER_DATE = len(RANKS)
BAND_NAMES = tuple(f'{date}: {rank}' for date in ('before', 'after') for rank in RANKS)
LEVELS = 255


def kept_ranks(probabilities: np.ndarray, likeliest: np.ndarray) -> np.ndarray:
    """Return the five bands of one date.

    Args:
        probabilities: (K, H, W) in 0..1, NaN where not seen.
        likeliest: (H, W) uint8, the class 1..K of the first band, 0 where not seen.

    Returns:
        (5, H, W) uint8, 0 where not seen. Of classes whose P rounds to the same byte, the first
        comes first.

    Example:
        >>> values = np.array([0.1, 0.4, 0.3, 0.2]).reshape(4, 1, 1)
        >>> kept_ranks(values, np.array([[2]], np.uint8)).ravel().tolist()
        [102, 3, 76, 4, 51]
    """
    bands = np.empty((PER_DATE, *likeliest.shape), np.uint8)
    # Without masked assignments, which take NumPy ten times as long as arithmetic.
    first = np.zeros(likeliest.shape, np.uint8)
    second, third = (np.zeros(likeliest.shape, np.uint16) for _ in range(2))
    key = np.empty(likeliest.shape, np.uint16)
    with np.errstate(invalid='ignore'):
        levels = np.rint(probabilities * LEVELS).astype(np.uint8)
    for number, level in enumerate(levels, start=1):
        others = level * (likeliest != number).view(np.uint8)
        level -= others
        np.maximum(first, level, out=first)
        # P and class in one number, so that comparing sorts both, the first class ahead.
        np.left_shift(others, 8, out=key, dtype=np.uint16)
        key |= LEVELS - number
        np.maximum(third, np.minimum(second, key), out=third)
        np.maximum(second, key, out=second)
    bands[0] = first
    for place, rank in ((1, second), (3, third)):
        np.right_shift(rank, 8, out=bands[place + 1], casting='unsafe')
        bands[place] = (LEVELS - (rank & LEVELS)) * (bands[place + 1] > 0)
    if not likeliest.all():
        bands *= likeliest > 0
    return bands
