"""Draw single buildings and rows of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfinet_mm.datasets.synthetic.world.palette import plain, wild_tone
from tfinet_mm.datasets.synthetic.world.plot import Plot, box
from tfinet_mm.datasets.synthetic.world.sketch import Colour, Look

SMALLEST = 3.0
"""Least side of a building in pixels; a smaller one can't be told from its neighbours."""


@dataclass(frozen=True)
class Style:
    """Common features of the buildings of one estate.

    Attributes:
        length: Range of lengths along a row, metres.
        depth: Range of depths, metres.
        gap: Range of distances in a row, metres.
        yard: Range of distances between rows, metres.
        height: Range of heights, metres.
        roof: ``gable``, ``hip``, ``flat``, ``sheet`` or ``glass``.
        tones: Palette of the roofs.
        shuffle: Irregularity of places, sizes and directions, 0..1.
        same_tone: Probability that a roof has the tone of the estate.
    """

    length: tuple[float, float]
    depth: tuple[float, float]
    gap: tuple[float, float]
    yard: tuple[float, float]
    height: tuple[float, float]
    roof: str
    tones: str
    shuffle: float = 0.1
    same_tone: float = 0.7


def estate(plot: Plot, rng: np.random.Generator, style: Style) -> None:
    """Draw buildings in rows along the longer side of a plot."""
    axis = int(plot.size[1] > plot.size[0])
    run, breadth = plot.size[axis], plot.size[1 - axis]
    least = SMALLEST * plot.resolution
    depth = max(rng.uniform(*style.depth), least)
    yard = max(rng.uniform(*style.yard), plot.resolution * 1.2)
    length = max(min(rng.uniform(*style.length), 0.8 * run), least)
    gap = max(rng.uniform(*style.gap), 0.7 * plot.resolution)
    count = max(int((breadth + yard) / (depth + yard)), 1)
    depth = min(depth, breadth * 0.9)
    pitch = breadth / count
    height = rng.uniform(*style.height)
    common = [wild_tone(rng, style.tones) for _ in range(2)]
    for row in range(count):
        middle = plot.low[1 - axis] + pitch * (row + 0.5)
        at = plot.low[axis] + rng.uniform(0, gap)
        while at < plot.high[axis] - 0.6 * length:
            own = length * (1 + style.shuffle * rng.uniform(-0.5, 0.6))
            own = min(own, plot.high[axis] - at, run)
            spot = [at + own / 2, middle + style.shuffle * rng.normal() * 0.25 * pitch]
            size = [own, depth * (1 + style.shuffle * rng.uniform(-0.4, 0.4))]
            if axis == 1:
                spot.reverse()
                size.reverse()
            if not plot.sketch.seen_point(spot[0], spot[1], own + height):
                at += own + gap
                continue
            same = rng.random() < style.same_tone
            colour = common[int(rng.random() < 0.3)] if same else wild_tone(rng, style.tones)
            angle = style.shuffle * rng.normal() * 0.2
            building(
                plot,
                rng,
                (spot[0], spot[1]),
                (size[0], size[1]),
                angle,
                height * (1 + style.shuffle * rng.uniform(-0.5, 0.8)),
                style.roof,
                colour * rng.uniform(0.9, 1.1),
            )
            at += own + gap * (1 + style.shuffle * rng.uniform(-0.8, 1.5))


def building(
    plot: Plot,
    rng: np.random.Generator,
    spot: tuple[float, float],
    size: tuple[float, float],
    angle: float,
    height: float,
    roof: str,
    colour: Colour,
) -> None:
    """Draw one building, if it is in the picture.

    Args:
        plot: The plot it stands on.
        rng: Random generator.
        spot: Its middle, metres.
        size: Its sides, metres.
        angle: Its direction against the streets, radians.
        height: Its height, metres.
        roof: As in :class:`Style`.
        colour: Tone of its roof.
    """
    reach = max(size) / 2 + height
    if not plot.sketch.seen_point(*spot, reach):
        return
    identity = plot.sketch.new_building()
    dates = plot.building_dates(rng)
    narrow = min(size) / plot.resolution
    options: dict[str, Any] = dict(height=height, identity=identity, dates=dates)
    second = colour * rng.uniform(0.88, 1.05)
    surface = Look(np.clip(colour, 4, 252), np.clip(second, 4, 252))
    if roof in ('gable', 'hip') and narrow >= 4:
        _pitched(plot, spot, size, angle, surface, hip=roof == 'hip', **options)
        return
    material = dict(sheet='sheet', glass='glass').get(roof, 'roof')
    long = int(size[1] > size[0])
    cosine, sine = np.cos(angle), np.sin(angle)
    period = max(rng.uniform(1.5, 6), 2.4 * plot.resolution)
    along = (cosine / period, sine / period) if long == 0 else (-sine / period, cosine / period)
    parts = [box(*spot, *size, angle)]
    if roof == 'flat' and narrow > 6 and rng.random() < 0.5:
        parts = _plan(rng, spot, size, angle)
    for part in parts:
        plot.house(part, material, surface, waves=along, **options)
    if roof == 'flat' and narrow > 5:
        _on_the_roof(plot, rng, spot, size, angle, colour, **options)
    if roof == 'sheet' and narrow > 8 and rng.random() < 0.5:
        # A band of skylights along the ridge.
        band = (size[0] * 0.9, size[1] * 0.06) if long == 0 else (size[0] * 0.06, size[1] * 0.9)
        light = plain(np.clip(colour * 1.15 + 25, 0, 252))
        plot.house(box(*spot, *band, angle), 'roof', light, **options)


