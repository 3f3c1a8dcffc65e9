"""Draw levelled land: car parks, solar fields, sports grounds."""

from __future__ import annotations

import numpy as np

from tfinet_mm.datasets.synthetic.world.palette import MATERIALS, look, plain, tone
from tfinet_mm.datasets.synthetic.world.plants import scattered
from tfinet_mm.datasets.synthetic.world.plot import Plot, box, disc, rectangle, waves
from tfinet_mm.datasets.synthetic.world.sketch import Look


def paved(plot: Plot, rng: np.random.Generator) -> None:
    """Draw a square, a storage yard or a car park."""
    draw = rng.random()
    if draw < 0.35:
        period = max(rng.uniform(3, 12), 2.4 * plot.resolution)
        plot.ground(
            'joints',
            look(rng, 'concrete', 0.4),
            waves=waves(rng, period, 0),
            waves_across=waves(rng, period, 1),
        )
    elif draw < 0.6:
        plot.ground('asphalt', look(rng, 'asphalt', 0.4))
    else:
        parking(plot, rng)
        return
    if rng.random() < 0.4:
        clutter(plot, rng, 'container' if rng.random() < 0.5 else 'rubble')


def parking(plot: Plot, rng: np.random.Generator) -> None:
    """Draw a car park, with different cars at each date."""
    ground = look(rng, 'asphalt', 0.4)
    plot.ground('asphalt', ground)
    pitch, lane, lot = 5.0, rng.uniform(6, 8), 2.6
    # Where lots are smaller than pixels, only rows can be seen.
    across, along = max(lane + 2 * pitch, 2.6 * plot.resolution), max(lot, 2.4 * plot.resolution)
    inside = plot.inset(min(2.0, 0.05 * min(plot.size)))
    plot.fill(
        rectangle(inside.low, inside.high),
        MATERIALS['lots'].but(stripe=rng.uniform(0.05, 0.25), cross=rng.uniform(0.0, 0.2)),
        ground,
        waves=waves(rng, across, 1),
        waves_across=waves(rng, along, 0),
    )
    if plot.resolution > 1.2:
        return
    for date in (1, 2):
        if not plot.dates & date:
            continue
        for spot in scattered(inside, rng, rng.uniform(40, 200), 60):
            _car(plot, rng, spot, 0.0 if rng.random() < 0.1 else np.pi / 2, date)


def _car(plot: Plot, rng: np.random.Generator, spot: np.ndarray, angle: float, date: int) -> None:
    plot.fill(
        box(spot[0], spot[1], 4.4, 1.9, angle),
        'paint',
        plain(tone(rng, 'car')),
        fleeting=True,
        dates=date,
        height=1.4,
    )


def clutter(plot: Plot, rng: np.random.Generator, tones: str, each: float = 250.0) -> None:
    """Draw scattered things: containers, piles, machines."""
    for spot in scattered(plot, rng, each * max(plot.resolution, 1), 30):
        size = np.maximum(rng.uniform((4, 2), (13, 6)), 1.2 * plot.resolution)
        plot.fill(
            box(spot[0], spot[1], size[0], size[1], float(rng.choice([0, np.pi / 2]))),
            'paint',
            plain(tone(rng, tones)),
            height=rng.uniform(0.5, 3),
        )


def solar(plot: Plot, rng: np.random.Generator) -> None:
    """Draw rows of solar panels on grass or gravel."""
    plot.ground('meadow' if rng.random() < 0.6 else 'sand', look(rng, 'grass', 0.5))
    inside = plot.inset(min(4.0, 0.08 * min(plot.size)))
    between = look(rng, 'grass' if rng.random() < 0.5 else 'soil')
    panel = tone(rng, 'panel')
    plot.fill(
        rectangle(inside.low, inside.high),
        'solar',
        Look(panel * 0.7 + between.first * 0.3, panel),
        waves=waves(rng, max(rng.uniform(5, 10), 2.4 * plot.resolution)),
        height=1.0,
    )


def sports(plot: Plot, rng: np.random.Generator) -> None:
    """Draw a track around a pitch, a pitch, courts, or a school's ground with all of these."""
    if rng.random() < 0.5:
        plot.ground('lawn', look(rng, 'grass', 0.5))
    else:
        plot.ground('concrete', look(rng, 'concrete', 0.4))
    long = int(plot.size[1] > plot.size[0])
    length = plot.size[long] * rng.uniform(0.75, 0.95)
    breadth = plot.size[1 - long] * rng.uniform(0.7, 0.92)
    draw = rng.random()
    if draw < 0.25:
        _school_ground(plot, rng, long, min(length, 150.0), min(breadth, 90.0))
    elif draw < 0.6:
        length = min(length, 180.0, 2.2 * breadth)
        breadth = min(breadth, 98.0, 0.62 * length)
        _track(plot, rng, long, length, breadth)
    elif draw < 0.78:
        length, breadth = min(length, 110.0), min(breadth, 72.0)
        size = (length, breadth) if long == 0 else (breadth, length)
        _pitch(plot, rng, size, rng.uniform(6, 14), long)
    else:
        _courts(plot, rng)


