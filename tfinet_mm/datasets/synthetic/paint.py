"""Paint a layout: the look of each use on the ground."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tfinet_mm.datasets.synthetic import buildings, materials
from tfinet_mm.datasets.synthetic.canvas import GRASS, GROUND, SPORTS, TREE, WATER, Cell, Surface
from tfinet_mm.datasets.synthetic.layout import Layer, Layout, River, Strip
from tfinet_mm.datasets.synthetic.raster import Crowns, Frame, Noise, generator


def paint(layout: Layout, frame: Frame, noise: Noise, crowns: Crowns, date: int) -> Surface:
    """Paint a layout as it is at one of the two dates.

    Args:
        layout: Parcels and strips.
        frame: Coordinates of the canvas.
        noise: Noise that both dates share.
        crowns: Tree crowns that both dates share.
        date: 0 or 1.

    Returns:
        The painted surface.
    """
    surface = Surface(frame, noise, crowns, date)
    for parcel in layout.parcels:
        cell = Cell.cut(surface, parcel.low, parcel.high)
        if cell is not None:
            for layer in parcel.after if date else parcel.before:
                _paint_layer(cell, layer)
    if layout.river is not None:
        _river(surface, layout.river)
    for strip in layout.strips:
        cell = Cell.cut(surface, strip.low, strip.high)
        if cell is not None:
            _strip(cell, strip)
    return surface


def _paint_layer(cell: Cell, layer: Layer) -> None:
    # The last number separates the streams: 1 and 2 for differences between the dates.
    shared = generator(layer.seed, 4)
    state = generator(layer.seed, 1 + cell.surface.date)
    if layer.blob:
        cell = replace(cell, mask=cell.mask & _blob(cell, generator(layer.seed, 5)))
    if layer.use in _BUILT:
        _BUILT[layer.use](cell, shared, layer.thin, layer.seed)
    else:
        _OPEN[layer.use](cell, shared, state)


def _blob(cell: Cell, rng: np.random.Generator, low: float = 0.3, high: float = 0.5) -> np.ndarray:
    """Return a round part of a cell with an irregular border, bool (h, w)."""
    centre = rng.uniform(0.35, 0.65, 2) * cell.size
    radii = rng.uniform(low, high, 2) * cell.size
    distance = ((cell.u - centre[0]) / radii[0]) ** 2 + ((cell.v - centre[1]) / radii[1]) ** 2
    return distance + 0.2 * cell.noise.coarse + 0.07 * cell.noise.medium < 1


def _field(cell: Cell, rng: np.random.Generator, state: np.random.Generator) -> None:
    # Half of the fields bear the same crop at both dates.
    season = rng if rng.random() < 0.5 else state
    colour = materials.crop(rng, season, cell.noise, cell.u, cell.v)
    cell.fill(cell.mask, GRASS, colour)


def _meadow(cell: Cell, rng: np.random.Generator, state: np.random.Generator) -> None:
    # Most meadows look the same at both dates; the others are mown or dried up.
    cell.fill(cell.mask, GRASS, materials.grass(rng if rng.random() < 0.6 else state, cell.noise))


def _forest(cell: Cell, rng: np.random.Generator, state: np.random.Generator) -> None:
    _meadow(cell, rng, state)
    edge = np.minimum(
        np.minimum(cell.u, cell.size[0] - cell.u), np.minimum(cell.v, cell.size[1] - cell.v)
    )
    gaps = cell.noise.coarse + 0.4 * cell.noise.medium > rng.uniform(1.1, 2.5)
    cell.plant(rng, (edge > 2 + 1.5 * cell.noise.medium) & ~gaps)


def _park(cell: Cell, rng: np.random.Generator, state: np.random.Generator) -> None:
    _meadow(cell, rng, state)
    cell.plant(rng, cell.noise.coarse > rng.uniform(0.0, 0.6))
    if rng.random() < 0.6:
        across, middle = (cell.u, cell.size[0]) if rng.random() < 0.5 else (cell.v, cell.size[1])
        bow = across - middle * rng.uniform(0.4, 0.6) + 3 * cell.noise.coarse
        colour = materials.pick(rng, 'concrete')
        cell.fill(np.abs(bow) < 1.8, GROUND, colour)


def _bare(cell: Cell, rng: np.random.Generator, state: np.random.Generator) -> None:
    cell.fill(cell.mask, GROUND, materials.soil(rng, cell.noise))
    colour = materials.pick(rng, 'soil') + 14
    for _ in range(int(rng.integers(1, 4))):
        # Wheel tracks that wind across.
        a, b = rng.normal(size=2)
        line = (a * (cell.u - cell.size[0] / 2) + b * (cell.v - cell.size[1] / 2)) / np.hypot(a, b)
        line = line + rng.normal(0, 8) + 4 * cell.noise.coarse
        cell.tint(np.abs(np.abs(line) - 1.6) < 0.8, colour, 0.55)


def _paved(cell: Cell, rng: np.random.Generator, state: np.random.Generator) -> None:
    cell.fill(cell.mask, GROUND, materials.pavement(rng, cell.noise, cell.u, cell.v))
    if rng.random() < 0.6:
        _parking(cell, rng, state)


def _parking(cell: Cell, rng: np.random.Generator, state: np.random.Generator) -> None:
    """Draw rows of lots with white lines, and different cars in them at each date."""
    row, lot = np.mod(cell.v - 4, 16.0), np.mod(cell.u, 4.0)
    inside = (row < 6) & (cell.u > 4) & (cell.u < cell.size[0] - 4)
    inside &= (cell.v > 4) & (cell.v < cell.size[1] - 4)
    cell.tint(inside & (lot < 0.8), np.full(3, 225, np.float32), 0.5)
    lots = (cell.u / 4).astype(np.intp).clip(0, 31), (cell.v / 16).astype(np.intp).clip(0, 31)
    full = state.random((32, 32), dtype=np.float32)[lots] < state.uniform(0.1, 0.8)
    kinds = state.integers(0, 5, (32, 32))[lots]
    car = inside & full & (lot > 1) & (lot < 3.6) & (row > 0.7) & (row < 5.5)
    for kind, colour in enumerate(materials.PALETTES['car']):
        cell.tint(car & (kinds == kind), np.array(colour, np.float32), 0.85)


def _pond(cell: Cell, rng: np.random.Generator, state: np.random.Generator) -> None:
    """Draw water that fills the cell to its banks; a round pond where the cell is a blob."""
    _meadow(cell, rng, state)
    shape = _blob(cell, rng, 0.45, 0.62)
    if rng.random() < 0.35:
        # A fish pond with straight banks.
        shape = (
            (cell.u > 4) & (cell.u < cell.size[0] - 4) & (cell.v > 4) & (cell.v < cell.size[1] - 4)
        )
    colour = materials.water(rng if rng.random() < 0.4 else state, cell.noise)
    cell.fill(shape, WATER, colour)


def _sports(cell: Cell, rng: np.random.Generator, state: np.random.Generator) -> None:
    """Draw a running track around a pitch, or courts, on a lawn or a paved ground."""
    if rng.random() < 0.5:
        _meadow(cell, rng, state)
    else:
        cell.fill(cell.mask, GROUND, materials.pavement(rng, cell.noise, cell.u, cell.v))
    long = int(cell.size[1] > cell.size[0])
    along, across = (cell.v, cell.u) if long else (cell.u, cell.v)
    length, breadth = cell.size[long], cell.size[1 - long]
    a, b = along - length / 2, across - breadth / 2
    if rng.random() < 0.6:
        _track(cell, rng, a, b, min(length / 2 - 2, 44.0), min(breadth / 2 - 2, 24.0))
    else:
        _courts(cell, rng, a, b, min(length / 2 - 3, 40.0), min(breadth / 2 - 3, 22.0))


def _track(
    cell: Cell, rng: np.random.Generator, a: np.ndarray, b: np.ndarray, length: float, radius: float
) -> None:
    """Draw an oval of lanes, its half sides in pixels, and the pitch inside."""
    straight = max(length - radius, 4.0)
    distance = np.hypot(np.maximum(np.abs(a) - straight, 0), b)
    width = min(7.0, radius * 0.4)
    inside = distance < radius - width
    light = 1 + 0.02 * cell.noise.grain + 0.02 * cell.noise.coarse
    track, pitch = materials.pick(rng, 'track'), materials.pick(rng, 'pitch')
    cell.fill(distance < radius, SPORTS, materials.blend(track, track, light, light))
    mown = 1 + 0.06 * np.sign(np.sin(2 * np.pi / 10 * a)) + 0.03 * cell.noise.grain
    cell.fill(inside, SPORTS, materials.blend(pitch, pitch, mown, mown))
    white = np.full(3, 225, np.float32)
    lanes = ~inside & (distance < radius) & (np.mod(radius - distance, 2.4) < 0.8)
    cell.tint(lanes, white, 0.35)
    half, wide = straight + 0.2 * radius, (radius - width) * 0.82
    field = np.maximum(np.abs(a) - half, np.abs(b) - wide)
    lines = (np.abs(field) < 0.6) | ((field < 0) & (np.abs(a) < 0.6))
    lines |= (field < 0) & (np.abs(np.hypot(a, b) - 4.5) < 0.6)
    cell.tint(lines & inside, white, 0.5)


def _courts(
    cell: Cell,
    rng: np.random.Generator,
    a: np.ndarray,
    b: np.ndarray,
    length: float,
    breadth: float,
) -> None:
    """Draw courts side by side with white lines on a coloured ground, half sides in pixels."""
    light = 1 + 0.02 * cell.noise.grain
    ground, court = materials.pick(rng, 'track'), materials.pick(rng, 'pitch')
    if rng.random() < 0.5:
        ground, court = court, ground
    whole = (np.abs(a) < length) & (np.abs(b) < breadth)
    cell.fill(whole, SPORTS, materials.blend(ground, ground, light, light))
    count = max(int(2 * length / rng.uniform(13, 18)), 1)
    pitch = 2 * length / count
    x = np.abs(np.mod(a + length, pitch) - pitch / 2)
    box = np.maximum(x - (pitch / 2 - 2), np.abs(b) - (breadth - 3))
    cell.fill(whole & (box < 0), SPORTS, materials.blend(court, court, light, light))
    lines = (np.abs(box) < 0.6) | ((box < 0) & ((np.abs(b) < 0.6) | (x < 0.5)))
    cell.tint(whole & lines, np.full(3, 230, np.float32), 0.6)


def _new_road(cell: Cell, rng: np.random.Generator, state: np.random.Generator) -> None:
    """Draw a new road across the cell."""
    across, length = (cell.u, cell.size[0]) if rng.random() < 0.5 else (cell.v, cell.size[1])
    line = across - length * rng.uniform(0.3, 0.7) + 2 * cell.noise.coarse
    _road(cell, rng, line, rng.uniform(6, 9))


def _road(cell: Cell, rng: np.random.Generator, line: np.ndarray, width: float) -> None:
    colour = materials.pick(rng, 'asphalt' if rng.random() < 0.7 else 'concrete')
    light = 1 + 0.02 * cell.noise.grain + 0.025 * cell.noise.coarse
    cell.fill(np.abs(line) < width / 2, GROUND, materials.blend(colour, colour, light, light))
    if width > 6.5:
        dashes = np.mod(cell.u + cell.v, 8) < 5
        cell.tint((np.abs(line) < 0.5) & dashes, np.full(3, 220, np.float32), 0.45)


def _strip(cell: Cell, strip: Strip) -> None:
    """Draw a strip between the parcels: a road, a lane, a hedge."""
    rng, state = generator(strip.seed, 4), generator(strip.seed, 1 + cell.surface.date)
    width, length = cell.size[1 - strip.axis], cell.size[strip.axis]
    along, across = (cell.v, cell.u) if strip.axis else (cell.u, cell.v)
    if strip.kind == 'hedge':
        cell.fill(cell.mask, GRASS, materials.grass(rng, cell.noise))
        count = int(length / rng.uniform(5, 9))
        spots = np.stack([np.linspace(0, length, count), np.full(count, width / 2)], 1)
        spots += rng.normal(0, 0.8, spots.shape)
        keep = rng.random(count) < rng.uniform(0.5, 1.0)
        cell.trees(rng, spots[keep][:, ::-1] if strip.axis else spots[keep], width / 2)
        return
    if strip.kind == 'lane' and rng.random() < 0.4:
        cell.fill(cell.mask, GROUND, materials.soil(rng, cell.noise))
        return
    _road(cell, rng, across - width / 2, width + 1)
    for _ in range(int(state.poisson(length / 60))):
        at, side = state.uniform(0, length), width * state.choice([0.3, 0.7])
        car = (np.abs(along - at) < 2.3) & (np.abs(across - side) < 1.2)
        cell.tint(car, materials.pick(state, 'car'), 0.9)


def _river(surface: Surface, river: River) -> None:
    """Draw a river with grass and some trees on its banks."""
    rng, state = generator(river.seed, 4), generator(river.seed, 1 + surface.date)
    bank = river.distance(*surface.frame.straight) + 1.5 * surface.noise.medium
    width = river.width
    whole = (slice(None), slice(None))
    surface.fill(whole, bank < width + 5, GRASS, materials.grass(rng, surface.noise))
    dome, tone = surface.crowns.dome, surface.crowns.tone
    row = (bank < width + 5) & (dome > 0.1) & (surface.noise.coarse > 0.2)
    colour = materials.leaves(rng, surface.noise, tone, dome)
    surface.fill(whole, row, TREE, colour, 2.5 + 3 * dome, 3 * dome)
    surface.fill(whole, bank < width, WATER, materials.water(state, surface.noise))


_OPEN: dict[str, Callable[[Cell, np.random.Generator, np.random.Generator], None]] = dict(
    field=_field,
    meadow=_meadow,
    forest=_forest,
    park=_park,
    bare=_bare,
    paved=_paved,
    pond=_pond,
    sports=_sports,
    road=_new_road,
)
_BUILT: dict[str, Callable[[Cell, np.random.Generator, float, int], None]] = dict(
    houses=buildings.houses, blocks=buildings.blocks, industry=buildings.industry
)
