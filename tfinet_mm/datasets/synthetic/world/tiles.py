"""Make tiles of noise and tree crowns once a process, and cut them at random for each scene."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tfinet_mm.datasets.synthetic.raster import cv2, generator

SIDE = 1024
_SEED = 20_260


@dataclass(frozen=True)
class Tiles:
    """Periodic tiles of ``SIDE`` x ``SIDE`` pixels, float32.

    Attributes:
        bands: Noise of four feature sizes (4, SIDE, SIDE): about 60, 14, 4 and 1.5 pixels; mean
            0, standard deviation 1.
        crowns: Domes (0 between crowns, 1 on top) and tones (a number in -1..1 for each
            crown) of trees, by their distance in pixels, each (2, SIDE, SIDE).
    """

    bands: np.ndarray
    crowns: dict[int, np.ndarray]


@lru_cache(maxsize=1)
def tiles() -> Tiles:
    """Return the tiles of this process; they are the same in every process."""
    rng = generator(_SEED)
    bands = np.stack(
        [_band(rng, low, high) for low, high in ((28, 200), (7, 28), (2.6, 7), (1, 3))]
    )
    return Tiles(bands, {spacing: _crowns(rng, spacing) for spacing in (6, 16)})


@dataclass(frozen=True)
class Fields:
    """Noise that the textures of one scene are made from, each float32 (H, W).

    Attributes:
        coarse: Noise of features of about 60 pixels; mean 0, standard deviation 1.
        mid: Likewise, about 14 pixels.
        fine: Likewise, about 4 pixels.
        grain: Likewise, about 1.5 pixels.
        dome: Height of tree crowns, 0 between them to 1 on top.
        tone: One number in -1..1 for each crown.
    """

    coarse: np.ndarray
    mid: np.ndarray
    fine: np.ndarray
    grain: np.ndarray
    dome: np.ndarray
    tone: np.ndarray


def cut_fields(rng: np.random.Generator, shape: tuple[int, int], spacing: float) -> Fields:
    """Cut the fields of a scene out of the tiles.

    Args:
        rng: Random generator.
        shape: Rows and columns (H, W), 1024 at most.
        spacing: Distance of trees in pixels.
    """
    bank = tiles()
    bands = [_cut(rng, band, shape) for band in bank.bands]
    kept = 16 if spacing >= 8 else 6
    # Where trees are closer than pixels, only the tone of a stand remains.
    scale = float(np.clip(kept / spacing, 0.2, SIDE / (max(shape) + 1)))
    source = tuple(int(np.ceil(side * scale)) for side in shape)
    crowns = _cut(rng, bank.crowns[kept].transpose(1, 2, 0), (source[0], source[1]))
    how = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    crowns = cv2.resize(np.ascontiguousarray(crowns), shape[::-1], interpolation=how)
    dome, tone = crowns.transpose(2, 0, 1)
    coarse, mid, fine, grain = bands
    crown = np.ascontiguousarray(dome), np.ascontiguousarray(tone)
    return Fields(coarse, mid, fine, grain, *crown)


def white_noise(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return white noise of three channels, float32 (H, W, 3), mean 0, standard deviation 1."""
    tile = _white()
    top, left = rng.integers(0, (SIDE - shape[0] + 1, SIDE - shape[1] + 1))
    return tile[top : top + shape[0], left : left + shape[1]]


@lru_cache(maxsize=1)
def _white() -> np.ndarray:
    return generator(_SEED, 1).standard_normal((SIDE, SIDE, 3), dtype=np.float32)


def _cut(rng: np.random.Generator, tile: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a part of a tile, turned or mirrored."""
    turned = bool(rng.random() < 0.5)
    rows, columns = shape[::-1] if turned else shape
    top, left = rng.integers(0, (SIDE - rows + 1, SIDE - columns + 1))
    part = tile[top : top + rows, left : left + columns]
    if turned:
        part = part.swapaxes(0, 1)
    for axis in (0, 1):
        if rng.random() < 0.5:
            part = np.flip(part, axis)
    return np.ascontiguousarray(part)


def _band(rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """Return noise of wavelengths between two lengths in pixels, falling off as 1/f."""
    across = np.fft.fftfreq(SIDE)[:, None]
    along = np.fft.rfftfreq(SIDE)[None]
    frequency = np.hypot(across, along)
    frequency[0, 0] = 1
    gain = 1 / frequency
    gain *= np.exp(-((frequency * low) ** 2)) * (1 - np.exp(-((frequency * high) ** 2)))
    gain[0, 0] = 0
    white = np.fft.rfft2(rng.standard_normal((SIDE, SIDE)))
    noise = np.fft.irfft2(white * gain, (SIDE, SIDE))
    return (noise / noise.std()).astype(np.float32)


def _crowns(rng: np.random.Generator, spacing: int) -> np.ndarray:
    """Draw crowns of several sizes on a jittered grid, which form a closed canopy."""
    count = int(np.ceil(SIDE / spacing)) + 2
    jitter = rng.uniform(0.05, 0.95, (2, count, count)).astype(np.float32)
    radii = rng.uniform(0.55, 1.05, (count, count)).astype(np.float32)
    tones = rng.uniform(-1, 1, (count, count)).astype(np.float32)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) / np.float32(spacing)
    row, column = y.astype(np.intp), x.astype(np.intp)
    dome = np.zeros((SIDE, SIDE), np.float32)
    tone = np.zeros((SIDE, SIDE), np.float32)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            r, c = np.clip(row + down, 0, count - 1), np.clip(column + right, 0, count - 1)
            away = (row + down + jitter[0, r, c] - y) ** 2 + (
                column + right + jitter[1, r, c] - x
            ) ** 2
            own = 1 - away / radii[r, c] ** 2
            higher = own > dome
            np.copyto(dome, own, where=higher)
            np.copyto(tone, tones[r, c], where=higher)
    return np.stack([np.sqrt(dome), tone])
