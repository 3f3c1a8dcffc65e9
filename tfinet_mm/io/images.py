"""Read the images of a pair: any bit depth, any number of bands, whole or in windows.

PNG, JPEG, BMP and WebP files are decoded by OpenCV (plain PNG files of 8 bits by GDAL, where
rasterio is installed), all others (TIFF above all) by rasterio, the extra ``geo``. The first bytes
of a file decide between the two, not its name. Values are returned as they are stored, not reduced
to 8 bit or to three bands.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from tfinet_mm.errors import ImageFormatError, MissingExtraError, RemoteFileError, TFINetError
from tfinet_mm.io.damage import cause_of, find_damage, read_errors, strict_decoding, unopened
from tfinet_mm.io.png_decoding import DEFLATE_RATIO, PNG_MAGIC, decode_png
from tfinet_mm.io.stored_values import WHITE_ZERO, bits_of, is_white_zero, warn_of_pages
from tfinet_mm.io.vrt_sources import missing_source
from tfinet_mm.utils.config.values import is_whole
from tfinet_mm.utils.opencv import cv2, has_opencv
from tfinet_mm.utils.places import gdal_path, is_remote, is_virtual, opening, some

if TYPE_CHECKING:
    from types import ModuleType

PathLike = str | os.PathLike[str]
PNG_DEPTH = 24
"""Place of the byte with the bits of a channel in a PNG."""
JPEG_MAGIC = b'\xff\xd8\xff'
COMMON_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp')
MOST_BYTES = 1 << 36
"""Most bytes of an image that may be read as one array, 64 GiB."""
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""Errors that decoders end with on random bytes."""


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
            f'{path} is not a PNG, JPEG, BMP or WebP file and needs rasterio to be read: '
            'pip install "tfinet-mm[geo]"'
        ) from error
    return rasterio


def is_common_format(head: bytes) -> bool:
    """Return whether a file that starts with ``head`` (12 bytes) is PNG, JPEG, BMP or WebP."""
    return head.startswith((PNG_MAGIC, JPEG_MAGIC, b'BM')) or (
        head[:4] == b'RIFF' and head[8:12] == b'WEBP'
    )


def read_head(path: PathLike) -> bytes:
    """Return the first 12 bytes of a file, which tell its format.

    Raises:
        FileNotFoundError: There is no such file.
        ImageFormatError: It is a pipe, a socket or a device, which would block.
    """
    with open_regular(path) as (_, head):
        return head


@contextmanager
def open_regular(path: PathLike) -> Iterator[tuple[BinaryIO, bytes]]:
    """Open a file once, to tell its format and then to read it.

    On a network drive, opening a small file takes longer than reading it.

    Yields:
        The file, at its start, and its first 12 bytes.

    Raises:
        FileNotFoundError: There is no such file.
        ImageFormatError: It is a pipe, a socket or a device, which would block.
    """
    check_regular(path)
    with open(path, 'rb') as file:
        head = file.read(12)
        file.seek(0)
        yield file, head


@contextmanager
def _open_common(path: PathLike) -> Iterator[tuple[BinaryIO, bytes] | None]:
    """Open a file that is read without GDAL, as :func:`open_regular` does, once.

    Yields:
        The file and its first bytes; None where GDAL reads it, as it does everything in a zip
        file or at an address.
    """
    if is_virtual(path):
        yield None
        return
    with open_regular(path) as (file, head):
        yield (file, head) if is_common_format(head) else None


