"""Hold the surface that a scene is painted on, and the part of it that a parcel covers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfinet_mm.datasets.synthetic import materials
from tfinet_mm.datasets.synthetic.raster import Crowns, Frame, Noise, Window, is_empty

WATER, GROUND, GRASS, TREE, BUILDING, SPORTS = range(1, 7)
"""SECOND's land-cover classes as label files hold them."""


class Surface:
    """Ground at one date, seen from above, on a canvas of H x W pixels.

    Attributes:
        frame: Coordinates of the canvas.
        noise: Noise fields that both dates share.
        crowns: Tree crowns that both dates share.
        date: 0 for the first date, 1 for the second.
        cover: Land cover, uint8 (H, W), 1..6.
        building: Identity of the building on a pixel, int64 (H, W), 0 for none.
        albedo: Colour in even light, float32 (H, W, 3), 0..255.
        height: Height that casts shadows, float32 (H, W), pixels.
        relief: Height whose slope is shaded, float32 (H, W), pixels.
    """

    def __init__(self, frame: Frame, noise: Noise, crowns: Crowns, date: int) -> None:
        """Start with an empty surface; the parcels cover all of it."""
        self.frame, self.noise, self.crowns, self.date = frame, noise, crowns, date
        self.cover = np.full(frame.shape, GRASS, np.uint8)
        self.building = np.zeros(frame.shape, np.int64)
        self.albedo = np.full((*frame.shape, 3), 100, np.float32)
        self.height = np.zeros(frame.shape, np.float32)
        self.relief = np.zeros(frame.shape, np.float32)

    def fill(
        self,
        window: Window,
        mask: np.ndarray,
        cover: int,
        colour: np.ndarray,
        height: np.ndarray | float = 0.0,
        relief: np.ndarray | float = 0.0,
        building: int = 0,
    ) -> None:
        """Cover the masked pixels of a window.

        Args:
            window: Rows and columns of the canvas, h x w of them.
            mask: Pixels to cover, bool (h, w).
            cover: Land-cover class, 1..6.
            colour: One colour (3,), or one for each pixel (h, w, 3).
            height: Height of all pixels, or of each (h, w), pixels.
            relief: Relief of all pixels, or of each (h, w), pixels.
            building: Identity of the building, 0 for none.
        """
        np.copyto(self.cover[window], cover, where=mask)
        np.copyto(self.height[window], height, where=mask)
        np.copyto(self.relief[window], relief, where=mask)
        np.copyto(self.building[window], building, where=mask)
        self.albedo[window][mask] = colour[mask] if colour.ndim == 3 else colour

    def tint(self, window: Window, mask: np.ndarray, colour: np.ndarray, strength: float) -> None:
        """Paint over the colour alone: lines on a road, cars, tracks in the soil."""
        part = self.albedo[window]
        part[mask] += (colour - part[mask]) * np.float32(strength)


@dataclass(frozen=True)
class Cell:
    """Rectangle of a surface in bent street coordinates.

    Attributes:
        surface: The surface that it is a part of.
        window: Rows and columns, h x w of them.
        mask: The pixels inside, bool (h, w).
        u: Distance from the low side along the streets (h, w), pixels.
        v: Distance from the low side across (h, w), pixels.
        low: Coordinates of the low corner.
        size: Lengths along and across, in pixels.
    """

    surface: Surface
    window: Window
    mask: np.ndarray
    u: np.ndarray
    v: np.ndarray
    low: tuple[float, float]
    size: tuple[float, float]

    @classmethod
    def cut(
        cls, surface: Surface, low: tuple[float, float], high: tuple[float, float]
    ) -> Cell | None:
        """Return the part of a surface between two corners; None where it is off the canvas."""
        window = surface.frame.window(low, high, 14)
        if is_empty(window):
            return None
        u = surface.frame.bent[0][window] - np.float32(low[0])
        v = surface.frame.bent[1][window] - np.float32(low[1])
        size = (high[0] - low[0], high[1] - low[1])
        mask = (u >= 0) & (u < size[0]) & (v >= 0) & (v < size[1])
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        if not rows.size:
            return None
        # Every texture is computed over the whole window, so a tight one saves time.
        part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        window = (
            slice(window[0].start + part[0].start, window[0].start + part[0].stop),
            slice(window[1].start + part[1].start, window[1].start + part[1].stop),
        )
        return cls(surface, window, mask[part], u[part], v[part], low, size)

    @property
    def noise(self) -> Noise:
        """Return the shared noise over the window."""
        return self.surface.noise.part(self.window)

    def fill(
        self,
        mask: np.ndarray,
        cover: int,
        colour: np.ndarray,
        height: np.ndarray | float = 0.0,
        relief: np.ndarray | float = 0.0,
    ) -> None:
        """Cover the pixels of the cell that are in ``mask`` too."""
        self.surface.fill(self.window, mask & self.mask, cover, colour, height, relief)

    def tint(self, mask: np.ndarray, colour: np.ndarray, strength: float) -> None:
        """Paint over the colour of the pixels of the cell that are in ``mask`` too."""
        self.surface.tint(self.window, mask & self.mask, colour, strength)

    def plant(self, rng: np.random.Generator, mask: np.ndarray) -> None:
        """Grow trees: whole crowns whose shape is cut out of the shared crowns."""
        dome = self.surface.crowns.dome[self.window]
        tone = self.surface.crowns.tone[self.window]
        colour = materials.leaves(rng, self.noise, tone, dome)
        self.fill(mask & (dome > 0.04), TREE, colour, 2.5 + 3.5 * dome, 3.2 * dome)

    def trees(self, rng: np.random.Generator, spots: np.ndarray, radius: float) -> None:
        """Plant single trees.

        Args:
            rng: Random generator.
            spots: Places (n, 2) in the cell's coordinates.
            radius: Typical radius of a crown in pixels.
        """
        colours = [materials.pick(rng, 'tree', 5) for _ in range(2)]
        radii = radius * rng.uniform(0.8, 1.2, len(spots))
        for (u, v), r in zip(spots, radii, strict=True):
            u, v = float(u) + self.low[0], float(v) + self.low[1]
            colour = colours[int(rng.integers(2))] * rng.uniform(0.85, 1.1)
            window = self.surface.frame.window((u - r, v - r), (u + r, v + r), 5)
            if is_empty(window):
                continue
            bent = self.surface.frame.bent
            dome = 1 - ((bent[0][window] - u) ** 2 + (bent[1][window] - v) ** 2) / r**2
            dome = dome + 0.12 * self.surface.noise.fine[window]
            mask = (dome > 0) & (self.surface.cover[window] != BUILDING)
            if mask.any():
                dome = np.clip(dome, 0, 1)
                light = 0.7 + 0.4 * dome + 0.06 * self.surface.noise.grain[window]
                shaded = (colour * light[..., None]).astype(np.float32)
                self.surface.fill(window, mask, TREE, shaded, 2 + 2.5 * dome, 2.2 * dome)
