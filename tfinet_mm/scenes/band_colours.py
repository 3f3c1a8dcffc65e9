"""Tell what the bands of a file show, by their marks and names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tfinet_mm.scenes.statements import COLOURS

INFRARED = 'nir'
MARKS = *COLOURS, INFRARED
WORDS = {
    'r': 'red',
    'g': 'green',
    'b': 'blue',
    'near infrared': INFRARED,
    'nearinfrared': INFRARED,
    'infrared': INFRARED,
    'ir': INFRARED,
    **{one: one for one in MARKS},
}
"""Colours by their usual names, in lower case."""
UNTOLD = {'band', 'channel', 'color', 'colour', 'nm', 'reflectance'}
"""Words beside a colour that say nothing about it."""
SENTINEL_2 = {'b2': 'blue', 'b3': 'green', 'b4': 'red', 'b8': INFRARED}
ONE_ORDER = 'b2', 'b3', 'b4'
"""Names that are blue, green and red of Sentinel-2 and of Landsat 8 and 9, and other colours of
earlier Landsats."""
NUMBERED = re.compile(r'(?:sr_)?b(0*)(\d+)(a?)(,.*wavelength.*)?', re.IGNORECASE)


def plain_name(name: str) -> str:
    """Return the name of a band as it is compared: B02 is B2.

    Example:
        >>> plain_name(' B04 '), plain_name('B4, central wavelength 665 nm'), plain_name('Red')
        ('b4', 'b4', 'red')
    """
    name = ' '.join(name.split())
    match = NUMBERED.fullmatch(name)
    return f'b{match[2]}{match[3].lower()}' if match else name.casefold()


def colour_in(name: str) -> str:
    """Return the colour that the name of a band states: red, green, blue, nir, or an empty text.

    Example:
        >>> [colour_in(name) for name in ('Red', 'band_blue', 'B8 (NIR)', 'Red Edge', 'B 4')]
        ['red', 'blue', 'nir', '', '']
    """
    text = name.lower().replace('_', ' ')
    words = [one for one in re.split(r'[^a-z]+', re.sub(r'\bb?\d+a?\b', ' ', text)) if one]
    told = ' '.join(one for one in words if one not in UNTOLD)
    # A letter beside a number is that of a band, as in B 4.
    return WORDS.get(told, '') if len(told) > 2 or not any(map(str.isdigit, text)) else ''


def band_colours(marks: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return what each band shows for sure: red, green, blue, nir, or an empty text.

    A name counts before a mark, since GDAL marks three bands of bytes as red, green and blue
    unless told otherwise. Numbers of bands are those of Sentinel-2 where they have a leading zero
    or a wavelength, or where just the four of 10 m are there.

    Args:
        marks: Colour of each band by its mark, empty without one.
        names: Name of each band, empty without one.

    Example:
        >>> band_colours(['', '', ''], ['blue', 'green', 'red'])
        ['blue', 'green', 'red']
        >>> band_colours(['red', 'green', 'blue'], ['B02', 'B03', 'B04'])
        ['blue', 'green', 'red']
        >>> band_colours(['', '', ''], ['B2', 'B3', 'B4'])
        ['', '', '']
    """
    numbered = [NUMBERED.fullmatch(' '.join(name.split())) for name in names]
    sure = {plain_name(name) for name in names} == set(SENTINEL_2) or any(
        one is not None and (one[1] or one[4]) for one in numbered
    )
    told = [
        colour_in(name) or (SENTINEL_2.get(plain_name(name), '') if sure else '') for name in names
    ]
    return [name or mark for name, mark in zip(told, marks, strict=True)]