def _school_ground(
    plot: Plot, rng: np.random.Generator, long: int, length: float, breadth: float
) -> None:
    """Draw a rectangle of track surface with a pitch or two, and courts at one end."""

    def place(along: float, across: float, size: tuple[float, float]) -> np.ndarray:
        u, v = (along, across) if long == 0 else (across, along)
        return box(plot.middle[0] + u, plot.middle[1] + v, *(size if long == 0 else size[::-1]))

    surface = tone(rng, 'track', 16.0)
    plot.fill(place(0.0, 0.0, (length, breadth)), 'track', plain(surface))
    courts = rng.uniform(0.15, 0.4) if rng.random() < 0.5 else 0.0
    middle, rest = -0.5 * courts * length, (1 - courts) * length
    inner = rest * rng.uniform(0.6, 0.88), breadth * rng.uniform(0.5, 0.85)
    halves = 2 if rng.random() < 0.35 else 1
    for half in range(halves):
        at = middle + ((half + 0.5) / halves - 0.5) * inner[0]
        plot.fill(
            place(at, 0.0, (inner[0] / halves * (0.94 if halves == 2 else 1.0), inner[1])),
            'pitch',
            plain(tone(rng, 'pitch') if rng.random() < 0.6 else tone(rng, 'track')),
            waves=waves(rng, max(rng.uniform(8, 20), 2.4 * plot.resolution), long),
        )
    if courts:
        count = int(rng.integers(2, 5))
        colour = plain(tone(rng, 'court'))
        for i in range(count):
            across = ((i + 0.5) / count - 0.5) * breadth
            size = courts * length * 0.8, breadth / count * 0.85
            plot.fill(place((length - courts * length) / 2, across, size), 'court', colour)


def _track(plot: Plot, rng: np.random.Generator, long: int, length: float, breadth: float) -> None:
    straight, radius = (length - breadth) / 2, breadth / 2
    angle = np.linspace(-np.pi / 2, np.pi / 2, 12)

    def oval(r: float) -> np.ndarray:
        right = np.stack([straight + r * np.cos(angle), r * np.sin(angle)], axis=1)
        around = np.concatenate([right, -right])
        return (around if long == 0 else around[:, ::-1]) + plot.middle

    surface = tone(rng, 'track')
    plot.fill(oval(radius), 'track', plain(surface))
    lanes = min(max(rng.uniform(6, 10), 1.5 * plot.resolution), 0.5 * radius)
    if plot.resolution < 0.8:
        plot.fill(oval(radius - lanes / 2), 'track', plain(surface * 0.6 + 90))
        plot.fill(oval(radius - lanes / 2 - 0.5), 'track', plain(surface))
    plot.fill(
        oval(radius - lanes),
        'pitch',
        plain(tone(rng, 'pitch') if rng.random() < 0.85 else surface * 0.95),
        waves=waves(rng, max(rng.uniform(6, 14), 2.4 * plot.resolution), long),
    )


def _pitch(
    plot: Plot, rng: np.random.Generator, size: tuple[float, float], period: float, axis: int
) -> None:
    plot.fill(
        box(*plot.middle, *size),
        'pitch',
        plain(tone(rng, 'pitch')),
        waves=waves(rng, max(period, 2.4 * plot.resolution), axis),
    )
    if plot.resolution < 1:
        line = plain(np.full(3, 225.0))
        plot.fill(box(*plot.middle, size[0] * 0.92, 0.4), 'court', line)
        plot.fill(disc(*plot.middle, min(size) * 0.12), 'court', line)


def _courts(plot: Plot, rng: np.random.Generator) -> None:
    length = max(rng.uniform(24, 36), 3 * plot.resolution)
    width = length * rng.uniform(0.45, 0.6)
    outer, inner = plain(tone(rng, 'court')), plain(tone(rng, 'court'))
    gap = max(rng.uniform(1, 4), 0.5 * plot.resolution)
    columns = max(int(plot.size[0] / (length + gap)), 1)
    rows = max(int(plot.size[1] / (width + gap)), 1)
    for column in range(min(columns, 4)):
        for row in range(min(rows, 4)):
            u = plot.low[0] + (column + 0.5) * plot.size[0] / columns
            v = plot.low[1] + (row + 0.5) * plot.size[1] / rows
            size = min(length, plot.size[0] / columns), min(width, plot.size[1] / rows)
            plot.fill(box(u, v, *size), 'court', outer)
            plot.fill(box(u, v, size[0] * 0.7, size[1] * 0.62), 'court', inner)
