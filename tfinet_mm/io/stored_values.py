"""Read what an image states about its values: their bits, their direction, white as 0."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

from PIL import Image, UnidentifiedImageError

from tfinet_mm.errors import ImageFormatError

WHITE_ZERO = (
    'declares that its value 0 is white (MINISWHITE), expected 0 as black; write a copy with the '
    'values turned around, for example gdal_translate -scale 0 255 255 0 -co '
    'PHOTOMETRIC=MINISBLACK IN OUT'
)
"""Error of a file, behind its name."""


def is_white_zero(raster: Any) -> bool:
    """Return whether a raster of grey values declares 0 as white, without a table of colours."""
    stated = raster.tags(ns='IMAGE_STRUCTURE').get('MINISWHITE') == 'YES'
    return stated and raster.colorinterp[0].name != 'palette'


def bits_of(raster: Any, bands: Sequence[int]) -> int | None:
    """Return the bits of the bands that a file states to have fewer than their type, else None.

    Args:
        raster: The raster.
        bands: Numbers of bands; those beyond the raster's don't count.
    """
    found = [
        raster.tags(number, ns='IMAGE_STRUCTURE').get('NBITS')
        for number in bands
        if number <= raster.count
    ]
    stated = [int(one) for one in found if one is not None and one.isdecimal()]
    return min(stated, default=None)


def check_same_turn(images: Sequence[Any]) -> None:
    """Refuse two photos of which a camera marks one as turned or mirrored, and not the other.

    Pixels are read as stored, whatever the mark (EXIF orientation) says.

    Args:
        images: Before and after; those that are no files of JPEG or WebP have no mark.

    Raises:
        ImageFormatError: The marks differ.
    """
    turns = [_turn(image) for image in images]
    if turns[0] == turns[1]:
        return
    found = ' and '.join(
        f'{image if isinstance(image, str | os.PathLike) else "the other image"} has {turn}'
        for image, turn in zip(images, turns, strict=True)
    )
    raise ImageFormatError(
        f'the images of a pair are stored in two directions (EXIF orientation): {found}, expected '
        'one; write both upright, for example with mogrify -auto-orient of ImageMagick'
    )


def _turn(image: Any) -> int:
    """Return the EXIF orientation of a file, 1 (upright) without one."""
    if not isinstance(image, str | os.PathLike):
        return 1
    path = os.fspath(image)
    if not path.lower().endswith(('.jpg', '.jpeg', '.webp')) or not os.path.isfile(path):
        return 1
    try:
        with Image.open(path) as opened:
            turn = opened.getexif().get(0x0112, 1)
    except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        # Reading the picture reports the fault.
        return 1
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def warn_of_pages(raster: Any, name: str) -> None:
    """Warn of a TIFF of several pages, of which the first one is read.

    Args:
        raster: Any open raster.
        name: Its name, for the message.
    """
    if raster.driver == 'GTiff' and len(raster.subdatasets) > 1:
        warnings.warn(
            f'{name} has {len(raster.subdatasets)} pages, of which the first is read; for another '
            f'one write it to a file: gdal_translate {raster.subdatasets[1]} OUT.tif',
            stacklevel=4,
        )
