"""Read the dates of scenes from their tags and names."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from tfinet_mm.io.images import PathLike, import_rasterio
from tfinet_mm.scenes.acquisition import ACQUIRED, date_in
from tfinet_mm.utils.places import gdal_path, opening, stem

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


def _tags(path: PathLike) -> dict[str, Any]:
    """Return the tags of a file; those of the image in GDAL's own form count first."""
    rasterio = import_rasterio(path)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
        with opening(path), rasterio.open(gdal_path(path)) as raster:
            return raster.tags() | raster.tags(ns='IMAGERY')
