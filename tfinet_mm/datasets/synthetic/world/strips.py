"""Draw roads, hedges and ditches between plots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfinet_mm.datasets.synthetic.world.palette import look, plain, tone
from tfinet_mm.datasets.synthetic.world.plants import tree_radius, trees
from tfinet_mm.datasets.synthetic.world.plot import Plot, box, rectangle
from tfinet_mm.datasets.synthetic.world.sketch import AFTER, BEFORE, STRIP_LAYER, Sketch


@dataclass
class Cut:
    """Road, hedge or ditch between parcels."""

    low: tuple[float, float]
    high: tuple[float, float]
    axis: int
    kind: str


def strip(rng: np.random.Generator, sketch: Sketch, cut: Cut) -> None:
    """Draw a road with its verges, a hedge or a ditch."""
    plot = Plot(sketch, cut.low, cut.high)
    low, high = cut.low, cut.high
    outline = rectangle(low, high)
    width = plot.size[1 - cut.axis]
    if cut.kind == 'ditch':
        plot.fill(outline, 'water', look(rng, 'water', 0.3), STRIP_LAYER)
        return
    if cut.kind == 'hedge':
        if rng.random() < 0.5:
            plot.fill(outline, 'meadow', look(rng, 'grass'), STRIP_LAYER)
            avenue(plot, rng, cut.axis, width / 2, rng.uniform(1.2, 4) * width)
        else:
            plot.fill(outline, 'forest', look(rng, 'tree'), STRIP_LAYER, height=rng.uniform(2, 8))
        return
    surface = (
        'soil' if cut.kind == 'track' else str(rng.choice(['asphalt', 'concrete'], p=[0.65, 0.35]))
    )
    own = look(rng, 'sand' if surface == 'soil' and rng.random() < 0.5 else surface, 0.4)
    if rng.random() < 0.3 and surface != 'soil':
        # Newly surfaced, or dusty.
        own = type(own)(own.first, own.second, (tone(rng, surface), tone(rng, surface)))
    plot.fill(outline, surface, own, STRIP_LAYER)
    if cut.kind != 'road':
        return
    fine = sketch.place.resolution < 1.0
    middle = (low[1 - cut.axis] + high[1 - cut.axis]) / 2
    lines = []
    if width > 14 and rng.random() < 0.6:
        lines.append((max(0.08 * width, 0.8 * sketch.place.resolution), 'lawn', look(rng, 'grass')))
    elif fine:
        lines.append((0.35, 'paint', plain(np.full(3, rng.uniform(170, 235)))))
    for thick, material, tones in lines:
        a, b = list(low), list(high)
        a[1 - cut.axis], b[1 - cut.axis] = middle - thick / 2, middle + thick / 2
        plot.fill(rectangle((a[0], a[1]), (b[0], b[1])), material, tones, STRIP_LAYER)
    if rng.random() < 0.45:
        for side in (-0.5, 0.5):
            at = middle + side * width * rng.uniform(0.9, 1.25)
            a, b = list(low), list(high)
            a[1 - cut.axis] = b[1 - cut.axis] = at
            avenue(Plot(sketch, (a[0], a[1]), (b[0], b[1])), rng, cut.axis, 0.0, rng.uniform(6, 25))
    if sketch.place.resolution < 1.2:
        _traffic(rng, plot, cut.axis, width)


def avenue(plot: Plot, rng: np.random.Generator, axis: int, off: float, distance: float) -> None:
    """Plant a row of trees along an axis."""
    distance = max(distance, 2.0 * plot.resolution)
    at = np.arange(plot.low[axis], plot.high[axis], distance)
    if not len(at) or len(at) > 120:
        return
    at = at[rng.random(len(at)) < rng.uniform(0.5, 1)]
    spots = np.empty((len(at), 2))
    spots[:, axis] = at + rng.normal(0, 0.1 * distance, len(at))
    spots[:, 1 - axis] = plot.low[1 - axis] + off
    spots = np.array(
        [spot for spot in spots if plot.sketch.seen_point(spot[0], spot[1], 5)]
    ).reshape(-1, 2)
    trees(plot, rng, spots, tree_radius(plot, rng))


def _traffic(rng: np.random.Generator, plot: Plot, axis: int, width: float) -> None:
    """Draw cars, different ones at each date."""
    for date in (BEFORE, AFTER):
        count = min(int(rng.poisson(plot.size[axis] / rng.uniform(15, 120))), 25)
        for _ in range(count):
            spot = [0.0, 0.0]
            spot[axis] = rng.uniform(plot.low[axis], plot.high[axis])
            spot[1 - axis] = plot.low[1 - axis] + width * rng.choice([0.25, 0.75])
            if plot.sketch.seen_point(spot[0], spot[1], 5):
                size = (rng.uniform(4, 11), 2.0)
                plot.fill(
                    box(spot[0], spot[1], *(size if axis == 0 else size[::-1])),
                    'paint',
                    plain(tone(rng, 'car')),
                    fleeting=True,
                    dates=date,
                    height=1.5,
                )
