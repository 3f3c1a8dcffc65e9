"""Scale a scene's values to the 0..255 that networks take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfinet_mm.errors import SceneError

# Pixels on the longer side of the picture that percentiles are taken from.
SAMPLE_SIDE = 1024


@dataclass(frozen=True)
class Stretch:
    """Values of each band that become 0 and 255.

    Attributes:
        kind: 'stated', 'percentiles', or 'none' for 8-bit values taken as they are.
        low: The value of each band that becomes 0; smaller ones too.
        high: The value of each band that becomes 255; larger ones too.
        percentiles: The percentiles of the scene that ``low`` and ``high`` are, else None.
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

    def metadata(self) -> dict[str, Any]:
        """Return the stretch as plain values, for the metadata of results."""
        return {key: value for key, value in asdict(self).items() if value not in ((), None)}


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


def percentile_stretch(
    values: np.ndarray, valid: np.ndarray, percentiles: tuple[float, float], name: str
) -> Stretch:
    """Return a stretch between percentiles of each band.

    Args:
        values: (B, H, W), a picture of the whole scene at reduced size.
        valid: (H, W) bool, the pixels that count.
        percentiles: Those that become 0 and 255, 0 <= first < second <= 100.
        name: Name of the scene in messages.

    Raises:
        SceneError: The percentiles are out of order, or no pixel is valid.
    """
    low, high = percentiles
    if not 0 <= low < high <= 100:
        raise SceneError(
            f'expected two percentiles in rising order from 0 to 100, got ({low:g}, {high:g})'
        )
    if not valid.any():
        raise SceneError(
            f'{name} has no valid pixel to take percentiles from (all are nodata); '
            'state the stretch instead: --stretch LOW HIGH (from Python stretch=(low, high))'
        )
    found = np.percentile(values[:, valid].astype(np.float64), [low, high], axis=1)
    return Stretch(
        'percentiles', tuple(found[0].tolist()), tuple(found[1].tolist()), (float(low), float(high))
    )
