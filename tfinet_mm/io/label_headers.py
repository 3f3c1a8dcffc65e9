"""How label files store their values, as far as their headers say: fast enough for all of them."""

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
    PNG_MAGIC,
    PathLike,
    check_regular,
    is_common_format,
    open_picture,
    open_rasterio,
)
from tfinet_mm.io.label_files import raster_palette

GREY, PALETTE, COLOUR = 'grey', 'palette', 'rgb'
# Palettes come before the pixels; most writers put nothing else of length in front of them.
HEAD_BYTES = 1200
CHUNK = 256
"""Files that a thread looks at before it asks for more."""


class LabelHeader(NamedTuple):
    """How a label file stores its values, as its header says.

    Attributes:
        kind: 'grey', 'palette' or 'rgb'.
        bits: Bits of a value of one band.
        palette: Bytes of the stored colours, three each; empty without a palette.
    """

    kind: str
    bits: int
    palette: bytes = b''

    def colours(self) -> np.ndarray:
        """Return the stored palette (P, 3) uint8."""
        return np.frombuffer(self.palette, np.uint8).reshape(-1, 3)


def read_label_header(path: PathLike) -> LabelHeader | None:
    """Return how a label file stores its values, without reading its pixels.

    Args:
        path: PNG, BMP, WebP or TIFF file.

    Returns:
        The header, or None where the file can't hold a label: the reader of its pixels says why.
    """
    try:
        # Three calls of the system: half a million files are looked at in seconds.
        file = os.open(path, os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0))
        try:
            head = os.read(file, HEAD_BYTES)
        finally:
            os.close(file)
        if head.startswith(PNG_MAGIC):
            # Everything in front of the pixels is the same in most files of a folder.
            end = head.find(b'IDAT')
            return _png_header(head[8 : end - 4]) if end > 0 else _long_png_header(path)
        if head.startswith(JPEG_MAGIC):
            return None
        # What isn't a file would block.
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
    # Slow disks answer several questions at once.
    with ThreadPoolExecutor(min(16, 4 * (os.cpu_count() or 1))) as threads:
        return list(chain.from_iterable(threads.map(_headers, chunks)))
