"""Reading label files: index, palette or RGB storage, recognised from the file itself.

The one mistake that must not happen here is to read one storage as another: an
RGB label read as an index trains to "all unchanged", a 0/255 change mask read
as an index trains to nothing at all, and neither says a word. So every value of
a file has to make sense in the storage it was read as, and where two readings
are possible the file is refused with the option that decides.

How a semantic label is recognised:

* **one band** (grey): class indices 0..K, 255 ignored;
* **palette**: class indices, unless the stored palette says otherwise (see
  :func:`palette_lookup`);
* **three bands**: colours of the class table. Where no colour fits and all bands
  are equal with values 0..K, some of them above 0, it is an index that was
  saved as grey RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.io.images import PathLike
from tfinet_mm.io.label_files import read_stored_label
from tfinet_mm.structures import IGNORE_INDEX, ClassTable

STORAGES = ('index', 'palette', 'rgb')
UNKNOWN = 254
"""Marks a value without a class while a label is being read; never in a result."""


class LabelMap(NamedTuple):
    """A label file as it was understood.

    Attributes:
        values: Array (H, W) uint8 of class indices 0..K and 255, or of a
            change mask 0, 1 and 255.
        storage: How the file stores them: 'index', 'palette', 'rgb', for a
            change mask '0', '0/1', '0/1/255' or '0/255'.
    """

    values: np.ndarray
    storage: str


def read_semantic_label(
    path: PathLike,
    table: ClassTable,
    storage: str = 'auto',
    window: Sequence[int] | None = None,
) -> LabelMap:
    """Read a semantic label of any storage as class indices.

    Args:
        path: PNG, BMP, WebP or TIFF file.
        table: The classes, index 0 for "unchanged" (or "no information").
        storage: 'auto' recognises it from the file; 'index' takes grey or
            palette values as class indices whatever their colours; 'palette'
            maps the colours of the stored palette; 'rgb' maps colours.
        window: (left, top, width, height) in pixels, by default all of it.

    Returns:
        Indices 0..K, 255 where ignored, and the storage found.

    Raises:
        FileNotFoundError: There is no such file.
        LabelFormatError: The file isn't stored in that way, or in two ways at once.
        LabelValueError: It holds an index or a colour that the table lacks;
            the message names them and their share of the pixels.
    """
    if storage not in ('auto', *STORAGES):
        raise ValueError(f'label storage has to be auto or one of {STORAGES}, got {storage!r}')
    pixels, palette = read_stored_label(path, window)
    if pixels.ndim == 3:
        if storage == 'palette':
            raise LabelFormatError(f'{path} is an RGB image, but palette was asked for; use rgb')
        return _read_colours(path, pixels, table, storage)
    if storage == 'rgb':
        raise LabelFormatError(
            f'{path} has one band, but RGB colours were asked for; use label_storage="auto"'
        )
    if palette is not None and storage != 'index':
        lookup = palette_lookup(path, palette, _present(pixels), table, storage)
        if lookup is not None:
            return LabelMap(lookup[pixels], 'palette')
    elif storage == 'palette':
        raise LabelFormatError(f'{path} has no palette, but palette was asked for; use index')
    name = 'index' if palette is None else 'palette'
    return LabelMap(_check_indices(path, pixels, table, storage), name)


def _present(pixels: np.ndarray) -> np.ndarray:
    """Return the values present in an integer map, sorted; fast for 8 bit."""
    if pixels.dtype == np.uint8:
        return np.flatnonzero(np.bincount(pixels.ravel(), minlength=256))
    return np.unique(pixels)


def _check_indices(
    path: PathLike, pixels: np.ndarray, table: ClassTable, storage: str
) -> np.ndarray:
    present = _present(pixels)
    outside = present[(present < 0) | ((present > table.num_classes) & (present != IGNORE_INDEX))]
    if len(outside):
        raise LabelValueError(
            f'{path} holds {_share(np.isin(pixels, outside))} of its pixels as '
            f'{_enumerate(outside)}, expected class indices 0 to {table.num_classes} '
            f'{tuple(table.names)} or 255 (ignored); is it a label of this data set, stored as '
            'index? State its classes in the config, or convert it'
        )
    classes = present[(present > 0) & (present != IGNORE_INDEX)]
    if storage == 'auto' and IGNORE_INDEX in present and not len(classes):
        raise LabelFormatError(
            f'{path} holds only {_enumerate(present)}: it looks like a change mask, not like class '
            'indices. A change mask belongs to data_prefix["seg_map_path"]; if 255 does mean '
            'ignored here, say so with label_storage="index"'
        )
    return pixels.astype(np.uint8, copy=False)


def palette_lookup(
    path: PathLike,
    palette: np.ndarray,
    present: np.ndarray,
    table: ClassTable,
    storage: str = 'auto',
) -> np.ndarray | None:
    """Map the indices of a palette file to classes, by its stored palette.

    * No stored colour contradicts the table, that is none of the entries 0..K
      is the table's colour of another class: the indices are the classes.
    * Otherwise, or where an index is above K, the colours are the classes, if
      every colour in use is one of the table's.
    * A palette that contradicts the table at some entries and holds foreign
      colours at others can be meant either way, and is refused.

    Args:
        path: The file, for messages.
        palette: Stored colours (P, 3) uint8.
        present: Indices that occur in the file.
        table: The classes.
        storage: 'auto', or 'palette' to map colours in any case.

    Returns:
        The class of each index, (256,) uint8, or None where indices are classes.

    Raises:
        LabelFormatError: The palette can be meant either way, or is too short.
        LabelValueError: Colours were asked for that the table lacks.
    """
    if len(present) and present[-1] >= len(palette) and present[-1] != IGNORE_INDEX:
        raise LabelFormatError(
            f'{path} holds index {present[-1]}, but its palette has {len(palette)} colours only; '
            'is it damaged?'
        )
    colours = {tuple(colour): index for index, colour in enumerate(table.palette)}
    stored = [tuple(int(v) for v in colour) for colour in palette]
    used = [int(i) for i in present if i < len(stored) and i != IGNORE_INDEX]
    # Writers fill the rest of a palette with black; that says nothing.
    while stored and stored[-1] == (0, 0, 0) and len(stored) - 1 > max(used, default=0):
        stored.pop()
    contradicted = any(
        colours.get(colour, index) != index
        for index, colour in enumerate(stored[: table.num_classes + 1])
    )
    in_range = all(index <= table.num_classes for index in used)
    if storage == 'auto' and in_range and not contradicted:
        return None
    foreign = [stored[index] for index in used if stored[index] not in colours]
    by_colour = not foreign and (not in_range or all(colour in colours for colour in stored))
    if storage != 'palette' and not by_colour:
        if not in_range and not contradicted:
            return None  # a grey ramp and the like: the index check names what is wrong
        raise LabelFormatError(
            f"{path} has a palette that contradicts the class table and isn't made of its colours "
            f'either: entries {stored[: table.num_classes + 1]}, class colours '
            f'{list(table.palette)}. Say which counts: label_storage="index" (indices) or '
            'label_storage="palette" (colours)'
        )
    if foreign:
        raise LabelValueError(
            f'{path} uses the palette colours {foreign}, which are not in the class table '
            f'{dict(zip(table.names, table.palette, strict=True))}; state the palette in the '
            'config (semantic_palette), or use label_storage="index"'
        )
    lookup = np.full(256, IGNORE_INDEX, np.uint8)
    lookup[used] = [colours[stored[index]] for index in used]
    # Where colours count, entry 255 is a colour as any other, if the table knows it.
    if len(stored) > IGNORE_INDEX:
        lookup[IGNORE_INDEX] = colours.get(stored[IGNORE_INDEX], IGNORE_INDEX)
    return lookup


@lru_cache(maxsize=4)
def _colour_lookup(palette: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """Return the class of every 24 bit colour; faster than comparing with each class."""
    if len(palette) >= UNKNOWN:
        raise ValueError(f'a class table may have {UNKNOWN - 1} colours, got {len(palette)}')
    lookup = np.full(1 << 24, UNKNOWN, np.uint8)
    for index, (red, green, blue) in enumerate(palette):
        lookup[red << 16 | green << 8 | blue] = index
    return lookup


def _read_colours(path: PathLike, pixels: np.ndarray, table: ClassTable, storage: str) -> LabelMap:
    if pixels.dtype != np.uint8:
        raise LabelFormatError(
            f'{path} has colours of type {pixels.dtype}, expected 8 bit a band; convert it'
        )
    if storage == 'index':
        if not _is_grey(pixels):
            raise LabelFormatError(f'{path} holds colours, but index was asked for; use rgb')
        return LabelMap(_check_indices(path, pixels[..., 0], table, storage), 'index')
    packed = pixels[..., 0].astype(np.int32)
    packed <<= 8
    packed |= pixels[..., 1]
    packed <<= 8
    packed |= pixels[..., 2]
    values = _colour_lookup(table.palette)[packed]
    unknown = values == UNKNOWN
    if not unknown.any():
        return LabelMap(values, 'rgb')
    if storage == 'auto' and _is_grey(pixels):
        highest = int(pixels.max())
        if 0 < highest <= table.num_classes:
            return LabelMap(np.ascontiguousarray(pixels[..., 0]), 'index')
    codes, counts = np.unique(packed[unknown], return_counts=True)
    order = np.argsort(-counts)
    listed = [
        f'({code >> 16}, {code >> 8 & 255}, {code & 255}) {100 * count / packed.size:.2f} %'
        for code, count in zip(codes[order][:5], counts[order][:5], strict=True)
    ]
    grey = (
        ' All its bands are equal: if it is an index image saved as RGB, use label_storage="index".'
        if _is_grey(pixels)
        else ''
    )
    raise LabelValueError(
        f'{path} holds {_share(unknown)} of its pixels in {len(codes)} '
        f'colour{"s" * (len(codes) != 1)} of no class: {", ".join(listed)}'
        f'{", ..." if len(codes) > 5 else ""}; expected '
        f'{dict(zip(table.names, table.palette, strict=True))}.{grey} State the colours in the '
        'config (semantic_palette); many colours near the right ones come from lossy '
        'compression or smooth resizing, then export the label again'
    )


def _is_grey(pixels: np.ndarray) -> bool:
    return bool(
        (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all()
    )


def read_change_mask(
    path: PathLike, storage: str = 'auto', window: Sequence[int] | None = None
) -> LabelMap:
    """Read a change mask as 0 (unchanged), 1 (changed), 255 (ignored).

    Args:
        path: PNG, BMP, WebP or TIFF file of one band, a palette, or three equal bands.
        storage: 'auto': values 0 and 1, with 255 = ignored where 1 occurs as
            well; or 0 and 255, 255 = changed. '0/1': 255 is ignored in any
            case. '0/255': 255 is changed, and 1 is an error.
        window: (left, top, width, height) in pixels, by default all of it.

    Raises:
        FileNotFoundError: There is no such file.
        LabelFormatError: It holds colours, or isn't stored in that way.
        LabelValueError: It holds other values; the message names them and
            their share of the pixels.
    """
    allowed = {'auto': (0, 1, 255), '0/1': (0, 1, 255), '0/255': (0, 255)}
    if storage not in allowed:
        raise ValueError(f'change mask storage has to be one of {tuple(allowed)}, got {storage!r}')
    pixels = read_stored_label(path, window).pixels
    if pixels.ndim == 3:
        if not _is_grey(pixels):
            raise LabelFormatError(
                f'{path} holds colours, expected a change mask (0/1 or 0/255); semantic labels '
                'belong to seg_map_path_from and seg_map_path_to, and change_storage="semantic" '
                'takes every class of such a label for changed'
            )
        pixels = pixels[..., 0]
    present = _present(pixels)
    outside = present[~np.isin(present, allowed[storage])]
    if len(outside):
        raise LabelValueError(
            f'{path} holds {_share(np.isin(pixels, outside))} of its pixels as '
            f'{_enumerate(outside)}, expected a change mask of the values {allowed[storage]}; '
            'change_storage="semantic" takes every class of a semantic label for changed'
        )
    found = '/'.join(str(value) for value in sorted({0, *present.tolist()}))
    lookup = np.zeros(256, np.uint8)
    lookup[1] = 1
    marks_change = storage == '0/255' or (storage == 'auto' and 1 not in present)
    lookup[255] = 1 if marks_change else IGNORE_INDEX
    return LabelMap(lookup[pixels], found)


def _share(mask: np.ndarray) -> str:
    return f'{100 * float(mask.mean()):.2f} %'


def _enumerate(values: np.ndarray, limit: int = 10) -> str:
    listed = ', '.join(str(int(value)) for value in values[:limit])
    return f'{listed}, ...' if len(values) > limit else listed
