"""Draw uses of land without buildings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tfinet_mm.datasets.synthetic.world.palette import MATERIALS, look, plain, tone
from tfinet_mm.datasets.synthetic.world.plants import mix, scattered, tree_radius, trees
from tfinet_mm.datasets.synthetic.world.plot import Plot, blob, box, rectangle, waves
from tfinet_mm.datasets.synthetic.world.sketch import BLOB_LAYER, WATER_LAYER, Look


def meadow(plot: Plot, rng: np.random.Generator) -> None:
    """Draw grassland with a few bushes."""
    own = look(rng, 'grass', 0.9)
    if rng.random() < 0.35:
        # Mown or dried up at the other date.
        later = look(rng, 'grass', 0.9)
        own = replace(own, later=(later.first, later.second))
    name = 'meadow' if rng.random() < 0.7 else 'scrub'
    number = plot.ground(name, own)
    if rng.random() < 0.35:
        mix(plot, number, rng, 'forest', 'tree', rng.uniform(0.9, 2.2))
    elif rng.random() < 0.2:
        mix(plot, number, rng, 'soil', 'soil', rng.uniform(1.2, 2.2))
    trees(plot, rng, scattered(plot, rng, 2500), tree_radius(plot, rng))


def lawn(plot: Plot, rng: np.random.Generator) -> None:
    """Draw a lawn with trees and paths."""
    plot.ground('lawn', look(rng, 'grass', 0.5))
    trees(plot, rng, scattered(plot, rng, rng.uniform(150, 900)), tree_radius(plot, rng))
    if rng.random() < 0.7:
        path = plain(tone(rng, 'concrete'))
        width = max(rng.uniform(1.5, 3.5), 0.8 * plot.resolution)
        at = rng.uniform(plot.low, plot.high)
        plot.fill(rectangle((plot.low[0], at[1]), (plot.high[0], at[1] + width)), 'concrete', path)
        if rng.random() < 0.5:
            plot.fill(
                rectangle((at[0], plot.low[1]), (at[0] + width, plot.high[1])), 'concrete', path
            )


def field(plot: Plot, rng: np.random.Generator) -> None:
    """Draw arable land: one field, or long strips."""
    axis = int(plot.size[1] > plot.size[0])
    across = plot.size[1 - axis]
    count = 1 if rng.random() < 0.5 else max(int(across / rng.uniform(8, 40)), 1)
    period = max(rng.uniform(1.0, 9.0), 2.4 * plot.resolution)
    flat = rng.random() < 0.3
    for i in range(min(count, 12)):
        low, high = list(plot.low), list(plot.high)
        step = across / min(count, 12)
        low[1 - axis] = plot.low[1 - axis] + i * step
        high[1 - axis] = low[1 - axis] + step * (0.97 if rng.random() < 0.5 else 1)
        part = plot.part((low[0], low[1]), (high[0], high[1]))
        own = _crop(rng)
        if rng.random() < 0.6:
            later = _crop(rng)
            own = replace(own, later=(later.first, later.second))
        material = MATERIALS['paddy' if flat else 'crop']
        material = material.but(stripe=material.stripe * rng.uniform(0.0, 1.6))
        part.ground(material, own, waves=waves(rng, period, 1 - axis))
    if rng.random() < 0.3:
        trees(plot, rng, scattered(plot, rng, 4000), tree_radius(plot, rng))


def _crop(rng: np.random.Generator) -> Look:
    return look(rng, 'stubble' if rng.random() < 0.18 else 'crop', 0.5)


def forest(plot: Plot, rng: np.random.Generator) -> None:
    """Draw a wood, with clearings now and then."""
    number = plot.ground('forest', look(rng, 'tree', 0.8, 8), height=rng.uniform(3, 12))
    if rng.random() < 0.5:
        mix(plot, number, rng, 'meadow', 'grass', rng.uniform(1.0, 2.4))


def scrub(plot: Plot, rng: np.random.Generator) -> None:
    """Draw bushes on grass or on bare ground."""
    bare = rng.random() < 0.35
    number = plot.ground('soil' if bare else 'scrub', look(rng, 'soil' if bare else 'grass', 0.9))
    mix(plot, number, rng, 'forest', 'tree', rng.uniform(-0.5, 1.2))


def savanna(plot: Plot, rng: np.random.Generator) -> None:
    """Draw single trees or bushes strewn over grass or dry ground."""
    if rng.random() < 0.7:
        plot.ground('meadow', look(rng, 'grass', 0.9))
    else:
        plot.ground('soil', look(rng, 'soil', 0.7))
    trees(plot, rng, scattered(plot, rng, rng.uniform(60, 400), 220), tree_radius(plot, rng))


def orchard(plot: Plot, rng: np.random.Generator) -> None:
    """Draw trees in rows."""
    period = max(rng.uniform(4, 8), 2.2 * plot.resolution)
    plot.ground(
        'orchard',
        look(rng, 'tree', 0.6),
        height=rng.uniform(1, 4),
        waves=waves(rng, period, 0),
        waves_across=waves(rng, period, 1),
    )


def pond(plot: Plot, rng: np.random.Generator) -> None:
    """Draw a pond in grass, or basins with straight banks."""
    plot.ground('meadow', look(rng, 'grass', 0.8))
    water = look(rng, 'water', 0.4)
    if rng.random() < 0.5:
        later = look(rng, 'water', 0.4)
        water = replace(water, later=(later.first, later.second))
    if rng.random() < 0.5:
        radii = (plot.size[0] * rng.uniform(0.3, 0.55), plot.size[1] * rng.uniform(0.3, 0.55))
        plot.fill(blob(rng, plot.middle, radii), 'water', water, WATER_LAYER)
        return
    axis = int(plot.size[1] > plot.size[0])
    count = int(rng.integers(1, 5))
    bank = max(rng.uniform(2, 6), plot.resolution)
    step = plot.size[axis] / count
    for i in range(count):
        low, high = list(plot.low), list(plot.high)
        low[axis] = plot.low[axis] + i * step + bank
        high[axis] = plot.low[axis] + (i + 1) * step - bank / 2
        low[1 - axis] += bank
        high[1 - axis] -= bank
        if high[axis] > low[axis] and high[1 - axis] > low[1 - axis]:
            plot.fill(
                rectangle((low[0], low[1]), (high[0], high[1])),
                'water',
                water if rng.random() < 0.6 else look(rng, 'water', 0.4),
                WATER_LAYER,
            )


def bare(plot: Plot, rng: np.random.Generator) -> None:
    """Draw bare earth with tracks and weeds."""
    kind = str(
        rng.choice(['soil', 'dark_soil', 'sand', 'rubble', 'rock'], p=[0.5, 0.15, 0.12, 0.13, 0.1])
    )
    material = 'soil' if kind == 'dark_soil' else kind
    number = plot.ground(material, look(rng, kind, 0.8))
    if rng.random() < 0.4:
        mix(plot, number, rng, 'scrub', 'grass', rng.uniform(0.5, 2.0))
    for _ in range(int(rng.integers(0, 4))):
        start, stop = rng.uniform(plot.low, plot.high), rng.uniform(plot.low, plot.high)
        width = max(rng.uniform(2, 5), 0.8 * plot.resolution)
        length, angle = _between(start, stop)
        middle = (start + stop) / 2
        plot.fill(
            box(middle[0], middle[1], length, width, angle),
            'sand',
            plain(tone(rng, 'sand' if rng.random() < 0.6 else kind)),
        )
    for _ in range(int(rng.integers(0, 3))):
        size = rng.uniform(0.08, 0.3, 2) * plot.size
        at = rng.uniform(plot.low, plot.high)
        plot.fill(
            blob(rng, (at[0], at[1]), (size[0], size[1])),
            material,
            look(rng, kind, 0.5),
            BLOB_LAYER,
        )


def _between(start: np.ndarray, stop: np.ndarray) -> tuple[float, float]:
    """Return length and direction of a line."""
    along = stop - start
    return float(np.hypot(*along)), float(np.arctan2(along[1], along[0]))


def terraces(plot: Plot, rng: np.random.Generator) -> None:
    """Draw a quarry or a slope in steps: bands of rock and soil around a pit."""
    plot.ground('rock', look(rng, 'rock', 0.8))
    kind = 'rock' if rng.random() < 0.5 else 'soil'
    radius = np.array(plot.size) * 0.55
    for _ in range(int(rng.integers(3, 7))):
        own = look(rng, kind, 0.7)
        plot.fill(
            blob(rng, plot.middle, (radius[0], radius[1]), 0.18),
            kind,
            own,
            BLOB_LAYER,
        )
        radius = radius * rng.uniform(0.7, 0.88)
    if rng.random() < 0.3:
        plot.fill(
            blob(rng, plot.middle, (radius[0], radius[1])), 'water', look(rng, 'water'), WATER_LAYER
        )


def dry(plot: Plot, rng: np.random.Generator) -> None:
    """Draw arid land: sand or stones, with gullies and thin scrub."""
    kind = str(rng.choice(['sand', 'soil', 'rock']))
    number = plot.ground(kind, look(rng, kind, 0.6))
    if rng.random() < 0.6:
        mix(plot, number, rng, 'scrub', 'grass', rng.uniform(1.0, 2.4))
