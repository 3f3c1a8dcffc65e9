"""Check the image and the maps of a pair when it is packed, after all transforms."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.structures import (
    IGNORE_INDEX,
    SEG_CHANGE,
    SEG_FROM,
    SEG_TO,
    WEIGHT_FROM,
    WEIGHT_TO,
    ClassTable,
)

COMBINATIONS = 'label_combinations'
"""Key of the combinations (change, from, to) of values that a pair's labels were loaded with."""
LABEL_KEYS = (SEG_CHANGE, SEG_FROM, SEG_TO)
WEIGHT_KEYS = (WEIGHT_FROM, WEIGHT_TO)
BLOCK_PIXELS = 1 << 20

Combinations = frozenset[tuple[int, int, int]]


def label_combinations(
    change: np.ndarray, cover_from: np.ndarray, cover_to: np.ndarray, classes: int
) -> Combinations:
    """Return the combinations of values of the three maps that occur at one pixel.

    Args:
        change: (H, W) uint8 of 0, 1, 255.
        cover_from: (H, W) uint8 of 0..K-1, 255.
        cover_to: The same for the second date.
        classes: Number K of classes.

    Returns:
        Triples (change, from, to), 255 for ignored or unknown.

    Example:
        >>> import numpy as np
        >>> change, before = np.array([[0, 1, 1]], np.uint8), np.array([[255, 2, 2]], np.uint8)
        >>> sorted(label_combinations(change, before, before, classes=6))
        [(0, 255, 255), (1, 2, 2)]
    """
    return _decoded(_codes(change, cover_from, cover_to, classes), classes)


