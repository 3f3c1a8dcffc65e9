"""Encode images and maps as text for a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tfinet_mm.report.records import NODATA, PairView

PROBABILITY_STEPS = 20
"""Number of steps in which P(changed) is shown; more would multiply the size of the page."""

THUMBNAIL = 160
CHANGE_COLOUR = (230, 0, 126)
NODATA_COLOUR = (127, 127, 127)


def reduced_size(width: int, height: int, max_side: int) -> tuple[int, int]:
    """Return width and height with the longer side at most ``max_side``, never enlarged.

    Example:
        >>> reduced_size(20000, 10000, 2048), reduced_size(30, 40, 2048)
        ((2048, 1024), (30, 40))
    """
    scale = min(1.0, max_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def reduce_view(view: PairView, max_side: int) -> PairView:
    """Return all images and maps at the size of the report; classes keep their values."""
    height, width = view.labels_from.shape
    size = reduced_size(width, height, max_side)

    def image(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else _resized(values, size, Image.Resampling.BOX)

    def labels(values: np.ndarray) -> np.ndarray:
        return _resized(values.astype(np.uint8), size, Image.Resampling.NEAREST)

    probability = view.probability
    if probability is not None:
        probability = _resized(probability.astype(np.float32), size, Image.Resampling.BOX)
    return PairView(
        image(view.before),
        image(view.after),
        labels(view.labels_from),
        labels(view.labels_to),
        probability,
        None if view.annotated_from is None else labels(view.annotated_from),
        None if view.annotated_to is None else labels(view.annotated_to),
        view.polygons,
        view.polygon_count,
        view.place,
    )


def _resized(values: np.ndarray, size: tuple[int, int], how: Image.Resampling) -> np.ndarray:
    if (values.shape[1], values.shape[0]) == size:
        return values
    # An image smaller than its map, such as a quick look, is enlarged instead.
    if how is Image.Resampling.BOX and size[0] > values.shape[1]:
        how = Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(np.ascontiguousarray(values)).resize(size, how))


def jpeg_uri(image: np.ndarray) -> str:
    """Return an RGB image (H, W, 3) as ``data:`` address of a JPEG file."""
    small = max(image.shape[:2]) <= 512
    options = dict(quality=93, subsampling=0) if small else dict(quality=85)
    return _uri(Image.fromarray(np.ascontiguousarray(image)), 'JPEG', optimize=True, **options)


def map_uri(labels: np.ndarray, palette: Sequence[Sequence[int]]) -> str:
    """Return an index map (H, W) of uint8 as ``data:`` address of a palette PNG of 8 bits a pixel.

    The page reads the indices, not the colours; these are for readers of the file.
    """
    colours = np.full((256, 3), NODATA_COLOUR, np.uint8)
    colours[: len(palette)] = palette
    image = Image.fromarray(np.ascontiguousarray(labels, np.uint8))
    # All 256 colours, since Pillow would pack shorter palettes in fewer bits.
    image.putpalette(colours.ravel().tolist())
    return _uri(image, 'PNG', optimize=True)


def overlay_uri(
    values: np.ndarray, palette: Sequence[Sequence[int]] | np.ndarray, clear: Sequence[int]
) -> str:
    """Return an index map (H, W) of uint8 as ``data:`` address of a PNG to lay over a picture.

    Args:
        values: The map.
        palette: RGB colour of each value from 0 on.
        clear: Values to show transparent.
    """
    image = Image.fromarray(np.ascontiguousarray(values, np.uint8))
    image.putpalette(np.asarray(palette, np.uint8).ravel().tolist())
    alpha = bytes(0 if value in clear else 255 for value in range(len(palette)))
    return _uri(image, 'PNG', optimize=True, transparency=alpha)


def probability_uri(probability: np.ndarray) -> str:
    """Return P(changed) (H, W) in steps as a PNG like :func:`map_uri`, 255 where it is unknown."""
    finite = np.isfinite(probability)
    steps = np.round(np.where(finite, probability, 0).clip(0, 1) * PROBABILITY_STEPS)
    steps = np.where(finite, steps, NODATA).astype(np.uint8)
    grey = [(round(255 * i / PROBABILITY_STEPS),) * 3 for i in range(PROBABILITY_STEPS + 1)]
    return map_uri(steps, grey)


def thumbnail_uri(view: PairView) -> str:
    """Return a small picture of the second date with the change over it."""
    height, width = view.labels_from.shape
    size = reduced_size(width, height, THUMBNAIL)
    image = view.after if view.after is not None else view.before
    if image is None:
        image = np.full((height, width, 3), 230, np.uint8)
    image = _resized(image, size, Image.Resampling.BOX).astype(np.float32)
    changed = (view.labels_from > 0) & (view.labels_from != NODATA)
    cover = _resized(changed.astype(np.float32), size, Image.Resampling.BOX)[..., None] * 0.5
    mixed = image * (1 - cover) + np.array(CHANGE_COLOUR, np.float32) * cover
    return _uri(Image.fromarray(np.round(mixed).astype(np.uint8)), 'JPEG', quality=80)


def _uri(image: Image.Image, kind: str, **options: object) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    text = base64.b64encode(buffer.getvalue()).decode('ascii')
    return f'data:image/{kind.lower()};base64,{text}'
