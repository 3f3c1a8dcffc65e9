"""Draw uses of land with buildings."""

from __future__ import annotations

import numpy as np

from tfinet_mm.datasets.synthetic.world.buildings import SMALLEST, Style, building, estate
from tfinet_mm.datasets.synthetic.world.open_land import bare
from tfinet_mm.datasets.synthetic.world.palette import MATERIALS, look, plain, tone, wild_tone
from tfinet_mm.datasets.synthetic.world.paved_land import clutter
from tfinet_mm.datasets.synthetic.world.plants import scattered, single_trees_on, tree_radius, trees
from tfinet_mm.datasets.synthetic.world.plot import Plot, blob, box, waves
from tfinet_mm.datasets.synthetic.world.sketch import GROUND_LAYER


def _yard(plot: Plot, rng: np.random.Generator, green: float) -> None:
    """Draw the ground between the buildings: gardens, earth, or a paved yard."""
    draw = rng.random()
    if draw < green:
        plot.ground('lawn', look(rng, 'grass', 0.6))
    elif draw < green + 0.2:
        plot.ground('soil', look(rng, 'soil', 0.5))
    else:
        name = 'concrete' if rng.random() < 0.6 else 'asphalt'
        plot.ground(name, look(rng, name, 0.4))


def houses(plot: Plot, rng: np.random.Generator) -> None:
    """Draw detached houses with gardens, drives and trees."""
    _yard(plot, rng, 0.7)
    style = Style(
        length=(9, 18),
        depth=(8, 14),
        gap=(2, 9),
        yard=(8, 26),
        height=(4, 8),
        roof='hip' if rng.random() < 0.45 else 'gable',
        tones=str(rng.choice(['roof', 'dark_roof', 'red_roof'], p=[0.45, 0.35, 0.2])),
        shuffle=rng.uniform(0.05, 0.7),
        same_tone=rng.uniform(0.2, 0.9),
    )
    if plot.resolution < 1.5 and rng.random() < 0.6:
        drive = plain(tone(rng, 'concrete'))
        for spot in scattered(plot, rng, 350, 25):
            plot.fill(
                box(spot[0], spot[1], 3.5, 9, float(rng.choice([0, np.pi / 2]))), 'concrete', drive
            )
    estate(plot.inset(min(4.0, 0.08 * min(plot.size))), rng, style)
    single_trees_on(plot, rng, rng.uniform(120, 700))


def village(plot: Plot, rng: np.random.Generator) -> None:
    """Draw a dense old quarter: small irregular roofs with little between them."""
    _yard(plot, rng, 0.2)
    style = Style(
        length=(6, 14),
        depth=(6, 11),
        gap=(0.5, 3),
        yard=(1.5, 6),
        height=(3, 7),
        roof='gable' if rng.random() < 0.6 else 'flat',
        tones=str(rng.choice(['roof', 'dark_roof', 'red_roof', 'flat'], p=[0.4, 0.25, 0.2, 0.15])),
        shuffle=rng.uniform(0.4, 1.0),
        same_tone=rng.uniform(0.1, 0.7),
    )
    estate(plot.inset(min(1.5, 0.03 * min(plot.size))), rng, style)
    single_trees_on(plot, rng, rng.uniform(300, 2000))


def terraced(plot: Plot, rng: np.random.Generator) -> None:
    """Draw rows of houses or of small blocks, as in new estates."""
    _yard(plot, rng, 0.55)
    style = Style(
        length=(18, 60),
        depth=(9, 14),
        gap=(2, 8),
        yard=(9, 20),
        height=(6, 14),
        roof=str(rng.choice(['gable', 'hip', 'flat'])),
        tones=str(rng.choice(['roof', 'red_roof', 'dark_roof', 'flat'])),
        shuffle=rng.uniform(0.0, 0.25),
        same_tone=rng.uniform(0.7, 1.0),
    )
    estate(plot.inset(min(4.0, 0.06 * min(plot.size))), rng, style)
    single_trees_on(plot, rng, rng.uniform(200, 1200))