def likely_colours(marks: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return what each band probably shows, as :func:`band_colours` does.

    B2, B3 and B4 count as blue, green and red where all three and no B1 are there. On Landsat 4 to
    7, they are green, red and infrared, which don't fit red, green and blue in any order either.

    Example:
        >>> likely_colours(['', '', ''], ['B2', 'B3', 'B4'])
        ['blue', 'green', 'red']
        >>> likely_colours(['', '', ''], ['B1', 'B2', 'B3'])
        ['', '', '']
    """
    plain = [plain_name(name) for name in names]
    if 'b1' in plain or not set(ONE_ORDER) <= set(plain):
        return band_colours(marks, names)
    sure = band_colours([''] * len(names), names)
    likely = [SENTINEL_2[name] if name in ONE_ORDER else '' for name in plain]
    return [a or b or mark for a, b, mark in zip(sure, likely, marks, strict=True)]


def order_of(first: Sequence[str], second: Sequence[str]) -> list[int] | None:
    """Return for each band of ``second`` the place in ``first`` of the band that shows the same.

    Args:
        first: What each band shows, all of them different; empty where unknown.
        second: The same of as many bands.

    Returns:
        None where that can't be told. A single unknown band goes with the one that is left.

    Example:
        >>> order_of(['blue', 'green', 'red'], ['red', 'green', 'blue'])
        [2, 1, 0]
        >>> order_of(['red', 'green', 'blue', ''], ['nir', 'red', 'green', 'blue'])
        [3, 0, 1, 2]
        >>> order_of(['red', 'green', 'blue'], ['nir', 'red', 'green'])
    """
    if any(len(set(known)) < len(known) for known in map(_known, (first, second))):
        return None
    found = [first.index(one) if one and one in first else -1 for one in second]
    left = [place for place in range(len(first)) if place not in found]
    open_places = [place for place, one in enumerate(found) if one < 0]
    # Several that are unknown may be in any order, and stay where they are.
    if len(left) > 1 and left != open_places:
        return None
    for old, new in zip(left, open_places, strict=True):
        if first[old] and second[new]:
            return None
        found[new] = old
    return found


def disagreement(first: Sequence[str], second: Sequence[str]) -> int | None:
    """Return the first place where two dates show different colours for sure; None if none does.

    Example:
        >>> disagreement(['red', 'green', 'blue'], ['nir', 'red', 'green'])
        0
    """
    for place, (one, two) in enumerate(zip(first, second, strict=True)):
        if one != two and ((one and two) or one in _known(second) or two in _known(first)):
            return place
    return None


def _known(colours: Sequence[str]) -> list[str]:
    return [one for one in colours if one]


def example_bands(colours: Sequence[str], count: int, left_out: Sequence[int] = ()) -> list[int]:
    """Return numbers of bands, from 1, that a network of ``count`` bands could take.

    They are red, green and blue where the file says which these are, or else the first ones
    without infrared. Where there are too few, the last one is repeated.

    Args:
        colours: What each band of the file shows; empty where unknown.
        count: Number of bands that the network takes.
        left_out: Numbers of bands that hold no picture.

    Example:
        >>> example_bands(['nir', '', '', ''], 3), example_bands([''], 3)
        ([2, 3, 4], [1, 1, 1])
        >>> example_bands(['blue', 'green', 'red', 'nir'], 3)
        [3, 2, 1]
    """
    if count == len(COLOURS) and set(COLOURS) <= set(colours):
        return [colours.index(one) + 1 for one in COLOURS]
    numbers = [one for one in range(1, len(colours) + 1) if one not in left_out]
    visible = [one for one in numbers if colours[one - 1] != INFRARED]
    chosen = (visible if len(visible) >= count else numbers)[:count]
    return chosen + chosen[-1:] * (count - len(chosen))


def option_bands(before: Sequence[int], after: Sequence[int]) -> str:
    """Return the value of ``--bands`` for two dates.

    Example:
        >>> option_bands([1, 2], [1, 2]), option_bands([2, 1], [1, 2])
        ('1 2', 'before=2,1 after=1,2')
    """
    if list(before) == list(after):
        return ' '.join(map(str, before))
    return f'before={",".join(map(str, before))} after={",".join(map(str, after))}'


def both_options(before: Sequence[int], after: Sequence[int]) -> str:
    """Return how to choose the bands of two dates, for the commands and for Python.

    Example:
        >>> both_options([2, 3, 4], [2, 3, 4])
        '--bands 2 3 4 (from Python bands=[2, 3, 4])'
    """
    same = list(before) == list(after)
    value = str(list(before)) if same else f"{{'before': {before}, 'after': {after}}}"
    return f'--bands {option_bands(before, after)} (from Python bands={value})'


def of_few(count: int) -> str:
    """Return what a message adds about fewer bands than those of a network of colour.

    Example:
        >>> of_few(3)
        ''
    """
    if count >= len(COLOURS):
        return ''
    return (
        '; most networks were trained on the three bands of colour. One may be repeated, as in '
        'bands=[1, 1, 1], but such pictures are unlike those of the training'
    )
