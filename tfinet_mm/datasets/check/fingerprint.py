"""Reduce a pair of images to a fingerprint that survives compression and another brightness."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np

REDUCED, THUMBNAIL = 64, 16
"""Sides in pixels of the images that differences and that correlations are computed on."""
HASH_BITS = 128
"""Bits of a fingerprint, 64 for each date."""
MAX_BITS = 10
"""Bits that may differ between fingerprints of the same images."""
MIN_CORRELATION = 0.98
"""Correlation that the thumbnails of each date need in addition, so that bits alone don't decide.

JPEG of quality 50, half the size or 15 % more brightness change at most 4 of 64 bits and leave a
correlation of 0.99; most pairs of different places differ in more than 13 of 64.
"""
MIN_TEXTURE = 3.0
"""Least standard deviation in grey levels of a thumbnail without its slope.

Water, snow and haze below it look the same everywhere, which is no sign of a copy.
"""


class Fingerprint(NamedTuple):
    """Fingerprint of a pair.

    Attributes:
        bits: (16,) uint8, :data:`HASH_BITS` bits: the signs of horizontal differences of grey
            values between 8 x 9 cells (dHash) of each date.
        thumbnails: (2, 16, 16) uint8, grey values of each date.
    """

    bits: np.ndarray
    thumbnails: np.ndarray


def reduced_pair(image: np.ndarray) -> np.ndarray:
    """Return a pair of images at 64 x 64 pixels.

    Args:
        image: (H, W, 2B), the bands of both dates, values 0..255.

    Returns:
        (64, 64, 2B) float32, means of cells.
    """
    size = (REDUCED, REDUCED)
    # cv2 averages over cells of any size for four bands at most.
    parts = [
        cv2.resize(image[..., band : band + 4], size, interpolation=cv2.INTER_AREA)
        for band in range(0, image.shape[2], 4)
    ]
    return np.dstack(parts).astype(np.float32)


def fingerprint(reduced: np.ndarray) -> Fingerprint | None:
    """Return the fingerprint of a pair; None if a date shows too little to be recognised by.

    Args:
        reduced: Result of :func:`reduced_pair`.

    Example:
        >>> import numpy as np
        >>> fingerprint(np.full((64, 64, 6), 90, np.float32)) is None
        True
    """
    bands = reduced.shape[2] // 2
    bits, thumbnails = [], []
    for date in (reduced[..., :bands], reduced[..., bands:]):
        grey = date.mean(axis=2)
        thumbnail = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
        if _without_slope(thumbnail).std() < MIN_TEXTURE:
            return None
        cells = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
        bits.append(np.packbits(cells[:, 1:] > cells[:, :-1]))
        thumbnails.append(np.clip(np.round(thumbnail), 0, 255).astype(np.uint8))
    return Fingerprint(np.concatenate(bits), np.stack(thumbnails))


def _without_slope(grey: np.ndarray) -> np.ndarray:
    """Return grey values (S, S) minus the plane that fits them best."""
    steps = np.linspace(-1, 1, len(grey), dtype=np.float32)
    centred = grey - grey.mean()
    scale = (steps**2).sum() * len(grey)
    down, across = (centred.sum(axis=1) @ steps) / scale, (centred.sum(axis=0) @ steps) / scale
    return centred - down * steps[:, None] - across * steps[None, :]


def date_difference(reduced: np.ndarray) -> np.ndarray:
    """Return the difference of the two dates, after the second got the colours of the first.

    Mean and standard deviation of each band of the second date are set to those of the first, so
    that another light or season of the whole image counts as little as it can.

    Args:
        reduced: Result of :func:`reduced_pair`.

    Returns:
        (64, 64) float32, grey levels, mean over the bands.
    """
    bands = reduced.shape[2] // 2
    before, after = reduced[..., :bands], reduced[..., bands:]
    axes = (0, 1)
    scale = before.std(axes) / np.maximum(after.std(axes), 1e-3)
    matched = (after - after.mean(axes)) * np.minimum(scale, 4) + before.mean(axes)
    return np.abs(before - matched).mean(axis=2)


def near_copies(
    fingerprints: np.ndarray, thumbnails: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """Find pairs that show the same images.

    Candidates share one of :data:`MAX_BITS` + 1 bands of bits, as two fingerprints that differ in
    :data:`MAX_BITS` bits or fewer must; so the time grows with the number of candidates, not with
    the square of the number of pairs.

    Args:
        fingerprints: (N, 16) uint8.
        thumbnails: (N, 2, 16, 16) uint8.
        groups: (N,) numbers; only pairs of different groups are compared. By default all are.

    Returns:
        (M, 2) indices i < j, sorted. A pair whose bits equal those of an earlier one (of its
        group) is listed once: with that one, or between groups with one match of that one.
    """
    if len(fingerprints) < 2:
        return np.zeros((0, 2), np.int64)
    numbers = np.zeros(len(fingerprints), np.int64) if groups is None else np.asarray(groups)
    alone = groups is None
    unique, owner = _representatives(fingerprints, numbers)
    found = [_equal(owner, unique)] if alone else []
    bits = np.unpackbits(fingerprints[unique], axis=1)
    edges = np.linspace(0, HASH_BITS, MAX_BITS + 2).astype(int)
    for start, stop in pairwise(edges):
        weights = 1 << np.arange(stop - start, dtype=np.int64)
        keys = bits[:, start:stop] @ weights
        found += _same_band(keys, fingerprints[unique], unique, None if alone else numbers)
    pairs = np.unique(np.sort(np.concatenate(found), axis=1), axis=0)
    pairs = pairs[_correlated(thumbnails, pairs)]
    if not alone:
        pairs = np.concatenate([pairs, _copies_too(pairs, owner)])
        pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    return pairs


def _representatives(fingerprints: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first index of each fingerprint in each group, and that of every pair.

    A thousand copies of one pair would have half a million pairs of equals otherwise.
    """
    rows = np.concatenate(
        [fingerprints, groups.astype('>i8').view(np.uint8).reshape(len(groups), 8)], axis=1
    )
    _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    owner = first[inverse.ravel()]
    return np.sort(first), owner


