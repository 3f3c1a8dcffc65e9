"""Find out where a raster is damaged, and notice damage that GDAL only warns of.

rasterio, the extra ``geo``, is imported where it is used.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from tfinet_mm.utils.places import PathLike, archived, is_remote, members, some
from tfinet_mm.utils.remote_files import advice

WARNINGS = re.compile(
    r'^(?!.*extraneous bytes).*(corrupt|premature end)', re.IGNORECASE | re.DOTALL
)
"""Warnings of decoders that return wrong pixels, as of a JPEG tile with overwritten bytes.

Bytes too many between two parts of a JPEG are harmless, and some cameras write them.
"""
LOGGERS = ('rasterio._err', 'rasterio._env')
MOST_BLOCKS = 4096
"""Number of blocks that are searched for damage."""

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""

_heard = threading.local()


class DecoderWarning(Exception):
    """GDAL returned pixels and warned that they are wrong."""


class _Listener(logging.Filter):
    """Hear GDAL's warnings, and let all pass: a handler would keep them from the terminal."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Note a warning that tells of damage, in the thread that reads."""
        texts = getattr(_heard, 'texts', None)
        if texts is not None:
            text = record.getMessage()
            if WARNINGS.search(text):
                texts.append(text)
        return True


_listener = _Listener()


@contextlib.contextmanager
def strict_decoding() -> Iterator[None]:
    """Raise an error after a block in which GDAL warned of damaged pixels.

    Raises:
        DecoderWarning: It did; the message is GDAL's.
    """
    for name in LOGGERS:
        # Added once: logging compares filters.
        logging.getLogger(name).addFilter(_listener)
    outer = getattr(_heard, 'texts', None)
    texts: list[str] = []
    _heard.texts = texts
    try:
        yield
    finally:
        _heard.texts = outer
    if texts:
        raise DecoderWarning(texts[0].removeprefix('CPLE_AppDefined:'))


def read_errors(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """Return the errors with which reading a damaged raster ends, and ``more``."""
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    return RasterioError, CPLE_BaseError, DecoderWarning, *more


def cause_of(error: BaseException) -> str:
    """Return the innermost message of an error, which is GDAL's own."""
    while error.__cause__ is not None:
        error = error.__cause__
    return ' '.join(str(error).split()).rstrip('.')


def find_damage(
    name: str, bands: Sequence[int] = (), box: Box | None = None, reduced: bool = False
) -> str | None:
    """Return the place of the damage in a raster, as a part of a sentence.

    Args:
        name: The raster as GDAL opens it; it is opened again, without the blocks in GDAL's cache.
        bands: Bands to search, counted from 1; all where none is given.
        box: Pixels to search, by default all.
        reduced: Search the overviews as well.

    Returns:
        Band and window of the first block that can't be read, or None where all can.
    """
    import rasterio

    with warnings.catch_warnings():
        warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
        with contextlib.suppress(*read_errors()):
            with rasterio.open(name, sharing=False) as raster:
                bands = bands or raster.indexes
                found = _first_damaged(raster, bands, box or (0, 0, raster.width, raster.height))
                factors = raster.overviews(bands[0]) if reduced else []
            if found is not None:
                return f'band {found[0]} in the window {describe(found[1])}'
            for level, factor in enumerate(factors):
                with rasterio.open(name, sharing=False, overview_level=level) as raster:
                    found = _first_damaged(raster, bands, (0, 0, raster.width, raster.height))
                if found is not None:
                    return (
                        f'band {found[0]} of the overview of 1/{factor} size, in its window '
                        f'{describe(found[1])}'
                    )
    return None


def describe(box: Box) -> str:
    """Return a window as a part of a sentence.

    Example:
        >>> describe((0, 512, 256, 100))
        'left 0, top 512, width 256, height 100 (pixels)'
    """
    left, top, width, height = box
    return f'left {left}, top {top}, width {width}, height {height} (pixels)'


def _first_damaged(raster: Any, bands: Sequence[int], box: Box) -> tuple[int, Box] | None:
    from rasterio.windows import Window

    left, top, width, height = box
    right, bottom = min(left + width, raster.width), min(top + height, raster.height)
    left, top = max(left, 0), max(top, 0)
    for number in dict.fromkeys(bands):
        rows, columns = raster.block_shapes[number - 1]
        blocks = (
            (x, y, min(columns, raster.width - x), min(rows, raster.height - y))
            for y in range(top // rows * rows, bottom, rows)
            for x in range(left // columns * columns, right, columns)
        )
        for _, block in zip(range(MOST_BLOCKS), blocks, strict=False):
            try:
                with strict_decoding():
                    raster.read(number, window=Window(*block))
            except read_errors():
                return number, block
    return None


def unopened(path: PathLike, error: BaseException) -> str:
    """Return why a raster can't be opened and what to do, as the rest of a sentence.

    Args:
        path: The file or address.
        error: The error of rasterio.
    """
    cause = cause_of(error)
    if is_remote(path):
        return f'can not be read from its server ({cause}). {advice(cause, path)}'
    held = archived(path)
    if held is not None and held.member:
        names = members(held.archive)
        if held.member not in names:
            return f'is not in the zip file, which holds {some(names) or "no file"}'
    return (
        f'can not be read as a raster ({cause}); expected a file that GDAL opens: copy or download '
        'it again'
    )
