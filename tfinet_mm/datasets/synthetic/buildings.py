"""Draw buildings: houses in rows, slab blocks, halls; roofs that the sun shades."""

from __future__ import annotations

import numpy as np

from tfinet_mm.datasets.synthetic import materials
from tfinet_mm.datasets.synthetic.canvas import BUILDING, GRASS, GROUND, Cell
from tfinet_mm.datasets.synthetic.raster import is_empty


def build(
    cell: Cell,
    rng: np.random.Generator,
    middle: tuple[float, float],
    size: tuple[float, float],
    colour: np.ndarray,
    roof: str,
    height: float,
    identity: int,
) -> None:
    """Draw one rectangular building, straight even where the streets bend.

    Args:
        cell: The parcel it stands on.
        rng: Random generator for its details.
        middle: Its centre in the cell's coordinates.
        size: Lengths along and across the streets, in pixels.
        colour: RGB of the roof (3,).
        roof: ``gable``, ``flat`` or ``sheet``.
        height: Height in pixels.
        identity: Unique number of the building.
    """
    surface = cell.surface
    # All random numbers are drawn before anything depends on the canvas, so that a
    # building outside the picture doesn't change the next one.
    notch, boxes = rng.random(4), rng.uniform(-0.35, 0.35, (3, 2))
    period = rng.uniform(3.0, 5.0)
    u, v = surface.frame.unbend(middle[0] + cell.low[0], middle[1] + cell.low[1])
    half = (size[0] / 2, size[1] / 2)
    window = surface.frame.window((u - half[0], v - half[1]), (u + half[0], v + half[1]), 1)
    if is_empty(window):
        return
    along = surface.frame.straight[0][window] - np.float32(u)
    across = surface.frame.straight[1][window] - np.float32(v)
    mask = (np.abs(along) <= half[0]) & (np.abs(across) <= half[1])
    if roof != 'sheet' and notch[0] < 0.3 and min(size) > 9:
        # An L-shaped plan: one corner is missing.
        sides = (1 if notch[1] < 0.5 else -1, 1 if notch[2] < 0.5 else -1)
        mask &= (along * sides[0] < half[0] * 0.25) | (across * sides[1] < half[1] * 0.1)
    if not mask.any():
        return
    long, short, depth = (
        (along, across, half[1]) if size[0] >= size[1] else (across, along, half[0])
    )
    noise = surface.noise.part(window)
    light = 1 + 0.025 * noise.grain + 0.02 * noise.medium
    relief: np.ndarray | float = 0.0
    if roof == 'gable':
        relief = 0.55 * (depth - np.abs(short))
        light = light + 0.15 * (np.abs(short) < 0.6)
    elif roof == 'flat':
        edge = np.minimum(half[0] - np.abs(along), half[1] - np.abs(across))
        light = light + 0.25 * (edge < 1.2)
        for box in boxes:
            near = np.abs(along - box[0] * size[0]) < 1.6
            light = light - 0.3 * (near & (np.abs(across - box[1] * size[1]) < 1.6))
    else:
        relief = 0.18 * (depth - np.abs(short))
        light = light + 0.1 * np.sign(np.sin(2 * np.pi / period * long))
        light = light + 0.12 * (np.abs(short) < 0.8)
    shaded = (colour * light[..., None]).astype(np.float32)
    surface.fill(window, mask, BUILDING, shaded, height, relief, identity)


def _base(cell: Cell, rng: np.random.Generator, green: float) -> None:
    """Draw the ground between the buildings: gardens, or a paved yard."""
    noise = cell.noise
    if rng.random() < green:
        cell.fill(cell.mask, GRASS, materials.grass(rng, noise))
    elif rng.random() < 0.3:
        cell.fill(cell.mask, GROUND, materials.soil(rng, noise))
    else:
        cell.fill(cell.mask, GROUND, materials.pavement(rng, noise, cell.u, cell.v))


