"""Read the images of a pair: any bit depth, any number of bands, whole or in windows.

PNG, JPEG, BMP and WebP files are decoded by OpenCV, all others (TIFF above all)
by rasterio, the extra ``geo``. The first bytes of a file decide between the two,
not its name. Values are returned as they are stored; nothing is cut to 8 bit or
to three bands.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from tfinet_mm.errors import ImageFormatError, MissingExtraError

if TYPE_CHECKING:
    from types import ModuleType

PathLike = str | os.PathLike[str]
PNG_MAGIC = b'\x89PNG\r\n\x1a\n'
JPEG_MAGIC = b'\xff\xd8\xff'
# Pillow and OpenCV read these; without its end marker a file was cut off while copying.
END_MARKERS = {PNG_MAGIC: b'IEND', JPEG_MAGIC: b'\xff\xd9'}
COMMON_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp')


class Window(NamedTuple):
    """Rectangle of an image in pixels.

    Attributes:
        left: First column.
        top: First row.
        width: Number of columns.
        height: Number of rows.
    """

    left: int
    top: int
    width: int
    height: int

    def slices(self) -> tuple[slice, slice]:
        """Return the row and column slices that cut the window out of an (H, W, ...) array."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


def import_rasterio(path: PathLike) -> ModuleType:
    """Import rasterio, which reads ``path``.

    Raises:
        MissingExtraError: rasterio is not installed.
    """
    try:
        import rasterio
        import rasterio.windows
    except ImportError as error:
        raise MissingExtraError(
            f'{path} is no PNG, JPEG, BMP or WebP file and needs rasterio to be read: '
            'pip install "tfinet-mm[geo]"'
        ) from error
    return rasterio


def is_common_format(head: bytes) -> bool:
    """Return whether a file that starts with ``head`` (12 bytes) is PNG, JPEG, BMP or WebP."""
    return head.startswith((PNG_MAGIC, JPEG_MAGIC, b'BM')) or (
        head[:4] == b'RIFF' and head[8:12] == b'WEBP'
    )


def read_head(path: PathLike) -> bytes:
    """Return the first 12 bytes of a file, which tell its format."""
    with open(path, 'rb') as file:
        return file.read(12)


def check_complete(data: bytes, path: PathLike) -> None:
    """Refuse a PNG or JPEG file that was cut off.

    Decoders treat such files differently: some return an image that is partly grey.

    Raises:
        ImageFormatError: The file ends before its image does.
    """
    for magic, end in END_MARKERS.items():
        if data.startswith(magic) and end not in data:
            raise ImageFormatError(
                f'{path} is incomplete: it ends after {len(data)} bytes, before its image does; '
                'copy or download the file again'
            )


def image_size(path: PathLike) -> tuple[int, int]:
    """Return width and height of an image in pixels, read from its header only.

    Args:
        path: An image or label file of any format that can be read.

    Raises:
        FileNotFoundError: There is no such file.
        ImageFormatError: The file is no image.
    """
    if not is_common_format(read_head(path)):
        return _open_raster_size(path)
    try:
        # Pillow refuses very large images only when it would decode them; the header is safe.
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return image.size
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ImageFormatError(
            f'{path} can not be read as an image ({error}); is it damaged?'
        ) from error