def check_regular(path: PathLike) -> None:
    """Refuse paths that are neither a file nor a folder.

    Raises:
        FileNotFoundError: There is no such file.
        ImageFormatError: It is a pipe, a socket or a device.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ImageFormatError(
            f'{path} is a pipe, a socket or a device, expected a file; replace it by a file'
        )


@contextmanager
def open_picture(
    path: PathLike, what: str = 'an image', error: type[TFINetError] = ImageFormatError
) -> Iterator[Image.Image]:
    """Open a PNG, JPEG, BMP or WebP file with Pillow, without Pillow's limit of pixels.

    That limit would refuse tiles of more than 178 million pixels.

    Args:
        path: The file.
        what: Kind of image in messages, such as 'a label'.
        error: Type of the error for a damaged file.

    Yields:
        The image; only its header has been read.

    Raises:
        FileNotFoundError: There is no such file.
        ImageFormatError: It is damaged, or a PNG that claims more pixels than its bytes can hold
            (or ``error``).
    """
    with open_regular(path) as (file, head), decode_picture(path, file, head, what, error) as image:
        yield image


@contextmanager
def decode_picture(
    path: PathLike,
    file: BinaryIO,
    head: bytes,
    what: str = 'an image',
    error: type[TFINetError] = ImageFormatError,
) -> Iterator[Image.Image]:
    """Decode an open PNG, JPEG, BMP or WebP file like :func:`open_picture`.

    Args:
        path: Name of the file in messages.
        file: The file, at its start.
        head: Its first 12 bytes.
        what: Kind of image in messages.
        error: Type of the error for a damaged file.
    """
    kinds = (
        (PNG_MAGIC, PngImagePlugin.PngImageFile),
        (JPEG_MAGIC, JpegImagePlugin.jpeg_factory),
        (b'BM', BmpImagePlugin.BmpImageFile),
        (b'RIFF', WebPImagePlugin.WebPImageFile),
    )
    opener = next(opener for magic, opener in kinds if head.startswith(magic))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with opener(file, os.fspath(path)) as image:
                if head.startswith(PNG_MAGIC):
                    _check_claimed_size(path, image, error)
                yield image
    except TFINetError:
        raise
    except DECODE_ERRORS as problem:
        raise error(
            f'{path} can not be read as {what} ({problem}); copy or export it again'
        ) from problem


def _check_claimed_size(path: PathLike, image: Image.Image, error: type[TFINetError]) -> None:
    width, height = image.size
    # A PNG stores at least one bit for each pixel, and at least two bytes for each row.
    least = height * (1 + (width + 7) // 8)
    if least > DEFLATE_RATIO * os.stat(path).st_size:
        raise error(
            f'{path} claims to be {width} x {height} pixels, which its '
            f'{os.stat(path).st_size} bytes can not hold; copy or download it again'
        )


def check_complete(data: bytes, path: PathLike) -> None:
    """Refuse a PNG or JPEG file that was cut off.

    Decoders treat such files differently: some return an image that is partly grey, others the
    thumbnail in a camera's metadata. An end marker inside metadata or thumbnails doesn't count.

    Raises:
        ImageFormatError: The file ends before its image does.
    """
    whole = True
    if data.startswith(PNG_MAGIC):
        whole = _has_png_end(data)
    elif data.startswith(JPEG_MAGIC):
        start = _jpeg_scan(data)
        whole = start is not None and data.find(b'\xff\xd9', start) >= 0
    if not whole:
        raise ImageFormatError(
            f'{path} is incomplete: it ends after {len(data)} bytes, before its image does; '
            'copy or download the file again'
        )


def _has_png_end(data: bytes) -> bool:
    """Return whether the chunks of a PNG, each led by its length, reach IEND."""
    at = len(PNG_MAGIC)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from('>I4s', data, at)
        if kind == b'IEND':
            return True
        at += 12 + length
    return False


def _jpeg_scan(data: bytes) -> int | None:
    """Return the offset in bytes of the first scan of a JPEG, or None if it has none."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            # A damaged segment: search the next marker, as decoders do.
            at = data.find(b'\xff', at)
            if at < 0:
                return None
            continue
        marker = data[at + 1]
        if marker == 0xDA:
            return at
        if marker == 0xFF or marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD9:
            at += 1 if marker == 0xFF else 2
            continue
        at += 2 + int(struct.unpack_from('>H', data, at + 2)[0])
    return None


