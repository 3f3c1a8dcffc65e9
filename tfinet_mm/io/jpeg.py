"""Encode pictures as JPEG, with Pillow."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """Return the bytes of a JPEG file.

    Args:
        image: (H, W, 3) uint8 in RGB order, or (H, W, 1) in grey.
        quality: 1 to 95.
    """
    shown = image[..., 0] if image.shape[2] == 1 else image
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(shown)).save(stream, 'JPEG', quality=quality)
    return stream.getvalue()
