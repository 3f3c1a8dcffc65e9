"""Scale a scene's values to the 0..255 that networks take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfinet_mm.errors import SceneError

# Pixels on the longer side of the picture that percentiles are taken from.
SAMPLE_SIDE = 1024
KINDS = {
    'none': 'values as stored (8 bit)',
    'stated': 'stated values become 0 and 255',
    'percentiles': 'percentiles {:g} and {:g} of all dates become 0 and 255',
    'each-date': 'percentiles {:g} and {:g} of this date alone become 0 and 255',
}
"""Texts of the kinds of a stretch."""


NO_PIXEL = (
    '{} has no valid pixel to take percentiles from (all are nodata); state the stretch instead: '
    '--stretch LOW HIGH (from Python stretch=(low, high))'
)
"""Error of a date, by its name."""

Tags = tuple[float, float]
"""Scale and offset of a band."""
UNTAGGED: Tags = (1.0, 0.0)


@dataclass(frozen=True)
class Stretch:
    """Values of each band that become 0 and 255.

    Attributes:
        kind: 'stated', 'percentiles' of all dates together, 'each-date' for percentiles of this
            date alone, or 'none' for 8-bit values taken as they are.
        low: The value of each band that becomes 0; smaller ones too.
        high: The value of each band that becomes 255; larger ones too.
        percentiles: The percentiles that ``low`` and ``high`` are, else None.
    """

    kind: str
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    percentiles: tuple[float, float] | None = None

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Stretch (B, H, W); float32 in 0..255, or the values themselves where ``kind`` is 'none'.

        A band with ``low == high``, one that is constant in the whole scene, becomes 0.

        Example:
            >>> stretch = Stretch('stated', (0.0, 1000.0), (3000.0, 1000.0))
            >>> stretch(np.array([[[1500, 4000]], [[1000, 2000]]], np.uint16))
            array([[[127.5, 255. ]],
            <BLANKLINE>
                   [[  0. ,   0. ]]], dtype=float32)
        """
        if self.kind == 'none':
            return values
        low = np.array(self.low)[:, None, None]
        span = np.array(self.high)[:, None, None] - low
        scale = np.divide(255.0, span, out=np.zeros_like(span), where=span > 0)
        return np.clip((values - low) * scale, 0, 255).astype(np.float32)

    def converted(self, before: Sequence[Tags], after: Sequence[Tags]) -> Stretch:
        """Return the stretch of numbers of ``before`` as one of the numbers of ``after``.

        Args:
            before: (scale, offset) of each band; scale times number plus offset is its value.
            after: The same of the other date.

        Example:
            >>> Stretch('stated', (0.0,), (3000.0,)).converted([(0.1, 0)], [(0.1, -100.0)])
            Stretch(kind='stated', low=(1000.0,), high=(4000.0,), percentiles=None)
        """
        kind, limits = self.kind, (self.low, self.high)
        if kind == 'none':
            kind, limits = 'stated', ((0.0,) * len(before), (255.0,) * len(before))
        low, high = (
            tuple(
                (number * scale + offset - other_offset) / other_scale
                for number, (scale, offset), (other_scale, other_offset) in zip(
                    numbers, before, after, strict=True
                )
            )
            for numbers in limits
        )
        return Stretch(kind, low, high, self.percentiles)

    def metadata(self) -> dict[str, Any]:
        """Return the stretch as plain values, for the metadata of results."""
        return {key: value for key, value in asdict(self).items() if value not in ((), None)}


def tags_differ(before: Sequence[Tags], after: Sequence[Tags]) -> bool:
    """Return whether one number means different values on two dates."""
    return not all(
        math.isclose(one[0], two[0], rel_tol=1e-6)
        and abs(one[1] - two[1]) <= 1e-3 * abs(one[0] or 1)
        for one, two in zip(before, after, strict=True)
    )


def check_tags(before: Sequence[Tags], after: Sequence[Tags], names: tuple[str, str]) -> None:
    """Refuse scales and offsets between which numbers can't be converted.

    Args:
        before: (scale, offset) of each band.
        after: The same of the other date.
        names: Names of both scenes in messages.

    Raises:
        SceneError: A scale isn't above 0 or a number isn't finite, or one date has another
            scale and the other none at all.
    """
    settle = (
        'ignore_scale=True (--ignore-scale) takes the stored numbers as they are, --stretch '
        'before=LOW,HIGH after=LOW,HIGH states them for each date, and --stretch each-date takes '
        'percentiles of each date'
    )
    stated = [
        f'{name} states {_tag_text(tags)}'
        for name, tags in zip(names, (before, after), strict=True)
    ]
    both = [*before, *after]
    if not all(math.isfinite(scale + offset) and scale > 0 for scale, offset in both):
        raise SceneError(
            f'{" and ".join(stated)}, expected a finite scale above 0 and a finite offset; {settle}'
        )
    for one, two in ((before, after), (after, before)):
        if all(tag == UNTAGGED for tag in one) and any(tag[0] != 1 for tag in two):
            raise SceneError(
                f'{" and ".join(stated)} (the same as no tags), so their numbers can not be '
                f'compared; set the missing tags (gdal_edit -scale -offset), or: {settle}'
            )