def image_size(path: PathLike) -> tuple[int, int]:
    """Return width and height of an image in pixels, read from its header only.

    Args:
        path: An image or label file of any format that can be read.

    Raises:
        FileNotFoundError: There is no such file.
        ImageFormatError: The file isn't an image.
    """
    with _open_common(path) as opened:
        if opened is not None:
            with decode_picture(path, *opened) as picture:
                width, height = picture.size
            return width, height
    with open_rasterio(path) as raster:
        return raster.width, raster.height


@contextmanager
def open_rasterio(
    path: PathLike, what: str = 'an image', error: type[TFINetError] = ImageFormatError
) -> Iterator[Any]:
    """Open a raster file with rasterio; arguments and errors are those of :func:`open_picture`."""
    rasterio = _checked_rasterio(path)
    place = ''
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
            with strict_decoding(), opening(path), rasterio.open(gdal_path(path)) as raster:
                place = raster.name
                if not raster.count:
                    raise error(
                        f'{path} holds {len(raster.subdatasets)} rasters '
                        f'({some(raster.subdatasets) or "none"}), expected bands of one; write the '
                        'one to read to a file of its own: gdal_translate NAME OUT.tif'
                    )
                missing = missing_source(raster)
                if missing is not None:
                    raise error(
                        f'{path} can not be read as {what}: it names {missing}; copy that file to '
                        'its place, or write the mosaic (VRT) again'
                    )
                yield raster
    except TFINetError:
        raise
    except read_errors(MemoryError) as problem:
        if is_virtual(path) and not place:
            kind = RemoteFileError if is_remote(path) else error
            raise kind(f'{path} {unopened(path, problem)}') from problem
        found = find_damage(place) if place else None
        where = f': {found}' if found else ''
        raise error(
            f'{path} can not be read as {what}{where} ({cause_of(problem)}); copy or export it '
            'again'
        ) from problem


