"""Generate one synthetic pair: layout, events, painting, labels, pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfinet_mm.datasets.synthetic.canvas import BUILDING, Surface
from tfinet_mm.datasets.synthetic.events import apply_events, choose_share
from tfinet_mm.datasets.synthetic.layout import Layout, make_layout
from tfinet_mm.datasets.synthetic.light import photograph
from tfinet_mm.datasets.synthetic.paint import paint
from tfinet_mm.datasets.synthetic.raster import (
    MARGIN,
    Crowns,
    Frame,
    Noise,
    cv2,
    generator,
)

SMALLEST_CHANGE = 12
"""Least pixels of a connected change; smaller ones are not annotated, as too small to see."""


@dataclass(frozen=True)
class SyntheticConfig:
    """Settings of a synthetic data set.

    Attributes:
        size: Height and width of the pictures in pixels (of about 1 to 2 m); one number
            for squares.
        seed: Seed of the whole data set.
        change_share: Mean share of changed pixels to aim at, 0..0.35. SECOND has
            0.2.
        unchanged_pairs: Share of the pairs in which nothing changes, 0..1.
        nuisance: Strength of differences between the dates that are no change: light,
            season, haze, blur, noise. 1 is usual, 0 gives two pictures in the same light.
        misregistration: Largest shift of the second picture along each axis, in pixels.

    Raises:
        ValueError: A value is out of its range.

    Example:
        >>> SyntheticConfig(size=128).shape
        (128, 128)
        >>> SyntheticConfig(size=(97, 131), seed=5).shape
        (97, 131)
    """

    size: int | tuple[int, int] = 128
    seed: int = 0
    change_share: float = 0.2
    unchanged_pairs: float = 0.06
    nuisance: float = 1.0
    misregistration: float = 1.5

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not isinstance(self.size, int):
            object.__setattr__(self, 'size', tuple(int(side) for side in self.size))
        sides = (self.size,) if isinstance(self.size, int) else self.size
        if len(sides) not in (1, 2) or min(sides) < 32:
            raise ValueError(
                f'expected a size of one number or (height, width), 32 pixels or more, '
                f'got {self.size}'
            )
        ranges = dict(
            seed=(0, 2**63),
            change_share=(0, 0.35),
            unchanged_pairs=(0, 1),
            nuisance=(0, 2),
            misregistration=(0, 8),
        )
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f'expected {name} in {low}..{high}, got {getattr(self, name)}')

    @property
    def shape(self) -> tuple[int, int]:
        """Return height and width of the pictures in pixels."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as values of JSON, ``size`` as [height, width]."""
        return {**asdict(self), 'size': list(self.shape)}


@dataclass(frozen=True)
class SyntheticPair:
    """Two pictures of a place, with labels and land cover.

    Attributes:
        before: First date, RGB uint8 (H, W, 3).
        after: Second date, likewise.
        label_from: Class of the first date on changed pixels, 1..6, else 0, uint8 (H, W).
        label_to: Class of the second date on changed pixels, likewise.
        cover_from: Land cover of the first date everywhere, 1..6, uint8 (H, W).
        cover_to: Land cover of the second date everywhere.
    """

    before: np.ndarray
    after: np.ndarray
    label_from: np.ndarray
    label_to: np.ndarray
    cover_from: np.ndarray
    cover_to: np.ndarray


def generate_pair(index: int, config: SyntheticConfig) -> SyntheticPair:
    """Make the pair of a given number.

    The result depends on ``config`` and ``index`` alone, not on which pairs were made
    before or in which process.

    Args:
        index: Number of the pair, 0 or more.
        config: Settings of the data set.

    Returns:
        The pair.

    Raises:
        ValueError: The index is negative.

    Example:
        >>> pair = generate_pair(0, SyntheticConfig(size=64, seed=1))
        >>> pair.before.shape, pair.label_to.shape, str(pair.after.dtype)
        ((64, 64, 3), (64, 64), 'uint8')
        >>> bool(((pair.label_from > 0) == (pair.label_to > 0)).all())
        True
    """
    if index < 0:
        raise ValueError(f'expected the number of a pair, 0 or more, got {index}')
    rng = generator(config.seed, index)
    shape = (config.shape[0] + 2 * MARGIN, config.shape[1] + 2 * MARGIN)
    frame = Frame.make(rng, shape)
    noise = Noise.make(rng, shape)
    crowns = Crowns.make(rng, shape, rng.uniform(6.0, 8.5))
    layout = make_layout(rng, frame)
    share = choose_share(rng, config.change_share, config.unchanged_pairs)
    layout = apply_events(rng, layout, _visible(layout, frame), share)
    surfaces = [paint(layout, frame, noise, crowns, date) for date in (0, 1)]
    changed = find_changes(*surfaces)
    inside = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    changed = changed[inside]
    cover_from = surfaces[0].cover[inside].copy()
    # A part too small to be annotated counts as unchanged, with the same cover on both dates.
    cover_to = np.where(changed, surfaces[1].cover[inside], cover_from)
    before = photograph(rng, surfaces[0], config.nuisance, 0.0)
    after = photograph(rng, surfaces[1], config.nuisance, config.misregistration)
    return SyntheticPair(
        before, after, cover_from * changed, cover_to * changed, cover_from, cover_to
    )


def find_changes(before: Surface, after: Surface) -> np.ndarray:
    """Find where land cover differs, or one building stands in the place of another.

    Args:
        before: The surface at the first date.
        after: The surface at the second date.

    Returns:
        bool (H, W), without connected parts of fewer than ``SMALLEST_CHANGE`` pixels.
    """
    rebuilt = (before.cover == BUILDING) & (before.building != after.building)
    changed = (before.cover != after.cover) | rebuilt
    count, parts, stats, _ = cv2.connectedComponentsWithStats(changed.astype(np.uint8), None, 8)
    large = stats[:, cv2.CC_STAT_AREA] >= SMALLEST_CHANGE
    large[0] = False
    return large[parts] if count > 1 else changed


def _visible(layout: Layout, frame: Frame) -> np.ndarray:
    """Return the share of the picture that each parcel covers, float (number of parcels,)."""
    bent = frame.bent[:, MARGIN:-MARGIN:2, MARGIN:-MARGIN:2].reshape(2, -1)
    shares = []
    for parcel in layout.parcels:
        inside = (bent[0] >= parcel.low[0]) & (bent[0] < parcel.high[0])
        inside &= (bent[1] >= parcel.low[1]) & (bent[1] < parcel.high[1])
        shares.append(inside.mean())
    return np.array(shares)
