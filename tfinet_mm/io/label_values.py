"""Apply tables of values or colours, which a user states, to the pixels of label files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.io.images import PathLike
from tfinet_mm.io.label_files import StoredLabel, enumerated, is_grey, present_values, share
from tfinet_mm.io.label_storage import IGNORED, LabelStorage, Value
from tfinet_mm.structures import IGNORE_INDEX, ClassTable
from tfinet_mm.utils.opencv import cv2

SHOWN = 5
"""Number of values or colours that an error lists."""


def mapped_classes(
    path: PathLike, stored: StoredLabel, table: ClassTable, options: LabelStorage
) -> np.ndarray:
    """Return the classes of a label of indices under the rules that the user states.

    Args:
        path: The file, for messages.
        stored: Its pixels, indices or grey values.
        table: The classes, index 0 for "unchanged" (or "no information").
        options: Storage of the file, with its rules.

    Returns:
        Indices 0..K and 255 (H, W) uint8.

    Raises:
        LabelFormatError: The file holds colours, or declares a class as nodata.
        LabelValueError: It holds a value without a meaning.
    """
    codes = _codes(path, stored, by_colour=False, option='label_map')
    rules = options.rules
    mapped = dict(rules.mapped)
    shift = rules.shift
    lowest, highest = (0 if shift else 1), table.num_classes - shift
    nodata = stored.nodata if stored.nodata is not None and stored.nodata not in mapped else None
    present = present_values(codes)
    if nodata is not None and nodata in present and lowest <= nodata <= highest:
        raise LabelFormatError(
            f'{path} declares its value {nodata:g} as nodata, which is the class '
            f'{table.names[int(nodata) + shift]!r}; list it in ignore_values, or remove the '
            'declaration (gdal_edit.py -unsetnodata)'
        )
    classes = np.full(len(present), IGNORE_INDEX, np.uint8)
    wrong = []
    for at, value in enumerate(int(one) for one in present):
        meant = mapped.get(value, value)
        if value not in mapped and value == IGNORE_INDEX and options.unchanged_value == value:
            classes[at] = 0
        elif meant == IGNORED or (value not in mapped and value in (nodata, IGNORE_INDEX)):
            continue
        elif rules.complete and value not in mapped:
            wrong.append(value)
        elif lowest <= meant <= highest:
            classes[at] = meant + shift
        elif meant == 0 and options.unchanged_value == 0:
            classes[at] = 0
        else:
            wrong.append(value)
    if wrong:
        fix = 'list them in ignore_values or label_map, or correct semantic_classes'
        if rules.complete:
            fix = (
                'list them in ignore_values if they stand for no information, or correct the '
                'classes of dataset (metainfo) or its reduce_zero_label'
            )
        raise LabelValueError(
            f'{path} holds {share(np.isin(codes, wrong))} of its pixels as {enumerated(wrong)}, '
            f'expected {_expected(table, options)}; {fix}'
        )
    return _looked_up(codes, present, classes)


def _expected(table: ClassTable, options: LabelStorage) -> str:
    shift = options.rules.shift
    values = [value for value, _ in options.rules.mapped if isinstance(value, int)]
    if options.rules.complete:
        own = enumerated(sorted(values))
        return f'the values {own} of the classes of dataset and ignore_values, or 255 (ignored)'
    listed = enumerated(values)
    return (
        f'class indices {int(not shift and options.unchanged_value != 0)} to '
        f'{table.num_classes - shift} {table.names[shift:]}, 255 '
        f'({"unchanged" if options.unchanged_value else "ignored"})'
        + (f' or the values {listed} of label_map and ignore_values' if listed else '')
    )


def table_positions(
    path: PathLike,
    stored: StoredLabel,
    keys: Sequence[Value],
    option: str,
    tolerance: int = 0,
    unknown: str = 'error',
) -> tuple[np.ndarray, int]:
    """Return the place of each pixel's value or colour in a table.

    Args:
        path: The file, for messages.
        stored: Its pixels.
        keys: All values, or all colours, that files may hold.
        option: Name of the option that lists them, for messages.
        tolerance: Largest difference of a colour from one of the table, 0..127.
        unknown: 'error', or 'ignore' for colours that the table lacks.

    Returns:
        Indices of ``keys`` (H, W), ``len(keys)`` where the file declares no data or the colour is
        unknown; and the number of pixels of unknown colours.

    Raises:
        LabelFormatError: The file holds colours and the table values, or the other way round.
        LabelValueError: A value or a colour isn't in the table.
    """
    by_colour = isinstance(keys[0], tuple)
    codes = _codes(path, stored, by_colour, option)
    places = {_code(key): at for at, key in enumerate(keys)}
    present = present_values(codes)
    found = np.array([places.get(int(code), len(keys)) for code in present], np.uint16)
    missing = found == len(keys)
    if stored.nodata is not None:
        missing &= present != (_code((int(stored.nodata),) * 3) if by_colour else stored.nodata)
    lost = present[missing]
    if len(lost) and tolerance and by_colour:
        found[missing] = _nearest(lost, keys, tolerance)
        lost = present[missing & (found == len(keys))]
    number = int(np.count_nonzero(np.isin(codes, lost))) if len(lost) else 0
    if number and not (by_colour and unknown == 'ignore'):
        what = f'colour{"s" * (len(lost) != 1)}' if by_colour else f'value{"s" * (len(lost) != 1)}'
        advice = ', or set colour_tolerance or unknown_colours="ignore"' * by_colour
        raise LabelValueError(
            f'{path} holds {100 * number / codes.size:.2f} % of its pixels as the {what} '
            f'{_listed(lost, by_colour)}, which {option} does not list (it lists '
            f'{", ".join(str(key) for key in keys[:20])}{", ..." * (len(keys) > 20)}); add '
            f'{"it" if len(lost) == 1 else "them"}, with "ignored" for no information{advice}'
        )
    small = len(keys) <= IGNORE_INDEX
    result = _looked_up(codes, present, found.astype(np.uint8) if small else found)
    if stored.missing is not None:
        result[stored.missing] = len(keys)
    return result, number


def colour_code(colour: Sequence[int]) -> int:
    """Return an RGB colour as one number of 24 bit."""
    red, green, blue = (int(one) for one in colour)
    return red << 16 | green << 8 | blue


def _code(key: Value) -> int:
    return colour_code(key) if isinstance(key, tuple) else key


def _codes(path: PathLike, stored: StoredLabel, by_colour: bool, option: str) -> np.ndarray:
    """Return values (H, W) as stored, or colours as numbers of 24 bit."""
    pixels = stored.pixels
    if not by_colour:
        if pixels.ndim == 2:
            return pixels
        if not is_grey(pixels):
            raise LabelFormatError(
                f'{path} holds colours, but {option} lists values; list its colours, as in '
                f'{option}={{(255, 0, 0): ...}}'
            )
        return np.ascontiguousarray(pixels[..., 0])
    if pixels.ndim == 2 and stored.palette is None:
        raise LabelFormatError(
            f'{path} has one band without a palette, but {option} lists colours; list its values'
        )
    if pixels.ndim == 2:
        assert stored.palette is not None
        colours = np.zeros((max(256, len(stored.palette)), 3), np.int32)
        colours[: len(stored.palette)] = stored.palette
        return (colours @ np.array([1 << 16, 1 << 8, 1], np.int32))[pixels]
    if pixels.dtype != np.uint8:
        raise LabelFormatError(
            f'{path} has colours of type {pixels.dtype}, expected 8 bit for each band; convert it'
        )
    packed = pixels[..., 0].astype(np.int32) << 16
    packed |= pixels[..., 1].astype(np.int32) << 8
    packed |= pixels[..., 2]
    return packed


def _looked_up(codes: np.ndarray, present: np.ndarray, results: np.ndarray) -> np.ndarray:
    """Return the result of each pixel, given those of the sorted values that occur."""
    if codes.dtype == np.uint8 and results.dtype == np.uint8:
        lookup = np.zeros(256, np.uint8)
        lookup[present] = results
        return cv2.LUT(np.ascontiguousarray(codes), lookup).reshape(codes.shape)
    return results[np.searchsorted(present, codes)]


def _nearest(codes: np.ndarray, keys: Sequence[Value], tolerance: int) -> np.ndarray:
    """Return the place of the one colour within the tolerance, len(keys) for none or several."""
    table = np.array(keys, int)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    near = np.abs(colours[:, None] - table[None]).max(axis=2) <= tolerance
    return np.where(near.sum(axis=1) == 1, near.argmax(axis=1), len(keys)).astype(np.uint16)


def _listed(codes: np.ndarray, by_colour: bool) -> str:
    if not by_colour:
        return enumerated(codes, SHOWN)
    shown = [f'({c >> 16}, {c >> 8 & 255}, {c & 255})' for c in codes[:SHOWN].tolist()]
    return ', '.join(shown) + ', ...' * (len(codes) > SHOWN)
