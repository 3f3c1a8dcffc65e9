"""Dates of acquisition in the tags and names of files."""

from __future__ import annotations

import datetime
import re

DATE = re.compile(
    r'(?<!\d)((?:19|20)\d\d)(?:([-_.:/]?)(0[1-9]|1[0-2])(?:\2(0[1-9]|[12]\d|3[01]))?)?(?!\d)'
)
ACQUIRED = (
    'ACQUISITIONDATETIME',
    'ACQUISITION_DATETIME',
    'ACQUISITION_DATE',
    'DATE_ACQUIRED',
    'DATATAKE_1_DATATAKE_SENSING_START',
)
"""Names of tags with the date of a picture, in the order in which they are looked up."""


def date_in(text: str) -> str | None:
    """Return the first of the most precise dates in a text.

    Example:
        >>> date_in('S2A_MSIL2A_20180714T102021_N0208'), date_in('town 2018_07'), date_in('a12')
        ('2018-07-14', '2018-07', None)
    """
    found = ['-'.join(part for part in one.group(1, 3, 4) if part) for one in DATE.finditer(text)]
    return max(filter(_exists, found), key=len, default=None)


def _exists(date: str) -> bool:
    try:
        datetime.date.fromisoformat(date + '-01-01'[len(date) - 4 :])
    except ValueError:
        return False
    return True
