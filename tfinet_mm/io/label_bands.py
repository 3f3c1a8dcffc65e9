"""Read label files of several bands: a band for each role, or a band for each class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.io.images import (
    JPEG_MAGIC,
    PathLike,
    check_window,
    decode_picture,
    is_common_format,
    open_regular,
)
from tfinet_mm.io.label_files import (
    StoredLabel,
    enumerated,
    is_lossy_webp,
    lossy_error,
    present_values,
    read_raster_bands,
    read_stored_label,
)
from tfinet_mm.io.label_storage import IGNORED, LabelStorage
from tfinet_mm.structures import IGNORE_INDEX, ClassTable

SEVERAL = ('LA', 'RGB', 'RGBA')
"""Modes of pictures of several bands."""
ONE_HOT = ({0}, {1}, {255}, {0, 1}, {0, 255})
"""Values that the bands of a one-hot label may hold together."""


def read_label_bands(
    path: PathLike, bands: Sequence[int] | None = None, window: Sequence[int] | None = None
) -> list[StoredLabel]:
    """Read bands of a label file, each as numbers.

    The fourth band of a PNG is a band like any other, not transparency.

    Args:
        path: PNG, BMP, WebP or TIFF file.
        bands: Bands counted from 1, in the order wanted, by default all.
        window: (left, top, width, height) in pixels, by default the whole file.

    Raises:
        FileNotFoundError: There is no such file.
        LabelFormatError: The file is damaged, compressed with loss, holds real numbers, or lacks
            a band.
    """
    pixels, is_raster = None, False
    if not Path(path).is_dir():
        with open_regular(path) as (file, head):
            if head.startswith(JPEG_MAGIC):
                raise lossy_error(path, 'a JPEG file')
            if head.startswith(b'RIFF') and is_lossy_webp(path):
                raise lossy_error(path, 'a WebP file compressed with loss')
            is_raster = not is_common_format(head)
            pixels = None if is_raster else _picture_bands(path, file, head)
    if is_raster:
        return read_raster_bands(path, window, lambda found: _chosen(path, found, bands))
    if pixels is None:
        # One band, of any number of bits; or a folder, which the reader refuses.
        stored = read_stored_label(path, window)
        return [stored._replace(palette=None) for _ in _chosen(path, 1, bands)]
    if window is not None:
        pixels = pixels[check_window(path, window, pixels.shape[1], pixels.shape[0]).slices()]
    return [
        StoredLabel(np.ascontiguousarray(pixels[..., band - 1]), None)
        for band in _chosen(path, pixels.shape[2], bands)
    ]


def _picture_bands(path: PathLike, file: BinaryIO, head: bytes) -> np.ndarray | None:
    """Return the pixels (H, W, B) of a picture of several bands, None for one band."""
    with decode_picture(path, file, head, 'a label', LabelFormatError) as image:
        if image.mode not in SEVERAL:
            return None
        tiles = getattr(image, 'tile', None)
        if tiles and ';16' in str(tiles[0][3]):
            raise LabelFormatError(
                f'{path} has {len(image.getbands())} bands of 16 bit, which are read from TIFF '
                'files only; convert it to TIFF, or to 8 bit'
            )
        return np.asarray(image)


def _chosen(path: PathLike, found: int, bands: Sequence[int] | None) -> list[int]:
    """Return the bands to read; refuse a band that a file of ``found`` bands lacks."""
    wanted = list(range(1, found + 1)) if bands is None else list(bands)
    if outside := [band for band in wanted if band > found]:
        raise LabelFormatError(
            f'{path} has {found} band{"s" * (found != 1)}, but label_bands names band '
            f'{outside[0]}; correct label_bands, or export the label with all of its bands'
        )
    return wanted


def read_one_hot(
    path: PathLike,
    table: ClassTable,
    options: LabelStorage,
    window: Sequence[int] | None = None,
) -> tuple[np.ndarray, int]:
    """Read a label with a band of 0 and 1, or 0 and 255, for each class.

    Band b is the b-th land-cover class, unless ``label_map`` gives the bands other meanings.

    Args:
        path: PNG or TIFF file.
        table: The classes, index 0 for "unchanged" (or "no information").
        options: Storage, with the rules that the user states.
        window: (left, top, width, height) in pixels, by default the whole file.

    Returns:
        Indices 1..K, 255 where no band is set (H, W) uint8; and the number of those pixels.

    Raises:
        LabelFormatError: The file has another number of bands than there are classes.
        LabelValueError: Bands hold other values, or two bands are set at one pixel.
    """
    stored = read_label_bands(path, None, window)
    mapped = {key: value for key, value in options.rules.mapped if isinstance(key, int)}
    numbers = range(1, len(stored) + 1)
    fits = len(stored) == table.num_classes
    if mapped:
        highest = 0 if options.rules.complete else table.num_classes
        fits = max(mapped) <= len(stored) and all(
            band <= highest or band in mapped for band in numbers
        )
    if not fits:
        raise LabelFormatError(
            f'{path} has {len(stored)} bands, expected one for each of the {table.num_classes} '
            f'classes {table.land_cover}; correct semantic_classes, or give bands another meaning '
            'by label_map (None ignores a band), as in label_map={7: None}'
        )
    values: set[int] = set()
    lookup = np.full(len(stored) + 1, IGNORE_INDEX, np.uint8)
    count = np.zeros(stored[0].pixels.shape, np.uint16)
    band_of = np.zeros(count.shape, np.uint16)
    missing = np.zeros(count.shape, bool)
    for band, one in zip(numbers, stored, strict=True):
        values.update(int(value) for value in present_values(one.pixels))
        if values not in ONE_HOT:
            raise LabelValueError(
                f'{path} holds the values {enumerated(sorted(values))} in its bands 1 to {band}, '
                'expected 0 and 1, or 0 and 255 (label_storage="one_hot")'
            )
        chosen = one.pixels != 0
        count += chosen
        band_of[chosen] = band
        meant = mapped.get(band, band - options.rules.shift)
        lookup[band] = IGNORE_INDEX if meant == IGNORED else meant + options.rules.shift
        if one.missing is not None:
            missing |= one.missing
    double = count > 1
    if double.any():
        row, column = (int(one[0]) for one in np.nonzero(double))
        both = [band for band in numbers if stored[band - 1].pixels[row, column]]
        raise LabelValueError(
            f'{path} has two or more bands set at {100 * float(double.mean()):.2f} % of its '
            f'pixels, such as the bands {enumerated(both)} at row {row}, column {column}; expected '
            'one (label_storage="one_hot"). Export the label again, one class a pixel'
        )
    result = lookup[band_of]
    result[missing] = IGNORE_INDEX
    return result, int(np.count_nonzero(count == 0))
