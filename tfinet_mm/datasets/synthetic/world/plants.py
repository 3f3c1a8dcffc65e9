"""Draw trees, and plants between other things."""

from __future__ import annotations

import numpy as np

from tfinet_mm.datasets.synthetic.world.palette import MATERIALS, look
from tfinet_mm.datasets.synthetic.world.plot import Plot, crown_outline
from tfinet_mm.datasets.synthetic.world.sketch import TREE_LAYER, Thing


def trees(
    plot: Plot, rng: np.random.Generator, spots: np.ndarray, radius: float, layer: int = TREE_LAYER
) -> None:
    """Plant single trees at spots (n, 2), in metres."""
    if not len(spots):
        return
    tones = [look(rng, 'tree') for _ in range(2)]
    for spot in spots:
        if not plot.sketch.seen_point(spot[0], spot[1], radius * 1.3):
            continue
        own = radius * rng.uniform(0.6, 1.3)
        plot.fill(
            crown_outline(rng, spot, own),
            'crown',
            tones[int(rng.integers(2))],
            layer,
            height=own * rng.uniform(0.8, 2.2),
        )


def scattered(plot: Plot, rng: np.random.Generator, each: float, most: int = 40) -> np.ndarray:
    """Draw spots (n, 2) on a plot in metres, one for ``each`` square metres."""
    count = min(int(rng.poisson(plot.size[0] * plot.size[1] / each)), most)
    return rng.uniform(plot.low, plot.high, (count, 2))


def tree_radius(plot: Plot, rng: np.random.Generator) -> float:
    """Draw the radius of a tree's crown in metres, large enough to be seen."""
    return max(rng.uniform(1.8, 4.5), 0.9 * plot.resolution)


def mix(
    plot: Plot, number: int, rng: np.random.Generator, material: str, tones: str, above: float
) -> None:
    """Let another material show where the middle noise is above a value."""
    # It is never drawn by itself, so any polygon will do.
    other = plot.sketch.add(
        Thing(np.zeros((3, 2)) - 1e6, MATERIALS[material], look(rng, tones), dates=plot.dates)
    )
    thing = plot.sketch.things[number]
    thing.other, thing.above = other, above


def single_trees_on(plot: Plot, rng: np.random.Generator, each: float) -> None:
    """Plant trees all over a plot, one for ``each`` square metres."""
    trees(plot, rng, scattered(plot, rng, each), tree_radius(plot, rng))
