"""Weights and images of the worked numbers in tests/data/efficientnet_lite.json.

They are drawn entry by entry from a seed, by the place of an entry in the state dict, so that
timm's network and this package's get the same without sharing names.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch
from numpy.random import PCG64, Generator

FILE = Path(__file__).parent / 'data' / 'efficientnet_lite.json'
SIZES = ((64, 96), (75, 53))
VALUES = 8


def load_numbers():
    return json.loads(FILE.read_text())


def drawn_weights(state):
    """A state dict with weights of usual size in place of what is in it."""
    return {
        key: torch.from_numpy(_drawn(key, tuple(value.shape), Generator(PCG64(index))))
        for index, (key, value) in enumerate(state.items())
    }


def _drawn(key, shape, rng):
    role = key.rpartition('.')[2]
    if role == 'num_batches_tracked':
        return np.zeros(shape, np.int64)
    if len(shape) > 1:
        return rng.normal(0, math.sqrt(2 / math.prod(shape[1:])), shape)
    if role in ('weight', 'running_var'):
        return rng.uniform(0.5, 1.5, shape)
    return rng.normal(0, 0.1, shape)


def drawn_image(size):
    return torch.from_numpy(Generator(PCG64(0)).uniform(-1, 1, (1, 3, *size)))


def summary(level):
    """Shape, mean, standard deviation and some values of a map."""
    flat = level.flatten()
    indices = np.linspace(0, len(flat) - 1, VALUES).round().astype(int)
    return {
        'shape': list(level.shape),
        'mean': flat.mean().item(),
        'std': flat.std().item(),
        'values': flat[torch.from_numpy(indices)].tolist(),
    }
