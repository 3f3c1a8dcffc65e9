"""Reading semantic labels: index, palette or RGB storage.

The one mistake that must not happen here is to read one storage as another: an
RGB label read as an index trains to "all unchanged", a 0/255 change mask read
as an index trains to nothing at all, and neither says a word. So a data set
decides the storage once from all of its files
(:mod:`tfinet_mm.datasets.label_contract`), and every value of a file has to
make sense in that storage. Where two readings are possible the file is refused
with the option that decides.

How a single file is recognised (``'auto'``):

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
from tfinet_mm.io.label_files import (
    StoredLabel,
    enumerated,
    is_grey,
    present_values,
    read_stored_label,
    share,
)
from tfinet_mm.io.label_storage import SEMANTIC_STORAGES, LabelStorage, as_storage
from tfinet_mm.structures import IGNORE_INDEX, ClassTable

UNKNOWN = 254
"""Marks a value without a class while a label is being read; never in a result."""


class LabelMap(NamedTuple):
    """A label file as it was understood.

    Attributes:
        values: Array (H, W) uint8 of class indices 0..K and 255, or of a
            change mask 0, 1 and 255.
        storage: How the file stores them: 'index', 'palette', 'rgb', for a
            change mask '0', '0/1', '0/1/255' or '0/255'.
        unknown: Number of pixels that are ignored for their unknown colours.
    """

    values: np.ndarray
    storage: str
    unknown: int = 0


def read_semantic_label(
    path: PathLike,
    table: ClassTable,
    storage: str | LabelStorage = 'auto',
    window: Sequence[int] | None = None,
) -> LabelMap:
    """Read a semantic label of any storage as class indices.

    What a file declares as nodata, or leaves out by a mask, is ignored (255), unless it declares
    0, the index of "unchanged".

    Args:
        path: PNG, BMP, WebP or TIFF file.
        table: The classes, index 0 for "unchanged" (or "no information").
        storage: 'index' takes grey or palette values as class indices whatever their colours;
            'palette' maps the colours of the stored palette; 'rgb' maps colours; 'colours' does
            one of these two; 'auto' recognises it from the file. Or how the data set decided.
        window: (left, top, width, height) in pixels, by default all of it.

    Returns:
        Indices 0..K, 255 where ignored, and the storage found.

    Raises:
        FileNotFoundError: There is no such file.
        LabelFormatError: The file isn't stored in that way, or in two ways at once.
        LabelValueError: It holds an index or a colour that the table lacks;
            the message names them and their share of the pixels.
    """
    options = as_storage(storage, SEMANTIC_STORAGES, 'label storage')
    name = options.name
    stored = read_stored_label(path, window)
    if stored.pixels.ndim == 3:
        if name == 'palette':
            raise LabelFormatError(f'{path} is an RGB image, but palette was asked for; use rgb')
        return _without_missing(_read_colours(path, stored, table, options), stored)
    if name in ('rgb', 'colours') and stored.palette is None:
        raise LabelFormatError(
            f'{path} has one band, but {"RGB " * (name == "rgb")}colours were asked for; use '
            'label_storage="auto" (or "index", if all of the files have class indices)'
        )
    if name == 'rgb':
        raise LabelFormatError(
            f'{path} has one band with a palette, but RGB colours were asked for; use '
            'label_storage="auto"'
        )
    if stored.palette is not None and name != 'index':
        # The colours in use decide; of a window, those of the whole file.
        whole = stored if window is None or name != 'auto' else read_stored_label(path)
        lookup = palette_lookup(path, stored.palette, present_values(whole.pixels), table, options)
        if lookup is not None:
            return _without_missing(LabelMap(lookup[stored.pixels], 'palette'), stored)
    elif name == 'palette':
        raise LabelFormatError(f'{path} has no palette, but palette was asked for; use index')
    found = 'index' if stored.palette is None else 'palette'
    values = _check_indices(path, stored, table, options)
    return _without_missing(LabelMap(values, found), stored)


def _without_missing(label: LabelMap, stored: StoredLabel) -> LabelMap:
    if stored.missing is None:
        return label
    values = label.values.copy()
    values[stored.missing] = IGNORE_INDEX
    return label._replace(values=values)


def _check_indices(
    path: PathLike, stored: StoredLabel, table: ClassTable, options: LabelStorage
) -> np.ndarray:
    pixels = stored.pixels if stored.pixels.ndim == 2 else stored.pixels[..., 0]
    pixels = _nodata_as_ignored(path, pixels, stored.nodata, table)
    present = present_values(pixels)
    outside = present[(present < 0) | ((present > table.num_classes) & (present != IGNORE_INDEX))]
    if len(outside):
        raise LabelValueError(
            f'{path} holds {share(np.isin(pixels, outside))} of its pixels as '
            f'{enumerated(outside)}, expected class indices 0 to {table.num_classes} '
            f'{tuple(table.names)} or 255 (ignored); is it a label of this data set, stored as '
            'index? State its classes in the config, or convert it'
        )
    classes = present[(present > 0) & (present != IGNORE_INDEX)]
    if options.unchanged_value == IGNORE_INDEX:
        if 0 in present:
            raise LabelValueError(
                f'{path} holds {share(pixels == 0)} of its pixels as 0, but unchanged_value=255 '
                f'says that 255 is unchanged, which leaves 1 to {table.num_classes}; take the '
                'option out, or convert the labels'
            )
        return np.where(pixels == IGNORE_INDEX, 0, pixels).astype(np.uint8)
    if options.name == 'auto' and IGNORE_INDEX in present and not len(classes):
        raise LabelFormatError(
            f'{path} holds only {enumerated(present)}: it looks like a change mask, not like class '
            'indices. A change mask belongs to data_prefix["seg_map_path"]; if 255 does mean '
            'ignored here, say so with label_storage="index"'
        )
    return pixels.astype(np.uint8, copy=False)


def _nodata_as_ignored(
    path: PathLike, pixels: np.ndarray, nodata: float | None, table: ClassTable
) -> np.ndarray:
    """Return the pixels with 255 for the value that a file declares to be none."""
    if nodata is None or nodata in (0, IGNORE_INDEX) or not (pixels == nodata).any():
        return pixels
    if 1 <= nodata <= table.num_classes:
        raise LabelFormatError(
            f'{path} declares its value {nodata:g} as nodata, which is the class '
            f'{table.names[int(nodata)]!r}; take the declaration out (gdal_edit.py -unsetnodata), '
            'or store other values'
        )
    wide = pixels if np.can_cast(np.uint8, pixels.dtype) else pixels.astype(np.int64)
    return np.where(pixels == nodata, IGNORE_INDEX, wide)


def palette_lookup(
    path: PathLike,
    palette: np.ndarray,
    present: np.ndarray,
    table: ClassTable,
    storage: str | LabelStorage = 'auto',
) -> np.ndarray | None:
    """Map the indices of a palette file to classes, by its stored palette.

    * No stored colour contradicts the table, that is none of the entries 0..K
      is the table's colour of another class: the indices are the classes.
    * Otherwise, or where an index is above K, or 255 with a class colour, the
      colours are the classes, if every colour in use is one of the table's.
    * A palette that contradicts the table at some entries and holds foreign
      colours at others can be meant either way, and is refused.

    Args:
        path: The file, for messages.
        palette: Stored colours (P, 3) uint8.
        present: Indices that occur in the file.
        table: The classes.
        storage: 'auto', or 'palette' or 'colours' to map colours in any case.

    Returns:
        The class of each index, (256,) uint8, or None where indices are classes.

    Raises:
        LabelFormatError: The palette can be meant either way, or is too short.
        LabelValueError: Colours were asked for that the table lacks.
    """
    options = as_storage(storage, SEMANTIC_STORAGES, 'label storage')
    by_name = options.name != 'auto'
    if len(present) and present[-1] >= len(palette) and present[-1] != IGNORE_INDEX:
        raise LabelFormatError(
            f'{path} holds index {present[-1]}, but its palette has {len(palette)} colours only; '
            'is it damaged?'
        )
    stored = [tuple(int(v) for v in colour) for colour in palette]
    colours = _classes_of_colours(stored, table, options.tolerance if by_name else 0)
    used = [int(i) for i in present if i < len(stored) and i != IGNORE_INDEX]
    # Writers fill the rest of a palette with black; that says nothing.
    while stored and stored[-1] == (0, 0, 0) and len(stored) - 1 > max(used, default=0):
        stored.pop()
    contradicted = any(
        colours.get(colour, index) != index
        for index, colour in enumerate(stored[: table.num_classes + 1])
    )
    in_range = all(index <= table.num_classes for index in used)
    # Index 255 in a class colour is that class; black may be what a writer fills up with.
    if IGNORE_INDEX in present and len(stored) > IGNORE_INDEX and any(stored[IGNORE_INDEX]):
        in_range = in_range and stored[IGNORE_INDEX] not in colours
    if not by_name and in_range and not contradicted:
        return None
    foreign = [stored[index] for index in used if stored[index] not in colours]
    by_colour = not foreign and (not in_range or all(colour in colours for colour in stored))
    if not by_name and not by_colour:
        if not in_range and not contradicted:
            return None  # a grey ramp and the like: the index check names what is wrong
        raise LabelFormatError(
            f"{path} has a palette that contradicts the class table and isn't made of its colours "
            f'either: entries {stored[: table.num_classes + 1]}, class colours '
            f'{list(table.palette)}. Say which counts: label_storage="index" (indices) or '
            'label_storage="palette" (colours; with unknown_colours="ignore" for smoothed edges)'
        )
    if foreign and options.unknown_colours == 'error':
        raise LabelValueError(
            f'{path} uses the palette colours {foreign}, which are not in the class table '
            f'{dict(zip(table.names, table.palette, strict=True))}; state the palette in the '
            'config (semantic_palette), or use label_storage="index"'
        )
    lookup = np.full(256, IGNORE_INDEX, np.uint8)
    lookup[used] = [colours.get(stored[index], IGNORE_INDEX) for index in used]
    # Where colours count, entry 255 is a colour as any other, if the table knows it.
    if len(stored) > IGNORE_INDEX:
        lookup[IGNORE_INDEX] = colours.get(stored[IGNORE_INDEX], IGNORE_INDEX)
    return lookup


def _classes_of_colours(
    stored: Sequence[tuple[int, ...]], table: ClassTable, tolerance: int
) -> dict[tuple[int, ...], int]:
    """Return the class of each colour of the table, and of stored ones near exactly one of them."""
    colours: dict[tuple[int, ...], int] = {
        tuple(colour): index for index, colour in enumerate(table.palette)
    }
    if tolerance:
        others = np.array([one for one in stored if one not in colours], int).reshape(-1, 3)
        for colour, index in zip(others, _nearest(others, table, tolerance), strict=True):
            if index != UNKNOWN:
                colours[tuple(int(v) for v in colour)] = int(index)
    return colours


def _nearest(colours: np.ndarray, table: ClassTable, tolerance: int) -> np.ndarray:
    """Return the one class within the tolerance of each colour (N, 3), else UNKNOWN."""
    palette = np.array(table.palette, int)
    distance = np.abs(colours[:, None] - palette[None]).max(axis=2)
    near = distance <= tolerance
    return np.where(near.sum(axis=1) == 1, near.argmax(axis=1), UNKNOWN)


@lru_cache(maxsize=4)
def _colour_lookup(palette: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """Return the class of every 24 bit colour; faster than comparing with each class."""
    if len(palette) >= UNKNOWN:
        raise ValueError(f'a class table may have {UNKNOWN - 1} colours, got {len(palette)}')
    lookup = np.full(1 << 24, UNKNOWN, np.uint8)
    for index, (red, green, blue) in enumerate(palette):
        lookup[red << 16 | green << 8 | blue] = index
    return lookup


def _read_colours(
    path: PathLike, stored: StoredLabel, table: ClassTable, options: LabelStorage
) -> LabelMap:
    pixels = stored.pixels
    if pixels.dtype != np.uint8:
        raise LabelFormatError(
            f'{path} has colours of type {pixels.dtype}, expected 8 bit a band; convert it'
        )
    if options.name == 'index':
        if not is_grey(pixels):
            raise LabelFormatError(f'{path} holds colours, but index was asked for; use rgb')
        return LabelMap(_check_indices(path, stored, table, options), 'index')
    packed = pixels[..., 0].astype(np.int32)
    packed <<= 8
    packed |= pixels[..., 1]
    packed <<= 8
    packed |= pixels[..., 2]
    values = _colour_lookup(table.palette)[packed]
    unknown = values == UNKNOWN
    if not unknown.any():
        return LabelMap(values, 'rgb')
    if options.name == 'auto' and is_grey(pixels):
        highest = int(pixels.max())
        if 0 < highest <= table.num_classes:
            return LabelMap(np.ascontiguousarray(pixels[..., 0]), 'index')
    if stored.nodata is not None and 0 <= stored.nodata <= 255:
        grey = int(stored.nodata) * 0x010101
        values[unknown & (packed == grey)] = IGNORE_INDEX
        unknown = values == UNKNOWN
    codes, places, counts = np.unique(packed[unknown], return_inverse=True, return_counts=True)
    if options.tolerance and len(codes):
        colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
        values[unknown] = _nearest(colours, table, options.tolerance)[places]
        unknown = values == UNKNOWN
        codes, counts = np.unique(packed[unknown], return_counts=True)
    if not len(codes):
        return LabelMap(values, 'rgb')
    if options.unknown_colours == 'ignore':
        values[unknown] = IGNORE_INDEX
        return LabelMap(values, 'rgb', int(counts.sum()))
    order = np.argsort(-counts)
    listed = [
        f'({code >> 16}, {code >> 8 & 255}, {code & 255}) {100 * count / packed.size:.2f} %'
        for code, count in zip(codes[order][:5], counts[order][:5], strict=True)
    ]
    grey_hint = (
        ' All its bands are equal: if it is an index image saved as RGB, use label_storage="index".'
        if is_grey(pixels)
        else ''
    )
    raise LabelValueError(
        f'{path} holds {share(unknown)} of its pixels in {len(codes)} '
        f'colour{"s" * (len(codes) != 1)} of no class: {", ".join(listed)}'
        f'{", ..." if len(codes) > 5 else ""}; expected '
        f'{dict(zip(table.names, table.palette, strict=True))}.{grey_hint} State the colours in '
        'the config (semantic_palette). Many colours between the right ones come from lossy '
        'compression or smooth resizing: export the label again, or say colour_tolerance=... '
        '(steps of 0..255) and unknown_colours="ignore"'
    )
