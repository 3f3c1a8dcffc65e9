"""Code for each pixel of a scene whether it is seen on both dates, and why not."""

from __future__ import annotations

import numpy as np

DATES = 'before', 'after'
SEEN, NO_DATA, BAD_QUALITY = range(3)
"""States of a pixel on one date."""
UNKNOWN = 0
"""Code of a pixel that is not seen for an unknown reason."""
BOTH_SEEN = 1
"""Code of a pixel that is seen on both dates."""
STATES = 'seen', 'no data', 'bad quality'
REASONS = {
    f'{date}_{name.replace(" ", "_")}': (date, state)
    for date in DATES
    for state, name in enumerate(STATES)
    if state != SEEN
}
"""Date and state by the name of a reason, such as ``before_no_data``."""


def combine(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the codes 1..9 of the states of both dates: 1 + before + 3 after.

    Example:
        >>> combine(np.array([SEEN, NO_DATA, SEEN]), np.array([SEEN, SEEN, BAD_QUALITY]))
        array([1, 2, 7], dtype=uint8)
    """
    return (1 + before + len(STATES) * after).astype(np.uint8)


def states_of(code: int) -> tuple[int, int]:
    """Return the states before and after of a code 1..9.

    Example:
        >>> states_of(7)
        (0, 2)
    """
    after, before = divmod(code - 1, len(STATES))
    return before, after


def _name(code: int) -> str:
    before, after = (STATES[state] for state in states_of(code))
    if code == BOTH_SEEN:
        return 'seen on both dates'
    parts = [(before, 'before'), (after, 'after')]
    return ', '.join(f'{name} {date}' for name, date in parts if name != STATES[SEEN])


def _colour(code: int) -> tuple[int, int, int]:
    if code == BOTH_SEEN:
        return 255, 255, 255
    # Grey without data, blue under clouds; darker where both dates are affected.
    states = states_of(code)
    level = 110 if SEEN in states else 60
    return (level, level, 2 * level) if BAD_QUALITY in states else (level, level, level)


CODES = len(STATES) ** 2 + 1
CODE_NAMES = ('not seen', *(_name(code) for code in range(1, CODES)))
CODE_COLOURS = ((0, 0, 0), *(_colour(code) for code in range(1, CODES)))


def codes_of(reason: str) -> list[int]:
    """Return the codes of pixels that one of :data:`REASONS` applies to.

    Example:
        >>> codes_of('after_bad_quality')
        [7, 8, 9]
    """
    date, state = REASONS[reason]
    place = DATES.index(date)
    return [code for code in range(1, CODES) if states_of(code)[place] == state]
