"""Lay out the land cover: parcels with a use, and the roads and hedges between them.

A square larger than the canvas is cut in two again and again. The cuts are
roads, lanes, hedges or mere borders. The remaining parcels each get a use
(field, forest, houses ...) that fits their surroundings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tfinet_mm.datasets.synthetic.raster import Frame, is_empty

SURROUNDINGS: dict[str, dict[str, float]] = {
    'country': dict(
        field=8, meadow=2.5, forest=4, pond=1, houses=1.6, bare=1.3, park=0.8, industry=0.6
    ),
    'suburb': dict(
        houses=6, blocks=2.5, meadow=2, field=2, forest=1.5, bare=2, park=1, sports=0.7, paved=1
    ),
    'town': dict(blocks=6, houses=3, paved=1.5, industry=1.5, park=1.2, sports=0.8, bare=2),
    'works': dict(industry=7, bare=3, paved=1.5, meadow=1.5, field=1, pond=0.6, houses=1),
}
"""Weights of the uses in each kind of surroundings."""

SMALLEST_PARCEL = 26.0


@dataclass(frozen=True)
class Layer:
    """Thing drawn on a parcel.

    Attributes:
        use: Use of land, a key of the painter's table.
        seed: Seed of its random choices; equal seeds draw equal things.
        blob: Cover a round part of the parcel, not all of it.
        thin: Share of the buildings that are left out, 0..1.
    """

    use: str
    seed: int
    blob: bool = False
    thin: float = 0.0


@dataclass(frozen=True)
class Parcel:
    """Rectangle in bent street coordinates, with the things on it at the two dates.

    Attributes:
        low: Smallest coordinates along and across, in pixels.
        high: Largest coordinates along and across, in pixels.
        before: Layers of the first date, drawn in order.
        after: Layers of the second date.
        riverside: True if the river takes a part of it; then nothing is built there.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    before: tuple[Layer, ...]
    after: tuple[Layer, ...]
    riverside: bool = False

    @property
    def size(self) -> tuple[float, float]:
        """Return the lengths along and across, in pixels."""
        return self.high[0] - self.low[0], self.high[1] - self.low[1]

    def become(self, *layers: Layer) -> Parcel:
        """Return the same parcel with other layers at the second date."""
        return replace(self, after=layers)


@dataclass(frozen=True)
class Strip:
    """Cut between parcels: a rectangle in bent coordinates, longest along ``axis``.

    Attributes:
        low: Smallest coordinates along and across, in pixels.
        high: Largest coordinates along and across, in pixels.
        axis: 0 where the strip runs along the first coordinate, else 1.
        kind: ``road``, ``lane`` or ``hedge``.
        seed: Seed of its random choices.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    axis: int
    kind: str
    seed: int


@dataclass(frozen=True)
class River:
    """Band that winds along the streets, in straight street coordinates.

    Attributes:
        offset: Distance of its middle from the middle of the canvas, in pixels.
        bow: Reach of its bends, in pixels.
        bend: Length of a bend divided by pi, in pixels.
        phase: Phase of the bends, in radians.
        width: Half its width, in pixels.
        seed: Seed of its other random choices.
    """

    offset: float
    bow: float
    bend: float
    phase: float
    width: float
    seed: int

    def distance(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the distance from the river's middle, across the streets, in pixels."""
        return np.abs(v - self.offset + self.bow * np.sin(u / self.bend + self.phase))


@dataclass(frozen=True)
class Layout:
    """Everything on the canvas.

    Attributes:
        parcels: The parcels, each at both dates.
        strips: Roads and hedges, the smaller ones first.
        river: The river that crosses the scene, if one does.
    """

    parcels: tuple[Parcel, ...]
    strips: tuple[Strip, ...]
    river: River | None


def new_seed(rng: np.random.Generator) -> int:
    """Return a seed for a layer, a strip or a scene."""
    return int(rng.integers(2**31))


def choose(rng: np.random.Generator, weights: dict[str, float]) -> str:
    """Draw a key with the probability that its weight gives it."""
    names = list(weights)
    values = np.cumsum([weights[name] for name in names])
    return names[int(np.searchsorted(values, rng.random() * values[-1], side='right'))]


