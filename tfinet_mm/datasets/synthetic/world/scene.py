"""Generate one pair of pictures of a scene, with land cover and change."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from tfinet_mm.datasets.synthetic.canvas import BUILDING
from tfinet_mm.datasets.synthetic.generate import SyntheticPair
from tfinet_mm.datasets.synthetic.raster import cv2, generator
from tfinet_mm.datasets.synthetic.world.camera import colour_infrared, draw_camera, take
from tfinet_mm.datasets.synthetic.world.plan import plan
from tfinet_mm.datasets.synthetic.world.season import KINDS, draw_season
from tfinet_mm.datasets.synthetic.world.shade import Table, draw_sun, shade, tabulate
from tfinet_mm.datasets.synthetic.world.sketch import AFTER, BEFORE, BOTH, Placement, draw
from tfinet_mm.datasets.synthetic.world.tiles import cut_fields

MARGIN = 8
SMALLEST_CHANGE = 16
"""Least pixels of a connected change; smaller ones count as unchanged, as too small to see."""


@dataclass(frozen=True)
class WorldConfig:
    """Settings of pairs of the world.

    Attributes:
        size: Height and width in pixels, 32..1000.
        seed: Seed of all pairs.
        resolutions: Smallest and largest side of a pixel on the ground, metres.
        unchanged_pairs: Share of the pairs in which nothing changes, 0..1.
        change_share: Mean share of the picture that changes in the others, roughly, 0..0.6.
        misregistration: Largest displacement between the dates, pixels.
        infrared: Share of the pairs shown as near infrared, red, green.
        winter: Probability of snow at a date.

    Raises:
        ValueError: A value is out of its range.

    Example:
        >>> pair = generate_scene(0, WorldConfig(size=64))
        >>> pair.before.shape, str(pair.cover_to.dtype)
        ((64, 64, 3), 'uint8')
    """

    size: int = 256
    seed: int = 0
    resolutions: tuple[float, float] = (0.3, 4.0)
    unchanged_pairs: float = 0.08
    change_share: float = 0.3
    misregistration: float = 3.0
    infrared: float = 0.03
    winter: float = 0.04

    def __post_init__(self) -> None:
        """Check the ranges."""
        ranges = dict(
            size=(32, 1000),
            seed=(0, 2**63),
            unchanged_pairs=(0, 1),
            change_share=(0, 0.6),
            misregistration=(0, 8),
            infrared=(0, 1),
            winter=(0, 1),
        )
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f'expected {name} in {low}..{high}, got {getattr(self, name)}')
        object.__setattr__(self, 'resolutions', tuple(float(side) for side in self.resolutions))
        if (
            len(self.resolutions) != 2
            or not 0.1 <= self.resolutions[0] <= self.resolutions[1] <= 20
        ):
            raise ValueError(
                f'expected resolutions as (finest, coarsest) in 0.1..20 m, got {self.resolutions}'
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as values of JSON."""
        return {**asdict(self), 'resolutions': list(self.resolutions)}


def generate_scene(index: int, config: WorldConfig) -> SyntheticPair:
    """Make the pair of a given number.

    The result depends on ``config`` and ``index`` alone.

    Args:
        index: Number of the pair, 0 or more.
        config: Settings of the pairs.

    Returns:
        The pair.

    Raises:
        ValueError: The index is negative.
    """
    if index < 0:
        raise ValueError(f'expected the number of a pair, 0 or more, got {index}')
    rng = generator(config.seed, index, 77)
    side = config.size + 2 * MARGIN
    shape = (side, side)
    resolution = float(np.exp(rng.uniform(*np.log(config.resolutions))))
    place = Placement.make(rng, shape, resolution)
    fields = cut_fields(rng, shape, rng.uniform(4, 9) / resolution)
    share = 0.0
    if rng.random() >= config.unchanged_pairs:
        share = float(np.clip(rng.beta(1.1, 2.2) * 4.5 * config.change_share, 0.03, 0.95))
    aridity = float(np.clip(rng.normal(-0.25, 0.35), 0, 0.8))
    sketch = plan(rng, place, share, aridity)
    table = tabulate(rng, sketch)
    suns = [draw_sun(rng) for _ in range(2)]
    seasons = [draw_season(rng, aridity, config.winter) for _ in range(2)]
    cameras = [draw_camera(rng, config.misregistration / 2) for _ in range(2)]
    leans = [_lean(rng, resolution) for _ in range(2)]
    if rng.random() < 0.15:
        # One sensor, one time of year.
        suns[1], seasons[1], leans[1] = suns[0], seasons[0], leans[0]
        cameras[1] = replace(cameras[0], shift=cameras[1].shift)
    infrared = rng.random() < config.infrared
    numbers = [
        draw(sketch, date, lean, fields.mid)
        for date, lean in zip((BEFORE, AFTER), leans, strict=True)
    ]
    pictures = []
    for i, date in enumerate((BEFORE, AFTER)):
        light = shade(numbers[i], table, fields, seasons[i], suns[i], date)
        if infrared:
            light = colour_infrared(light, _greenness(table).take(numbers[i]))
        pictures.append(take(rng, light, cameras[i], fields, MARGIN))
    inside = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    before, after = (part[inside] for part in numbers)
    changed = find_changes(before, after, table)
    # A pixel's land cover is the most common one around it, as an annotator would draw it.
    covers = [cv2.medianBlur(table.cover.take(part), 3) for part in (before, after)]
    if rng.random() < 0.25:
        pictures.reverse()
        covers.reverse()
    mask = changed.astype(np.uint8)
    return SyntheticPair(
        pictures[0], pictures[1], covers[0] * mask, covers[1] * mask, covers[0], covers[1]
    )


def find_changes(before: np.ndarray, after: np.ndarray, table: Table) -> np.ndarray:
    """Find pixels whose land cover differs because something appeared or disappeared.

    A roof that leans in another direction, or a car that has left, is no change.

    Args:
        before: Number of the thing at each pixel at the first date, int32 (H, W).
        after: Likewise at the second date.
        table: The things.

    Returns:
        bool (H, W), without parts that are too small or too thin to be annotated.
    """
    passing = (table.dates != BOTH) & ~table.fleeting
    moved = passing.take(before) | passing.take(after)
    covers = table.cover.take(before), table.cover.take(after)
    built = (covers[0] == BUILDING) & (covers[1] == BUILDING)
    other = built & (table.identity.take(before) != table.identity.take(after))
    changed = (moved & ((covers[0] != covers[1]) | other)).astype(np.uint8)
    # An opening by 2 x 2 pixels; with OpenCV's default anchors it would be shifted by one.
    square = np.ones((2, 2), np.uint8)
    changed = cv2.dilate(cv2.erode(changed, square), square, anchor=(0, 0))
    _, parts, stats, _ = cv2.connectedComponentsWithStats(changed, None, 8)
    large = stats[:, cv2.CC_STAT_AREA] >= SMALLEST_CHANGE
    large[0] = False
    return np.asarray(large[parts])


def _lean(rng: np.random.Generator, resolution: float) -> tuple[float, float]:
    """Draw the displacement of a roof (right, down) in pixels for each metre of height."""
    slope = abs(rng.normal(0, 0.16))
    towards = rng.uniform(0, 2 * np.pi)
    return float(slope * np.cos(towards) / resolution), float(slope * np.sin(towards) / resolution)


def _greenness(table: Table) -> np.ndarray:
    shares = dict(grass=0.7, tree=1.0, crop=0.8, lawn=0.8)
    by_kind = np.array([shares.get(kind, 0.0) for kind in KINDS], np.float32)
    return np.asarray(by_kind[table.kinds])
