"""Draw rivers, shores, highways and winding streets, which cross the plots of a scene."""

from __future__ import annotations

import numpy as np

from tfinet_mm.datasets.synthetic.world.buildings import building
from tfinet_mm.datasets.synthetic.world.palette import MATERIALS, look, plain, tone
from tfinet_mm.datasets.synthetic.world.plot import Plot, blob, box
from tfinet_mm.datasets.synthetic.world.sketch import (
    AFTER,
    BEFORE,
    BLOB_LAYER,
    BOTH,
    STRIP_LAYER,
    WATER_LAYER,
    Sketch,
    Thing,
)


def band(middle: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Return the outline of a band of half widths (n,) around a line (n, 2), metres."""
    along = np.gradient(middle, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1)
    normal /= np.maximum(np.hypot(*normal.T), 1e-6)[:, None]
    return np.concatenate(
        [middle + normal * half[:, None], (middle - normal * half[:, None])[::-1]]
    )


def draw_course(rng: np.random.Generator, radius: float, bends: float) -> np.ndarray:
    """Draw a line (n, 2) across the scene, in metres."""
    u = np.linspace(-1.4 * radius, 1.4 * radius, 40)
    v = rng.uniform(-0.5, 0.5) * radius + rng.normal(0, 0.3) * u
    for _ in range(3):
        length = radius * rng.uniform(0.4, 2)
        v = v + bends * length * 0.12 * rng.normal() * np.sin(
            2 * np.pi * u / length + rng.uniform(0, 6)
        )
    line = np.stack([u, v], axis=1)
    angle = rng.uniform(0, 2 * np.pi)
    cosine, sine = np.cos(angle), np.sin(angle)
    return line @ np.array([[cosine, sine], [-sine, cosine]])


def river(rng: np.random.Generator, sketch: Sketch, radius: float) -> None:
    """Draw a river or canal, with banks, and a bridge now and then."""
    bends = float(rng.choice([0.0, 1.0, 1.6]))
    course = draw_course(rng, radius, bends)
    width = max(rng.uniform(5, max(0.25 * radius, 5.5)), 2 * sketch.place.resolution)
    half = width / 2 * np.exp(0.12 * bends * rng.normal(size=len(course)))
    bank = max(rng.uniform(1, 0.3 * width), sketch.place.resolution)
    banks = str(rng.choice(['grass', 'soil', 'concrete', 'tree']))
    material = dict(grass='meadow', soil='soil', concrete='concrete', tree='forest')[banks]
    plot = Plot(sketch, (0.0, 0.0), (0.0, 0.0))
    plot.fill(band(course, half + bank), material, look(rng, banks), WATER_LAYER)
    water = look(rng, 'water', 0.3)
    later = look(rng, 'water', 0.3) if rng.random() < 0.5 else water
    plot.fill(
        band(course, half),
        'water',
        type(water)(water.first, water.second, (later.first, later.second)),
        WATER_LAYER,
    )


def shore(rng: np.random.Generator, sketch: Sketch, radius: float) -> None:
    """Draw a large body of water along one side, with a beach or a quay."""
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    away = radius * rng.uniform(0.9, 1.8)
    towards = rng.uniform(0, 2 * np.pi)
    middle = away * np.array([np.cos(towards), np.sin(towards)])
    reach = away * rng.uniform(0.5, 0.95) * np.ones(90)
    rough = float(rng.choice([0.0, 0.02, 0.05]))
    for wave in range(2, 14):
        reach = reach * (
            1 + rough * rng.normal() / np.sqrt(wave) * np.cos(wave * angle + rng.uniform(0, 6))
        )
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    plot = Plot(sketch, (0.0, 0.0), (0.0, 0.0))
    beach = max(rng.uniform(2, 25), sketch.place.resolution)
    kind = str(rng.choice(['sand', 'concrete', 'rock', 'grass']))
    material = 'meadow' if kind == 'grass' else kind
    plot.fill(ring * (reach + beach)[:, None] + middle, material, look(rng, kind), STRIP_LAYER)
    water = look(rng, 'water', 0.4)
    later = look(rng, 'water', 0.4)
    plot.fill(
        ring * reach[:, None] + middle,
        'water',
        type(water)(water.first, water.second, (later.first, later.second)),
        STRIP_LAYER,
    )
    # Boats come and go.
    for date in (BEFORE, AFTER):
        for _ in range(int(rng.integers(0, 8))):
            at = middle + ring[int(rng.integers(90))] * reach.mean() * rng.uniform(0.8, 0.98)
            length = max(rng.uniform(6, 40), 2 * sketch.place.resolution)
            if sketch.seen_point(at[0], at[1], length):
                sketch.add(
                    Thing(
                        box(at[0], at[1], length, length * 0.28, rng.uniform(0, np.pi)),
                        MATERIALS['paint'],
                        plain(tone(rng, 'car')),
                        STRIP_LAYER,
                        date,
                        fleeting=True,
                    )
                )


def highway(rng: np.random.Generator, sketch: Sketch, radius: float, dates: int) -> None:
    """Draw a wide road that crosses the scene in a curve."""
    course = draw_course(rng, radius, 0.4)
    width = max(rng.uniform(9, 34), 2 * sketch.place.resolution)
    plot = Plot(sketch, (0.0, 0.0), (0.0, 0.0), dates)
    half = np.full(len(course), width / 2)
    if rng.random() < 0.5:
        verge = 'soil' if dates != BOTH and rng.random() < 0.5 else 'grass'
        plot.fill(
            band(course, half * rng.uniform(1.2, 2)),
            'soil' if verge == 'soil' else 'meadow',
            look(rng, verge),
            STRIP_LAYER,
        )
    kind = 'asphalt' if rng.random() < 0.7 else 'concrete'
    plot.fill(band(course, half), kind, look(rng, kind, 0.4), STRIP_LAYER)
    if width > 18:
        line = max(0.08 * width, 0.8 * sketch.place.resolution)
        plot.fill(
            band(course, np.full(len(course), line / 2)), 'lawn', look(rng, 'grass'), STRIP_LAYER
        )


def subdivision(rng: np.random.Generator, sketch: Sketch, extent: float, dates: int) -> None:
    """Draw detached houses on both sides of streets that wind."""
    resolution = sketch.place.resolution
    plot = Plot(sketch, (0.0, 0.0), (0.0, 0.0), dates)
    middle = rng.uniform(-0.4, 0.4, 2) * extent
    radius = min(rng.uniform(0.2, 0.6) * extent, 350.0)
    if rng.random() < 0.8:
        green = rng.random() < 0.6
        plot.fill(
            blob(rng, (middle[0], middle[1]), (radius, radius * rng.uniform(0.6, 1)), 0.3, 40),
            'lawn' if green else 'soil',
            look(rng, 'grass' if green else 'soil', 0.6),
            BLOB_LAYER,
        )
    street = look(rng, 'asphalt' if rng.random() < 0.5 else 'concrete', 0.4)
    width = max(rng.uniform(6, 11), 1.3 * resolution)
    deep = max(rng.uniform(10, 15), 3 * resolution)
    tones = str(rng.choice(['roof', 'dark_roof', 'red_roof']))
    common = tone(rng, tones)
    for _ in range(int(rng.integers(1, 5))):
        course = draw_course(rng, 0.8 * radius, 1.2) * rng.uniform(0.4, 0.9) + middle
        plot.fill(band(course, np.full(len(course), width / 2)), 'asphalt', street, STRIP_LAYER)
        along = np.gradient(course, axis=0)
        ways = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(course, axis=0).T))])
        step = max(rng.uniform(14, 24), 1.25 * deep)
        for at in np.arange(step / 2, ways[-1], step)[:60]:
            index = int(np.searchsorted(ways, at))
            direction = float(np.arctan2(along[index, 1], along[index, 0]))
            for side in (-1, 1):
                if rng.random() < 0.12:
                    continue
                off = side * (width / 2 + deep * rng.uniform(0.85, 1.2))
                spot = course[index] + off * np.array([-np.sin(direction), np.cos(direction)])
                size = (step * rng.uniform(0.6, 0.85), deep * rng.uniform(0.8, 1.1))
                building(
                    plot,
                    rng,
                    (float(spot[0]), float(spot[1])),
                    size,
                    direction + rng.normal(0, 0.05),
                    rng.uniform(4, 8),
                    'hip' if rng.random() < 0.6 else 'gable',
                    common * rng.uniform(0.85, 1.15) if rng.random() < 0.7 else tone(rng, tones),
                )
                if resolution < 1 and rng.random() < 0.7:
                    drive = course[index] + 0.45 * off * np.array(
                        [-np.sin(direction), np.cos(direction)]
                    )
                    plot.fill(
                        box(drive[0], drive[1], 3.5, abs(off) * 0.9, direction),
                        'concrete',
                        plain(tone(rng, 'concrete')),
                    )
