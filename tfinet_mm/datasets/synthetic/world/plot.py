"""Define a plot of land to build on, and the shapes it is drawn with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfinet_mm.datasets.synthetic.raster import generator
from tfinet_mm.datasets.synthetic.world.palette import MATERIALS
from tfinet_mm.datasets.synthetic.world.sketch import (
    BOTH,
    DETAIL_LAYER,
    GROUND_LAYER,
    HOUSE_LAYER,
    Look,
    Material,
    Sketch,
    Thing,
)


@dataclass(frozen=True)
class Plot:
    """Rectangle of street coordinates at one or both dates.

    Attributes:
        sketch: Sketch that the things are added to.
        low: Smallest coordinates, metres.
        high: Largest coordinates, metres.
        dates: Dates at which the things are there.
        come: Share of the buildings that are there at the second date only.
        go: Share of them that are there at the first date only.
    """

    sketch: Sketch
    low: tuple[float, float]
    high: tuple[float, float]
    dates: int = BOTH
    come: float = 0.0
    go: float = 0.0

    @property
    def size(self) -> tuple[float, float]:
        """Return the lengths in metres."""
        return self.high[0] - self.low[0], self.high[1] - self.low[1]

    @property
    def middle(self) -> tuple[float, float]:
        """Return the middle, in metres."""
        return (self.low[0] + self.high[0]) / 2, (self.low[1] + self.high[1]) / 2

    @property
    def resolution(self) -> float:
        """Return the side of a pixel in metres."""
        return self.sketch.place.resolution

    def inset(self, by: float) -> Plot:
        """Return the plot without a border of ``by`` metres."""
        return Plot(
            self.sketch,
            (self.low[0] + by, self.low[1] + by),
            (self.high[0] - by, self.high[1] - by),
            self.dates,
            self.come,
            self.go,
        )

    def part(self, low: tuple[float, float], high: tuple[float, float]) -> Plot:
        """Return another rectangle at the same dates."""
        return Plot(self.sketch, low, high, self.dates, self.come, self.go)

    def ground(self, material: str | Material, look: Look, **options: Any) -> int:
        """Cover the whole plot, and return the number of the thing."""
        return self.fill(rectangle(self.low, self.high), material, look, GROUND_LAYER, **options)

    def fill(
        self,
        polygon: np.ndarray,
        material: str | Material,
        look: Look,
        layer: int = DETAIL_LAYER,
        **options: Any,
    ) -> int:
        """Add a polygon at the dates of the plot, and return its number."""
        if isinstance(material, str):
            material = MATERIALS[material]
        options.setdefault('dates', self.dates)
        return self.sketch.add(Thing(polygon, material, look, layer, **options))

    def building_dates(self, rng: np.random.Generator) -> int:
        """Draw the dates at which a building is there, by ``come`` and ``go``."""
        draw = rng.random()
        if self.dates == BOTH and draw < self.come + self.go:
            return 2 if draw < self.come else 1
        return self.dates

    def house(
        self,
        polygon: np.ndarray,
        material: str | Material,
        look: Look,
        height: float,
        identity: int,
        dates: int,
        **options: Any,
    ) -> int:
        """Add a part of a building."""
        return self.fill(
            polygon,
            material,
            look,
            HOUSE_LAYER,
            height=height,
            identity=identity,
            dates=dates,
            lifted=True,
            **options,
        )


Use = Callable[[Plot, np.random.Generator], None]
"""Function that fills a plot with the look of a use of land."""


def rectangle(
    low: tuple[float, float], high: tuple[float, float], step: float = 12.0
) -> np.ndarray:
    """Return the outline (n, 2) of a rectangle, with enough corners to be bent."""
    (left, top), (right, bottom) = low, high
    across = max(min(int(abs(right - left) / step), 24), 1)
    down = max(min(int(abs(bottom - top) / step), 24), 1)
    outline = np.empty((2 * (across + down), 2))
    along = np.linspace(left, right, across, endpoint=False)
    beside = np.linspace(top, bottom, down, endpoint=False)
    one, two, three = across, across + down, 2 * across + down
    outline[:one, 0], outline[:one, 1] = along, top
    outline[one:two, 0], outline[one:two, 1] = right, beside
    outline[two:three, 0], outline[two:three, 1] = right + left - along, bottom
    outline[three:, 0], outline[three:, 1] = left, bottom + top - beside
    return outline


def box(u: float, v: float, length: float, width: float, angle: float = 0.0) -> np.ndarray:
    """Return the corners (4, 2) of a rectangle around a point, turned by an angle."""
    cosine, sine = math.cos(angle) / 2, math.sin(angle) / 2
    a, b, c, d = cosine * length, sine * length, cosine * width, sine * width
    return np.array(
        [
            (u - a + d, v - b - c),
            (u + a + d, v + b - c),
            (u + a - d, v + b + c),
            (u - a - d, v - b + c),
        ]
    )


def blob(
    rng: np.random.Generator,
    middle: tuple[float, float],
    radii: tuple[float, float],
    rough: float = 0.25,
    corners: int = 28,
) -> np.ndarray:
    """Return an irregular round outline (corners, 2).

    Args:
        rng: Random generator.
        middle: Its middle.
        radii: Half axes, metres.
        rough: Size of the irregularities, 0 for an ellipse.
        corners: Number of corners.
    """
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    away = np.ones(corners)
    for wave in range(2, 8):
        away += rough * 1.4 / wave * rng.normal() * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    away += rough * 0.12 * rng.normal(size=corners)
    away = np.clip(away, 0.25, 1.8)
    turn = rng.uniform(0, np.pi)
    x, y = radii[0] * away * np.cos(angle), radii[1] * away * np.sin(angle)
    return np.stack(
        [
            middle[0] + np.cos(turn) * x - np.sin(turn) * y,
            middle[1] + np.sin(turn) * x + np.cos(turn) * y,
        ],
        axis=1,
    )


def _outlines() -> np.ndarray:
    rng = generator(5)
    return np.stack([blob(rng, (0.0, 0.0), (1.0, 1.0), 0.15, 9) for _ in range(48)])


_CROWNS: list[np.ndarray] = []


def crown_outline(rng: np.random.Generator, spot: np.ndarray, radius: float) -> np.ndarray:
    """Return the outline (9, 2) of a tree seen from above, one of 48 to save time."""
    if not _CROWNS:
        _CROWNS.extend(_outlines())
    return _CROWNS[int(rng.integers(48))] * radius + spot


def disc(u: float, v: float, radius: float, corners: int = 10) -> np.ndarray:
    """Return a regular outline (corners, 2)."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([u + radius * np.cos(angle), v + radius * np.sin(angle)], axis=1)


def waves(rng: np.random.Generator, period: float, axis: int | None = None) -> tuple[float, float]:
    """Return stripes of a period in metres along an axis, or along either."""
    if axis is None:
        axis = int(rng.integers(2))
    return (1 / period, 0.0) if axis == 0 else (0.0, 1 / period)
