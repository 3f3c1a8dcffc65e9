"""Writes pictures and rasters, and damages files."""

from pathlib import Path

import cv2
import numpy as np
import rasterio
from PIL import Image

Array = np.ndarray
Random = np.random.Generator


def picture(rng: Random, height: int = 24, width: int = 24, bands: int = 3) -> Array:
    """Return a smooth random picture, uint8 (H, W, B)."""
    coarse = rng.integers(0, 256, (height // 4 + 2, width // 4 + 2, bands)).astype(np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return smooth.reshape(height, width, bands)


def save(path: Path, array: Array) -> None:
    """Save (H, W, 3) uint8 with Pillow."""
    Image.fromarray(array).save(path)


def save_tiff(path: Path, values: Array, **options: object) -> None:
    """Write (B, H, W) as a GeoTIFF; ``options`` are rasterio's."""
    count, height, width = values.shape
    size = dict(count=count, height=height, width=width, dtype=values.dtype)
    with rasterio.open(path, 'w', driver='GTiff', **size, **options) as file:
        file.write(values)


def truncate(path: Path, rng: Random, keep: int = 0) -> None:
    """Cut a file off at a random byte from ``keep`` on."""
    data = path.read_bytes()
    path.write_bytes(data[: int(rng.integers(keep, len(data)))])


def overwrite(path: Path, rng: Random, length: int, first: int = 0, last: int = 0) -> None:
    """Overwrite a stretch of a file with random bytes."""
    data = bytearray(path.read_bytes())
    start = int(rng.integers(first, len(data) - last - length))
    data[start : start + length] = rng.bytes(length)
    path.write_bytes(data)
