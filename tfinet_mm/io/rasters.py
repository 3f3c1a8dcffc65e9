"""Read and write rasters of one band in blocks of rows.

rasterio, the extra ``geo``, is imported where it is used.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tfinet_mm.errors import MissingExtraError, SceneError
from tfinet_mm.utils.files import naming_file

# Pixels of a block: few enough to spend tens of bytes on each.
BLOCK_PIXELS = 1 << 22
# Greatest size of GDAL's cache of blocks that it read and wrote. rasterio takes GDAL_CACHEMAX in
# bytes, unlike GDAL.
CACHE_BYTES = 256 << 20
# Numbers of ENVI's data types.
ENVI_TYPES = {'uint8': 1, 'float32': 4, 'uint16': 12}

PathLike = str | os.PathLike[str]


def import_geo(name: str, purpose: str) -> Any:
    """Import a module of the extra ``geo``.

    Args:
        name: Its name.
        purpose: Purpose that needs it, as the start of a sentence.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition('.')[0]
        raise MissingExtraError(
            f'{purpose} needs {package}, which is not installed: pip install "tfinet-mm[geo]"'
        ) from error


@contextmanager
def open_raster(path: PathLike, bands: int = 1) -> Iterator[Any]:
    """Open a file of one band with rasterio, with or without georeference.

    Args:
        path: The file.
        bands: Number of bands that it must have.

    Yields:
        The open ``rasterio.DatasetReader``, within a GDAL environment whose cache is bounded.

    Raises:
        MissingExtraError: rasterio is not installed.
        OSError: It can't be read, or is shorter than its header says.
        SceneError: It has another number of bands.
    """
    rasterio = import_geo('rasterio', 'Reading a raster')
    errors = importlib.import_module('rasterio.errors')
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore', errors.NotGeoreferencedWarning)
                raster = rasterio.open(path)
        except errors.RasterioError as error:
            raise OSError(f'{path} could not be read: {error}') from error
        with raster:
            if raster.count != bands:
                wanted = 'one band' if bands == 1 else f'{bands} bands'
                raise SceneError(
                    f'expected {path} to have {wanted}, got {raster.count}; give a file of {wanted}'
                )
            if raster.driver == 'ENVI':
                _check_not_cut_off(path, raster)
            yield raster


def _check_not_cut_off(path: PathLike, raster: Any) -> None:
    """Refuse a raw file of fewer pixels than its header says: GDAL reads the missing ones as 0."""
    itemsize = np.dtype(raster.dtypes[0]).itemsize
    expected = raster.count * raster.height * raster.width * itemsize
    found = os.stat(path).st_size
    if found < expected:
        raise OSError(f'{path} was cut off: expected {expected} bytes, got {found}; remove it')


def row_blocks(height: int, width: int, pixels: int = BLOCK_PIXELS) -> Iterator[tuple[int, int]]:
    """Yield first row and number of rows of blocks of at most ``pixels``, but at least one row.

    Example:
        >>> list(row_blocks(height=5, width=10, pixels=25))
        [(0, 2), (2, 2), (4, 1)]
    """
    rows = max(pixels // width, 1)
    for top in range(0, height, rows):
        yield top, min(rows, height - top)


def read_rows(raster: Any, top: int, rows: int) -> np.ndarray:
    """Return rows (rows, width) of the one band of an open raster."""
    return raster.read(1, window=((top, top + rows), (0, raster.width)))


def read_bands(raster: Any, top: int, rows: int) -> np.ndarray:
    """Return rows (B, rows, width) of all bands of an open raster."""
    return raster.read(window=((top, top + rows), (0, raster.width)))


def check_same_size(path: PathLike, raster: Any, height: int, width: int) -> None:
    """Refuse a raster of another size than the scene's.

    Raises:
        SceneError: It has another size.
    """
    if (raster.height, raster.width) != (height, width):
        raise SceneError(
            f"{path} is {raster.width} x {raster.height} pixels, the scene's grid "
            f'{width} x {height}; both have to be of one size'
        )


def write_raw_header(path: Path, dtype: str, height: int, width: int, bands: int = 1) -> None:
    """Write the ENVI header through which GDAL reads a raw file of little-endian rows.

    Args:
        path: The raw file, ``.img``; the header is of the same name with ``.hdr``.
        dtype: NumPy's name of its type: uint8, uint16 or float32.
        height: Rows.
        width: Columns.
        bands: Bands; each row of pixels holds one after the other.
    """
    path.with_suffix('.hdr').write_text(
        f'ENVI\nsamples = {width}\nlines = {height}\nbands = {bands}\nheader offset = 0\n'
        f'file type = ENVI Standard\ndata type = {ENVI_TYPES[dtype]}\n'
        f'interleave = {"bsq" if bands == 1 else "bil"}\n'
        'byte order = 0\n'
    )


@contextmanager
def raw_writer(path: Path, dtype: str, height: int, width: int) -> Iterator[Any]:
    """Write an array from top to bottom to a file that GDAL reads by a header beside it.

    Args:
        path: The file, ``.img``.
        dtype: See :func:`write_raw_header`, which writes the header.
        height: Rows.
        width: Columns.

    Yields:
        A function that appends rows (n, width).
    """
    stored = np.dtype(dtype).newbyteorder('<')
    with naming_file(path), path.open('wb') as file:
        write_raw_header(path, dtype, height, width)
        yield lambda rows: file.write(np.ascontiguousarray(rows, stored).data)
        if file.tell() == 1:
            # GDAL doesn't open a file of one byte.
            file.write(b'\0')
