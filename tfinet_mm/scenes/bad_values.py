"""Read which values of a quality band count as bad."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfinet_mm.errors import SceneError

BIT = re.compile(r'bit(\d{1,2})')
RANGE = re.compile(r'(\d{1,9})-(\d{1,9})')
MOST_IN_RANGE = 1 << 16
"""Numbers of a band of 16 bits."""
EXPECTED = (
    'numbers, ranges such as 8-10, bits such as bit3, scl (the scene classification of '
    'Sentinel-2) or landsat-qa (QA_PIXEL of Landsat)'
)


class BadValues(NamedTuple):
    """Values of a quality band that count as bad.

    Attributes:
        numbers: The values.
        bits: A value with one of these bits is bad too; a number of them added up.
        most: Greatest value that the band can have, or None.
        width: Least bits of the band's type.

    Example:
        >>> BadValues((3.0, 8.0), 0b100).find(np.array([3, 4, 8, 9, 12]))
        array([ True,  True,  True, False,  True])
    """

    numbers: tuple[float, ...] = ()
    bits: int = 0
    most: int | None = None
    width: int = 8

    def check(self, kind: str, name: str) -> None:
        """Refuse values and bits that no pixel of a band can have.

        Args:
            kind: Type of the band, such as ``'uint8'``.
            name: Name of the band, for messages.

        Raises:
            SceneError: There is one.
        """
        dtype = np.dtype(kind)
        if dtype.kind == 'f':
            if self.bits:
                raise SceneError(
                    f'{name} stores {kind} values, which have no bits; expected whole numbers, or '
                    'bad values (--bad-values) without bits'
                )
            return
        limits, bits = np.iinfo(dtype), 8 * dtype.itemsize
        found = [
            f'{number:g}'
            for number in self.numbers
            if not (limits.min <= number <= limits.max and number == int(number))
        ]
        found += [f'bit{place}' for place in range(bits, 64) if self.bits >> place & 1]
        if found:
            raise SceneError(
                f'{name} stores {kind} values, which are never {", ".join(found)}; expected bad '
                f'values (--bad-values) from {limits.min} to {limits.max}, or bit0 to '
                f'bit{bits - 1}'
            )
        if bits < self.width:
            raise SceneError(
                f'{name} stores {kind} values, and these bad values (--bad-values) are those of '
                f'a band of {self.width} bits, such as QA_PIXEL of Landsat; name its band '
                '(FILE:BAND), or its own bad values'
            )

    def find(self, values: np.ndarray) -> np.ndarray:
        """Return where values are bad, bool of their shape; the unfinite always are."""
        if values.dtype in (np.uint8, np.uint16):
            # A look at each value that there is, in place of each pixel.
            every = np.arange(np.iinfo(values.dtype).max + 1)
            return self.find(every)[values]
        numbers = np.array([number for number in self.numbers if np.isfinite(number)])
        if values.dtype.kind == 'f':
            # 0.7 is another number in float32.
            numbers = numbers.astype(values.dtype)
        bad = np.isin(values, numbers)
        if values.dtype.kind == 'f':
            bad |= ~np.isfinite(values)
        if self.bits:
            bad |= (values.astype(np.uint64) & np.uint64(self.bits)) != 0
        return bad

    def describe(self) -> str:
        """Return the words that :func:`read_bad_values` takes for it, without short names.

        Example:
            >>> read_bad_values(['landsat-qa', '5']).describe()
            '5 bit0 bit1 bit2 bit3 bit4'
        """
        words = [f'{number:.15g}' for number in self.numbers]
        bits = [f'bit{place}' for place in range(self.bits.bit_length()) if self.bits >> place & 1]
        return ' '.join([*words, *bits])


NAMED = {
    # No data, saturated or defective, cloud shadow, cloud of medium and high probability, cirrus.
    'scl': BadValues((0, 1, 3, 8, 9, 10), most=11),
    # Fill, dilated cloud, cirrus, cloud, cloud shadow.
    'landsat-qa': BadValues(bits=0b11111, width=16),
}
"""Short names of values that are bad in the quality bands of a satellite's products."""


def read_bad_values(words: str | float | Iterable[Any]) -> BadValues:
    """Read numbers, ranges, bits and short names, all of which count as bad.

    Args:
        words: Numbers (``3``), ranges of whole numbers with both ends (``'8-10'``), bits
            (``'bit3'``, counted from 0) and names of :data:`NAMED`; or one of these.

    Raises:
        SceneError: A word is none of these, a range falls or has more than 65536 numbers, or no
            word is given.

    Example:
        >>> read_bad_values(['scl', 11]).numbers
        (0.0, 1.0, 3.0, 8.0, 9.0, 10.0, 11.0)
        >>> read_bad_values('8-10').describe()
        '8 9 10'
        >>> read_bad_values('bit3')
        BadValues(numbers=(), bits=8, most=None, width=8)
    """
    if isinstance(words, BadValues):
        return words
    listed: Sequence[Any] = [words] if isinstance(words, str | int | float) else list(words)
    numbers: set[float] = set()
    bits, most, width = 0, None, 8
    for word in listed:
        named = NAMED.get(word) if isinstance(word, str) else None
        bit = BIT.fullmatch(word) if isinstance(word, str) else None
        if named is not None:
            numbers |= {float(number) for number in named.numbers}
            bits |= named.bits
            most = named.most if named.most is not None else most
            width = max(width, named.width)
        elif bit is not None and int(bit[1]) < 64:
            bits |= 1 << int(bit[1])
        elif isinstance(word, str) and (span := RANGE.fullmatch(word)):
            numbers |= _range(word, int(span[1]), int(span[2]))
        else:
            try:
                numbers.add(float(word))
            except (TypeError, ValueError):
                raise SceneError(
                    f'{word!r} is no bad value (--bad-values), expected {EXPECTED}'
                ) from None
    if not listed:
        raise SceneError(f'no bad values (--bad-values) are given, expected {EXPECTED}')
    return BadValues(tuple(sorted(numbers)), bits, most, width)


def _range(word: str, first: int, last: int) -> set[float]:
    if not 0 <= last - first < MOST_IN_RANGE:
        raise SceneError(
            f'{word!r} is no range of bad values (--bad-values), expected the lower number first '
            f'and at most {MOST_IN_RANGE} numbers, such as 8-10'
        )
    return {float(number) for number in range(first, last + 1)}
