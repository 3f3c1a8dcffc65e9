"""Read change masks: 0/1 or 0/255, with or without 255 = ignored, grey or with a palette."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.io.images import PathLike, check_window
from tfinet_mm.io.label_bands import read_label_bands
from tfinet_mm.io.label_files import (
    StoredLabel,
    enumerated,
    is_grey,
    present_values,
    read_stored_label,
    share,
)
from tfinet_mm.io.label_storage import LabelStorage, as_storage
from tfinet_mm.io.label_values import table_positions
from tfinet_mm.io.labels import LabelMap
from tfinet_mm.io.soft_masks import read_soft_mask
from tfinet_mm.structures import IGNORE_INDEX

SOFT = (
    'change_storage="soft" takes grey levels and probabilities, changed from mask_threshold=0.5 on'
)
ALLOWED = {'0/1': (0, 1, 255), '0/255': (0, 255), 'palette': (0, 255)}
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
WAYS = (
    'change_storage="0/1" (value 1 is changed, 255 ignored), "0/255" (255 is changed) or '
    '"palette" (white is changed)'
)


def read_change_mask(
    path: PathLike,
    storage: str | LabelStorage = 'auto',
    window: Sequence[int] | None = None,
    stored: StoredLabel | None = None,
) -> LabelMap:
    """Read a change mask as 0 (unchanged), 1 (changed), 255 (ignored).

    Args:
        path: PNG, BMP, WebP or TIFF file of one band, a palette, or three equal bands.
        storage: '0/1': 255 is ignored. '0/255': 255 is changed, and 1 is an error. 'palette':
            the colours of the palette count, black unchanged and white changed. 'auto' decides
            from the whole file: a palette of black and white counts by its colours; if 1
            occurs, 1 is changed and 255 ignored; else 255 is changed. 'soft': see
            :func:`~tfinet_mm.io.soft_masks.read_soft_mask`.
        window: (left, top, width, height) in pixels, by default the whole file.
        stored: Pixels of the window, if they have been read.

    Returns:
        The mask (H, W) uint8, and the values found.

    Raises:
        FileNotFoundError: There is no such file.
        LabelFormatError: It holds colours, isn't in that storage, or is ambiguous.
        LabelValueError: It holds other values; the message names them and
            their share of the pixels.
    """
    options = as_storage(storage, ('auto', 'change_map', 'soft', *ALLOWED), 'change mask storage')
    name = options.name
    if name == 'soft':
        return read_soft_mask(path, options, window)
    known = stored is not None
    if stored is None and options.rules.band:
        known = True
        (stored,) = read_label_bands(path, [options.rules.band], window)
    if options.rules.change:
        return _read_mapped(path, stored or read_stored_label(path, window), options)
    if stored is None:
        # A window may lack the values that tell 0/1 from 0/255.
        stored = read_stored_label(path, None if name == 'auto' else window)
    if name == 'auto':
        name, _ = mask_evidence(path, stored)
        name = '0/1' if name == '0' else name
    elif options.reason:
        _check_decided(path, stored, name)
    values = mask_levels(path, stored, name == 'palette')
    present = present_values(values)
    ignored = _nodata_pixels(path, values, stored, name)
    outside = present[~np.isin(present, ALLOWED[name])]
    if ignored is not None:
        outside = present_values(values[~ignored])
        outside = outside[~np.isin(outside, ALLOWED[name])]
    if len(outside):
        raise LabelValueError(
            f'{path} holds {share(np.isin(values, outside))} of its pixels as '
            f'{enumerated(outside)}, expected a change mask of the values {ALLOWED[name]}; '
            'change_storage="semantic" reads every class of a semantic label as changed, and '
            f'{SOFT}'
        )
    found = '/'.join(str(value) for value in sorted({0, *(int(v) for v in present if v < 256)}))
    lookup = np.zeros(256, np.uint8)
    lookup[1] = 1
    lookup[255] = IGNORE_INDEX if name == '0/1' else 1
    result = lookup[values.astype(np.uint8, copy=False)]
    if ignored is not None:
        result[ignored] = IGNORE_INDEX
    if window is not None and options.name == 'auto' and not known:
        box = check_window(path, window, result.shape[1], result.shape[0])
        result = np.ascontiguousarray(result[box.slices()])
    return LabelMap(result, found)


def _read_mapped(path: PathLike, stored: StoredLabel, options: LabelStorage) -> LabelMap:
    """Read a mask whose values the user states (change_map)."""
    keys = [key for key, _ in options.rules.change]
    places, unknown = table_positions(
        path, stored, keys, 'change_map', options.tolerance, options.unknown_colours
    )
    meanings = [meaning for _, meaning in options.rules.change]
    lookup = np.array([*meanings, IGNORE_INDEX], np.uint8)
    return LabelMap(lookup[places], 'change_map', unknown)


def _check_decided(path: PathLike, stored: StoredLabel, name: str) -> None:
    """Refuse a file whose palette contradicts the storage decided for its data set."""
    if stored.palette is None and not stored.inverted:
        return
    found, _ = mask_evidence(path, stored)
    if found == 'palette' and name != 'palette':
        by_colour = mask_levels(path, stored, by_colour=True) == 255
        if not np.array_equal(by_colour, stored.pixels == (1 if name == '0/1' else 255)):
            raise LabelFormatError(
                f'{path} has a palette that shows other pixels in white than those with the value '
                f'for changed; the masks of the data set are stored as {name}. Store all of them '
                f'in one way, or set {WAYS}'
            )


def mask_evidence(path: PathLike, stored: StoredLabel) -> tuple[str, np.ndarray]:
    """Return the storage of a mask that this file alone shows, and the values it holds.

    Args:
        path: The file, for messages.
        stored: All of its pixels.

    Returns:
        '0' (only 0 occurs), '0/1', '0/255' or 'palette', and the sorted values.

    Raises:
        LabelFormatError: It holds colours, or is ambiguous.
    """
    if stored.inverted and stored.palette is None:
        raise LabelFormatError(
            f'{path} declares that its value 0 is white (MINISWHITE), so white might be changed or '
            f'unchanged; set {WAYS}'
        )
    by_colour = stored.palette is not None and _palette_counts(path, stored)
    values = mask_levels(path, stored, by_colour)
    present = present_values(values)
    if by_colour:
        return 'palette', present
    if stored.nodata == IGNORE_INDEX and IGNORE_INDEX in present and 1 not in present:
        raise LabelFormatError(
            f'{path} declares 255 as nodata and holds it where 1 would be expected; set {WAYS}'
        )
    if 1 in present:
        return '0/1', present
    return ('0/255' if IGNORE_INDEX in present else '0'), present


def mask_levels(path: PathLike, stored: StoredLabel, by_colour: bool) -> np.ndarray:
    """Return the values of a mask (H, W), white as 255, from its colours or as stored.

    Raises:
        LabelFormatError: It holds colours other than grey, or (by colour) than black and white.
    """
    pixels = stored.pixels
    if pixels.ndim == 3:
        if not is_grey(pixels):
            raise LabelFormatError(
                f'{path} holds colours, expected a change mask (0/1 or 0/255); semantic labels '
                'belong to seg_map_path_from and seg_map_path_to, and change_storage="semantic" '
                'reads every class of such a label as changed'
            )
        return np.ascontiguousarray(pixels[..., 0])
    if by_colour and stored.palette is not None:
        used = _used_colours(path, stored)
        if not set(used.values()) <= {BLACK, WHITE}:
            raise LabelFormatError(
                f'{path} has the palette colours {sorted(set(used.values()))}, expected a change '
                f'mask of black (unchanged) and white (changed); otherwise set {WAYS}'
            )
        lookup = np.zeros(256, np.uint8)
        for index, colour in used.items():
            lookup[index] = colour[0]
        return lookup[pixels]
    white = (1 << stored.bits) - 1
    if 1 < white < 255 and stored.palette is None and not (pixels == 1).any():
        # Files of 2 and 4 bits; if 1 occurs, the other values aren't levels of grey.
        return np.where(pixels == white, np.uint8(255), pixels)
    return pixels


def _used_colours(path: PathLike, stored: StoredLabel) -> dict[int, tuple[int, ...]]:
    palette = stored.palette if stored.palette is not None else np.zeros((0, 3), np.uint8)
    present = present_values(stored.pixels)
    if len(present) and present[-1] >= len(palette) and present[-1] != IGNORE_INDEX:
        raise LabelFormatError(
            f'{path} holds index {present[-1]}, but its palette has only {len(palette)} colours; '
            'export the mask again'
        )
    return {int(i): tuple(int(v) for v in palette[i]) for i in present if i < len(palette)}


def _palette_counts(path: PathLike, stored: StoredLabel) -> bool:
    """Return whether the colours of a mask's palette count, rather than its indices.

    A program that reduces colours may put white first; then index 0 means changed.

    Raises:
        LabelFormatError: Neither the colours nor the indices show the changed pixels.
    """
    used = _used_colours(path, stored)
    if all(colour == (index,) * 3 for index, colour in used.items()):
        return False
    if set(used.values()) <= {BLACK, WHITE}:
        return True
    palette = stored.palette
    first = tuple(int(v) for v in palette[0]) if palette is not None and len(palette) else BLACK
    if set(used) <= {0, 1, IGNORE_INDEX} and first == BLACK and used.get(1) != BLACK:
        return False
    raise LabelFormatError(
        f'{path} is a change mask with the palette colours {dict(sorted(used.items())[:5])}, '
        'neither black and white nor with black first, so the changed pixels are unknown; set '
        f'{WAYS}'
    )


def _nodata_pixels(
    path: PathLike, values: np.ndarray, stored: StoredLabel, name: str
) -> np.ndarray | None:
    """Return the pixels (H, W) that a file declares as nodata, or None without any."""
    ignored = stored.missing
    if stored.nodata is not None and stored.nodata not in ALLOWED[name]:
        if stored.pixels.ndim == 2 and (found := values == stored.nodata).any():
            ignored = found if ignored is None else ignored | found
    elif stored.nodata == 1:
        raise LabelFormatError(
            f'{path} declares its value 1 as nodata, but 1 has to mean changed; remove the '
            'declaration (gdal_edit.py -unsetnodata)'
        )
    return ignored