def _equal(owner: np.ndarray, unique: np.ndarray) -> np.ndarray:
    others = np.setdiff1d(np.arange(len(owner)), unique)
    return np.stack([owner[others], others], axis=1)


def _copies_too(pairs: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Return a match for every pair that has the bits of a pair with matches."""
    match = dict(zip(pairs[::-1, 1].tolist(), pairs[::-1, 0].tolist(), strict=True))
    match |= zip(pairs[::-1, 0].tolist(), pairs[::-1, 1].tolist(), strict=True)
    copies = np.flatnonzero(owner != np.arange(len(owner))).tolist()
    found = [(match[owner[copy]], copy) for copy in copies if owner[copy] in match]
    return np.array(found, np.int64).reshape(-1, 2)


def _same_band(
    keys: np.ndarray, rows: np.ndarray, indices: np.ndarray, groups: np.ndarray | None
) -> list[np.ndarray]:
    """Return the pairs of one key whose fingerprints differ in few bits."""
    order = np.argsort(keys, kind='stable')
    keys, rows, indices = keys[order], rows[order], indices[order]
    found = [np.zeros((0, 2), np.int64)]
    left = np.arange(len(keys) - 1)
    step = 1
    # Neighbours at distance 1, 2, ... in the sorted keys, until no two of them are equal.
    while len(left):
        left = left[left + step < len(keys)]
        left = left[keys[left] == keys[left + step]]
        near = _differing_bits(rows[left], rows[left + step]) <= MAX_BITS
        pairs = np.stack([indices[left[near]], indices[left[near] + step]], axis=1)
        if groups is not None:
            pairs = pairs[groups[pairs[:, 0]] != groups[pairs[:, 1]]]
        found.append(pairs)
        step += 1
    return found


_ONES = np.array([number.bit_count() for number in range(256)], np.uint8)


def _differing_bits(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return _ONES[first ^ second].sum(axis=1)


def _correlated(thumbnails: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return which pairs of indices have thumbnails that correlate on both dates."""
    kept = np.zeros(len(pairs), np.bool_)
    for start in range(0, len(pairs), 4096):
        part = pairs[start : start + 4096]
        first, second = (_normalised(thumbnails[part[:, side]]) for side in (0, 1))
        correlation = (first * second).sum(axis=2)
        kept[start : start + 4096] = (correlation >= MIN_CORRELATION).all(axis=1)
    return kept


def _normalised(thumbnails: np.ndarray) -> np.ndarray:
    values = thumbnails.reshape(len(thumbnails), 2, -1).astype(np.float32)
    values = values - values.mean(axis=2, keepdims=True)
    return values / np.maximum(np.linalg.norm(values, axis=2, keepdims=True), 1e-6)
