"""Read the pixels of label files as they are stored, without turning indices into colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from tfinet_mm.errors import LabelFormatError
from tfinet_mm.io.images import (
    JPEG_MAGIC,
    PathLike,
    check_regular,
    check_size,
    check_window,
    decode_picture,
    import_rasterio,
    is_common_format,
    open_rasterio,
    open_regular,
    read_head,
)
from tfinet_mm.io.png_decoding import PNG_MAGIC, decode_png
from tfinet_mm.utils.opencv import cv2

# Pillow spreads grey values of few bits over 0..255; these factors undo that.
SPREAD = {'L;2': (2, 85), 'L;4': (4, 17)}
LOSSY_COMPRESSIONS = ('JPEG', 'YCbCr JPEG', 'JPEG2000', 'JP2000', 'JXL', 'WEBP', 'LERC')
LOSSY_DRIVERS = ('JPEG', 'ECW', 'MrSID', 'AVIF', 'HEIF')


class StoredLabel(NamedTuple):
    """Pixels of a label file, before they are read as classes.

    Attributes:
        pixels: (H, W) indices or grey values, or (H, W, 3) colours.
        palette: (P, 3) colours of a palette file, else None.
        bits: Bits of a grey value or an index: 1, 2, 4, 8 or more.
        nodata: Value that the file declares as nodata, or None.
        missing: (H, W) bool, the pixels that a mask in the file excludes, or None.
        inverted: True if a grey file declares that 0 is white.
    """

    pixels: np.ndarray
    palette: np.ndarray | None
    bits: int = 8
    nodata: float | None = None
    missing: np.ndarray | None = None
    inverted: bool = False


def read_stored_label(
    path: PathLike, window: Sequence[int] | None = None, real_numbers: bool = False
) -> StoredLabel:
    """Read a label file as it is stored, without turning indices into colours.

    PNG, BMP and WebP files are read by Pillow, plain PNG files of 8 bits by GDAL where rasterio is
    installed, TIFF files by rasterio (the window only).

    Args:
        path: The file.
        window: (left, top, width, height) in pixels, by default the whole file.
        real_numbers: Read rasters of real numbers too, which soft masks may hold.

    Raises:
        FileNotFoundError: There is no such file.
        LabelFormatError: The file is damaged, compressed with loss, or of a type
            that holds no labels (real numbers, transparency, two bands, ...).
    """
    check_regular(path)
    if Path(path).is_dir():
        raise LabelFormatError(f'{path} is a folder, expected a label file')
    with open_regular(path) as (file, head):
        if head.startswith(JPEG_MAGIC):
            raise lossy_error(path, 'a JPEG file')
        if is_common_format(head):
            if head.startswith(b'RIFF') and is_lossy_webp(path):
                raise lossy_error(path, 'a WebP file compressed with loss')
            decoded = decode_png(file.read()) if head.startswith(PNG_MAGIC) else None
            if decoded is not None:
                return _from_planes(path, *decoded, window)
            file.seek(0)
            return _read_picture_label(path, file, head, window)
    return _read_raster_label(path, window, real_numbers)


def _read_picture_label(
    path: PathLike, file: BinaryIO, head: bytes, window: Sequence[int] | None
) -> StoredLabel:
    with decode_picture(path, file, head, 'a label', LabelFormatError) as image:
        tiles = getattr(image, 'tile', None)
        bits, factor = SPREAD.get(tiles[0][3], (8, 1)) if tiles else (8, 1)
        if window is not None:
            box = check_window(path, window, *image.size)
            # Pillow's own crop would refuse windows of more than its limit of pixels.
            image.load()
            corners = (box.left, box.top, box.left + box.width, box.top + box.height)
            stored = _from_pillow(image.crop(corners), path)
        else:
            stored = _from_pillow(image, path)
    if factor > 1:
        return stored._replace(pixels=stored.pixels // np.uint8(factor), bits=bits)
    return stored


def _from_planes(
    path: PathLike, planes: np.ndarray, palette: np.ndarray | None, window: Sequence[int] | None
) -> StoredLabel:
    """Return a label of planes (B, H, W); its colours are a view, whose bands are contiguous."""
    if window is not None:
        rows, columns = check_window(path, window, planes.shape[2], planes.shape[1]).slices()
        planes = np.ascontiguousarray(planes[:, rows, columns])
    if len(planes) == 1:
        return StoredLabel(planes[0], palette)
    colours = planes.transpose(1, 2, 0)
    return StoredLabel(_without_alpha(colours, path) if len(planes) == 4 else colours, None)


def lossy_error(path: PathLike, kind: str) -> LabelFormatError:
    """Return the error for a label whose compression changes values near every edge."""
    return LabelFormatError(
        f'{path} is {kind}, whose compression changes values near every edge; labels have to be '
        'stored without loss (PNG or TIFF): export them again from their source'
    )


def is_lossy_webp(path: PathLike) -> bool:
    """Return whether any picture of a WebP file is compressed with loss (a VP8 chunk)."""
    data = Path(path).read_bytes()
    at = 12
    while at + 8 <= len(data):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], 'little')
        if kind == b'VP8 ':
            return True
        # A frame of an animation holds its chunks after 16 bytes of its own.
        at += 8 + (16 if kind == b'ANMF' else length + length % 2)
    return False


def _from_pillow(image: Image.Image, path: PathLike) -> StoredLabel:
    if image.mode == 'P':
        raw = image.getpalette('RGB') or []
        return StoredLabel(np.asarray(image), np.array(raw, np.uint8).reshape(-1, 3))
    if image.mode == '1':
        return StoredLabel(np.asarray(image).astype(np.uint8), None, bits=1)
    if image.mode == 'L':
        return StoredLabel(np.asarray(image), None)
    if image.mode.startswith('I'):
        return StoredLabel(np.asarray(image), None, bits=16)
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
            f'{path} is transparent in {share:.2f} % of its pixels, so their class '
            'is unknown; save it as RGB, with 255 or the class colours where it is transparent'
        )
    return pixels[..., :3]


def _read_raster_label(
    path: PathLike, window: Sequence[int] | None, real_numbers: bool
) -> StoredLabel:
    def usual(found: int) -> Sequence[int]:
        if found not in (1, 3, 4):
            raise LabelFormatError(
                f'{path} has {found} bands, expected a label as one band of whole numbers or as '
                'three bands of colours; set label_bands if its bands are of different roles, or '
                'label_storage="one_hot" if it has a band for each class'
            )
        return range(1, found + 1)

    stored = read_raster_bands(path, window, usual, real_numbers)
    if len(stored) == 1:
        return stored[0]
    pixels = np.stack([one.pixels for one in stored], axis=2)
    colours = stored[0]._replace(pixels=pixels, palette=None, bits=8)
    if len(stored) == 4:
        return colours._replace(pixels=_without_alpha(pixels, path), missing=None)
    return colours


def read_raster_bands(
    path: PathLike,
    window: Sequence[int] | None,
    choose: Callable[[int], Sequence[int]],
    real_numbers: bool = False,
) -> list[StoredLabel]:
    """Read bands of a label through rasterio, each as it is stored.

    Args:
        path: TIFF file or another raster.
        window: (left, top, width, height) in pixels, by default the whole file.
        choose: Returns the bands to read, counted from 1, of their number in the file.
        real_numbers: Allow a file of one band of real numbers.

    Raises:
        LabelFormatError: The file is damaged, compressed with loss, or holds no whole numbers.
    """
    if Path(path).suffix.lower() in ('.png', '.bmp', '.webp'):
        raise LabelFormatError(
            f'{path} is not of the type of its name: it starts with {read_head(path)!r}; rename '
            'it by its type, or export it again'
        )
    with open_rasterio(path, 'a label', LabelFormatError) as raster:
        _check_lossless(path, raster)
        bands = list(choose(raster.count))
        _check_plain_numbers(path, raster, real_numbers)
        box, size = None, (raster.height, raster.width)
        if window is not None:
            checked = check_window(path, window, raster.width, raster.height)
            box = import_rasterio(path).windows.Window(*checked)
            size = (checked.height, checked.width)
        check_size(path, *size, len(bands), raster.dtypes[0])
        pixels = raster.read(bands, window=box)
        missing = None
        flags = {flag.name for flag in raster.mask_flag_enums[0]}
        # A mask beside the bands, not the transparency that a fourth band may hold.
        if 'per_dataset' in flags and 'alpha' not in flags:
            missing = raster.dataset_mask(window=box) == 0
        tags = raster.tags(1, ns='IMAGE_STRUCTURE')
        facts: dict[str, Any] = dict(
            palette=raster_palette(raster),
            bits=int(tags.get('NBITS', 8 * pixels.dtype.itemsize)),
            missing=missing if missing is not None and missing.any() else None,
            inverted=_image_structure(raster).get('MINISWHITE') == 'YES',
        )
        nodata = [raster.nodatavals[band - 1] for band in bands]
    return [
        StoredLabel(values, nodata=value, **facts)
        for values, value in zip(pixels, nodata, strict=True)
    ]


def raster_palette(raster: Any) -> np.ndarray | None:
    """Return the colours (P, 3) of an open raster of one band with a palette, else None."""
    if raster.count != 1 or raster.colorinterp[0].name != 'palette':
        return None
    colours = raster.colormap(1)
    return np.array([colours.get(i, (0, 0, 0))[:3] for i in range(max(colours) + 1)], np.uint8)


def _image_structure(raster: Any) -> dict[str, str]:
    return dict(raster.tags(ns='IMAGE_STRUCTURE'))


def _check_lossless(path: PathLike, raster: Any) -> None:
    """Refuse rasters compressed with loss, and mosaics of such rasters."""
    structure = _image_structure(raster)
    compression = structure.get('COMPRESSION', '')
    reversible = structure.get('COMPRESSION_REVERSIBILITY', '')
    error = float(structure.get('MAX_Z_ERROR', 0) or 0)
    # An error of half a step changes no whole number.
    lossy = raster.driver in LOSSY_DRIVERS or reversible.startswith('LOSSY') or error > 0.5
    if compression.startswith(LOSSY_COMPRESSIONS) and not reversible.startswith('LOSSLESS'):
        # LERC states its largest error; for the others GDAL states if nothing is lost.
        lossy = lossy or not compression.startswith('LERC')
    if lossy:
        raise lossy_error(path, f'compressed with loss ({compression or raster.driver})')
    if raster.driver != 'VRT':
        return
    for source in raster.files[1:]:
        if Path(source).is_file() and Path(source).resolve() != Path(path).resolve():
            if read_head(source).startswith(JPEG_MAGIC):
                raise lossy_error(path, f'a mosaic of {source}, a JPEG file')
            if not is_common_format(read_head(source)):
                with open_rasterio(source, 'a label', LabelFormatError) as inner:
                    _check_lossless(source, inner)


def _check_plain_numbers(path: PathLike, raster: Any, real_numbers: bool) -> None:
    dtype = np.dtype(raster.dtypes[0])
    kinds = 'uif' if real_numbers and raster.count == 1 else 'ui'
    if dtype.kind not in kinds:
        soft = dtype.kind == 'f' and raster.count == 1
        raise LabelFormatError(
            f'{path} has {raster.count} bands of type {raster.dtypes[0]}, expected a label as one '
            'band of whole numbers or as three bands of colours; convert it to one of these'
            + ', or set change_storage="soft" if it is a change mask of probabilities'
            * soft
        )
    if any(scale != 1 for scale in raster.scales) or any(raster.offsets):
        raise LabelFormatError(
            f'{path} declares that its values are to be scaled ({raster.scales[0]} * value + '
            f'{raster.offsets[0]}), expected classes as they are stored; remove the scale and the '
            'offset (gdal_edit.py -scale 1 -offset 0)'
        )


def present_values(pixels: np.ndarray) -> np.ndarray:
    """Return the sorted values that occur in an integer map; fast for 8 bit."""
    if pixels.dtype == np.uint8:
        # np.bincount would need eight bytes for each pixel.
        counts = cv2.calcHist([np.ascontiguousarray(pixels)], [0], None, [256], [0, 256])
        return np.flatnonzero(counts)
    return np.unique(pixels)


def is_grey(pixels: np.ndarray) -> bool:
    """Return whether all bands of an image (H, W, 3) are equal."""
    return bool(
        (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all()
    )


def share(mask: np.ndarray) -> str:
    """Return the share of true pixels in percent, for a message."""
    return f'{100 * float(mask.mean()):.2f} %'


def enumerated(values: Sequence[int] | np.ndarray, limit: int = 10) -> str:
    """Return the first ``limit`` values of a list, for a message."""
    listed = ', '.join(str(int(value)) for value in values[:limit])
    return f'{listed}, ...' if len(values) > limit else listed