def _open_raster_size(path: PathLike) -> tuple[int, int]:
    rasterio = _checked_rasterio(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
            with rasterio.open(path) as raster:
                return raster.width, raster.height
    except rasterio.errors.RasterioError as error:
        raise ImageFormatError(
            f'{path} can not be read as an image ({error}); is it damaged?'
        ) from error


def _checked_rasterio(path: PathLike) -> ModuleType:
    if str(path).lower().endswith(COMMON_SUFFIXES):
        raise ImageFormatError(
            f'{path} is not what its name says, a PNG, JPEG, BMP or WebP file: it starts with '
            f'{read_head(path)!r}; is it damaged?'
        )
    return import_rasterio(path)


def read_image(
    path: PathLike,
    bands: Sequence[int] | None = None,
    window: Sequence[int] | None = None,
) -> np.ndarray:
    """Read an image, or a window of it, in RGB order.

    Args:
        path: The file.
        bands: Numbers of the bands to read, counted from 1 as GDAL does, in
            the order wanted; a band may be repeated. The default is a plain
            RGB image: all bands of a file that has exactly three.
        window: (left, top, width, height) in pixels; all of it has to lie in
            the image. TIFF files are read in the window only. The default is
            the whole image.

    Returns:
        Array (H, W, B) with the values and the type that the file stores
        (uint8, uint16, float32, ...).

    Raises:
        FileNotFoundError: There is no such file.
        ImageFormatError: The file is damaged, has other bands than asked for,
            or is smaller than the window.
        MissingExtraError: The file needs rasterio, which is not installed.
    """
    if is_common_format(read_head(path)):
        image = _decode(path)
        numbers = select_bands(path, image.shape[2], bands)
        if window is not None:
            box = check_window(path, window, image.shape[1], image.shape[0])
            image = image[box.slices()]
        if numbers != list(range(1, image.shape[2] + 1)):
            image = image[..., [number - 1 for number in numbers]]
        return np.ascontiguousarray(image)
    return read_raster(path, bands, window)


def _decode(path: PathLike) -> np.ndarray:
    """Decode a whole file with OpenCV to (H, W, B) in RGB(A) order."""
    # Read the bytes first, since OpenCV can't open non-ASCII names on every system.
    with open(path, 'rb') as file:
        data = file.read()
    check_complete(data, path)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ImageFormatError(f'{path} can not be decoded as an image; is it damaged?')
    if image.ndim == 2:
        return image[..., None]
    if image.shape[2] == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if image.shape[2] == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
    return image


def read_raster(
    path: PathLike,
    bands: Sequence[int] | None = None,
    window: Sequence[int] | None = None,
) -> np.ndarray:
    """Read a raster file through rasterio; arguments and result as :func:`read_image`."""
    rasterio = _checked_rasterio(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
            with rasterio.open(path) as raster:
                if raster.driver == 'GIF':
                    raise ImageFormatError(
                        f'{path} is a GIF file, of at most 256 colours, expected TIFF, PNG, JPEG '
                        'or another format of full colours; give the original, or convert it: '
                        'gdal_translate -expand rgb'
                    )
                colours = _colours(raster)
                found = raster.count if colours is None else 3
                numbers = select_bands(path, found, bands)
                if colours is not None and set(numbers) == {1}:
                    raise ImageFormatError(
                        f'{path} stores numbers of colours in one band, with a colour table, '
                        f'which is read as red, green and blue (bands 1 to 3); got '
                        f'bands={numbers}. Leave the option bands (--bands) out, or write the '
                        'colours to a file of three bands: gdal_translate -expand rgb'
                    )
                box = None
                if window is not None:
                    checked = check_window(path, window, raster.width, raster.height)
                    box = rasterio.windows.Window(*checked)
                if colours is None:
                    values = raster.read(numbers, window=box)
                else:
                    # A number without a colour is black, as in GDAL.
                    stored = raster.read(1, window=box).astype(np.int64)
                    stored = stored.clip(0, len(colours) - 1)
                    values = colours[stored][..., [n - 1 for n in numbers]].transpose(2, 0, 1)
    except rasterio.errors.RasterioError as error:
        raise ImageFormatError(
            f'{path} can not be read as an image ({error}); is it damaged?'
        ) from error
    return np.ascontiguousarray(values.transpose(1, 2, 0))


def _colours(raster: Any) -> np.ndarray | None:
    """Return the colour table (N, 3) of a raster that stores numbers of colours.

    The last entry is black, for numbers that have no colour.
    """
    if raster.colorinterp[0].name != 'palette' or raster.count > 2:
        return None
    try:
        table = raster.colormap(1)
    except ValueError:
        return None
    colours = np.zeros((max(table) + 2, 3), np.uint8)
    for number, colour in table.items():
        colours[number] = colour[:3]
    return colours


def join_dates(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return two images (H, W, B) of one shape and type as one (H, W, 2B)."""
    if before.dtype in (np.uint8, np.uint16, np.float32):
        # Several times faster than np.concatenate along the last axis.
        return cv2.merge([before, after])
    return np.concatenate([before, after], axis=2)


def split_dates(pair: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the images of both dates, (H, W, B) each, of a pair (H, W, 2B)."""
    bands = pair.shape[2] // 2
    if pair.dtype in (np.uint8, np.uint16, np.float32) and bands > 1:
        channels = cv2.split(pair)
        return cv2.merge(channels[:bands]), cv2.merge(channels[bands:])
    return np.ascontiguousarray(pair[..., :bands]), np.ascontiguousarray(pair[..., bands:])


def select_bands(path: PathLike, found: int, bands: Sequence[int] | None) -> list[int]:
    """Return the numbers of the bands to take of an image, counted from 1.

    Args:
        path: Name of the image in messages.
        found: Number of its bands.
        bands: The bands wanted, in order; None for all of a plain RGB image.

    Raises:
        ImageFormatError: It lacks one of them, or None is given and it isn't RGB.
    """
    if bands is None:
        if found == 3:
            return [1, 2, 3]
        hint = {
            1: 'bands=[1] to use it alone, or bands=[1, 1, 1] to use it as grey RGB',
            4: 'bands=[1, 2, 3] to leave the fourth (often transparency or near infrared) out',
        }.get(found, 'for example bands=[3, 2, 1]')
        raise ImageFormatError(
            f'{path} has {found} band{"s" * (found != 1)}, expected 3 (RGB); choose with --bands '
            f'(from Python bands of LoadImagePair or SCDInferencer), counted from 1: {hint}'
        )
    numbers = [int(number) for number in bands]
    outside = [number for number in numbers if not 1 <= number <= found]
    if outside or not numbers:
        raise ImageFormatError(
            f'{path} has the bands 1 to {found}, asked for bands={numbers}; they are counted from 1'
        )
    return numbers


def check_window(path: PathLike, window: Sequence[int], width: int, height: int) -> Window:
    """Return the window as a :class:`Window`, if all of it lies in an image of that size.

    Raises:
        ImageFormatError: It reaches over the image's border.
    """
    box = Window(*(int(value) for value in window))
    if (
        min(box.left, box.top) < 0
        or min(box.width, box.height) < 1
        or box.left + box.width > width
        or box.top + box.height > height
    ):
        raise ImageFormatError(
            f'{path} is {width} x {height} pixels (width x height), which the window '
            f'(left, top, width, height) = {tuple(box)} does not fit into'
        )
    return box