def _checked_rasterio(path: PathLike) -> ModuleType:
    if not is_virtual(path) and str(path).lower().endswith(COMMON_SUFFIXES):
        raise ImageFormatError(
            f'{path} is named like a PNG, JPEG, BMP or WebP file, but starts with '
            f'{read_head(path)!r}; rename it by its type, or download it again'
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
        window: (left, top, width, height) in pixels, all inside the image. Of
            TIFF files only the window is read. The default is the whole image.

    Returns:
        Array (H, W, B) with the values and the type that the file stores
        (uint8, uint16, float32, ...).

    Raises:
        FileNotFoundError: There is no such file.
        ImageFormatError: The file is damaged, has other bands than asked for,
            or is smaller than the window.
        MissingExtraError: The file needs rasterio, which is not installed.
    """
    # Read the bytes here, since OpenCV can't open non-ASCII names on every system.
    with _open_common(path) as opened:
        data = None if opened is None else opened[0].read()
    if data is not None:
        check_complete(data, path)
        decoded = decode_png(data)
        if decoded is not None and decoded.palette is None:
            return _interleaved(decoded.planes, path, bands, window)
        image = _decode(data, path, window)
        numbers = select_bands(path, image.shape[2], bands)
        if numbers != list(range(1, image.shape[2] + 1)):
            image = image[..., [number - 1 for number in numbers]]
        return np.ascontiguousarray(image)
    return read_raster(path, bands, window)


def _interleaved(
    planes: np.ndarray,
    path: PathLike,
    bands: Sequence[int] | None,
    window: Sequence[int] | None,
) -> np.ndarray:
    """Return bands (H, W, B) of a window of planes (B, H, W)."""
    numbers = select_bands(path, len(planes), bands)
    if window is not None:
        rows, columns = check_window(path, window, planes.shape[2], planes.shape[1]).slices()
        planes = planes[:, rows, columns]
    chosen = [planes[number - 1] for number in numbers]
    if has_opencv():
        merged = cv2.merge([np.ascontiguousarray(one) for one in chosen])
        return merged.reshape(*chosen[0].shape, len(chosen))
    return np.stack(chosen, axis=2)


def _decode(data: bytes, path: PathLike, window: Sequence[int] | None) -> np.ndarray:
    """Decode a whole file with OpenCV, and return (H, W, B) of the window in RGB(A) order."""
    if not has_opencv():
        return _cut(_decode_with_pillow(data, path), path, window)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, MemoryError) as error:
        raise ImageFormatError(
            f'{path} can not be decoded as an image ({error}); copy or download it again'
        ) from error
    if image is None:
        raise ImageFormatError(f'{path} can not be decoded as an image; copy or download it again')
    # Only the window is converted.
    image = _cut(image, path, window)
    if image.ndim == 2:
        return image[..., None]
    if image.shape[2] == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if image.shape[2] == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
    return image


def _cut(image: np.ndarray, path: PathLike, window: Sequence[int] | None) -> np.ndarray:
    if window is None:
        return image
    return image[check_window(path, window, image.shape[1], image.shape[0]).slices()]


def _decode_with_pillow(data: bytes, path: PathLike) -> np.ndarray:
    """Decode an image of 8 bit as :func:`_decode` does, without OpenCV.

    Raises:
        MissingExtraError: It has more bits, or colours that Pillow converts in another way.
    """
    deep = data.startswith(PNG_MAGIC) and data[PNG_DEPTH] > 8
    with decode_picture(path, io.BytesIO(data), data[:12]) as image:
        if not deep and image.mode in ('1', 'L', 'LA', 'P', 'RGB', 'RGBA'):
            transparent = image.mode in ('LA', 'RGBA') or 'transparency' in image.info
            grey = image.mode in ('1', 'L') and not transparent
            mode = 'L' if grey else 'RGBA' if transparent else 'RGB'
            values = np.asarray(image.convert(mode))
            return values[..., None] if grey else values
    raise MissingExtraError(
        f'{path} has more than 8 bit or unusual colours, which needs OpenCV: pip install '
        '"tfinet-mm[opencv]"; or convert it to 8 bit'
    )


def read_raster(
    path: PathLike,
    bands: Sequence[int] | None = None,
    window: Sequence[int] | None = None,
) -> np.ndarray:
    """Read a raster file with rasterio; arguments and result are those of :func:`read_image`."""
    with open_rasterio(path) as raster:
        if raster.driver == 'GIF':
            raise ImageFormatError(
                f'{path} is a GIF file, of at most 256 colours, expected TIFF, PNG, JPEG or '
                'another format of full colours; give the original, or convert it: '
                'gdal_translate -expand rgb'
            )
        warn_of_pages(raster, os.fspath(path))
        colours = _colours(raster)
        numbers = select_bands(path, raster.count if colours is None else 3, bands)
        if colours is not None and set(numbers) == {1}:
            raise ImageFormatError(
                f'{path} stores numbers of colours in one band, with a colour table, which is read '
                f'as red, green and blue (bands 1 to 3); got bands={numbers}. Leave the option '
                'bands (--bands) out, or write the colours to a file of three bands: '
                'gdal_translate -expand rgb'
            )
        if is_white_zero(raster):
            raise ImageFormatError(f'{path} {WHITE_ZERO}')
        bits = bits_of(raster, numbers) if colours is None else None
        if bits is not None and bits < 8:
            raise ImageFormatError(
                f'{path} stores {bits}-bit values (NBITS), from 0 to {2**bits - 1}, expected 8 '
                f'bits or more; write a copy: gdal_translate -scale 0 {2**bits - 1} 0 255 -co '
                'NBITS=8 IN OUT'
            )
        box = None
        height, width = raster.height, raster.width
        if window is not None:
            checked = check_window(path, window, width, height)
            box = import_rasterio(path).windows.Window(*checked)
            height, width = checked.height, checked.width
        check_size(path, height, width, len(numbers), raster.dtypes[0])
        if colours is None:
            values = raster.read(numbers, window=box)
        else:
            # A number without a colour is black, as in GDAL.
            stored = raster.read(1, window=box).astype(np.int64).clip(0, len(colours) - 1)
            values = colours[stored][..., [n - 1 for n in numbers]].transpose(2, 0, 1)
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


def check_size(path: PathLike, height: int, width: int, bands: int, dtype: str) -> None:
    """Refuse an image that is too large for one array.

    Raises:
        ImageFormatError: It would take more than 64 GiB.
    """
    size = height * width * bands * np.dtype(dtype).itemsize
    if size > MOST_BYTES:
        raise ImageFormatError(
            f'{path} is {width} x {height} pixels of {bands} bands (width x height), '
            f'{size / 2**30:.0f} GiB as one array; read it in windows (the option window of the '
            'data set, or tfinet-predict for a scene)'
        )


def join_dates(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Join two images (H, W, B) of the same shape and type to one (H, W, 2B)."""
    if before.dtype in (np.uint8, np.uint16, np.float32) and has_opencv():
        # Several times faster than np.concatenate along the last axis.
        return cv2.merge([before, after])
    return np.concatenate([before, after], axis=2)


def split_dates(pair: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split a pair (H, W, 2B) into the images of both dates, (H, W, B) each."""
    bands = pair.shape[2] // 2
    if pair.dtype in (np.uint8, np.uint16, np.float32) and bands > 1 and has_opencv():
        channels = cv2.split(pair)
        return cv2.merge(channels[:bands]), cv2.merge(channels[bands:])
    return np.ascontiguousarray(pair[..., :bands]), np.ascontiguousarray(pair[..., bands:])


def declared_nodata(path: PathLike, bands: Sequence[int] | None = None) -> list[float | None]:
    """Return the nodata value that a raster file declares for each of its bands.

    Args:
        path: The file.
        bands: Numbers of the bands, counted from 1, by default all.

    Returns:
        A value, or None, for each band; an empty list for PNG, JPEG, BMP and WebP files.
    """
    with _open_common(path) as opened:
        if opened is not None:
            return []
    with open_rasterio(path) as raster:
        values = list(raster.nodatavals)
    return values if bands is None else [values[number - 1] for number in bands]


def select_bands(path: PathLike, found: int, bands: Sequence[int] | None) -> list[int]:
    """Return the numbers of the bands to read of an image, counted from 1.

    Args:
        path: Name of the image in messages.
        found: Number of its bands.
        bands: The bands wanted, in order; None for all bands of an RGB image.

    Raises:
        ImageFormatError: The image lacks one of them, or has other than three bands if
            ``bands`` is None.
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
    numbers = list(bands)
    if not numbers or not all(is_whole(one) and 1 <= one <= found for one in numbers):
        raise ImageFormatError(
            f'{path} has the bands 1 to {found}, got bands={numbers}; give whole numbers of that '
            'range'
        )
    return numbers


def check_window(path: PathLike, window: Sequence[int], width: int, height: int) -> Window:
    """Return a window as :class:`Window`, if it lies inside the image.

    Args:
        path: Name of the image in messages.
        window: (left, top, width, height) in pixels.
        width: Width of the image in pixels.
        height: Height of the image in pixels.

    Raises:
        ImageFormatError: The window reaches over the border of the image.
    """
    box = Window(*(int(value) for value in window))
    if (
        min(box.left, box.top) < 0
        or min(box.width, box.height) < 1
        or box.left + box.width > width
        or box.top + box.height > height
    ):
        raise ImageFormatError(
            f'{path} is {width} x {height} pixels (width x height), but the window (left, top, '
            f'width, height) = {tuple(box)} is not inside; give a window inside the image'
        )
    return box
