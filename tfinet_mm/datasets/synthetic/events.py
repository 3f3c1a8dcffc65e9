"""Change parcels between the dates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tfinet_mm.datasets.synthetic.layout import (
    Layer,
    Layout,
    Parcel,
    choose,
    fits_sports,
    new_seed,
)

TRANSITIONS: dict[str, dict[str, float]] = {
    'field': dict(
        houses=6, blocks=7, industry=8, bare=3, pond=0.8, sports=1.4, forest=1.2, paved=1, road=1.5
    ),
    'meadow': dict(
        houses=6,
        blocks=6,
        industry=7,
        bare=2.5,
        pond=0.7,
        sports=1.4,
        forest=1.2,
        paved=1,
        road=1.5,
    ),
    'forest': dict(bare=5, field=2, meadow=2, houses=2.5, blocks=2.5, industry=3, road=1.5),
    'park': dict(blocks=4, sports=1.5, bare=2, paved=1, pond=0.7),
    'bare': dict(
        blocks=8, industry=10, houses=6, sports=1.5, meadow=2, field=1.2, forest=1, pond=0.7
    ),
    'paved': dict(industry=5, blocks=5, sports=1, meadow=1, park=1),
    'houses': dict(blocks=5, bare=5, industry=2.5, infill=3, meadow=1),
    'blocks': dict(blocks=1, bare=3, infill=3, industry=1.5),
    'industry': dict(industry=2, blocks=2.5, bare=3.5, paved=0.7),
    'pond': dict(bare=2, field=2, meadow=1.5, industry=0.8),
    'sports': dict(blocks=1, bare=1.5, meadow=1, industry=0.7),
}
"""Uses that a parcel of one use changes into, with their weights."""

# These uses have no parts of fixed size, so they may cover only a part of a parcel.
SPREADING = frozenset({'bare', 'field', 'meadow', 'forest', 'pond'})


def choose_share(rng: np.random.Generator, mean: float, unchanged: float) -> float:
    """Draw the share of a pair's parcels that is to change.

    Args:
        rng: Random generator.
        mean: Mean over many pairs, 0..1.
        unchanged: Share of the pairs that get no event, 0..1.

    Returns:
        A share in 0..0.95, 0 for a pair without change.
    """
    if mean == 0 or rng.random() < unchanged:
        return 0.0
    # An eighth of the pairs has one small event; the share of the others balances it.
    if rng.random() < 0.125:
        return 0.02
    return float(min(rng.beta(1.6, 2.4) * 3.3 * mean / max(1 - unchanged, 0.1), 0.95))


def apply_events(
    rng: np.random.Generator, layout: Layout, visible: np.ndarray, share: float
) -> Layout:
    """Change parcels around a centre of building activity until a share is reached.

    Args:
        rng: Random generator.
        layout: The layout, the same at both dates.
        visible: Share of the picture that each parcel covers, (number of parcels,).
        share: Share of the picture whose parcels are to change, 0..1.

    Returns:
        The layout with some parcels changed: at the second date or, where things
        are to vanish, at the first.
    """
    if share <= 0:
        return layout
    parcels = list(layout.parcels)
    order = np.argsort(_remoteness(rng, parcels))
    reached = 0.0
    for index in order[visible[order] > 0]:
        rest = share - reached
        if rest <= 0:
            break
        small = visible[index] > 2 * rest
        changed, part = _change(rng, parcels[index], small)
        affected = visible[index] * part
        # Without a toss for the last event the mean share would exceed the one asked for.
        if reached > 0 and rng.random() * affected > rest:
            break
        parcels[index] = changed
        reached += affected
    return replace(layout, parcels=tuple(parcels))


def _remoteness(rng: np.random.Generator, parcels: list[Parcel]) -> np.ndarray:
    """Return the distance of each parcel from a random one, shuffled a little."""
    middle = np.array([[(p.low[i] + p.high[i]) / 2 for i in (0, 1)] for p in parcels])
    start = middle[rng.integers(len(middle))]
    distance = np.hypot(*(middle - start).T)
    return distance + rng.uniform(0, 80, len(parcels))


def _change(rng: np.random.Generator, parcel: Parcel, small: bool) -> tuple[Parcel, float]:
    """Change a parcel, and return it with the share of it that is affected."""
    (old,) = parcel.before
    weights = dict(TRANSITIONS[old.use])
    if not fits_sports(*parcel.size):
        weights.pop('sports', None)
    if parcel.riverside:
        weights = {use: weight for use, weight in weights.items() if use in SPREADING}
    if small:
        # Prefer changes of a part of the parcel: a clearing, a pond, a few buildings.
        weights = {k: v for k, v in weights.items() if k in SPREADING | {'infill'}} or weights
    new = choose(rng, weights)
    if new == 'infill':
        thin = rng.uniform(0.35, 0.8)
        gaps = Layer(old.use, old.seed, thin=thin)
        # Mostly houses are added, now and then they are pulled down.
        if rng.random() < 0.7:
            return replace(parcel, before=(gaps,)), thin / 2
        return parcel.become(gaps), thin / 2
    if new == 'road':
        return parcel.become(old, Layer('road', new_seed(rng))), 0.15
    spreads = new in SPREADING and old.use in SPREADING | {'park'}
    blob = spreads and bool(small or rng.random() < 0.3)
    if blob:
        return parcel.become(old, Layer(new, new_seed(rng), blob=True)), 0.4
    return parcel.become(Layer(new, new_seed(rng))), 0.85