def make_layout(rng: np.random.Generator, frame: Frame) -> Layout:
    """Cut the world under a canvas into parcels and give each a use.

    Args:
        rng: Random generator.
        frame: Coordinates of the canvas.

    Returns:
        A layout that is the same at both dates.
    """
    half = float(np.hypot(*frame.shape)) / 2 + 40
    grain = rng.uniform(42, 78)
    parcels: list[Parcel] = []
    strips: list[Strip] = []

    river = _river(rng, frame) if rng.random() < 0.22 else None

    def surroundings() -> str:
        return choose(rng, dict(country=3, suburb=3, town=2, works=2))

    def cut(low: tuple[float, float], high: tuple[float, float], zone: str) -> None:
        if is_empty(frame.window(low, high, 12)):
            return
        sides = (high[0] - low[0], high[1] - low[1])
        axis = int(sides[1] > sides[0]) if rng.random() < 0.85 else int(rng.random() < 0.5)
        if max(sides) > 220 and rng.random() < 0.6:
            zone = surroundings()
        if sides[axis] < max(grain * rng.uniform(0.9, 1.5), 2 * SMALLEST_PARCEL + 6):
            parcels.append(_settle(rng, low, high, zone, river))
            return
        kind, width = _border(rng, max(sides), zone)
        at = low[axis] + sides[axis] * rng.uniform(0.36, 0.64)
        near, far = list(high), list(low)
        near[axis], far[axis] = at - width / 2, at + width / 2
        cut(low, (near[0], near[1]), zone)
        cut((far[0], far[1]), high, zone)
        if kind != 'none':
            strip_low, strip_high = list(low), list(high)
            strip_low[axis], strip_high[axis] = at - width / 2, at + width / 2
            strips.append(
                Strip(
                    (strip_low[0], strip_low[1]),
                    (strip_high[0], strip_high[1]),
                    1 - axis,
                    kind,
                    new_seed(rng),
                )
            )

    shift = rng.uniform(-30, 30, 2)
    cut(
        (-half + shift[0], -half + shift[1]),
        (half + shift[0], half + shift[1]),
        surroundings(),
    )
    # Wide roads are the early cuts, appended last, and so cover the strips that they cross.
    return Layout(tuple(parcels), tuple(strips), river)


def _border(rng: np.random.Generator, side: float, zone: str) -> tuple[str, float]:
    """Return kind and width in pixels of a cut through a block of the given length."""
    if side > 130:
        return ('road', rng.uniform(7, 10)) if rng.random() < 0.8 else ('lane', 5.0)
    if zone == 'country':
        kind = choose(rng, dict(lane=3, hedge=3, none=4))
    else:
        kind = choose(rng, dict(lane=7, hedge=2, none=1))
    return kind, dict(lane=rng.uniform(4, 6), hedge=rng.uniform(5, 8), none=0.0)[kind]


def _river(rng: np.random.Generator, frame: Frame) -> River:
    return River(
        offset=rng.uniform(-0.3, 0.3) * min(frame.shape),
        bow=rng.uniform(6, 18),
        bend=rng.uniform(30, 60),
        phase=rng.uniform(0, 2 * np.pi),
        width=rng.uniform(7, 15),
        seed=new_seed(rng),
    )


def _settle(
    rng: np.random.Generator,
    low: tuple[float, float],
    high: tuple[float, float],
    zone: str,
    river: River | None,
) -> Parcel:
    """Give a parcel a use that fits its surroundings and its size."""
    weights = dict(SURROUNDINGS[zone])
    if not fits_sports(high[0] - low[0], high[1] - low[1]):
        weights.pop('sports', None)
    u, v = np.meshgrid(np.linspace(low[0], high[0], 9), np.linspace(low[1], high[1], 9))
    # The parcel is bent and the river is not, hence the room between them.
    riverside = river is not None and bool((river.distance(u, v) < river.width + 6).any())
    if riverside:
        weights = dict(field=3, meadow=2, forest=2, park=1, bare=1)
    layers = (Layer(choose(rng, weights), new_seed(rng)),)
    return Parcel(low, high, layers, layers, riverside)


def fits_sports(length: float, width: float) -> bool:
    """Return whether a sports ground has room on a parcel of these sides, in pixels."""
    return min(length, width) >= 30 and max(length, width) >= 40
