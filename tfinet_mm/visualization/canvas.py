"""Set panels side by side under a title and over a legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

BACKGROUND, FRAME, INK = (244, 244, 244), (150, 150, 150), (20, 20, 20)
GAP = 8
HATCH = ((90, 90, 90), (200, 200, 200))
"""Colours of the stripes over what isn't annotated: no class of any palette is striped."""
STRIPE = 4

Panel: TypeAlias = tuple[str, Image.Image]
"""A heading and the picture under it."""
LegendEntry: TypeAlias = tuple[str, Sequence[int] | Image.Image | None]
"""A name and its RGB colour, or the picture to cut its swatch from; None for text alone."""


def panel_size(height: int, width: int, min_side: int, max_side: int) -> tuple[int, int]:
    """Return the width and height in pixels at which to show an image.

    Small images are enlarged by a whole number until the longer side has
    ``min_side`` pixels, so that pixels stay squares; large ones are reduced to
    ``max_side``.

    Example:
        >>> panel_size(32, 32, 192, 512), panel_size(1000, 2000, 192, 512)
        ((192, 192), (512, 256))
    """
    longer = max(height, width)
    if longer > max_side:
        return max(1, round(width * max_side / longer)), max(1, round(height * max_side / longer))
    factor = math.ceil(min_side / longer)
    return width * factor, height * factor


def resized(image: np.ndarray, size: tuple[int, int], smooth: bool = False) -> Image.Image:
    """Resize to (width, height); classes and enlarged pixels keep their exact colours."""
    smaller = size[0] < image.shape[1] or size[1] < image.shape[0]
    how = Image.Resampling.BOX if smooth and smaller else Image.Resampling.NEAREST
    return Image.fromarray(image).resize(size, how)


def hatched(picture: Image.Image, mask: np.ndarray) -> Image.Image:
    """Stripe a part of a panel, with stripes of the same width at every size of it.

    Args:
        picture: RGB panel of any size.
        mask: Boolean array (H, W) of any size, stretched over the panel.

    Returns:
        The panel with stripes in the colours :data:`HATCH` where ``mask`` is set.
    """
    if not mask.any():
        return picture
    width, height = picture.size
    part = resized(mask.astype(np.uint8) * 255, (width, height))
    stripe = np.add.outer(np.arange(height), np.arange(width)) // STRIPE % 2
    return Image.composite(Image.fromarray(np.array(HATCH, np.uint8)[stripe]), picture, part)


def _fitted(text: str, font: Any, width: float) -> str:
    """Return the text, with its middle left out if it's too long."""
    if font.getlength(text) <= width:
        return text
    keep = len(text)
    while keep > 2 and font.getlength(f'{text[: keep // 2]}...{text[-keep // 2 :]}') > width:
        keep -= 1
    return f'{text[: keep // 2]}...{text[-keep // 2 :]}'


@lru_cache
def load_font(size: int) -> Any:
    """Load DejaVu Sans of MMEngine's matplotlib, since Pillow's own font lacks umlauts.

    Args:
        size: Height of the text in pixels.
    """
    found = find_spec('matplotlib')
    if found is not None and found.origin is not None:
        path = Path(found.origin).parent / 'mpl-data' / 'fonts' / 'ttf' / 'DejaVuSans.ttf'
        if path.exists():
            return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size)


def compose(
    columns: Sequence[Sequence[Panel | None]],
    size: tuple[int, int],
    title: str,
    legend: Sequence[Sequence[LegendEntry]],
    text: int | None = None,
) -> np.ndarray:
    """Set panels of one size in columns, under a title and over a legend.

    Args:
        columns: Panels from top to bottom, column by column; None leaves a place empty.
        size: Width and height of every panel.
        title: Text over all; its middle is left out where it's too long.
        legend: Groups of entries; each group begins a line.
        text: Height of the text in pixels; by default a 26th of a panel's width, 12 to 18.

    Returns:
        RGB picture of uint8.
    """
    text = min(max(size[0] // 26, 12), 18) if text is None else text
    font = load_font(text)
    line = text + GAP
    # Narrow images still need room for the title of a panel.
    cell = max(size[0], 12 * text)
    width = GAP + len(columns) * (cell + GAP)
    top = GAP + (line if title else 0)
    below = top + max(map(len, columns)) * (line + size[1] + GAP)
    entries, bottom = _place_legend(legend, font, line, width, below)
    picture = Image.new('RGB', (width, bottom + GAP // 2), BACKGROUND)
    pen = ImageDraw.Draw(picture)
    if title:
        pen.text((GAP, GAP), _fitted(title, font, width - 2 * GAP), INK, font)
    for column, panels in enumerate(columns):
        left = GAP + column * (cell + GAP)
        for row, panel in enumerate(panels):
            if panel is None:
                continue
            y = top + row * (line + size[1] + GAP)
            pen.text((left, y), _fitted(panel[0], font, cell), INK, font)
            y += line
            # Without a frame, a white panel could not be told from the background.
            pen.rectangle((left - 1, y - 1, left + size[0], y + size[1]), outline=FRAME)
            picture.paste(panel[1], (left, y))
    for name, fill, x, y in entries:
        if fill is None:
            pen.text((x, y), name, INK, font)
            continue
        box = (x, y + 1, x + text, y + 1 + text)
        if isinstance(fill, Image.Image):
            picture.paste(fill.crop((0, 0, text, text)), box[:2])
            pen.rectangle(box, outline=FRAME)
        else:
            pen.rectangle(box, tuple(fill), FRAME)
        pen.text((x + text + GAP - 2, y), name, INK, font)
    return np.asarray(picture)


def _place_legend(
    legend: Sequence[Sequence[LegendEntry]],
    font: Any,
    line: int,
    width: int,
    top: int,
) -> tuple[list[tuple[str, Sequence[int] | Image.Image | None, int, int]], int]:
    """Return each entry with its corner, every group on a new line, and the lower end."""
    entries = []
    y = top
    for group in legend:
        x = GAP
        for name, fill in group:
            length = math.ceil(font.getlength(name)) + 2 * GAP + (0 if fill is None else line)
            if x > GAP and x + length > width:
                x, y = GAP, y + line
            entries.append((name, fill, x, y))
            x += length
        y += line
    return entries, y
