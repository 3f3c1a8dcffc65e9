"""Read the dates of scenes from their tags and names."""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from tfinet_mm.io.images import PathLike, import_rasterio
from tfinet_mm.utils.places import gdal_path, opening, stem

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
WRITTEN = 'TIFFTAG_DATETIME'
"""Tag of TIFF that has the date of the picture or of the file, by the program."""
FORMS = 'YYYY, YYYY-MM or YYYY-MM-DD'


def find_dates(scenes: Sequence[PathLike]) -> list[str] | None:
    """Return the dates of scenes from tags of acquisition, else from names, else TIFF's date.

    Args:
        scenes: Their files, in the order of time.

    Returns:
        A date for each as ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``; None where no source has
        different dates for all of them.

    Raises:
        ValueError: The dates are not in the order of time.
    """
    tags = [_tags(path) for path in scenes]
    sources: list[tuple[str, Callable[[int], str | None]]] = [
        ('tags', lambda i: next((tags[i][name] for name in ACQUIRED if name in tags[i]), None)),
        ('names', lambda i: stem(scenes[i])),
        (WRITTEN, lambda i: tags[i].get(WRITTEN)),
    ]
    for source, text in sources:
        found = [date_in(text(number) or '') for number in range(len(scenes))]
        dates = [date for date in found if date is not None]
        if len(set(dates)) == len(scenes):
            check_dates(dates, f'the {source} of the scenes have the dates')
            return dates
        if source != WRITTEN and len(dates) == len(scenes) and dates != sorted(dates):
            raise ValueError(
                f'the {source} of the scenes have the dates {", ".join(dates)}, which are not in '
                'the order of time, and some are equal; give the scenes in the order of time, and '
                'state their dates (--dates)'
            )
    return None


def check_dates(dates: Sequence[str], source: str = '--dates has') -> None:
    """Refuse texts that are no dates, and dates out of order.

    Args:
        dates: One for each scene.
        source: Origin of the dates, as the start of a sentence.

    Raises:
        ValueError: One is no date, or they aren't in the order of time.
    """
    for date in dates:
        if date_in(date) != date:
            raise ValueError(f'{source} {date!r}, expected {FORMS}')
    if any(later <= earlier for earlier, later in pairwise(dates)):
        raise ValueError(
            f'{source} {", ".join(dates)}, expected each to be later than the one before; give '
            'the scenes in the order of time, or state their dates (--dates)'
        )


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


def _tags(path: PathLike) -> dict[str, Any]:
    """Return the tags of a file; those of the image in GDAL's own form count first."""
    rasterio = import_rasterio(path)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
        with opening(path), rasterio.open(gdal_path(path)) as raster:
            return raster.tags() | raster.tags(ns='IMAGERY')
