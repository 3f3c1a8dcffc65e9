"""Read change masks of grey levels or probabilities, such as smoothed outlines of polygons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.io.images import PathLike
from tfinet_mm.io.label_files import StoredLabel, is_grey, present_values, read_stored_label
from tfinet_mm.io.label_storage import LabelStorage
from tfinet_mm.io.labels import LabelMap
from tfinet_mm.structures import IGNORE_INDEX


def read_soft_mask(
    path: PathLike, storage: LabelStorage, window: Sequence[int] | None = None
) -> LabelMap:
    """Read a change mask of grey levels or probabilities as 0, 1 and 255 (ignored).

    Args:
        path: File of one band (or three equal ones): grey levels of up to 8 bits, of which
            the highest means 1, or real numbers from 0 to 1.
        storage: Its ``threshold`` and ``margin`` decide: at the threshold and above it is
            changed, and no further from it than the margin (above 0) it is ignored.
        window: (left, top, width, height) in pixels, by default the whole file.

    Returns:
        The mask (H, W) uint8. Pixels that the file declares as nodata, and NaN, are 255.

    Raises:
        FileNotFoundError: There is no such file.
        LabelFormatError: It holds colours, or whole numbers of more than 8 bits.
        LabelValueError: A real number is outside of 0 to 1.
    """
    stored = read_stored_label(path, window, real_numbers=True)
    levels, ignored = soft_levels(path, stored)
    if storage.margin > 0:
        ignored = ignored | (np.abs(levels - storage.threshold) <= storage.margin)
    mask = (levels >= storage.threshold).astype(np.uint8)
    mask[ignored] = IGNORE_INDEX
    return LabelMap(mask, 'soft')


def soft_levels(path: PathLike, stored: StoredLabel) -> tuple[np.ndarray, np.ndarray]:
    """Return the levels of a mask, float64 from 0 to 1, and its pixels without a value.

    Args:
        path: The file, for messages.
        stored: Its pixels.

    Raises:
        LabelFormatError: See :func:`read_soft_mask`.
        LabelValueError: See :func:`read_soft_mask`.
    """
    pixels = _grey(path, stored)
    ignored = np.zeros(pixels.shape, np.bool_) if stored.missing is None else stored.missing.copy()
    if stored.nodata is not None:
        ignored |= pixels == stored.nodata
    if pixels.dtype.kind == 'f':
        ignored |= np.isnan(pixels)
        levels = np.where(ignored, 0, pixels).astype(np.float64)
        if levels.size and not 0 <= levels.min() <= levels.max() <= 1:
            raise LabelValueError(
                f'{path} holds real numbers from {levels.min():g} to {levels.max():g}, expected a '
                'change mask of probabilities from 0 to 1 (change_storage="soft"); divide them'
            )
        return levels, ignored
    if pixels.dtype != np.uint8 or stored.bits > 8:
        raise LabelFormatError(
            f'{path} holds whole numbers of {max(stored.bits, 8 * pixels.dtype.itemsize)} bits, '
            'expected a change mask of grey levels of 8 bits or of real numbers from 0 to 1 '
            '(change_storage="soft"); convert it to one of these'
        )
    bits = 8 if stored.palette is not None else stored.bits
    return pixels / np.float64((1 << bits) - 1), ignored


def _grey(path: PathLike, stored: StoredLabel) -> np.ndarray:
    """Return grey values (H, W), of a palette those of its colours."""
    pixels = stored.pixels
    if stored.palette is not None:
        present = present_values(pixels)
        colours = np.zeros((256, 3), np.uint8)
        colours[: len(stored.palette)] = stored.palette[:256]
        grey = len(present) == 0 or is_grey(colours[present][None])
        pixels = colours[:, 0][pixels]
    else:
        grey = pixels.ndim == 2 or is_grey(pixels)
        pixels = pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., 0])
    if not grey:
        raise LabelFormatError(
            f'{path} holds colours, expected a change mask of grey levels '
            '(change_storage="soft"); change_storage="semantic" reads every class of a semantic '
            'label as changed'
        )
    return pixels
