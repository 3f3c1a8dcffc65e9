"""Decode PNG files by GDAL, which takes half the time of OpenCV and a third of Pillow's.

GDAL unpacks a whole picture at once by libdeflate, the other two row by row by zlib. Only plain
pictures of 8 bits, or with a palette, are decoded here. All others, and damaged ones, are left to
the other decoders, which give the same pixels and name the damage.
"""

from __future__ import annotations

import importlib
import os
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from types import ModuleType

PNG_MAGIC = b'\x89PNG\r\n\x1a\n'
DEFLATE_RATIO = 1032
"""Most bytes that one byte of a PNG's compressed data can hold."""
GREY, RGB, PALETTE, RGBA = 0, 2, 3, 6
"""Types of colours in a PNG."""
BANDS = {GREY: 1, RGB: 3, PALETTE: 1, RGBA: 4}
WORTH = 32
"""Pictures after which an import of rasterio, which takes 0.2 s, has paid."""

_opening = threading.Lock()
_seen = 0
_found: list[Any] = []


class DecodedPng(NamedTuple):
    """Pixels of a PNG file as they are stored.

    Attributes:
        planes: (B, H, W) uint8: one band of grey values or indices, RGB, or RGBA.
        palette: (P, 3) uint8 colours of the indices, or None.
    """

    planes: np.ndarray
    palette: np.ndarray | None


def decode_png(data: bytes) -> DecodedPng | None:
    """Decode a PNG of 8 bits, or with a palette, without interlacing or transparent colours.

    Args:
        data: The whole file.

    Returns:
        Its pixels; None if it is another file, is damaged, or rasterio isn't installed or not
        worth its import yet.
    """
    global _seen
    header = _header(data)
    if header is None:
        return None
    _seen += 1
    if _seen <= WORTH and 'rasterio' not in sys.modules:
        return None
    rasterio = _rasterio()
    if rasterio is None:
        return None
    kind, width, height, palette = header
    try:
        with rasterio.MemoryFile(data) as file, _opened(rasterio, file) as picture:
            planes: np.ndarray = picture.read()
    except (rasterio.errors.RasterioError, rasterio.errors.RasterioIOError, MemoryError):
        return None
    if planes.shape != (BANDS[kind], height, width) or planes.dtype != np.uint8:
        return None
    return DecodedPng(planes, palette)


def _opened(rasterio: ModuleType, file: Any) -> Any:
    """Open a picture without the warning that it has no georeference."""
    # Filters of warnings belong to all threads, so only one may change them at a time.
    with _opening, warnings.catch_warnings():
        warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
        return file.open(driver='PNG')


def _new_lock() -> None:
    global _opening
    _opening = threading.Lock()


if hasattr(os, 'register_at_fork'):
    # A worker that is forked while another thread opens a picture would wait for ever.
    os.register_at_fork(after_in_child=_new_lock)


def _rasterio() -> ModuleType | None:
    if not _found:
        try:
            _found.append(importlib.import_module('rasterio'))
            importlib.import_module('rasterio.errors')
        except ImportError:
            _found[:] = [None]
    found: ModuleType | None = _found[0]
    return found


def _header(data: bytes) -> tuple[int, int, int, np.ndarray | None] | None:
    """Return type of colours, width, height and palette of a PNG that can be decoded here."""
    kind = width = height = -1
    palette = None
    complete = False
    for name, start, length in _chunks(data):
        if name == b'IDAT':
            continue  # Its data has a checksum of its own.
        body = data[start : start + length]
        (stated,) = struct.unpack_from('>I', data, start + length)
        if zlib.crc32(body, zlib.crc32(name)) != stated:
            return None
        if name == b'IHDR' and length == 13:
            width, height, bits, kind, *other = struct.unpack('>IIBBBBB', body)
            # Grey values of fewer bits are spread in other ways by other decoders.
            if kind not in BANDS or bits > 8 or (bits < 8 and kind != PALETTE) or any(other):
                return None
        elif name == b'PLTE':
            palette = np.frombuffer(body[: length // 3 * 3], np.uint8).reshape(-1, 3)
        elif name in (b'tRNS', b'acTL'):
            return None
        complete = name == b'IEND'
    if not complete or kind < 0 or (kind == PALETTE) > (palette is not None):
        return None
    least = width // 8 if kind == PALETTE else width * BANDS[kind]
    if height * (1 + least) > DEFLATE_RATIO * len(data):
        return None  # More pixels than its bytes can hold.
    return kind, width, height, palette if kind == PALETTE else None


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and length of each chunk that is there as a whole, up to IEND."""
    if not data.startswith(PNG_MAGIC):
        return
    at, name = len(PNG_MAGIC), b''
    while name != b'IEND' and at + 12 <= len(data):
        length, name = struct.unpack_from('>I4s', data, at)
        if at + 12 + length > len(data):
            return
        yield name, at + 8, length
        at += 12 + length