def _pitched(
    plot: Plot,
    spot: tuple[float, float],
    size: tuple[float, float],
    angle: float,
    surface: Look,
    hip: bool,
    **options: Any,
) -> None:
    """Draw a roof of two or four slopes, each with its own light."""
    long = int(size[1] > size[0])
    length, depth = size[long], size[1 - long]
    end = length / 2 - (depth / 2 if hip else 0)
    end = max(end, 0.0)
    a, b = length / 2, depth / 2
    slopes = [
        ([(-a, -b), (a, -b), (end, 0), (-end, 0)], (0.0, -1.0)),
        ([(a, b), (-a, b), (-end, 0), (end, 0)], (0.0, 1.0)),
    ]
    if hip:
        slopes += [
            ([(a, -b), (a, b), (end, 0)], (1.0, 0.0)),
            ([(-a, b), (-a, -b), (-end, 0)], (-1.0, 0.0)),
        ]
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    if long == 1:
        turn = turn @ np.array([[0.0, -1.0], [1.0, 0.0]])
    for corners, normal in slopes:
        towards = turn @ np.array(normal)
        plot.house(
            np.array(corners) @ turn.T + spot,
            'roof',
            surface,
            normal=(float(towards[0]), float(towards[1])),
            **options,
        )


def _plan(
    rng: np.random.Generator, spot: tuple[float, float], size: tuple[float, float], angle: float
) -> list[np.ndarray]:
    """Return the wings of an L-shaped, U-shaped or H-shaped building."""
    shape = rng.integers(3)
    thick = rng.uniform(0.32, 0.5)
    wings = [(0.0, (1 - thick) / 2, 1.0, thick), ((1 - thick) / 2, 0.0, thick, 1.0)]
    if shape == 1:
        wings.append((-(1 - thick) / 2, 0.0, thick * 0.8, 1.0))
    elif shape == 2:
        wings = [
            (0.0, 0.0, 1.0, thick),
            ((1 - thick) / 2, 0.0, thick, 1.0),
            (-(1 - thick) / 2, 0.0, thick, 1.0),
        ]
    cosine, sine = np.cos(angle), np.sin(angle)
    parts = []
    for right, up, length, width in wings:
        u, v = right * size[0], up * size[1]
        at = spot[0] + cosine * u - sine * v, spot[1] + sine * u + cosine * v
        parts.append(box(*at, length * size[0], width * size[1], angle))
    return parts


def _on_the_roof(
    plot: Plot,
    rng: np.random.Generator,
    spot: tuple[float, float],
    size: tuple[float, float],
    angle: float,
    colour: Colour,
    **options: Any,
) -> None:
    """Draw a parapet's inside, boxes and stairs on a flat roof."""
    inner = plain(np.clip(colour * rng.uniform(0.8, 1.1), 4, 252))
    if rng.random() < 0.4:
        plot.house(box(*spot, size[0] * 0.86, size[1] * 0.8, angle), 'roof', inner, **options)
    for _ in range(int(rng.integers(0, 5))):
        u, v = rng.uniform(-0.36, 0.36, 2) * size
        cosine, sine = np.cos(angle), np.sin(angle)
        at = spot[0] + cosine * u - sine * v, spot[1] + sine * u + cosine * v
        own = np.maximum(rng.uniform(1.5, 5, 2), plot.resolution)
        shade = plain(np.clip(colour * rng.uniform(0.55, 1.35), 4, 252))
        plot.house(box(*at, own[0], own[1], angle), 'roof', shade, **options)