def _tag_text(tags: Sequence[Tags]) -> str:
    """Return scales and offsets, once where they are the same in all bands."""
    kinds = sorted(set(tags))
    return ', '.join(f'scale {scale:g} and offset {offset:g}' for scale, offset in kinds)


def stated_stretch(limits: Sequence[Any], bands: int, name: str) -> Stretch:
    """Return the stretch that a user stated.

    Args:
        limits: (low, high) for all bands, or one (low, high) for each.
        bands: Number of bands.
        name: Name of the scene in messages.

    Raises:
        SceneError: ``limits`` is neither, or a low isn't below its high.
    """
    try:
        pairs = np.array(limits, dtype=np.float64)
    except (TypeError, ValueError):
        pairs = np.empty(0)
    if pairs.shape == (2,):
        pairs = np.tile(pairs, (bands, 1))
    if pairs.shape != (bands, 2) or not np.isfinite(pairs).all() or (np.diff(pairs) <= 0).any():
        raise SceneError(
            f'expected the stretch of {name} as (low, high) with low < high, for example '
            f'--stretch 0 3000 (from Python (0, 3000)), or as {bands} of them, one for each band; '
            f'got {limits!r}'
        )
    return Stretch('stated', tuple(pairs[:, 0].tolist()), tuple(pairs[:, 1].tolist()))


def check_percentiles(percentiles: Any) -> tuple[float, float]:
    """Return two percentiles as numbers.

    Raises:
        SceneError: They are no two numbers, or out of order.
    """
    try:
        low, high = (float(value) for value in percentiles)
    except (TypeError, ValueError):
        raise SceneError(
            f'expected percentiles (--percentiles) as two numbers such as (2, 98), got '
            f'{percentiles!r}'
        ) from None
    if not 0 <= low < high <= 100:
        raise SceneError(
            f'expected two percentiles in rising order from 0 to 100, got ({low:g}, {high:g})'
        )
    return low, high


def percentile_stretch(
    values: np.ndarray, valid: np.ndarray, percentiles: tuple[float, float], name: str
) -> Stretch:
    """Return a stretch between percentiles of each band of one date.

    Args:
        values: (B, H, W), a picture of the whole scene at reduced size.
        valid: (H, W) bool, the pixels that count.
        percentiles: Those that become 0 and 255, 0 <= first < second <= 100.
        name: Name of the scene in messages.

    Raises:
        SceneError: The percentiles are out of order, or no pixel is valid.
    """
    wanted = check_percentiles(percentiles)
    if not valid.any():
        raise SceneError(NO_PIXEL.format(name))
    found = np.percentile(values[:, valid].astype(np.float64), wanted, axis=1)
    return Stretch('each-date', tuple(found[0].tolist()), tuple(found[1].tolist()), wanted)


def describe_stretch(stretch: Mapping[str, Any], bands: Sequence[int] = ()) -> str:
    """Return a stretch as a text, with its limits for each band.

    Args:
        stretch: What :meth:`Stretch.metadata` returns.
        bands: Numbers of the bands; by default they are counted from 1.

    Example:
        >>> found = Stretch('percentiles', (12.0, 30.0), (900.0, 812.5), (2.0, 98.0)).metadata()
        >>> describe_stretch(found, [4, 3])
        'percentiles 2 and 98 of all dates become 0 and 255: band 4 12 to 900, band 3 30 to 812.5'
    """
    kind = stretch['kind']
    said = KINDS.get(kind, str(kind))
    if stretch.get('percentiles'):
        said = said.format(*stretch['percentiles'])
    pairs = list(zip(stretch.get('low', ()), stretch.get('high', ()), strict=False))
    if not pairs:
        return said
    if len(set(pairs)) == 1:
        return f'{said}: {pairs[0][0]:.6g} to {pairs[0][1]:.6g}'
    names = bands if len(bands) == len(pairs) else range(1, len(pairs) + 1)
    limits = [
        f'band {name} {low:.6g} to {high:.6g}'
        for name, (low, high) in zip(names, pairs, strict=True)
    ]
    return f'{said}: {", ".join(limits)}'
