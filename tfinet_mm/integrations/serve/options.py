"""Turn the fields of a form into options of the command that predicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from tfinet_mm.apis.command_options import read_bands, read_stretch
from tfinet_mm.integrations.serve.refusal import Refusal

YES = ('1', 'on', 'true', 'yes')
NO = ('', '0', 'off', 'false', 'no')


def _number(name: str, text: str, low: float, high: float, words: str) -> list[str]:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    # NaN is in no range.
    if not low <= value <= high or math.isinf(value):
        raise ValueError(f'{name} takes {words}, got {text!r}')
    return [f'--{name}={value!r}']


def _threshold(text: str) -> list[str]:
    return _number('threshold', text, 0.0, 1.0, 'a probability from 0 to 1')


def _min_area(text: str) -> list[str]:
    return _number('min-area', text, 0.0, math.inf, 'square metres from 0 on')


def _bands(text: str) -> list[str]:
    given = read_bands(text.split())
    each = given.values() if isinstance(given, Mapping) else [given]
    if wrong := [number for one in each for number in one if number < 1]:
        raise ValueError(f'bands are counted from 1, such as 3 2 1; got {wrong[0]}')
    return ['--bands', *text.split()]


def _stretch(text: str) -> list[str]:
    read_stretch(text.split())
    return ['--stretch', *text.split()]


def _align(text: str) -> list[str]:
    if text.lower() not in (*YES, *NO):
        raise ValueError(f'align takes on or off, got {text!r}')
    return ['--align'] if text.lower() in YES else []


FIELDS: dict[str, tuple[Callable[[str], list[str]], str]] = dict(
    threshold=(_threshold, 'P(changed) from which a pixel is changed, 0 to 1'),
    min_area=(_min_area, 'smallest polygon of a scene in square metres'),
    bands=(_bands, 'bands to read, counted from 1: 3 2 1'),
    stretch=(_stretch, 'values that become 0 and 255: 0 3000, or percentiles'),
    align=(_align, 'on: move after onto before by the shift between them'),
)
"""Function that reads each field of a form, and its description."""


def read_options(fields: Mapping[str, str]) -> list[str]:
    """Return words of the command line for the fields of a form.

    Empty fields count as left out.

    Raises:
        Refusal: A field has no such name, or a value that can't be used.

    Example:
        >>> read_options({'bands': '3 2 1', 'threshold': '.4', 'align': ''})
        ['--threshold=0.4', '--bands', '3', '2', '1']
    """
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown:
        raise Refusal(
            422, f'there is no option {unknown[0][:50]!r}; choose from {", ".join(FIELDS)}'
        )
    words: list[str] = []
    for name, (read, _) in FIELDS.items():
        text = fields.get(name, '').strip()
        if not text:
            continue
        try:
            words += read(text)
        except ValueError as error:
            raise Refusal(422, str(error)) from None
    return words
