"""Read semantic labels: index, palette or RGB storage.

A label must never be read in the wrong storage: from an RGB label read as an
index a network learns "all unchanged", from a 0/255 change mask read as an
index it learns nothing, both without any error. So a data set decides the
storage once from all of its files
(:mod:`tfinet_mm.datasets.label_contract`), and every value of a file has to
be valid in that storage. A file that can be read in two ways is refused, and
the message names the option to set.

A single file is recognised (``'auto'``) by these rules:

* **one band** (grey): class indices 0..K, 255 ignored;
* **palette**: class indices, unless the stored palette contradicts them (see
  :func:`palette_lookup`);
* **three bands**: colours of the class table. If a colour isn't in the table, but
  all bands are equal with values 0..K, some of them above 0, it is an index that
  was saved as grey RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.io.images import PathLike
from tfinet_mm.io.label_bands import read_label_bands, read_one_hot
from tfinet_mm.io.label_files import (
    StoredLabel,
    enumerated,
    is_grey,
    present_values,
    read_stored_label,
    share,
)
from tfinet_mm.io.label_storage import IGNORED, SEMANTIC_STORAGES, LabelStorage, as_storage
from tfinet_mm.io.label_values import colour_code, mapped_classes
from tfinet_mm.structures import IGNORE_INDEX, ClassTable

UNKNOWN = 254
"""Marks a value without a class while a label is being read; never in a result."""


class LabelMap(NamedTuple):
    """A label file, read as classes or as a change mask.

    Attributes:
        values: Array (H, W) uint8 of class indices 0..K and 255, or of a
            change mask 0, 1 and 255.
        storage: Storage of the file: 'index', 'palette' or 'rgb', for a
            change mask '0', '0/1', '0/1/255' or '0/255'.
        unknown: Number of pixels that are ignored because of unknown colours.
    """

    values: np.ndarray
    storage: str
    unknown: int = 0


def read_semantic_label(
    path: PathLike,
    table: ClassTable,
    storage: str | LabelStorage = 'auto',
    window: Sequence[int] | None = None,
    stored: StoredLabel | None = None,
) -> LabelMap:
    """Read a semantic label of any storage as class indices.

    Pixels that a file declares as nodata, or excludes by a mask, are ignored (255). A declared
    nodata of 0, the index of "unchanged", has no effect.

    Args:
        path: PNG, BMP, WebP or TIFF file.
        table: The classes, index 0 for "unchanged" (or "no information").
        storage: 'index' takes grey or palette values as class indices whatever their colours;
            'palette' maps the colours of the stored palette; 'rgb' maps colours; 'colours' does
            one of these two; 'one_hot' takes a band of 0 and 1 for each class; 'auto' recognises
            the storage from the file. Or the storage that the data set decided.
        window: (left, top, width, height) in pixels, by default all of it.
        stored: Pixels of the window, if they have been read.

    Returns:
        Indices 0..K, 255 where ignored, and the storage found.

    Raises:
        FileNotFoundError: There is no such file.
        LabelFormatError: The file isn't in that storage, or can be read in two ways.
        LabelValueError: It holds an index or a colour that the table lacks;
            the message names them and their share of the pixels.
    """
    options = as_storage(storage, SEMANTIC_STORAGES, 'label storage')
    if options.name == 'one_hot':
        classes, unset = read_one_hot(path, table, options, window)
        return LabelMap(classes, 'one_hot', unset)
    if stored is None and options.rules.band:
        (stored,) = read_label_bands(path, [options.rules.band], window)
    if stored is None:
        stored = read_stored_label(path, window)
    label = _without_missing(_read_label(path, stored, table, options, window), stored)
    if options.rules.zero_is == 'unknown':
        ignored = np.where(label.values == 0, np.uint8(IGNORE_INDEX), label.values)
        return label._replace(values=ignored)
    return label


def _read_label(
    path: PathLike,
    stored: StoredLabel,
    table: ClassTable,
    options: LabelStorage,
    window: Sequence[int] | None,
) -> LabelMap:
    name = options.name
    if stored.pixels.ndim == 3:
        if name == 'palette':
            raise LabelFormatError(
                f'{path} is an RGB image, but the storage is stated as palette; set rgb'
            )
        return _read_colours(path, stored, table, options)
    if name in ('rgb', 'colours') and stored.palette is None:
        raise LabelFormatError(
            f'{path} has one band, but {"RGB " * (name == "rgb")}colours are expected; set '
            'label_storage="auto" (or "index", if all of the files have class indices)'
        )
    if name == 'rgb':
        raise LabelFormatError(
            f'{path} has one band with a palette, but RGB colours are expected; set '
            'label_storage="auto"'
        )
    if stored.palette is not None and name != 'index':
        # The used colours decide; for a window too, those of the whole file.
        whole = stored if window is None or name != 'auto' else read_stored_label(path)
        lookup = palette_lookup(path, stored.palette, present_values(whole.pixels), table, options)
        if lookup is not None:
            return LabelMap(lookup[stored.pixels], 'palette')
    elif name == 'palette':
        raise LabelFormatError(
            f'{path} has no palette, but the storage is stated as palette; set index'
        )
    found = 'index' if stored.palette is None else 'palette'
    return LabelMap(_check_indices(path, stored, table, options), found)


def _without_missing(label: LabelMap, stored: StoredLabel) -> LabelMap:
    if stored.missing is None:
        return label
    values = label.values.copy()
    values[stored.missing] = IGNORE_INDEX
    return label._replace(values=values)


def _check_indices(
    path: PathLike, stored: StoredLabel, table: ClassTable, options: LabelStorage
) -> np.ndarray:
    if options.rules.shift or options.rules.mapped:
        return mapped_classes(path, stored, table, options)
    pixels = stored.pixels if stored.pixels.ndim == 2 else stored.pixels[..., 0]
    pixels = _nodata_as_ignored(path, pixels, stored.nodata, table)
    present = present_values(pixels)
    outside = present[(present < 0) | ((present > table.num_classes) & (present != IGNORE_INDEX))]
    if len(outside):
        raise LabelValueError(
            f'{path} holds {share(np.isin(pixels, outside))} of its pixels as '
            f'{enumerated(outside)}, expected class indices 0 to {table.num_classes} '
            f'{tuple(table.names)} or 255 (ignored); if it is an index label of this data set, '
            'state its classes in the config, else convert it'
        )
    classes = present[(present > 0) & (present != IGNORE_INDEX)]
    if options.unchanged_value == IGNORE_INDEX:
        if 0 in present:
            raise LabelValueError(
                f'{path} holds {share(pixels == 0)} of its pixels as 0, but unchanged_value=255 '
                f'means that 255 is unchanged, so that 1 to {table.num_classes} are expected; '
                'remove the option, or convert the labels'
            )
        return np.where(pixels == IGNORE_INDEX, 0, pixels).astype(np.uint8)
    if options.name == 'auto' and IGNORE_INDEX in present and not len(classes):
        raise LabelFormatError(
            f'{path} holds only {enumerated(present)}: it looks like a change mask, not like class '
            'indices. A change mask belongs to data_prefix["seg_map_path"]; if 255 does mean '
            'ignored here, set label_storage="index"'
        )
    return pixels.astype(np.uint8, copy=False)


def _nodata_as_ignored(
    path: PathLike, pixels: np.ndarray, nodata: float | None, table: ClassTable
) -> np.ndarray:
    """Return the pixels with 255 in place of the value that a file declares as nodata."""
    if nodata is None or nodata in (0, IGNORE_INDEX) or not (pixels == nodata).any():
        return pixels
    if 1 <= nodata <= table.num_classes:
        raise LabelFormatError(
            f'{path} declares its value {nodata:g} as nodata, which is the class '
            f'{table.names[int(nodata)]!r}; remove the declaration (gdal_edit.py -unsetnodata), '
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

    * If no stored colour contradicts the table, that is, none of the entries 0..K
      has the colour of another class, the indices are the classes.
    * Otherwise, or if an index is above K, or 255 has a class colour, the colours
      are the classes, provided that every used colour is in the table.
    * A palette that contradicts the table in some entries and holds foreign
      colours in others is ambiguous, and is refused.

    Args:
        path: The file, for messages.
        palette: Stored colours (P, 3) uint8.
        present: Indices that occur in the file.
        table: The classes.
        storage: 'auto', or 'palette' or 'colours' to always map colours.

    Returns:
        The class of each index, (256,) uint8, or None if the indices are the classes.

    Raises:
        LabelFormatError: The palette is ambiguous, or too short.
        LabelValueError: Colours are to be mapped that the table lacks.
    """
    options = as_storage(storage, SEMANTIC_STORAGES, 'label storage')
    by_name, shift = options.name != 'auto', options.rules.shift
    if len(present) and present[-1] >= len(palette) and present[-1] != IGNORE_INDEX:
        raise LabelFormatError(
            f'{path} holds index {present[-1]}, but its palette has only {len(palette)} colours; '
            'export the label again'
        )
    stored = [tuple(int(v) for v in colour) for colour in palette]
    colours = _classes_of_colours(stored, table, options, options.tolerance if by_name else 0)
    used = [int(i) for i in present if i < len(stored) and i != IGNORE_INDEX]
    # Writers fill the rest of a palette with black, which carries no meaning.
    while stored and stored[-1] == (0, 0, 0) and len(stored) - 1 > max(used, default=0):
        stored.pop()
    contradicted = any(
        colours.get(colour, index + shift) != index + shift
        for index, colour in enumerate(stored[: table.num_classes + 1])
    )
    in_range = all(index + shift <= table.num_classes for index in used)
    # Index 255 in a class colour is that class; black may be the filling of a writer.
    if IGNORE_INDEX in present and len(stored) > IGNORE_INDEX and any(stored[IGNORE_INDEX]):
        in_range = in_range and stored[IGNORE_INDEX] not in colours
    if not by_name and in_range and not contradicted:
        return None
    foreign = [stored[index] for index in used if stored[index] not in colours]
    by_colour = not foreign and (not in_range or all(colour in colours for colour in stored))
    if not by_name and not by_colour:
        if not in_range and not contradicted:
            return None  # A grey ramp or the like: the check of indices reports wrong values.
        raise LabelFormatError(
            f"{path} has a palette that contradicts the class table and isn't made of its colours "
            f'either: entries {stored[: table.num_classes + 1]}, class colours '
            f'{list(table.palette)}. State which count: label_storage="index" (indices) or '
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
    # If colours count, entry 255 is a colour like any other, provided the table has it.
    if len(stored) > IGNORE_INDEX:
        lookup[IGNORE_INDEX] = colours.get(stored[IGNORE_INDEX], IGNORE_INDEX)
    return lookup


def _classes_of_colours(
    stored: Sequence[tuple[int, ...]], table: ClassTable, options: LabelStorage, tolerance: int
) -> dict[tuple[int, ...], int]:
    """Return the class of each colour of the table, and of stored colours near only one of them."""
    colours: dict[tuple[int, ...], int] = {
        tuple(colour): index for index, colour in enumerate(table.palette)
    }
    if tolerance:
        others = np.array([one for one in stored if one not in colours], int).reshape(-1, 3)
        skip = options.rules.shift
        for colour, index in zip(others, _nearest(others, table, tolerance, skip), strict=True):
            if index != UNKNOWN:
                colours[tuple(int(v) for v in colour)] = int(index)
    colours.update(_stated_colours(options, table))
    return {colour: index for colour, index in colours.items() if index != UNKNOWN}


def _stated_colours(options: LabelStorage, table: ClassTable) -> dict[tuple[int, ...], int]:
    """Return the class, UNKNOWN or 255 of the colours that the rules of the user name."""
    rules = options.rules
    stated: dict[tuple[int, ...], int] = {}
    if rules.shift:
        # No colour in a file stands for "unchanged".
        stated[table.palette[0]] = UNKNOWN
    for colour, meant in rules.mapped if rules.by_colour else ():
        assert isinstance(colour, tuple)
        stated[colour] = IGNORE_INDEX if meant == IGNORED else meant + rules.shift
    return stated


def _nearest(colours: np.ndarray, table: ClassTable, tolerance: int, skip: int = 0) -> np.ndarray:
    """Return the class within the tolerance of each colour (N, 3); UNKNOWN if not exactly one.

    The first ``skip`` classes don't count.
    """
    palette = np.array(table.palette, int)
    distance = np.abs(colours[:, None] - palette[None]).max(axis=2)
    near = distance <= tolerance
    near[:, :skip] = False
    return np.where(near.sum(axis=1) == 1, near.argmax(axis=1), UNKNOWN)


@lru_cache(maxsize=4)
def _colour_lookup(palette: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """Return the class of every 24 bit colour, (2**24,); faster than comparing with each class."""
    if len(palette) >= UNKNOWN:
        raise ValueError(f'a class table may have up to {UNKNOWN - 1} colours, got {len(palette)}')
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
            f'{path} has colours of type {pixels.dtype}, expected 8 bit for each band; convert it'
        )
    if options.name == 'index':
        if not is_grey(pixels):
            raise LabelFormatError(
                f'{path} holds colours, but the storage is stated as index; set rgb'
            )
        return LabelMap(_check_indices(path, stored, table, options), 'index')
    packed = pixels[..., 0].astype(np.int32)
    packed <<= 8
    packed |= pixels[..., 1]
    packed <<= 8
    packed |= pixels[..., 2]
    values = _colour_lookup(table.palette)[packed]
    for colour, index in _stated_colours(options, table).items():
        values[packed == colour_code(colour)] = index
    unknown = values == UNKNOWN
    if not unknown.any():
        return LabelMap(values, 'rgb')
    if options.name == 'auto' and is_grey(pixels):
        highest = int(pixels.max())
        if 0 < highest <= table.num_classes - options.rules.shift:
            return LabelMap(_check_indices(path, stored, table, options), 'index')
    if stored.nodata is not None and 0 <= stored.nodata <= 255:
        grey = int(stored.nodata) * 0x010101
        values[unknown & (packed == grey)] = IGNORE_INDEX
        unknown = values == UNKNOWN
    codes, indices, counts = np.unique(packed[unknown], return_inverse=True, return_counts=True)
    if options.tolerance and len(codes):
        colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
        values[unknown] = _nearest(colours, table, options.tolerance, options.rules.shift)[indices]
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
        ' All its bands are equal: if it is an index image saved as RGB, set label_storage="index".'
        if is_grey(pixels)
        else ''
    )
    raise LabelValueError(
        f'{path} holds {share(unknown)} of its pixels in {len(codes)} '
        f'colour{"s" * (len(codes) != 1)} of no class: {", ".join(listed)}'
        f'{", ..." if len(codes) > 5 else ""}; expected '
        f'{dict(zip(table.names, table.palette, strict=True))}.{grey_hint} State the colours in '
        'the config (semantic_palette). Many colours between the right ones come from lossy '
        'compression or smooth resizing: export the label again, or set colour_tolerance=... '
        '(0..127) and unknown_colours="ignore"'
    )
