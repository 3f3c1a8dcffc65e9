"""Turn label maps into colours, and into the palette PNG files of data sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tfinet_mm.errors import LabelValueError
from tfinet_mm.structures import IGNORE_INDEX
from tfinet_mm.utils.files import whole_file

Palette = Sequence[Sequence[int]]
"""RGB colours, 0..255, one for each class."""

IGNORED_COLOUR = (0, 0, 0)


def colour_table(labels: np.ndarray, palette: Palette) -> np.ndarray:
    """Return colours of the classes 0..len(palette)-1 and, where it is used, of 255.

    Args:
        labels: Integer map (H, W) that will be coloured.
        palette: Colours of the classes.

    Returns:
        Array (colours, 3) of uint8: the palette, filled up with black to 256
        colours if ``labels`` hold 255 (left out).

    Raises:
        LabelValueError: ``labels`` is no integer map (H, W), or holds a class
            that has no colour.
    """
    if labels.ndim != 2 or labels.dtype.kind not in 'iub':
        raise LabelValueError(
            f'a label map is an integer array (H, W), got {labels.dtype} of shape {labels.shape}'
        )
    colours = np.array(palette, np.uint8).reshape(-1, 3)
    ignored = labels == IGNORE_INDEX
    classes = labels[~ignored] if ignored.any() else labels
    if classes.size and not 0 <= classes.min() <= classes.max() < len(colours):
        wrong = classes.min() if classes.min() < 0 else classes.max()
        raise LabelValueError(
            f'the map holds class {wrong}, the palette has {len(colours)} colours (0 to '
            f'{len(colours) - 1}); check that map and data set have the same classes'
        )
    if not ignored.any():
        return colours
    filler = np.tile(np.array(IGNORED_COLOUR, np.uint8), (256 - len(colours), 1))
    return np.concatenate([colours, filler])


def colourise(labels: np.ndarray, palette: Palette) -> np.ndarray:
    """Colour a label map.

    Args:
        labels: Integer map (H, W); 255 (left out) becomes black.
        palette: Colours of the classes.

    Returns:
        RGB image (H, W, 3) of uint8.

    Raises:
        LabelValueError: See :func:`colour_table`.

    Example:
        >>> import numpy as np
        >>> colourise(np.array([[0, 1]]), [(255, 255, 255), (0, 0, 255)]).tolist()
        [[[255, 255, 255], [0, 0, 255]]]
    """
    return colour_table(labels, palette)[labels.astype(np.intp)]


def write_palette_png(path: str | Path, labels: np.ndarray, palette: Palette) -> None:
    """Write a label map as PNG whose values are the classes and whose palette their colours.

    The file appears once it is complete. Read it with Pillow; OpenCV returns the
    colours instead of the classes.

    Args:
        path: File to write; its folder is made if it is missing.
        labels: Integer map (H, W), 0..len(palette)-1 or 255.
        palette: Colours of the classes.

    Raises:
        LabelValueError: See :func:`colour_table`.
    """
    colours = colour_table(labels, palette)
    image = Image.fromarray(np.ascontiguousarray(labels, dtype=np.uint8))
    image.putpalette(colours.ravel().tolist())
    with whole_file(path) as partial:
        image.save(partial, format='PNG')


def write_index_png(path: str | Path, labels: np.ndarray, palette: Palette) -> None:
    """Write a label map as grey PNG whose values are the classes.

    Args:
        path: File to write; its folder is made if it is missing.
        labels: Integer map (H, W), 0..len(palette)-1 or 255.
        palette: Colours of the classes, of which only the number matters.

    Raises:
        LabelValueError: See :func:`colour_table`.
    """
    colour_table(labels, palette)
    write_png(path, labels.astype(np.uint8))


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write a picture to a file that appears once it is complete.

    Args:
        path: File to write; its folder is made if it is missing.
        image: Grey (H, W) or RGB (H, W, 3) of uint8.
    """
    with whole_file(path) as partial:
        Image.fromarray(np.ascontiguousarray(image)).save(partial, format='PNG')
