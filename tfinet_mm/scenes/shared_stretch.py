"""Find one stretch for all dates of a place, so that equal values stay equal."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import Window
from tfinet_mm.scenes.dates import SceneDate
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.quality import QualityBand
from tfinet_mm.scenes.stretch import (
    NO_PIXEL,
    SAMPLE_SIDE,
    Stretch,
    check_percentiles,
    check_tags,
    tags_differ,
)
from tfinet_mm.scenes.value_ranges import warn_of_fill

LEAST_PART = 0.6
"""Part of the stretch that the values of a date fill, below which a warning names the date."""
UNIT_PART = 0.05
"""Part below which the numbers of a date are probably of another unit than the others."""


def is_8_bit(dates: Sequence[SceneDate]) -> bool:
    """Return whether all dates store 8-bit values, or none does.

    Raises:
        SceneError: Some do, and their values can't be compared with the others'.
    """
    kinds = {date.is_8_bit for date in dates}
    if len(kinds) == 1:
        return kinds.pop()
    eight, other = (next(date for date in dates if date.is_8_bit is kind) for kind in (True, False))
    raise SceneError(
        f'{eight.name} stores 8-bit values and {other.name} others, so one stretch fits only one '
        'of them; state a stretch for each date (--stretch before=none after=0,3000) or '
        '--stretch each-date (from Python stretch={"before": None, "after": (0, 3000)} or '
        "'each-date')"
    )


def sample_dates(
    dates: Sequence[SceneDate],
    grid: SceneGrid,
    ignore_scale: bool = False,
    qualities: Sequence[QualityBand | None] = (),
) -> list[np.ndarray]:
    """Return the values of pixels that all dates show.

    They are picked from pictures at reduced size, of about 2 x 1024 x 1024 pixels together. Where
    no pixel is shown by all dates, each gives those that it shows.

    Args:
        dates: The dates, two or more.
        grid: The place.
        ignore_scale: Take the stored numbers as they are.
        qualities: The quality band of each date, whose bad pixels don't count unless all are bad.

    Returns:
        (B, N) float64 for each date, in the stored numbers of the first.

    Raises:
        SceneError: The numbers can't be compared, a date shows no pixel, or has wrong overviews.
    """
    for date in dates:
        date.check_overviews(grid)
    small = grid.reduced(max(round(SAMPLE_SIDE * math.sqrt(2 / len(dates))), 1))
    window = Window(0, 0, small.width, small.height)
    parts, shown, clear = [], [], []
    for date, quality in zip(dates, qualities or [None] * len(dates), strict=True):
        values, valid = date.picture(grid, small)
        parts.append(values)
        shown.append(valid)
        clear.append(valid if quality is None else valid & ~quality.read(small, window))
    counted = _counted(shown, clear)
    for date, used in zip(dates, counted, strict=True):
        if not used.any():
            raise SceneError(NO_PIXEL.format(date.name))
    first = dates[0]
    found = []
    for date, values, used in zip(dates, parts, counted, strict=True):
        warn_of_fill(date.name, values[:, used])
        numbers = values[:, used].astype(np.float64)
        if not ignore_scale and tags_differ(first.tags, date.tags):
            check_tags(first.tags, date.tags, (first.name, date.name))
            scale, offset, to_scale, to_offset = (
                np.array(column)[:, None]
                for tags in (date.tags, first.tags)
                for column in zip(*tags, strict=True)
            )
            numbers = (numbers * scale + offset - to_offset) / to_scale
        found.append(numbers)
    return found


def _counted(shown: Sequence[np.ndarray], clear: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """Return the pixels of each date that count, the same of all dates where there are any."""
    for masks in (clear, shown):
        together = np.logical_and.reduce(masks)
        if together.any():
            return [together] * len(masks)
    return shown


def shared_stretch(samples: Sequence[np.ndarray], percentiles: tuple[float, float]) -> Stretch:
    """Return the stretch between percentiles of all dates together.

    Args:
        samples: (B, N) of each date, as :func:`sample_dates` returns them.
        percentiles: Those that become 0 and 255, 0 <= first < second <= 100.

    Raises:
        SceneError: The percentiles are out of order.

    Example:
        >>> dates = [np.array([[0.0, 10.0, 20.0]]), np.array([[80.0, 90.0, 100.0]])]
        >>> shared_stretch(dates, (0, 100))
        Stretch(kind='percentiles', low=(0.0,), high=(100.0,), percentiles=(0.0, 100.0))
    """
    wanted = check_percentiles(percentiles)
    limits = [
        np.percentile(np.concatenate(band), wanted).tolist() for band in zip(*samples, strict=True)
    ]
    low, high = zip(*limits, strict=True)
    return Stretch('percentiles', low, high, wanted)


def warn_of_dates_apart(
    dates: Sequence[SceneDate], samples: Sequence[np.ndarray], stretch: Stretch
) -> None:
    """Warn of each date that the one stretch leaves dark, pale or flat.

    Args:
        dates: The dates.
        samples: Their values, as :func:`sample_dates` returns them.
        stretch: The stretch of all, with its percentiles.
    """
    for date, sample in zip(dates, samples, strict=True):
        if not sample.size:
            continue
        low, high = np.percentile(sample, stretch.percentiles or (2, 98), axis=1)
        bottom, top = np.array(stretch.low), np.array(stretch.high)
        # A constant band fills nothing, and has a warning of its own.
        varied = (top > bottom) & (high > low)
        span = np.where(varied, top - bottom, 1)
        start, end = (np.clip((limit - bottom) / span, 0, 1) for limit in (low, high))
        narrow = np.flatnonzero(varied & (end - start < LEAST_PART))
        if not narrow.size:
            continue
        parts = [
            f'band {date.bands[band]} from {low[band]:.4g} to {high[band]:.4g}, '
            f'{100 * (end - start)[band]:.0f} % of the range from {bottom[band]:.4g} to '
            f'{top[band]:.4g}'
            for band in narrow
        ]
        middle = float(((start + end) / 2)[narrow].mean())
        look = 'dark' if middle < 1 / 3 else 'pale' if middle > 2 / 3 else 'flat'
        reason = 'If the light, the season or the sensor makes the difference, not the ground'
        if (end - start)[narrow].max() < UNIT_PART:
            reason = 'If its numbers are of another unit, such as reflectance of 0 to 1'
        warnings.warn(
            f'{date.name} looks {look} in the one stretch of all dates: {"; ".join(parts)}. '
            f"{reason}, use --stretch each-date (stretch='each-date'), which stretches each date "
            'by percentiles of its own',
            stacklevel=4,
        )


def find_shared_stretch(
    dates: Sequence[SceneDate],
    grid: SceneGrid,
    percentiles: tuple[float, float],
    ignore_scale: bool = False,
    qualities: Mapping[str, QualityBand] | None = None,
) -> Stretch:
    """Return one stretch for both dates of a pair, in the stored numbers of the first; warn.

    Args:
        dates: The dates.
        grid: The grid of the result.
        percentiles: Those that become 0 and 255.
        ignore_scale: Take the stored numbers as they are.
        qualities: Quality bands by date.

    Raises:
        SceneError: See :func:`sample_dates` and :func:`shared_stretch`.
    """
    check_percentiles(percentiles)
    bands = [(qualities or {}).get(date.role) for date in dates]
    samples = sample_dates(dates, grid, ignore_scale, bands)
    stretch = shared_stretch(samples, percentiles)
    warn_of_dates_apart(dates, samples, stretch)
    return stretch
