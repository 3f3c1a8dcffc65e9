"""List the things that a scene is drawn from: polygons with a material, in metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tfinet_mm.datasets.synthetic.raster import cv2

BEFORE, AFTER, BOTH = 1, 2, 3
"""The dates at which a thing is there."""

GROUND_LAYER, BLOB_LAYER, WATER_LAYER, STRIP_LAYER, DETAIL_LAYER, HOUSE_LAYER, TREE_LAYER = range(7)
"""Layers, from the lowest to the one drawn over all others."""

SHIFT = 4
_SCALE = 1 << SHIFT

Colour = np.ndarray
"""RGB reflectance, float (3,), 0..255."""


@dataclass(frozen=True)
class Material:
    """Look and land cover of a surface.

    Attributes:
        cover: Land-cover class, 1..6.
        kind: Kind of surface for the season: a key of :data:`~.season.KINDS`.
        patch: Sharpness of the patches of two tones, of the middle size.
        coarse: Strength of the coarse noise, as a share of the brightness.
        mid: Likewise of the middle noise.
        fine: Likewise of the fine noise.
        grain: Likewise of the grain.
        crown: Strength of tree crowns, 0..1.
        stripe: Strength of stripes.
        cross: Strength of stripes across those.
        hard: Sharpness of the edges of stripes, 1 for sine waves.
        snow: Share of the snow that stays on it, 0..1.
    """

    cover: int
    kind: str = 'stone'
    patch: float = 0.6
    coarse: float = 0.03
    mid: float = 0.03
    fine: float = 0.03
    grain: float = 0.03
    crown: float = 0.0
    stripe: float = 0.0
    cross: float = 0.0
    hard: float = 1.0
    snow: float = 1.0

    def but(self, **changes: Any) -> Material:
        """Return the material with other strengths, by the names of the attributes."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Look:
    """The two tones of a thing at both dates.

    Attributes:
        first: Tone where the patches are low.
        second: Tone where they are high.
        later: The tones at the second date, where they differ.
    """

    first: Colour
    second: Colour
    later: tuple[Colour, Colour] | None = None


@dataclass
class Thing:
    """Polygon with a material.

    Attributes:
        polygon: Corners (n, 2) in metres, street coordinates.
        material: Its material.
        look: Its tones.
        layer: Its layer; it is drawn over all lower ones.
        dates: ``BEFORE``, ``AFTER`` or ``BOTH``.
        height: Metres above the ground; higher than the canopy's own for trees.
        identity: Number of the building, 0 for none.
        normal: Slope of a roof: horizontal part of its normal, street coordinates.
        waves: Direction of stripes times their number per metre, street coordinates.
        waves_across: Likewise of the stripes across.
        fleeting: True for a thing whose absence at the other date is no change, such as a car.
        other: Number of the thing that shows where the middle noise exceeds ``above``.
        above: See ``other``.
        lifted: True if the polygon stands on walls as high as ``height``.
    """

    polygon: np.ndarray
    material: Material
    look: Look
    layer: int = GROUND_LAYER
    dates: int = BOTH
    height: float = 0.0
    identity: int = 0
    normal: tuple[float, float] = (0.0, 0.0)
    waves: tuple[float, float] = (0.0, 0.0)
    waves_across: tuple[float, float] = (0.0, 0.0)
    fleeting: bool = False
    other: int = -1
    above: float = 0.0
    lifted: bool = False


@dataclass
class Sketch:
    """Collection of all things of a scene.

    Attributes:
        place: Transform from street coordinates to pixels.
        things: The things added so far.
        buildings: Number of buildings so far.
    """

    place: Placement
    things: list[Thing] = field(default_factory=list)
    buildings: int = 0

    def add(self, thing: Thing) -> int:
        """Add a thing, and return its number."""
        self.things.append(thing)
        return len(self.things) - 1

    def new_building(self) -> int:
        """Return the identity of a new building."""
        self.buildings += 1
        return self.buildings

    def seen_point(self, u: float, v: float, reach: float) -> bool:
        """Return whether a point may be in the picture, with ``reach`` metres around it."""
        cosine, sine, right, down = self._view
        reach = reach + self._bend
        return (
            abs(cosine * u - sine * v) < right + reach and abs(sine * u + cosine * v) < down + reach
        )

    def __post_init__(self) -> None:
        """Keep values that are asked for often."""
        place = self.place
        half = [(side / 2 + 2) * place.resolution for side in place.shape]
        self._view = float(np.cos(place.angle)), float(np.sin(place.angle)), half[1], half[0]
        self._bend = float(np.abs(place.waves[:, 3:]).sum())

    def seen(self, low: Sequence[float], high: Sequence[float], reach: float = 0.0) -> bool:
        """Return whether a rectangle of street coordinates may be in the picture."""
        return self.place.sees(low, high, reach)