def blocks(plot: Plot, rng: np.random.Generator) -> None:
    """Draw blocks of flats, high enough for long shadows."""
    _yard(plot, rng, 0.6)
    tower = rng.random() < 0.35
    style = Style(
        length=(18, 34) if tower else (30, 75),
        depth=(15, 24) if tower else (11, 17),
        gap=(8, 25) if tower else (5, 12),
        yard=(18, 45) if tower else (12, 32),
        height=(30, 80) if tower else (15, 45),
        roof='flat' if rng.random() < 0.75 else 'gable',
        tones='flat' if rng.random() < 0.6 else 'roof',
        shuffle=rng.uniform(0.0, 0.3),
        same_tone=rng.uniform(0.7, 1.0),
    )
    estate(plot.inset(min(6.0, 0.08 * min(plot.size))), rng, style)
    single_trees_on(plot, rng, rng.uniform(200, 1500))


def industry(plot: Plot, rng: np.random.Generator) -> None:
    """Draw large halls on a paved yard."""
    _yard(plot, rng, 0.1)
    small = rng.random() < 0.3
    style = Style(
        length=(20, 50) if small else (40, 130),
        depth=(12, 25) if small else (22, 60),
        gap=(2, 10),
        yard=(4, 16),
        height=(5, 13),
        roof='sheet' if rng.random() < 0.75 else 'flat',
        tones='hall' if rng.random() < 0.8 else 'flat',
        shuffle=rng.uniform(0.0, 0.4),
        same_tone=rng.uniform(0.3, 1.0),
    )
    inside = plot.inset(min(6.0, 0.08 * min(plot.size)))
    if rng.random() < 0.4:
        clutter(plot, rng, 'container' if rng.random() < 0.5 else 'rubble', 400)
    estate(inside, rng, style)


def centre(plot: Plot, rng: np.random.Generator) -> None:
    """Draw one or two large buildings of their own shape: schools, malls, stations."""
    _yard(plot, rng, 0.45)
    single_trees_on(plot, rng, rng.uniform(150, 900))
    count = int(rng.integers(1, 4))
    axis = int(plot.size[1] > plot.size[0])
    for i in range(count):
        spot = list(plot.middle)
        spot[axis] = plot.low[axis] + plot.size[axis] * (i + 0.5) / count
        size = [plot.size[0] * rng.uniform(0.4, 0.8), plot.size[1] * rng.uniform(0.4, 0.8)]
        size[axis] /= count
        size = [max(side, SMALLEST * plot.resolution) for side in size]
        building(
            plot,
            rng,
            (spot[0], spot[1]),
            (size[0], size[1]),
            0.0 if rng.random() < 0.7 else rng.normal() * 0.2,
            rng.uniform(8, 25),
            'flat' if rng.random() < 0.8 else 'sheet',
            wild_tone(rng, 'flat'),
        )


def greenhouses(plot: Plot, rng: np.random.Generator) -> None:
    """Draw long greenhouses side by side."""
    plot.ground(
        'soil' if rng.random() < 0.5 else 'meadow',
        look(rng, 'soil' if rng.random() < 0.5 else 'grass'),
    )
    style = Style(
        length=(40, 110),
        depth=(7, 12),
        gap=(2, 5),
        yard=(1.2, 6),
        height=(3, 4),
        roof='glass',
        tones='green_house',
        shuffle=rng.uniform(0.0, 0.15),
        same_tone=0.8,
    )
    estate(plot.inset(min(3.0, 0.06 * min(plot.size))), rng, style)


