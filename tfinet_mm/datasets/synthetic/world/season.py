"""Draw the time of year and the state of the land at one date."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KINDS = ('stone', 'soil', 'grass', 'tree', 'crop', 'water', 'lawn')
"""Kinds of surfaces whose tones change separately with the season."""


@dataclass(frozen=True)
class Season:
    """Change of the tones of each kind of surface at one date.

    Attributes:
        gain: Factor of each channel, float (number of kinds, 3).
        tint: Tone that a kind is mixed with, float (number of kinds, 3).
        amount: Share of the tint, float (number of kinds,).
        snow: Depth of snow, 0 for none to 1 for closed.
    """

    gain: np.ndarray
    tint: np.ndarray
    amount: np.ndarray
    snow: float

    def apply(self, tones: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """Return tones (n, 3) of things of the kinds (n,) as they are at this date."""
        amount = self.amount[kinds][:, None]
        return np.asarray(tones * self.gain[kinds] * (1 - amount) + self.tint[kinds] * amount)


def draw_season(rng: np.random.Generator, dryness: float, winter: float) -> Season:
    """Draw the state of the land at a date.

    Args:
        rng: Random generator.
        dryness: 0 for lush to 1 for arid land.
        winter: Probability of snow.
    """
    count = len(KINDS)
    gain, tint = np.ones((count, 3)), np.zeros((count, 3))
    amount = np.zeros(count)
    dry = np.clip(dryness + rng.normal(0, 0.25), 0, 1)
    bare_trees = rng.random() < 0.18
    yellow = np.array([150, 134, 96]) + rng.normal(0, 10, 3)
    for name, share in (('grass', 0.85), ('tree', 0.25), ('crop', 0.4), ('lawn', 0.5)):
        index = KINDS.index(name)
        tint[index] = yellow * (0.7 if name == 'tree' else 1.0)
        amount[index] = np.clip(dry * share + rng.normal(0, 0.06), 0, 0.95)
        gain[index] = np.exp(rng.normal(0, 0.10) + rng.normal(0, 0.04, 3))
    if bare_trees:
        index = KINDS.index('tree')
        tint[index] = np.array([104, 94, 84]) + rng.normal(0, 10, 3)
        amount[index] = rng.uniform(0.4, 0.9)
    water = KINDS.index('water')
    gain[water] = np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.06, 3))
    if rng.random() < 0.12:
        # The sun mirrored by the water, or ice.
        tint[water] = np.array([170, 176, 180]) + rng.normal(0, 20, 3)
        amount[water] = rng.uniform(0.2, 0.8)
    # Wet ground is darker.
    gain[KINDS.index('soil')] = np.exp(rng.normal(0, 0.10))
    snow = float(rng.uniform(0.3, 1.0)) if rng.random() < winter else 0.0
    return Season(gain, tint, amount, snow)
