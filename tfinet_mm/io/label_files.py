"""Read the pixels of label files as they are stored, without turning indices into colours."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from tfinet_mm.errors import LabelFormatError
from tfinet_mm.io.images import (
    JPEG_MAGIC,
    PathLike,
    check_window,
    import_rasterio,
    is_common_format,
    read_head,
)


class StoredLabel(NamedTuple):
    """Pixels of a label file, before they are read as classes.

    Attributes:
        pixels: (H, W) indices or grey values, or (H, W, 3) colours.
        palette: (P, 3) colours of a palette file, else None.
    """

    pixels: np.ndarray
    palette: np.ndarray | None


def read_stored_label(path: PathLike, window: Sequence[int] | None = None) -> StoredLabel:
    """Read a label file as it is stored, without turning indices into colours.

    PNG, BMP and WebP are read by Pillow, TIFF by rasterio (in the window only).

    Args:
        path: The file.
        window: (left, top, width, height) in pixels, by default all of it.

    Raises:
        FileNotFoundError: There is no such file.
        LabelFormatError: The file is damaged, a JPEG, or of a type that holds
            no labels (real numbers, transparency, two bands, ...).
    """
    head = read_head(path)
    if head.startswith(JPEG_MAGIC):
        raise LabelFormatError(
            f'{path} is a JPEG file, whose compression changes values near every edge; labels '
            'have to be stored without loss (PNG or TIFF): export them again from their source'
        )
    if not is_common_format(head):
        return _read_raster_label(path, window)
    try:
        with warnings.catch_warnings():
            # Tiles of 10000 x 10000 pixels are usual here, and no attack.
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if window is not None:
                    box = check_window(path, window, *image.size)
                    corners = (box.left, box.top, box.left + box.width, box.top + box.height)
                    return _from_pillow(image.crop(corners), path)
                return _from_pillow(image, path)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise LabelFormatError(
            f'{path} can not be read as a label ({error}); is it damaged?'
        ) from error


def _from_pillow(image: Image.Image, path: PathLike) -> StoredLabel:
    if image.mode == 'P':
        raw = image.getpalette('RGB') or []
        return StoredLabel(np.asarray(image), np.array(raw, np.uint8).reshape(-1, 3))
    if image.mode == '1':
        return StoredLabel(np.asarray(image).astype(np.uint8), None)
    if image.mode == 'L' or image.mode.startswith('I'):
        return StoredLabel(np.asarray(image), None)
    if image.mode == 'RGB':
        return StoredLabel(np.asarray(image), None)
    if image.mode == 'RGBA':
        return StoredLabel(_without_alpha(np.asarray(image), path), None)
    raise LabelFormatError(
        f'{path} is an image of mode {image.mode!r}, expected a label as grey index, palette or '
        'RGB image; convert it to one of these'
    )


def _without_alpha(pixels: np.ndarray, path: PathLike) -> np.ndarray:
    if (pixels[..., 3] != 255).any():
        share = 100 * float((pixels[..., 3] != 255).mean())
        raise LabelFormatError(
            f'{path} is transparent in {share:.2f} % of its pixels, which says nothing about '
            'their class; save it as RGB, with 255 or the class colours where it is transparent'
        )
    return pixels[..., :3]


def _read_raster_label(path: PathLike, window: Sequence[int] | None) -> StoredLabel:
    if Path(path).suffix.lower() in ('.png', '.bmp', '.webp'):
        raise LabelFormatError(
            f'{path} is not what its name says: it starts with {read_head(path)!r}; is it damaged?'
        )
    rasterio = import_rasterio(path)
    palette = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
            with rasterio.open(path) as raster:
                box = None
                if window is not None:
                    checked = check_window(path, window, raster.width, raster.height)
                    box = rasterio.windows.Window(*checked)
                pixels = raster.read(window=box)
                if raster.colorinterp[0].name == 'palette':
                    colours = raster.colormap(1)
                    palette = np.array(
                        [colours.get(i, (0, 0, 0))[:3] for i in range(max(colours) + 1)], np.uint8
                    )
    except rasterio.errors.RasterioError as error:
        raise LabelFormatError(
            f'{path} can not be read as a label ({error}); is it damaged?'
        ) from error
    if pixels.dtype.kind not in 'ui' or len(pixels) not in (1, 3, 4):
        raise LabelFormatError(
            f'{path} has {len(pixels)} bands of type {pixels.dtype}, expected a label as one '
            'band of whole numbers or as three bands of colours; convert it to one of these'
        )
    if len(pixels) == 1:
        return StoredLabel(pixels[0], palette)
    pixels = pixels.transpose(1, 2, 0)
    return StoredLabel(pixels if pixels.shape[2] == 3 else _without_alpha(pixels, path), None)