def construction(plot: Plot, rng: np.random.Generator) -> None:
    """Draw a building site: earth, huts, piles, and buildings begun."""
    bare(plot, rng)
    clutter(plot, rng, 'rubble', 200)
    if rng.random() < 0.6:
        axis = int(rng.integers(2))
        for _ in range(int(rng.integers(1, 4))):
            spot = rng.uniform(plot.low, plot.high)
            size = [
                max(rng.uniform(14, 40), 4 * plot.resolution),
                max(rng.uniform(9, 18), 3 * plot.resolution),
            ]
            if axis:
                size.reverse()
            identity = plot.sketch.new_building()
            plot.house(
                box(spot[0], spot[1], size[0], size[1]),
                'clutter',
                look(rng, 'concrete', 0.5),
                rng.uniform(3, 25),
                identity,
                plot.dates,
                waves=waves(rng, max(4.0, 2.4 * plot.resolution), 0),
                waves_across=waves(rng, max(4.0, 2.4 * plot.resolution), 1),
            )
    for spot in scattered(plot, rng, 1500, 5):
        # Blue or white huts of the workers.
        building(
            plot,
            rng,
            (spot[0], spot[1]),
            (max(15.0, 4 * plot.resolution), max(6.0, SMALLEST * plot.resolution)),
            0.0,
            5.0,
            'sheet',
            tone(rng, 'hall'),
        )


def farm(plot: Plot, rng: np.random.Generator) -> None:
    """Draw a few buildings in the middle of grass and trees."""
    plot.ground('meadow', look(rng, 'grass', 0.8))
    for _ in range(int(rng.integers(1, 6))):
        spot = np.array(plot.middle) + rng.normal(0, 0.15, 2) * plot.size
        size = np.maximum(rng.uniform((9, 7), (24, 13)), SMALLEST * plot.resolution)
        building(
            plot,
            rng,
            (float(spot[0]), float(spot[1])),
            (float(size[0]), float(size[1])),
            float(rng.choice([0, np.pi / 2]) + rng.normal() * 0.15),
            rng.uniform(4, 8),
            str(rng.choice(['gable', 'hip', 'sheet'])),
            wild_tone(rng, 'roof'),
        )
    radius = tree_radius(plot, rng)
    trees(plot, rng, scattered(plot, rng, rng.uniform(150, 600)), radius)


def harbour(plot: Plot, rng: np.random.Generator) -> None:
    """Draw a quay: stacks of containers, cranes and a few halls on concrete."""
    plot.ground('concrete', look(rng, 'concrete', 0.4))
    inside = plot.inset(0.06 * min(plot.size))
    length, width = max(12.2, 2 * plot.resolution), max(2.6, 1.1 * plot.resolution)
    rows = min(int(inside.size[1] / (4 * width)), 14)
    for row in range(rows):
        v = inside.low[1] + (row + 0.5) * inside.size[1] / max(rows, 1)
        u = inside.low[0]
        while u < inside.high[0] - length:
            if rng.random() < 0.75:
                plot.fill(
                    box(u + length / 2, v, length, width * 2),
                    MATERIALS['paint'].but(mid=0.05),
                    plain(tone(rng, 'container', 20)),
                    height=rng.uniform(2, 9),
                    dates=plot.dates,
                )
            u += length * rng.choice([1.05, 1.05, 1.6])
    if rng.random() < 0.6:
        industry(plot.part(inside.low, (inside.high[0], inside.low[1] + 0.4 * inside.size[1])), rng)


def ruins(plot: Plot, rng: np.random.Generator) -> None:
    """Draw the remains of buildings that were pulled down: rubble and patches of floor."""
    plot.ground('rubble', look(rng, 'rubble', 0.9))
    for spot in scattered(plot, rng, 300, 25):
        size = np.maximum(rng.uniform(5, 16, 2), 1.5 * plot.resolution)
        plot.fill(
            blob(rng, (spot[0], spot[1]), (size[0] / 2, size[1] / 2), 0.2, 9),
            'concrete',
            look(rng, 'concrete'),
            GROUND_LAYER,
        )
    single_trees_on(plot, rng, 2500)
