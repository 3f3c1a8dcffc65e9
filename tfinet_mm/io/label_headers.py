"""Read the storage of label files from their headers, fast enough for whole data sets."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np

from tfinet_mm.errors import TFINetError
from tfinet_mm.io.images import (
    JPEG_MAGIC,
    PathLike,
    check_regular,
    is_common_format,
    open_picture,
    open_rasterio,
)
from tfinet_mm.io.label_files import raster_palette
from tfinet_mm.io.png_decoding import PNG_MAGIC

GREY, PALETTE, COLOUR = 'grey', 'palette', 'rgb'
# Palettes come before the pixels; most writers put nothing long in front of them.
HEAD_BYTES = 1200
CHUNK = 256
"""Number of files that a thread reads at a time."""


class LabelHeader(NamedTuple):
    """Storage of the values of a label file, according to its header.

    Attributes:
        kind: 'grey', 'palette' or 'rgb'.
        bits: Bits of a value in one band.
        palette: Stored colours, three bytes each; empty without a palette.
    """

    kind: str
    bits: int
    palette: bytes = b''

    def colours(self) -> np.ndarray:
        """Return the stored palette as (P, 3) uint8."""
        return np.frombuffer(self.palette, np.uint8).reshape(-1, 3)


def read_label_header(path: PathLike) -> LabelHeader | None:
    """Return the header of a label file, without reading its pixels.

    Args:
        path: PNG, BMP, WebP or TIFF file.

    Returns:
        The header, or None if the file can't hold a label; the reader of its pixels then
        raises the error.
    """
    try:
        # Only three system calls, so that half a million files take seconds.
        file = os.open(path, os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0))
        try:
            head = os.read(file, HEAD_BYTES)
        finally:
            os.close(file)
        if head.startswith(PNG_MAGIC):
            # The chunks in front of the pixels are cached: most files of a folder share them.
            end = head.find(b'IDAT')
            return _png_header(head[8 : end - 4]) if end > 0 else _long_png_header(path)
        if head.startswith(JPEG_MAGIC):
            return None
        # A pipe or a device would block.
        check_regular(path)
        if is_common_format(head):
            return _pillow_header(path)
        return _raster_header(path)
    except (TFINetError, OSError, struct.error, IndexError):
        return None


@lru_cache(maxsize=4096)
def _png_header(chunks: bytes) -> LabelHeader | None:
    """Return the header from the chunks in front of the pixels."""
    bits, colour = chunks[16], chunks[17]
    if colour == 3:
        at = 0
        while at + 8 <= len(chunks):
            length, kind = struct.unpack_from('>I4s', chunks, at)
            if kind == b'PLTE':
                stored = chunks[at + 8 : at + 8 + length]
                return LabelHeader(PALETTE, bits, stored[: len(stored) // 3 * 3])
            at += 12 + length
        return None
    return {0: LabelHeader(GREY, bits), 2: LabelHeader(COLOUR, 8), 6: LabelHeader(COLOUR, 8)}.get(
        colour
    )


def _long_png_header(path: PathLike) -> LabelHeader | None:
    """Return the header of a PNG with long notes (a colour profile) in front of its pixels."""
    with open(path, 'rb') as file:
        data = file.read()
    end = data.find(b'IDAT')
    return _png_header(data[8 : end - 4]) if end > 0 else None


def _pillow_header(path: PathLike) -> LabelHeader | None:
    with open_picture(path) as image:
        if image.mode == 'P':
            return LabelHeader(PALETTE, 8, bytes(image.getpalette('RGB') or ()))
        kinds = {'1': LabelHeader(GREY, 1), 'L': LabelHeader(GREY, 8)}
        if image.mode in ('RGB', 'RGBA'):
            return LabelHeader(COLOUR, 8)
        return kinds.get(image.mode)


def _raster_header(path: PathLike) -> LabelHeader | None:
    with open_rasterio(path) as raster:
        if raster.count > 1:
            return LabelHeader(COLOUR, 8)
        stored = raster_palette(raster)
        size = 8 * np.dtype(raster.dtypes[0]).itemsize
        bits = int(raster.tags(1, ns='IMAGE_STRUCTURE').get('NBITS', size))
        if stored is not None:
            return LabelHeader(PALETTE, bits, stored.tobytes())
        return LabelHeader(GREY, bits)


def _headers(paths: Sequence[PathLike]) -> list[LabelHeader | None]:
    return [read_label_header(path) for path in paths]


def read_label_headers(paths: Sequence[PathLike]) -> list[LabelHeader | None]:
    """Return the header of each file, in order, see :func:`read_label_header`."""
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    # Slow disks answer several requests at once.
    with ThreadPoolExecutor(min(16, 4 * (os.cpu_count() or 1))) as threads:
        return list(chain.from_iterable(threads.map(_headers, chunks)))