def _decoded(codes: np.ndarray, classes: int) -> Combinations:
    side = classes + 1
    return frozenset(
        (
            _value(int(one) // (side * side), 2),
            _value(int(one) // side % side, classes),
            _value(int(one) % side, classes),
        )
        for one in codes
        if one < 3 * side * side
    )


def _codes(
    change: np.ndarray, cover_from: np.ndarray, cover_to: np.ndarray, classes: int
) -> np.ndarray:
    """Return the codes of the combinations that occur; a larger code if a value is out of range."""
    rows = max(1, BLOCK_PIXELS // max(1, change.shape[1]))
    if change.shape[0] > rows:
        # In blocks of rows that stay in the processor's cache.
        cuts = [slice(top, top + rows) for top in range(0, len(change), rows)]
        parts = [_codes(change[c], cover_from[c], cover_to[c], classes) for c in cuts]
        return np.unique(np.concatenate(parts))
    # Ranks: change 0, 1, and 2 for 255; a class 0..K-1, and K for 255.
    side = classes + 1
    if 3 * side * side < 256:
        # One byte holds all three, and sums above its range stay at 255.
        code = cv2.LUT(change, _ranks(2, side * side))
        cv2.add(code, cv2.LUT(cover_from, _ranks(classes, side)), code)
        cv2.add(code, cv2.LUT(cover_to, _ranks(classes, 1)), code)
        return np.flatnonzero(cv2.calcHist([code], [0], None, [256], [0, 256]))
    ranks = (
        cv2.LUT(change, _ranks(2, 1)),
        cv2.LUT(cover_from, _ranks(classes, 1)),
        cv2.LUT(cover_to, _ranks(classes, 1)),
    )
    wide = (ranks[0].astype(np.int32) * side + ranks[1]) * side + ranks[2]
    if (ranks[0] > 2).any() or max(int(ranks[1].max()), int(ranks[2].max())) > classes:
        wide[0, 0] = 3 * side * side
    return np.flatnonzero(np.bincount(wide.ravel()))


@lru_cache(maxsize=64)
def _ranks(ignored: int, factor: int) -> np.ndarray:
    """Return the table from values to rank times factor; 255 ranks last, other values give 255."""
    table = np.full(256, 255, np.uint8)
    table[:ignored] = np.arange(ignored) * factor
    table[255] = ignored * factor
    return table


def _value(rank: int, ignored: int) -> int:
    return IGNORE_INDEX if rank == ignored else rank


def check_pair(results: dict[str, Any]) -> None:
    """Refuse a pair whose image and maps can't be trained on or scored together.

    Args:
        results: Dictionary of a pipeline: ``img`` (H, W, 2B), and the label maps and weights
            that the pair has.

    Raises:
        LabelFormatError: Maps differ in size, aren't whole numbers, the land cover of one date
            is missing, or a transform made combinations of change and land cover that weren't
            loaded.
        LabelValueError: A map holds a value that has no meaning.
    """
    maps = {key: results[key] for key in (*LABEL_KEYS, *WEIGHT_KEYS) if key in results}
    if not maps:
        return
    name = results.get('sample_id', 'a pair')
    if (SEG_FROM in maps) != (SEG_TO in maps):
        raise LabelFormatError(
            f'{name} has the land cover of one date only ({", ".join(maps)}); expected both or none'
        )
    _check_sizes(name, maps, results)
    table = getattr(results.get('label_spec'), 'table', None)
    for key in set(maps) & set(WEIGHT_KEYS):
        _check_weights(name, key, maps[key])
    labels = {key: maps[key] for key in LABEL_KEYS if key in maps}
    bytewise = len(labels) == 3 and all(one.dtype == np.uint8 for one in labels.values())
    if table is not None and bytewise:
        # One pass is twice as fast as one map after the other.
        change, before, after = (np.ascontiguousarray(one) for one in labels.values())
        codes = _codes(change, before, after, table.num_classes)
        if codes[-1] < 3 * (table.num_classes + 1) ** 2:
            found = _decoded(codes, table.num_classes)
            _check_combinations(name, found, results.get(COMBINATIONS))
            return
    for key, values in labels.items():
        _check_values(name, key, values, table)


def _check_sizes(name: str, maps: dict[str, np.ndarray], results: dict[str, Any]) -> None:
    size = results['img'].shape[:2]
    sizes = {key: values.shape for key, values in maps.items()}
    # Test pipelines resize before they load labels, and score at the stored size.
    resized = 'scale_factor' in results and set(sizes.values()) == {
        tuple(results.get('ori_shape', ()))
    }
    if set(sizes.values()) != {size} and not resized:
        listed = ', '.join(f'{key} {shape}' for key, shape in sizes.items())
        raise LabelFormatError(
            f'{name}: the image is {size} (H, W) when it is packed, but {listed}; a transform '
            'treats them differently. Use one that goes through seg_fields (RandomCropWithChange, '
            'RandomFlipOrRotate, or those of mmseg that do)'
        )


def _check_weights(name: str, key: str, values: np.ndarray) -> None:
    if not np.isfinite(values).all() or (values < 0).any():
        raise LabelValueError(
            f'{name}: {key} has values from {values.min()} to {values.max()}, expected finite '
            'weights of 0 or more'
        )


def _check_values(name: str, key: str, values: np.ndarray, table: ClassTable | None) -> None:
    if values.dtype.kind not in 'bui':
        raise LabelFormatError(
            f'{name}: {key} has values of type {values.dtype} when it is packed, expected whole '
            'numbers; a transform has turned labels into real numbers'
        )
    highest = 1 if key == SEG_CHANGE else (table.num_classes if table is not None else 255) - 1
    if values.dtype == np.uint8:
        counts = cv2.calcHist([values], [0], None, [256], [0, 256]).ravel()
        present = np.flatnonzero(counts)
    else:
        present = np.unique(values)
    outside = present[(present < 0) | ((present > highest) & (present != IGNORE_INDEX))]
    if len(outside):
        share = 100 * float(np.isin(values, outside).mean())
        raise LabelValueError(
            f'{name}: {key} holds {share:.2f} % of its pixels as '
            f'{", ".join(str(int(v)) for v in outside[:10])} when it is packed, expected 0 to '
            f'{highest} or 255 (ignored); load it with tfinet_mm.LoadPairAnnotations, and use '
            'transforms that move labels without mixing them (nearest neighbour)'
        )


def _check_combinations(name: str, found: Combinations, loaded: Combinations | None) -> None:
    """Refuse combinations of labels that weren't loaded.

    Transforms may move pixels and may ignore some. A new combination shows that one map was
    moved, mixed or filled differently from another.
    """
    if loaded is None:
        return
    for one in sorted(found - loaded):
        if not any(_covers(other, one) for other in loaded):
            raise LabelFormatError(
                f'{name}: pixels with change {one[0]}, land cover {one[1]} before and {one[2]} '
                'after are packed (255 is ignored), but none were loaded: a transform moves, mixes '
                'or fills the maps differently (mmseg.RandomRotFlip mixes classes where it '
                'rotates). Use RandomFlipOrRotate; a transform that changes labels on purpose has '
                f'to remove {COMBINATIONS!r} from its results'
            )


def _covers(loaded: tuple[int, int, int], packed: tuple[int, int, int]) -> bool:
    pairs = zip(loaded, packed, strict=True)
    return all(new in (old, IGNORE_INDEX) for old, new in pairs)
