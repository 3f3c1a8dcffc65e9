"""Plan a scene: its plots, and their changes between the dates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfinet_mm.datasets.synthetic.layout import choose
from tfinet_mm.datasets.synthetic.world.courses import (
    band,
    draw_course,
    highway,
    river,
    shore,
    subdivision,
)
from tfinet_mm.datasets.synthetic.world.palette import MATERIALS, look
from tfinet_mm.datasets.synthetic.world.plants import mix
from tfinet_mm.datasets.synthetic.world.plot import Plot, blob, rectangle
from tfinet_mm.datasets.synthetic.world.regions import (
    INHABITED,
    REGION_SHARES,
    REGIONS,
    TRANSITIONS,
    USES,
    WILD_REGIONS,
)
from tfinet_mm.datasets.synthetic.world.sketch import (
    AFTER,
    BEFORE,
    BLOB_LAYER,
    BOTH,
    STRIP_LAYER,
    WATER_LAYER,
    Placement,
    Sketch,
    Thing,
)
from tfinet_mm.datasets.synthetic.world.strips import Cut, strip


@dataclass(frozen=True)
class Parcel:
    """Rectangle in street coordinates (metres), with its use."""

    low: tuple[float, float]
    high: tuple[float, float]
    use: str

    @property
    def area(self) -> float:
        """Return the area in square metres."""
        return (self.high[0] - self.low[0]) * (self.high[1] - self.low[1])


def plan(rng: np.random.Generator, place: Placement, share: float, aridity: float) -> Sketch:
    """Draw the plan of a scene at both dates.

    Args:
        rng: Random generator.
        place: Place of its metres in the picture.
        share: Share of the picture that is to change, roughly, 0..1.
        aridity: 0 for lush to 1 for desert.

    Returns:
        The things of the scene.
    """
    sketch = Sketch(place)
    radius = place.radius * 1.08
    # A base under everything, which parcels and strips cover.
    sketch.add(
        Thing(
            rectangle((-radius * 1.3, -radius * 1.3), (radius * 1.3, radius * 1.3), radius / 6),
            MATERIALS['meadow'],
            look(rng, 'grass'),
        )
    )
    extent = max(place.shape) * place.resolution
    grain = float(np.clip(extent / rng.uniform(2.2, 8), 34, 190))
    parcels, cuts = _divide(rng, place, radius, grain, aridity)
    _settle(rng, sketch, parcels, share, extent)
    if rng.random() < 0.35:
        _patches(rng, sketch, extent)
    for cut in cuts:
        strip(rng, sketch, cut)
    if rng.random() < 0.16:
        river(rng, sketch, radius)
    if rng.random() < 0.07:
        shore(rng, sketch, radius)
    if rng.random() < 0.10:
        highway(rng, sketch, radius, BOTH)
    if rng.random() < 0.14:
        new = share > 0 and rng.random() < 0.6
        subdivision(rng, sketch, extent, AFTER if new else BOTH)
    _events(rng, sketch, share, extent)
    return sketch


def _divide(
    rng: np.random.Generator, place: Placement, radius: float, grain: float, aridity: float
) -> tuple[list[Parcel], list[Cut]]:
    """Cut the land in two again and again, into parcels and the cuts between them."""
    parcels: list[Parcel] = []
    cuts: list[Cut] = []
    tidy = rng.random()
    wide_open = rng.uniform(1.0, 3.0) if rng.random() < 0.4 else 1.0

    def region() -> str:
        if rng.random() < aridity:
            return 'desert' if rng.random() < 0.7 else choose(rng, REGION_SHARES)
        return choose(rng, REGION_SHARES)

    def divide(low: tuple[float, float], high: tuple[float, float], zone: str) -> None:
        if not place.sees(low, high, 0.1 * radius):
            return
        sides = (high[0] - low[0], high[1] - low[1])
        axis = int(sides[1] > sides[0]) if rng.random() < 0.85 else int(rng.random() < 0.5)
        if max(sides) > 0.45 * radius and rng.random() < 0.5:
            zone = region()
        # Woods and fields are sometimes large, even in a region of small parcels.
        wide = wide_open if zone in WILD_REGIONS else 1.0
        if sides[axis] < grain * wide * rng.uniform(0.9, 2.0) or sides[axis] < 26:
            parcels.append(Parcel(low, high, choose(rng, REGIONS[zone])))
            return
        kind, width = _border(rng, max(sides), grain, zone, place.resolution)
        at = low[axis] + sides[axis] * rng.uniform(0.35 + 0.1 * tidy, 0.65 - 0.1 * tidy)
        near, far = list(high), list(low)
        near[axis], far[axis] = at - width / 2, at + width / 2
        divide(low, (near[0], near[1]), zone)
        divide((far[0], far[1]), high, zone)
        if kind != 'none':
            strip_low, strip_high = list(low), list(high)
            strip_low[axis], strip_high[axis] = at - width / 2, at + width / 2
            cuts.append(
                Cut((strip_low[0], strip_low[1]), (strip_high[0], strip_high[1]), 1 - axis, kind)
            )

    shift = rng.uniform(-0.2, 0.2, 2) * radius
    divide(
        (-radius + shift[0] - grain, -radius + shift[1] - grain),
        (radius + shift[0] + grain, radius + shift[1] + grain),
        region(),
    )
    # Wide roads are the early cuts, appended last, and so cover the strips that they cross.
    return parcels, cuts


def _border(
    rng: np.random.Generator, side: float, grain: float, zone: str, resolution: float
) -> tuple[str, float]:
    """Return kind and width in metres of a cut through a block of the given length."""
    wild = zone in WILD_REGIONS
    if side > 3 * grain and rng.random() < (0.45 if wild else 0.8):
        return 'road', max(rng.uniform(6, 20), 1.5 * resolution)
    if wild:
        kind = choose(rng, dict(track=3, hedge=2, ditch=0.6, none=5))
    else:
        kind = choose(rng, dict(lane=5, track=1, hedge=1.5, none=4))
    width = dict(
        lane=rng.uniform(4, 9),
        track=rng.uniform(2.5, 5),
        hedge=rng.uniform(3, 9),
        ditch=rng.uniform(2, 6),
        none=0.0,
    )[kind]
    if kind != 'none':
        width = max(width, 1.1 * resolution)
    return kind, width


def _settle(
    rng: np.random.Generator, sketch: Sketch, parcels: list[Parcel], share: float, extent: float
) -> None:
    """Build on the parcels, and give some of them another use at the second date."""
    if not parcels:
        return
    middles = np.array([np.add(parcel.low, parcel.high) / 2 for parcel in parcels])
    centre = rng.uniform(-0.5, 0.5, 2) * extent
    order = np.argsort(np.hypot(*(middles - centre).T) + rng.uniform(0, 0.6, len(parcels)) * extent)
    left = share * extent**2
    changes: dict[int, str] = {}
    for index in order:
        parcel = parcels[int(index)]
        if left <= 0:
            break
        if parcel.area > 2 * left or np.abs(middles[index]).max() > 0.7 * extent:
            continue
        if parcel.use in INHABITED and rng.random() < 0.3:
            changes[int(index)] = 'infill'
            left -= 0.15 * parcel.area
            continue
        changes[int(index)] = choose(rng, TRANSITIONS[parcel.use])
        left -= 0.8 * parcel.area
    for index, parcel in enumerate(parcels):
        new = changes.get(index)
        plot = Plot(sketch, parcel.low, parcel.high)
        if new is None:
            USES[parcel.use](plot, rng)
        elif new == 'infill':
            amount = rng.uniform(0.15, 0.8)
            come, go = (amount, 0.0) if rng.random() < 0.6 else (0.0, amount)
            if rng.random() < 0.2:
                come = go = amount / 2
            USES[parcel.use](Plot(sketch, parcel.low, parcel.high, BOTH, come, go), rng)
        else:
            USES[parcel.use](Plot(sketch, parcel.low, parcel.high, BEFORE), rng)
            USES[new](Plot(sketch, parcel.low, parcel.high, AFTER), rng)


def _patches(rng: np.random.Generator, sketch: Sketch, extent: float) -> None:
    """Lay irregular patches of open land, and winding tracks, over the parcels."""
    kinds = dict(forest=3, scrub=2, meadow=2, soil=0.7, rock=0.3)
    for _ in range(int(rng.integers(2, 12))):
        kind = choose(rng, kinds)
        middle = rng.uniform(-0.6, 0.6, 2) * extent
        radii = extent * rng.uniform(0.05, 0.32) * rng.uniform(0.5, 1.5, 2)
        plot = Plot(sketch, (0.0, 0.0), (0.0, 0.0))
        tones = dict(forest='tree', scrub='grass', meadow='grass').get(kind, kind)
        number = plot.fill(
            blob(rng, (middle[0], middle[1]), (radii[0], radii[1]), rng.uniform(0.15, 0.5), 40),
            kind,
            look(rng, tones, 0.8),
            BLOB_LAYER,
            height=rng.uniform(3, 12) if kind == 'forest' else 0.0,
        )
        if kind == 'scrub':
            mix(plot, number, rng, 'forest', 'tree', rng.uniform(-0.3, 1.4))
    for _ in range(int(rng.integers(0, 3))):
        course = draw_course(rng, sketch.place.radius, 1.0)
        width = max(rng.uniform(2, 6), 1.1 * sketch.place.resolution)
        plot = Plot(sketch, (0.0, 0.0), (0.0, 0.0))
        kind = 'sand' if rng.random() < 0.6 else 'asphalt'
        plot.fill(band(course, np.full(len(course), width / 2)), kind, look(rng, kind), STRIP_LAYER)


def _events(rng: np.random.Generator, sketch: Sketch, share: float, extent: float) -> None:
    """Change patches of land across parcels: clearings, ponds, earthworks, roads."""
    if share <= 0:
        return
    kinds = dict(bare=5, forest=1.6, meadow=1.6, water=1.6, rubble=1, sand=0.5)
    for _ in range(int(rng.poisson(0.6 + 2.5 * share))):
        kind = choose(rng, kinds)
        middle = rng.uniform(-0.5, 0.5, 2) * extent
        radii = extent * rng.uniform(0.02, 0.22) * rng.uniform(0.5, 1.5, 2)
        material, tones, layer = dict(
            bare=('soil', 'soil', BLOB_LAYER),
            forest=('forest', 'tree', BLOB_LAYER),
            meadow=('meadow', 'grass', BLOB_LAYER),
            water=('water', 'water', WATER_LAYER),
            rubble=('rubble', 'rubble', BLOB_LAYER),
            sand=('sand', 'sand', BLOB_LAYER),
        )[kind]
        dates = AFTER if rng.random() < 0.75 else BEFORE
        sketch.add(
            Thing(
                blob(rng, (middle[0], middle[1]), (radii[0], radii[1]), rng.uniform(0.1, 0.45)),
                MATERIALS[material],
                look(rng, tones, 0.7),
                layer,
                dates,
                height=5.0 if kind == 'forest' else 0.0,
            )
        )
    if rng.random() < 0.12:
        highway(rng, sketch, sketch.place.radius * 1.08, AFTER)
