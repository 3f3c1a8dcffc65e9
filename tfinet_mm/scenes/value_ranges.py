"""Warn where a scene has no values, or some that hardly fit the range that the network takes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from tfinet_mm.scenes.dates import SceneDate
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.sources import sample_windows
from tfinet_mm.scenes.stretch import Stretch

# Share of values at the upper end from which the rest shows too little.
CLIPPED_SHARE = 0.5
# Part of the range within which 99 % of the values show nothing but black.
DARK_PART = 0.02
DARK_PERCENTILE = 99
# Share of pixels of one number in all bands from which it may stand for missing data; around it, to
# this part of the range of the others, there are at most a tenth as many.
FILL_SHARE = 0.01
FILL_GAP = 0.02
FIX = (
    'set the values that become 0 and 255 (--stretch LOW HIGH, or percentiles), or check that '
    'these are the bands that the network takes'
)


def warn_of_empty_dates(dates: Sequence[SceneDate], target: SceneGrid) -> None:
    """Warn of each date that shows no pixel, and of the bands that are the reason.

    Args:
        dates: The dates, placed on ``target``.
        target: The grid of the result.
    """
    for date in dates:
        bands = date.empty_bands(target)
        if bands is None:
            continue
        found = 'all are nodata, masked or transparent'
        if bands and len(bands) < len(date.bands):
            found = (
                f'band{"s" * (len(bands) > 1)} {", ".join(map(str, bands))} has no data at all, '
                'and a pixel is seen where all bands have data'
            )
        warnings.warn(
            f'{date.name} shows no pixel of the overlap: {found}. Choose other bands (--bands), or '
            'state the value of nodata (--nodata)',
            stacklevel=4,
        )


def warn_of_ranges(
    dates: Sequence[SceneDate], stretches: Sequence[Stretch], target: SceneGrid
) -> None:
    """Warn of bands that a stretch makes mostly white or almost all black.

    A few windows of ``target`` are read. Percentiles have other warnings, and constant bands have a
    warning of their own.

    Args:
        dates: The dates, placed on ``target``.
        stretches: The stretch of each.
        target: The grid of the result.
    """
    boxes = sample_windows(target.width, target.height)
    for date, stretch in zip(dates, stretches, strict=True):
        # The pictures for percentiles of both dates were looked at.
        if stretch.kind == 'percentiles':
            continue
        parts = [date.read(box) for box in boxes]
        seen = np.concatenate([values[:, valid] for values, valid in parts], axis=1)
        if not seen.size:
            continue
        warn_of_fill(date.name, seen)
        if stretch.kind == 'each-date':
            continue
        shown = stretch(seen[:, :, None])[..., 0]
        for position, (stored, values) in enumerate(zip(seen, shown, strict=True)):
            if stored.min() == stored.max():
                continue
            low, high = (
                (0, 255)
                if stretch.kind == 'none'
                else (stretch.low[position], stretch.high[position])
            )
            white = float((values >= 255).mean())
            dark = float(np.percentile(values, DARK_PERCENTILE))
            name = f'band {date.bands[position]} of {date.name}'
            if white > CLIPPED_SHARE and stretch.kind != 'none':
                found = f'{100 * white:.0f} % of the values of {name} are {high:g} or more: white'
            elif seen.dtype == np.uint8 and high > 255:
                found = f'the values of {name} are 255 at most (uint8)'
            elif dark < DARK_PART * 255:
                most = np.percentile(stored, DARK_PERCENTILE)
                found = f'{DARK_PERCENTILE} % of the values of {name} are {most:.4g} or less: black'
            else:
                continue
            warnings.warn(
                f'{found} in the range from {low:g} to {high:g} that the network sees; {FIX}',
                stacklevel=4,
            )


def warn_of_fill(name: str, values: np.ndarray) -> None:
    """Warn of a number that probably stands for missing data and isn't marked so.

    Many pixels have it in all bands, it is the least or the greatest one and lies apart from all
    others. It is 0, a limit of the type, or further away than the others from each other.

    Args:
        name: Name of the date.
        values: (B, N), stored numbers of pixels that count as seen.
    """
    limits = [0.0]
    if values.dtype.kind in 'ui':
        limits += [float(np.iinfo(values.dtype).min), float(np.iinfo(values.dtype).max)]
    for number in dict.fromkeys((float(values.min()), float(values.max()))):
        filled = (values == number).all(axis=0)
        if not FILL_SHARE <= filled.mean() < 1:
            continue
        others = values[:, ~filled].astype(np.float64)
        span = float(np.ptp(np.percentile(others, (2, 98))))
        distances = np.abs(others - number)
        close = (distances <= FILL_GAP * span).any(axis=0).sum()
        if 10 * close < filled.sum() and (number in limits or distances.min() > span):
            warnings.warn(
                f'{100 * filled.mean():.2g} % of the pixels of {name} that were looked at are '
                f'{number:.9g} in all bands, apart from all others, and count as seen. If they '
                f'show no ground, state --nodata {number:.9g}',
                stacklevel=4,
            )
