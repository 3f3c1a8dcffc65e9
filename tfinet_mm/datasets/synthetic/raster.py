"""Make noise, coordinates and masks, from which layouts and textures are drawn.

A scene is drawn on a canvas that is ``MARGIN`` pixels larger than the picture
on each side, so that shadows fall in from outside and a shifted second date
has content at its border.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np

from tfinet_mm.errors import MissingExtraError

MARGIN = 20
"""Pixels of world drawn beyond each side of the picture."""

Window = tuple[slice, slice]
"""Rows and columns of a part of the canvas."""


def _import_cv2() -> ModuleType:
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError(
            'the synthetic data set is drawn with OpenCV, which is not installed; it comes with '
            'pip install "tfinet-mm[mm]"'
        ) from error
    return cv2


cv2 = _import_cv2()


def generator(*entropy: int) -> np.random.Generator:
    """Return a random generator that depends on the given numbers alone.

    Args:
        *entropy: Non-negative integers.

    Returns:
        PCG64 over a seed sequence, the same on every machine and in every process.

    Example:
        >>> int(generator(0, 7).integers(1000)) == int(generator(0, 7).integers(1000))
        True
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> np.ndarray:
    """Return noise whose features are about ``scale`` pixels wide.

    Args:
        rng: Random generator.
        shape: Rows and columns (H, W).
        scale: Feature size in pixels; 1 is white noise.

    Returns:
        Array (H, W) float32, mean about 0, standard deviation about 1.
    """
    if scale <= 1:
        return rng.standard_normal(shape, dtype=np.float32)
    rows, columns = (int(np.ceil(side / scale)) + 3 for side in shape)
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    size = (int(np.ceil(columns * scale)), int(np.ceil(rows * scale)))
    fine = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    # Start inside the first cell: the cubic filter repeats the border before it.
    start = int(scale)
    # Interpolation averages neighbours, which reduces the spread by about a quarter.
    return fine[start : start + shape[0], start : start + shape[1]] * np.float32(1.3)


@dataclass(frozen=True)
class Noise:
    """Noise fields at four feature sizes over a canvas, each (H, W) float32."""

    grain: np.ndarray
    fine: np.ndarray
    medium: np.ndarray
    coarse: np.ndarray

    @classmethod
    def make(cls, rng: np.random.Generator, shape: tuple[int, int]) -> Noise:
        """Draw the four fields: 1, 2.5, 6 and 18 pixels."""
        return cls(*(smooth_noise(rng, shape, scale) for scale in (1.0, 2.5, 6.0, 18.0)))

    def part(self, window: Window) -> Noise:
        """Return the same fields over a part of the canvas."""
        return Noise(
            self.grain[window], self.fine[window], self.medium[window], self.coarse[window]
        )


@dataclass(frozen=True)
class Crowns:
    """Tree crowns that cover a canvas without gaps; masks cut forests out of them.

    Attributes:
        dome: Height of the crown surface, 0 between crowns to 1 on top, (H, W).
        tone: One random number in -1..1 for each crown, (H, W).
    """

    dome: np.ndarray
    tone: np.ndarray

    @classmethod
    def make(cls, rng: np.random.Generator, shape: tuple[int, int], spacing: float) -> Crowns:
        """Place one tree in each cell of a jittered grid, ``spacing`` pixels apart."""
        rows, columns = (int(side / spacing) + 3 for side in shape)
        jitter = rng.uniform(0.15, 0.85, (2, rows, columns)).astype(np.float32)
        tones = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
        y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32) / np.float32(spacing) + 1
        row, column = y.astype(np.intp), x.astype(np.intp)
        nearest: np.ndarray = np.full(shape, np.inf, np.float32)
        tone: np.ndarray = np.zeros(shape, np.float32)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                r, c = row + down, column + right
                np.clip(r, 0, rows - 1, out=r)
                np.clip(c, 0, columns - 1, out=c)
                distance = (r + jitter[0, r, c] - y) ** 2 + (c + jitter[1, r, c] - x) ** 2
                closer = distance < nearest
                nearest = np.where(closer, distance, nearest)
                tone = np.where(closer, tones[r, c], tone)
        return cls(np.clip(1 - nearest / 0.62, 0, 1), tone)


@dataclass(frozen=True)
class Frame:
    """Coordinates of the canvas along and across the streets of the scene.

    Attributes:
        shape: Rows and columns of the canvas.
        straight: Rotated coordinates (2, H, W) in pixels, origin in the middle.
        bent: The same plus a smooth displacement, for parcels and roads.
        cosine: Cosine of the direction of the streets.
        sine: Sine of the direction of the streets.
    """

    shape: tuple[int, int]
    straight: np.ndarray
    bent: np.ndarray
    cosine: float
    sine: float

    @classmethod
    def make(cls, rng: np.random.Generator, shape: tuple[int, int]) -> Frame:
        """Turn the streets by a random angle and bend them a little."""
        angle = rng.uniform(0, np.pi)
        cosine, sine = float(np.cos(angle)), float(np.sin(angle))
        y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        y -= (shape[0] - 1) / 2
        x -= (shape[1] - 1) / 2
        straight = np.stack([cosine * x + sine * y, cosine * y - sine * x]).astype(np.float32)
        bend = np.stack([smooth_noise(rng, shape, 70.0) for _ in range(2)])
        return cls(shape, straight, straight + bend * rng.uniform(0.5, 4), cosine, sine)

    def window(self, low: tuple[float, float], high: tuple[float, float], reach: int) -> Window:
        """Return the part of the canvas that holds a rectangle given in street coordinates.

        Args:
            low: Smallest coordinates along and across.
            high: Largest coordinates along and across.
            reach: Pixels to add on every side.

        Returns:
            Rows and columns, possibly empty.
        """
        corners = [self.pixel(u, v) for u in (low[0], high[0]) for v in (low[1], high[1])]
        sides = []
        for values, end in zip(zip(*corners, strict=True), self.shape, strict=True):
            start, stop = int(min(values)) - reach, int(max(values)) + reach + 1
            sides.append(slice(min(max(start, 0), end), min(max(stop, 0), end)))
        return sides[0], sides[1]

    def pixel(self, u: float, v: float) -> tuple[float, float]:
        """Return the row and column of a point in straight street coordinates."""
        row = self.sine * u + self.cosine * v + (self.shape[0] - 1) / 2
        column = self.cosine * u - self.sine * v + (self.shape[1] - 1) / 2
        return row, column

    def unbend(self, u: float, v: float) -> tuple[float, float]:
        """Return straight coordinates of a point given in bent ones, to a fraction of a pixel."""
        row, column = self.pixel(u, v)
        r = min(max(int(row), 0), self.shape[0] - 1)
        c = min(max(int(column), 0), self.shape[1] - 1)
        offset = self.bent[:, r, c] - self.straight[:, r, c]
        return u - float(offset[0]), v - float(offset[1])


def is_empty(window: Window) -> bool:
    """Return whether a part of the canvas holds no pixel."""
    return any(side.stop <= side.start for side in window)
