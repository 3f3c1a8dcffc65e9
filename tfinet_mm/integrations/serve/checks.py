"""Check two uploaded files before they are predicted: their formats, and pixels when decoded."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from tfinet_mm.errors import ImageFormatError, MissingExtraError
from tfinet_mm.integrations.serve.limits import MEGABYTE, MEGAPIXEL, megabytes

PICTURES = {'.png': 'PNG', '.jpg': 'JPEG'}
"""Formats of pictures, by the suffixes that uploads are stored with."""
MOST_BANDS = 64
MOST_BLOCK_BYTES = 1024 * MEGABYTE
"""Most bytes of a tile or strip of a GeoTIFF, which is decoded as a whole."""
SKIPPED_DRIVERS = (
    *('WMS', 'WCS', 'WMTS', 'HTTP', 'STACIT', 'STACTA', 'GTI', 'PLMOSAIC', 'EEDA', 'EEDAI'),
    *('MRF', 'DERIVED'),
)
"""Drivers of GDAL by which a file makes it read addresses or other files.

No format that is taken belongs to them, so this only adds to the check of the first bytes. A
prediction needs the driver of VRTs, which are its own.
"""


def check_images(before: Path, after: Path, picture_pixels: int, scene_pixels: int) -> None:
    """Refuse files of different kinds, and those whose pixels would take too much memory.

    Nothing but their headers is read.

    Args:
        before: File of the first date, stored by its format.
        after: File of the second.
        picture_pixels: Most pixels of a picture.
        scene_pixels: Most pixels of a GeoTIFF.

    Raises:
        ImageFormatError: A file can't be used; the message says why.
        MissingExtraError: rasterio is missing, and a file is a TIFF.
    """
    kinds = [path.suffix in PICTURES for path in (before, after)]
    if kinds[0] != kinds[1]:
        raise ImageFormatError(
            'one file is a TIFF and the other is a PNG or JPEG; give two GeoTIFFs or two pictures'
        )
    if all(kinds):
        for path in (before, after):
            _check_pixels(path.name, *_picture_size(path), picture_pixels, 'picture')
        return
    found = [_read_tiff(path) for path in (before, after)]
    placed = any(one[2] for one in found)
    limit, kind = (scene_pixels, 'scene') if placed else (picture_pixels, 'picture')
    for path, (width, height, _) in zip((before, after), found, strict=True):
        _check_pixels(path.name, width, height, limit, kind)


def _check_pixels(name: str, width: int, height: int, limit: int, kind: str) -> None:
    pixels = width * height
    if pixels > limit:
        raise ImageFormatError(
            f'{name} has {width} x {height} pixels, {pixels / MEGAPIXEL:.10g} million; this '
            f'server takes {limit / MEGAPIXEL:.10g} million of a {kind} (--max-{kind}-megapixels)'
        )


def _picture_size(path: Path) -> tuple[int, int]:
    """Return width and height of a PNG or JPEG as its header says."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # The size is checked by the caller.
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(path, formats=[PICTURES[path.suffix]]) as image:
                return image.size
    except Image.DecompressionBombError:
        raise ImageFormatError(
            f'{path.name} has more pixels than this server takes; give a smaller picture'
        ) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageFormatError(
            f'{path.name} is no whole {PICTURES[path.suffix]} file: {error}; save it again'
        ) from error


def _read_tiff(path: Path) -> tuple[int, int, bool]:
    """Return width and height of a TIFF, and whether it is placed on the ground."""
    rasterio = _rasterio()
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    from tfinet_mm.apis.command_output import is_georeferenced

    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            with rasterio.open(path, driver='GTiff') as raster:
                if raster.count > MOST_BANDS:
                    raise ImageFormatError(
                        f'{path.name} has {raster.count} bands; this server takes {MOST_BANDS}'
                    )
                size = max(
                    height * width * _bytes(kind)
                    for (height, width), kind in zip(
                        raster.block_shapes, raster.dtypes, strict=True
                    )
                )
                if raster.interleaving and raster.interleaving.name == 'pixel':
                    size *= raster.count
                if size > MOST_BLOCK_BYTES:
                    raise ImageFormatError(
                        f'a block of {path.name} decodes to {megabytes(size)}; write it in tiles, '
                        'with gdal_translate -co TILED=YES'
                    )
                shape = raster.width, raster.height
    except RasterioError as error:
        raise ImageFormatError(
            f'{path.name} is no whole GeoTIFF: {error}; write it again'
        ) from error
    return (*shape, is_georeferenced(str(path)))


def _bytes(kind: str) -> int:
    """Return the bytes of a value of one of rasterio's types."""
    import numpy as np

    try:
        return np.dtype(kind).itemsize
    except TypeError:
        return 8


def _rasterio() -> Any:
    try:
        import rasterio
    except ImportError as error:
        raise MissingExtraError(
            'GeoTIFFs need rasterio: pip install "tfinet-mm[geo]"; or give PNG or JPEG pictures'
        ) from error
    return rasterio
