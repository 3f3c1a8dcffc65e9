"""Weights, inputs and labels of the reference numbers in tests/data/published.

They are drawn key by key from a seed, so only the results are stored: arrays
in NAME.npz, the shapes of the state dict and the loss terms in NAME.json.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import PCG64, Generator

DATA = Path(__file__).parent / 'data' / 'published'


@dataclass
class Reference:
    seed: int
    size: tuple[int, int]
    state_dict: dict[str, torch.Tensor]
    before: torch.Tensor
    after: torch.Tensor
    outputs: dict[str, np.ndarray]
    training_loss: dict | None

    @property
    def inputs(self) -> torch.Tensor:
        return torch.cat([self.before, self.after], dim=1)


def load_reference(name: str) -> Reference:
    facts = json.loads((DATA / f'{name}.json').read_text())
    seed, (height, width) = facts['seed'], facts['size']
    state = {
        key: torch.as_tensor(_weight(key, shape, seed, facts['gain']))
        for key, shape in facts['state_dict'].items()
    }
    rng = Generator(PCG64(seed))
    before = rng.normal(0, 1, (1, 3, height, width))
    after = 0.6 * before + 0.8 * rng.normal(0, 1, (1, 3, height, width))
    return Reference(
        seed=seed,
        size=(height, width),
        state_dict=state,
        before=torch.from_numpy(before),
        after=torch.from_numpy(after),
        outputs=dict(np.load(DATA / f'{name}.npz')),
        training_loss=facts.get('training_loss'),
    )


def _weight(key: str, shape: list[int], seed: int, gain: float) -> np.ndarray:
    rng = Generator(PCG64(zlib.crc32(f'{seed}:{key}'.encode())))
    if key.endswith('num_batches_tracked'):
        return np.zeros(shape, np.int64)
    if key.endswith('running_var'):
        return rng.uniform(0.5, 1.5, shape)
    if key.endswith('running_mean'):
        return rng.normal(0, 0.1, shape)
    if len(shape) >= 2:
        return rng.normal(0, gain * np.sqrt(2 / np.prod(shape[1:])), shape)
    if key.endswith('weight'):
        return rng.uniform(0.5, 1.0, shape)
    return rng.normal(0, 0.1, shape)


def reference_labels(seed: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return semantic change maps 0..6 of the reference loss, (H, W) each."""
    rng = Generator(PCG64(1000 + seed))
    blocks = (size[0] // 16, size[1] // 16)
    tile = np.ones((16, 16))
    changed = np.kron(rng.random(blocks) < 0.35, tile)
    labels = [np.where(changed, np.kron(rng.integers(1, 7, blocks), tile), 0) for _ in range(2)]
    return labels[0].astype(np.int64), labels[1].astype(np.int64)