def rows(
    cell: Cell,
    rng: np.random.Generator,
    thin: float,
    seed: int,
    length: tuple[float, float],
    depth: tuple[float, float],
    gap: tuple[float, float],
    yard: tuple[float, float],
    height: tuple[float, float],
    roof: str,
    material: str,
) -> None:
    """Draw buildings in rows along the longer side of a cell.

    Args:
        cell: The parcel.
        rng: Random generator.
        thin: Share of the buildings that are left out, 0..1.
        seed: First number for the identities of the buildings.
        length: Range of the lengths of the buildings along the row, pixels.
        depth: Range of their depths.
        gap: Range of the distances between neighbours.
        yard: Range of the distances between rows.
        height: Range of the heights.
        roof: Kind of roof, see :func:`build`.
        material: Palette of the roofs.
    """
    axis = int(cell.size[1] > cell.size[0])
    run, breadth = cell.size[axis] - 4, cell.size[1 - axis] - 4
    deep, tall = min(rng.uniform(*depth), breadth), rng.uniform(*height)
    mean_yard = rng.uniform(*yard)
    count = max(int((breadth + mean_yard) / (deep + mean_yard)), 1)
    pitch = breadth / count
    common = [materials.pick(rng, material) for _ in range(2)]
    number = 0
    for row in range(count):
        middle = 2 + pitch * (row + 0.5)
        at = 2 + rng.uniform(0, 4)
        while True:
            long = rng.uniform(*length)
            if at + long > run + 4:
                # A parcel too short for any building of the kind gets one that fits.
                if at > 12 or run < 10:
                    break
                long = run + 2 - at
            own = materials.pick(rng, material)
            colour = own if rng.random() < 0.3 else common[int(rng.integers(2))]
            colour = colour * rng.uniform(0.93, 1.07)
            spot, size = [at + long / 2, middle], [long, deep * rng.uniform(0.92, 1.08)]
            if axis == 1:
                spot.reverse()
                size.reverse()
            number += 1
            left_out = rng.random() < thin
            details = np.random.Generator(np.random.PCG64(rng.integers(2**31)))
            if not left_out:
                identity = seed * 1024 + number
                place = ((spot[0], spot[1]), (size[0], size[1]))
                build(cell, details, *place, colour, roof, tall, identity)
            at += long + rng.uniform(*gap)


def houses(cell: Cell, rng: np.random.Generator, thin: float, seed: int) -> None:
    """Draw detached houses with gable roofs, gardens and a few trees."""
    _base(cell, rng, 0.5)
    shape = dict(length=(11, 17), depth=(10, 13), gap=(2.5, 4.5), yard=(4, 7), height=(4, 6))
    rows(cell, rng, thin, seed, **shape, roof='gable', material='roof')
    _garden_trees(cell, rng, 0.0018)


def blocks(cell: Cell, rng: np.random.Generator, thin: float, seed: int) -> None:
    """Draw long blocks of flats, high enough for long shadows."""
    _base(cell, rng, 0.35)
    shape = dict(length=(22, 40), depth=(11, 15), gap=(3, 6), yard=(6, 10), height=(7, 13))
    roof = 'flat' if rng.random() < 0.7 else 'gable'
    rows(cell, rng, thin, seed, **shape, roof=roof, material='roof')
    _garden_trees(cell, rng, 0.0014)


def industry(cell: Cell, rng: np.random.Generator, thin: float, seed: int) -> None:
    """Draw large halls of sheet metal on a paved yard."""
    _base(cell, rng, 0.05)
    shape = dict(length=(24, 46), depth=(19, 34), gap=(3, 5), yard=(3, 6), height=(5, 8))
    rows(cell, rng, thin, seed, **shape, roof='sheet', material='hall')


def _garden_trees(cell: Cell, rng: np.random.Generator, density: float) -> None:
    count = int(rng.poisson(density * cell.size[0] * cell.size[1]))
    cell.trees(rng, rng.uniform((3, 3), (cell.size[0] - 3, cell.size[1] - 3), (count, 2)), 3.6)
