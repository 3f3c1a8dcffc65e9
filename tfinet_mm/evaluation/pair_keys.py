"""Recognise the pairs that a calibration was fitted on, in a list of fixed size."""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterable, Sequence

import numpy as np

KEPT = 1000
"""Greatest number of keys that are kept."""


def pair_key(name: str, change: np.ndarray) -> int:
    """Return a number of 32 bits for a pair, of its name and its annotated change.

    Args:
        name: Name of the sample, without folders, so that it is the same on every machine.
        change: Annotated change (H, W).
    """
    return zlib.crc32(change.tobytes(), zlib.crc32(name.encode('utf-8', 'surrogateescape')))


def kept_keys(keys: Iterable[int]) -> list[int]:
    """Return the :data:`KEPT` smallest different keys, in order: a sample of the pairs."""
    return heapq.nsmallest(KEPT, set(keys))


def shared_pairs(fitted: Sequence[int], keys: Iterable[int]) -> int:
    """Return how many of the pairs were also fitted on, as far as the kept keys tell.

    Args:
        fitted: Keys of the calibration, as :func:`kept_keys` gives them.
        keys: Keys of all pairs that are scored.

    Returns:
        The exact number where ``fitted`` has fewer than :data:`KEPT` keys, and otherwise that
        in the part of all keys that they cover.

    Example:
        >>> shared_pairs(kept_keys([7, 3, 5]), [5, 7, 9])
        2
    """
    return len(set(fitted) & set(keys))
