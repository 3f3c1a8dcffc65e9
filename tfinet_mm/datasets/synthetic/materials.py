"""Draw colours and surface textures.

The colours of the classes overlap on purpose: roofs as grey as concrete or as
green as grass, ploughed fields as brown as bare soil, water as dark as a wood.
Texture, shape and surroundings tell them apart.
"""

from __future__ import annotations

import numpy as np

from tfinet_mm.datasets.synthetic.raster import Noise

Colour = np.ndarray
"""RGB reflectance, float32 (3,), 0..255."""

PALETTES: dict[str, tuple[tuple[int, int, int], ...]] = {
    'water': (
        (40, 54, 50),
        (54, 74, 64),
        (34, 42, 56),
        (86, 98, 80),
        (124, 118, 92),
        (52, 74, 46),
        (66, 90, 106),
        (104, 112, 98),
    ),
    'asphalt': ((98, 98, 100), (120, 118, 114), (84, 86, 92), (136, 132, 126), (108, 102, 96)),
    'concrete': (
        (170, 166, 156),
        (150, 150, 148),
        (188, 184, 174),
        (132, 130, 126),
        (162, 150, 134),
    ),
    'soil': (
        (150, 120, 88),
        (176, 146, 108),
        (128, 104, 82),
        (164, 112, 82),
        (184, 166, 136),
        (118, 106, 86),
        (104, 98, 72),
        (116, 116, 84),
        (146, 136, 96),
        (94, 100, 70),
    ),
    'crop': (
        (72, 102, 56),
        (94, 120, 64),
        (58, 84, 48),
        (122, 126, 76),
        (152, 144, 86),
        (180, 160, 112),
        (122, 98, 74),
        (98, 84, 66),
        (144, 120, 90),
        (112, 112, 84),
        (164, 136, 104),
        (138, 108, 84),
    ),
    'grass': (
        (92, 108, 66),
        (112, 118, 76),
        (130, 122, 84),
        (78, 96, 58),
        (146, 134, 98),
        (70, 84, 54),
    ),
    'tree': ((46, 66, 42), (58, 80, 48), (38, 54, 40), (72, 86, 50), (86, 86, 54), (64, 72, 54)),
    'roof': (
        (152, 86, 66),
        (130, 76, 64),
        (120, 120, 122),
        (146, 146, 144),
        (96, 98, 104),
        (200, 200, 196),
        (80, 118, 164),
        (92, 112, 84),
        (120, 100, 82),
        (70, 72, 74),
        (168, 150, 122),
        (84, 92, 66),
        (150, 124, 92),
        (104, 112, 78),
    ),
    'hall': (
        (84, 122, 170),
        (150, 152, 154),
        (206, 206, 202),
        (126, 124, 122),
        (88, 108, 86),
        (154, 108, 90),
        (108, 116, 118),
        (172, 160, 138),
        (98, 110, 76),
        (146, 126, 98),
    ),
    'track': ((160, 84, 68), (146, 92, 80), (72, 104, 148), (134, 84, 72), (120, 112, 100)),
    'pitch': ((74, 108, 58), (94, 118, 68), (140, 130, 88), (66, 94, 60), (116, 116, 76)),
    'car': ((220, 220, 220), (40, 42, 46), (150, 40, 40), (60, 80, 130), (140, 140, 142)),
}
"""Typical colours of each material, RGB 0..255."""


def pick(rng: np.random.Generator, material: str, spread: float = 7.0) -> Colour:
    """Return a colour of a material, with some variation in brightness and in hue.

    Args:
        rng: Random generator.
        material: A key of ``PALETTES``.
        spread: Standard deviation of the brightness in grey levels.

    Returns:
        RGB, float32 (3,).
    """
    table = PALETTES[material]
    colour = np.array(table[int(rng.integers(len(table)))], np.float32)
    return colour + np.float32(rng.normal(0, spread)) + rng.normal(0, 0.4 * spread, 3)


