"""Turn a painted surface into a picture: sun and shadows, season, air, sensor.

All of these differ between the dates without a change of land cover.
"""

from __future__ import annotations

import numpy as np

from tfinet_mm.datasets.synthetic.canvas import GRASS, TREE, WATER, Surface
from tfinet_mm.datasets.synthetic.raster import MARGIN, cv2, smooth_noise


def photograph(
    rng: np.random.Generator, surface: Surface, strength: float, shift: float
) -> np.ndarray:
    """Take a picture of a surface.

    Args:
        rng: Random generator of this one picture.
        surface: The painted surface, H x W with its margin.
        strength: Strength of season, light, haze, blur and noise; 1 is usual, 0 none.
        shift: Largest misregistration in pixels along each axis.

    Returns:
        RGB uint8 (H - 2 MARGIN, W - 2 MARGIN, 3).
    """
    image = _season(rng, surface, strength)
    image *= _sunlight(rng, surface, strength)
    image = _air(rng, image, strength)
    image = _optics(rng, image, strength, shift)
    return _sensor(rng, image[MARGIN:-MARGIN, MARGIN:-MARGIN], strength)


def _season(rng: np.random.Generator, surface: Surface, strength: float) -> np.ndarray:
    """Return a picture with grass, trees and water in the tints of a time of year."""
    factors = np.ones((7, 3), np.float32)
    # From lush (more green, less red) to dry (yellow and brown).
    dryness = strength * rng.uniform(-0.8, 0.8)
    for cover, amount in ((GRASS, 1.0), (TREE, 0.9)):
        own = dryness * amount + strength * rng.normal(0, 0.25)
        factors[cover] = np.array([1 + 0.20 * own, 1 + 0.03 * own, 1 + 0.05 * own])
        factors[cover] *= 1 + strength * rng.normal(0, 0.08)
    factors[WATER] = 1 + strength * rng.normal(0, 0.08, 3)
    return surface.albedo * factors[surface.cover]


def _sunlight(rng: np.random.Generator, surface: Surface, strength: float) -> np.ndarray:
    """Return the light on each pixel (H, W, 3), from slopes towards the sun and cast shadows."""
    # The pictures are taken about noon on the northern half: the sun stands in the south.
    azimuth = np.pi / 2 + strength * rng.uniform(-1.0, 1.0)
    elevation = np.deg2rad(48 + strength * rng.uniform(-16, 16))
    towards = np.cos(azimuth), np.sin(azimuth)  # right, down
    slope_y, slope_x = np.gradient(surface.relief)
    inside = (np.abs(slope_x) < 1.2) & (np.abs(slope_y) < 1.2)
    lit = -(slope_x * towards[0] + slope_y * towards[1]) / np.tan(elevation)
    shading = 1 + 0.45 * np.clip(lit * inside, -0.8, 0.8)
    shadow = cast_shadows(surface.height, towards, float(np.tan(elevation)))
    shadow = cv2.GaussianBlur(shadow, (0, 0), 0.6)[..., None]
    # Shaded ground is lit by the sky alone, which is blue.
    left = 0.42 + strength * rng.uniform(-0.08, 0.08)
    depth = 1 - left * np.array([0.92, 1.0, 1.12])
    return (shading[..., None] * (1 - shadow) + shadow * (1 - depth)).astype(np.float32)


def cast_shadows(height: np.ndarray, towards: tuple[float, float], steepness: float) -> np.ndarray:
    """Find the pixels in the shadow of something higher.

    Args:
        height: Height of each pixel in pixels, float32 (H, W).
        towards: Direction of the sun in the picture, a unit vector (right, down).
        steepness: Tangent of the sun's elevation.

    Returns:
        1 in shadow and 0 in the sun, float32 (H, W).

    Example:
        A wall 2 pixels high, the sun at 45 degrees on the right:

        >>> cast_shadows(np.array([[0, 0, 0, 0, 2, 0]], np.float32), (1.0, 0.0), 1.0)
        array([[0., 0., 1., 1., 0., 0.]], dtype=float32)
    """
    rows, columns = height.shape
    reach = min(int(np.ceil(float(height.max()) / steepness)), MARGIN)
    padded = np.pad(height, reach)
    shadow = np.zeros(height.shape, bool)
    for step in range(1, reach + 1):
        right, down = (round(step * part) for part in towards)
        other = padded[reach + down : reach + down + rows, reach + right : reach + right + columns]
        shadow |= other >= height + np.float32(step * steepness) - np.float32(1e-4)
    return shadow.astype(np.float32)


def _air(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    """Add haze to the whole picture, thicker in some places."""
    thickness = strength * (0.03 + 0.2 * rng.beta(1.2, 2.6))
    uneven = thickness * (1 + 0.25 * smooth_noise(rng, image.shape[:2], 90.0))
    veil = np.clip(uneven, 0, 0.6).astype(np.float32)[..., None]
    white = np.array([196, 204, 212], np.float32) + np.float32(rng.normal(0, 10))
    return image * (1 - veil) + white * veil


def _optics(
    rng: np.random.Generator, image: np.ndarray, strength: float, shift: float
) -> np.ndarray:
    """Blur the picture, and shift and turn it slightly against the labels."""
    sigma = 0.3 + strength * rng.uniform(0.05, 0.4)
    image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), sigma)
    right, down = shift * rng.uniform(-1, 1, 2)
    # A turn moves the corners by at most a third of the shift.
    angle = shift * rng.uniform(-1, 1) / (3 * float(np.hypot(*image.shape[:2])) / 2)
    middle_y, middle_x = (image.shape[0] - 1) / 2, (image.shape[1] - 1) / 2
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix = np.array(
        [
            [cosine, -sine, middle_x * (1 - cosine) + middle_y * sine + right],
            [sine, cosine, middle_y * (1 - cosine) - middle_x * sine + down],
        ]
    )
    size = (image.shape[1], image.shape[0])
    return cv2.warpAffine(
        image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )


def _sensor(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    """Apply exposure, colour balance, contrast and noise, and round to 8 bits."""
    gain = np.exp(strength * rng.normal(0, 0.08))
    balance = np.exp(strength * rng.normal(0, 0.035, 3))
    gamma = np.exp(strength * rng.normal(0, 0.1))
    image = 255 * np.power(np.clip(image * (gain * balance) / 255, 0, 1), gamma)
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    image = image + strength * rng.uniform(1.0, 3.0) * noise
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