@dataclass(frozen=True)
class Placement:
    """Transform from the metres of a scene to the pixels of its picture.

    Attributes:
        shape: Rows and columns of the canvas.
        resolution: Metres a pixel.
        angle: Direction of the streets in radians.
        waves: Bends of the streets: rows of wave vector (2), phase and shift (2), in metres.
    """

    shape: tuple[int, int]
    resolution: float
    angle: float
    waves: np.ndarray

    @classmethod
    def make(cls, rng: np.random.Generator, shape: tuple[int, int], resolution: float) -> Placement:
        """Draw a direction and bends of the streets."""
        extent = max(shape) * resolution
        count = 3
        length = extent * rng.uniform(0.5, 2.0, count)
        towards = rng.uniform(0, 2 * np.pi, count)
        reach = length * rng.choice([0.004, 0.015, 0.035]) * rng.uniform(0.3, 1, count)
        sideways = rng.uniform(0, 2 * np.pi, count)
        waves = np.stack(
            [
                2 * np.pi / length * np.cos(towards),
                2 * np.pi / length * np.sin(towards),
                rng.uniform(0, 2 * np.pi, count),
                reach * np.cos(sideways),
                reach * np.sin(sideways),
            ],
            axis=1,
        )
        return cls(shape, resolution, float(rng.uniform(0, 2 * np.pi)), waves)

    @property
    def radius(self) -> float:
        """Return the metres from the middle of the canvas to its corners."""
        return float(np.hypot(*self.shape)) / 2 * self.resolution

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Turn street coordinates (n, 2) in metres into columns and rows (n, 2)."""
        points = np.asarray(points, np.float64)
        phase = points @ self.waves[:, :2].T + self.waves[:, 2]
        bent = points + np.sin(phase) @ self.waves[:, 3:]
        turned = bent @ self.turn.T
        middle = (np.array(self.shape[::-1]) - 1) / 2
        return np.asarray(turned / self.resolution + middle)

    @property
    def turn(self) -> np.ndarray:
        """Return the rotation from street coordinates to the picture's axes, (2, 2)."""
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        return np.array([[cosine, -sine], [sine, cosine]])

    def sees(self, low: Sequence[float], high: Sequence[float], reach: float = 0.0) -> bool:
        """Return whether a rectangle may be on the canvas, with ``reach`` metres around it."""
        corners = np.array(
            [[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]]
        )
        at = self.pixels(corners)
        reach = reach / self.resolution + 4
        height, width = self.shape
        return bool(
            at[:, 0].max() > -reach
            and at[:, 0].min() < width + reach
            and at[:, 1].max() > -reach
            and at[:, 1].min() < height + reach
        )


def draw(sketch: Sketch, date: int, lean: tuple[float, float], mid: np.ndarray) -> np.ndarray:
    """Draw the things of one date.

    Args:
        sketch: The things.
        date: ``BEFORE`` or ``AFTER``.
        lean: Pixels by which a roof is displaced for each metre of height.
        mid: The noise that decides between a thing and its ``other``, (H, W).

    Returns:
        Number of the thing at each pixel, int32 (H, W). The walls of thing i have the number
        i + the number of things.
    """
    things = sketch.things
    count = len(things)
    numbers = np.zeros(sketch.place.shape, np.int32)
    chosen = [i for i, thing in enumerate(things) if thing.dates & date]
    chosen.sort(key=lambda i: things[i].layer)
    sizes = [len(things[i].polygon) for i in chosen]
    at = sketch.place.pixels(np.concatenate([things[i].polygon for i in chosen]))
    corners = np.rint(at * _SCALE).astype(np.int32)
    ends = np.cumsum(sizes).tolist()
    lean_x, lean_y = lean
    leans = abs(lean_x) + abs(lean_y) > 0
    for i, end, size in zip(chosen, ends, sizes, strict=True):
        thing = things[i]
        points = corners[end - size : end]
        if leans and thing.lifted:
            lean_by = (round(thing.height * lean_x * _SCALE), round(thing.height * lean_y * _SCALE))
            roof = points + np.array(lean_by, np.int32)
            if abs(lean_by[0]) + abs(lean_by[1]) > _SCALE // 2:
                hull = cv2.convexHull(np.concatenate([points, roof]))
                cv2.fillConvexPoly(numbers, hull, i + count, cv2.LINE_8, SHIFT)
            points = roof
        cv2.fillPoly(numbers, [points], i, cv2.LINE_8, SHIFT)
    others = np.array([thing.other for thing in things] * 2, np.int32)
    if (others >= 0).any():
        above = np.array([thing.above for thing in things] * 2, np.float32)
        other = others.take(numbers)
        np.copyto(numbers, other, where=(other >= 0) & (mid > above.take(numbers)))
    return numbers