def blend(first: Colour, second: Colour, mix: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Mix two colours pixel by pixel and scale the result.

    Args:
        first: Colour where ``mix`` is 0.
        second: Colour where ``mix`` is 1.
        mix: Map (H, W), 0..1.
        light: Factor (H, W).

    Returns:
        Colours (H, W, 3) float32.
    """
    first, second = np.asarray(first, np.float32), np.asarray(second, np.float32)
    result = np.empty((*light.shape, 3), np.float32)
    # A loop over channels is three times as fast as an operation on a last axis of three.
    for channel, (low, high) in enumerate(zip(first, second, strict=True)):
        result[..., channel] = (low + (high - low) * mix) * light
    return result


def patches(field: np.ndarray, sharpness: float = 1.2) -> np.ndarray:
    """Turn noise into patches: values near 0 or 1 with soft borders."""
    return 1 / (1 + np.exp(-sharpness * 2 * field))


def soil(rng: np.random.Generator, noise: Noise) -> np.ndarray:
    """Return bare earth: two tones in large patches, rough at every scale."""
    light = 1 + 0.07 * noise.grain + 0.11 * noise.fine + 0.08 * noise.medium
    return blend(pick(rng, 'soil'), pick(rng, 'soil'), patches(noise.coarse), light)


def pavement(rng: np.random.Generator, noise: Noise, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return concrete with joints, or asphalt with repairs."""
    if rng.random() < 0.5:
        period = rng.uniform(9, 14)
        joint = (np.mod(u, period) < 1) | (np.mod(v, period) < 1)
        base, contrast = pick(rng, 'concrete'), -0.2
    else:
        joint = noise.coarse + 0.5 * noise.medium > 1.1
        base, contrast = pick(rng, 'asphalt'), -0.1
    light = 1 + 0.025 * noise.grain + 0.02 * noise.coarse + contrast * joint
    return blend(base, base, noise.coarse, light)


def grass(rng: np.random.Generator, noise: Noise) -> np.ndarray:
    """Return meadow or lawn: soft patches of two greens."""
    light = 1 + 0.02 * noise.grain + 0.03 * noise.fine + 0.05 * noise.medium
    return blend(pick(rng, 'grass'), pick(rng, 'grass'), patches(noise.medium, 0.8), light)


def water(rng: np.random.Generator, noise: Noise) -> np.ndarray:
    """Return a smooth surface with slow changes of colour, nearly without grain."""
    base = pick(rng, 'water', 5)
    light = 1 + 0.012 * noise.grain + 0.05 * noise.coarse
    return blend(base, base * 0.85 + 6, patches(noise.coarse, 0.6), light)


def crop(
    rng: np.random.Generator, state: np.random.Generator, noise: Noise, u: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """Return a field with furrows, which are the same at both dates, and a crop, which isn't.

    Args:
        rng: Random generator of the furrows, the same at both dates.
        state: Random generator of the crop, another one at each date.
        noise: Noise over the field.
        u: Coordinate along the streets (H, W), pixels.
        v: Coordinate across (H, W), pixels.

    Returns:
        Colours (H, W, 3) float32.
    """
    across, along = (u, v) if rng.random() < 0.5 else (v, u)
    period, depth = rng.uniform(3.6, 6.5), rng.uniform(0.13, 0.22)
    furrow = np.sin((2 * np.pi / period) * across + 0.5 * noise.coarse)
    first = pick(state, 'crop')
    second = pick(state, 'crop') if state.random() < 0.35 else first * 0.88
    # Beds: some fields are worked in broad strips of slightly different tone.
    bed = rng.uniform(14, 34)
    mix = 0.5 * (np.mod(along if rng.random() < 0.3 else across, 2 * bed) < bed)
    mix = mix + 0.4 * patches(noise.coarse)
    light = 1 + depth * furrow + 0.03 * noise.grain + 0.04 * noise.fine
    return blend(first, second, mix, light)


def leaves(
    rng: np.random.Generator, noise: Noise, tone: np.ndarray, dome: np.ndarray
) -> np.ndarray:
    """Return tree tops: crowns of different tones, dark between them."""
    light = (0.62 + 0.5 * dome) * (1 + 0.16 * tone) * (1 + 0.06 * noise.grain + 0.04 * noise.fine)
    return blend(pick(rng, 'tree', 5), pick(rng, 'tree', 5), 0.5 + 0.5 * tone, light)
