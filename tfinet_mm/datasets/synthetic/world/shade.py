"""Turn the drawing of one date into the light that reaches the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfinet_mm.datasets.synthetic.raster import cv2
from tfinet_mm.datasets.synthetic.world.season import KINDS, Season
from tfinet_mm.datasets.synthetic.world.sketch import AFTER, Sketch
from tfinet_mm.datasets.synthetic.world.tiles import Fields

LONGEST_SHADOW = 40
"""Length of the longest shadow in pixels."""


@dataclass(frozen=True)
class Sun:
    """Direction of the light.

    Attributes:
        towards: Direction of the sun in the picture: right, down.
        steepness: Tangent of its elevation.
        shade: Share of the light that remains in shadow.
    """

    towards: tuple[float, float]
    steepness: float
    shade: float


def draw_sun(rng: np.random.Generator) -> Sun:
    """Draw the direction of the sun, by hour and day."""
    # Pictures are taken about noon; a few are of the southern half, where the sun is in the north.
    azimuth = np.pi / 2 + rng.normal(0, 0.7) + (np.pi if rng.random() < 0.2 else 0)
    elevation = np.deg2rad(rng.uniform(24, 72))
    shade = float(np.clip(rng.normal(0.45, 0.12), 0.2, 0.95))
    return Sun((float(np.cos(azimuth)), float(np.sin(azimuth))), float(np.tan(elevation)), shade)


@dataclass(frozen=True)
class Table:
    """Table of the things of a sketch, by columns; walls follow the things.

    Attributes:
        cover: Land-cover class, uint8 (2n,).
        identity: Number of the building, int32 (2n,).
        fleeting: True for things that may differ without a change, bool (2n,).
        dates: Dates at which the things are there, uint8 (2n,).
        kinds: Index into :data:`KINDS`, (2n,).
        first: Tones at the two dates, float (2, 2n, 3).
        second: Likewise.
        strengths: patch, coarse, mid, fine, grain, crown, stripe, cross, hard, snow, float32
            (10, 2n).
        height: Height in pixels, float32 (2n,).
        normal: Slope in the picture's axes, float32 (2n, 2).
        waves: Wave vectors of stripes, radians a pixel, float32 (4, 2n).
    """

    cover: np.ndarray
    identity: np.ndarray
    fleeting: np.ndarray
    dates: np.ndarray
    kinds: np.ndarray
    first: np.ndarray
    second: np.ndarray
    strengths: np.ndarray
    height: np.ndarray
    normal: np.ndarray
    waves: np.ndarray


def tabulate(rng: np.random.Generator, sketch: Sketch) -> Table:
    """Turn the things of a sketch into columns.

    Args:
        rng: Random generator of the tones of the walls.
        sketch: The things.
    """
    things = sketch.things
    place = sketch.place
    materials = [thing.material for thing in things]
    pairs = np.array(
        [
            (
                thing.look.first,
                thing.look.second,
                *(thing.look.later or (thing.look.first, thing.look.second)),
            )
            for thing in things
        ]
    )
    strengths = np.array(
        [
            (m.patch, m.coarse, m.mid, m.fine, m.grain, m.crown, m.stripe, m.cross, m.hard, m.snow)
            for m in materials
        ],
        np.float32,
    ).T
    wall_strengths = strengths.copy()
    wall_strengths[5:8], wall_strengths[9] = 0, 0
    walls = pairs * rng.uniform(0.45, 0.9) + rng.uniform(0, 30, 3)
    vectors = np.array([(thing.waves, thing.waves_across) for thing in things])
    vectors = 2 * np.pi * place.resolution * (vectors @ place.turn.T)
    normals = np.array([thing.normal for thing in things]) @ place.turn.T
    both = np.concatenate([pairs, walls]).transpose(1, 0, 2)

    def column(values: list[float], kind: type) -> np.ndarray:
        return np.array(values * 2, kind)

    return Table(
        cover=column([m.cover for m in materials], np.uint8),
        identity=column([thing.identity for thing in things], np.int32),
        fleeting=column([thing.fleeting for thing in things], np.bool_),
        dates=column([thing.dates for thing in things], np.uint8),
        kinds=column([KINDS.index(m.kind) for m in materials], np.intp),
        first=both[[0, 2]],
        second=both[[1, 3]],
        strengths=np.concatenate([strengths, wall_strengths], axis=1),
        height=column([thing.height / place.resolution for thing in things], np.float32),
        normal=np.tile(normals, (2, 1)).astype(np.float32),
        waves=np.tile(vectors.reshape(-1, 4).T, 2).astype(np.float32),
    )


def shade(
    numbers: np.ndarray, table: Table, fields: Fields, season: Season, sun: Sun, date: int
) -> np.ndarray:
    """Compute the light that each pixel reflects upwards.

    Args:
        numbers: Number of the thing at each pixel, int32 (H, W).
        table: The things.
        fields: Noise and crowns of the scene.
        season: State of the land.
        sun: The light.
        date: ``BEFORE`` or ``AFTER``.

    Returns:
        RGB, float32 (H, W, 3), about 0..255.
    """
    late = int(date == AFTER)
    first = season.apply(table.first[late], table.kinds)
    second = season.apply(table.second[late], table.kinds)
    slope = 1 + 0.28 * (table.normal @ np.array(sun.towards, np.float32)) / max(sun.steepness, 0.6)
    first = (first * slope[:, None]).astype(np.float32)
    second = (second * slope[:, None]).astype(np.float32)
    patch, coarse, mid, fine, grain, crown, stripe, cross, hard, snow = table.strengths
    mix = 1 / (1 + np.exp(-2.4 * patch.take(numbers) * (fields.mid + 0.6 * fields.coarse)))
    texture = 1 + coarse.take(numbers) * fields.coarse
    texture += mid.take(numbers) * fields.mid
    texture += fine.take(numbers) * fields.fine
    texture += grain.take(numbers) * fields.grain
    leaves = crown.take(numbers)
    if (leaves > 0).any():
        slope_y, slope_x = np.gradient(fields.dome)
        lit = -(slope_x * sun.towards[0] + slope_y * sun.towards[1])
        texture += leaves * (
            0.75 * fields.dome - 0.5 + 0.9 * np.clip(lit, -0.4, 0.4) + 0.14 * fields.tone
        )
    texture += _stripes(numbers, table, fields, stripe, hard, 0)
    if cross.any():
        texture += _stripes(numbers, table, fields, cross, hard, 2)
    np.clip(texture, 0.15, 2.5, out=texture)
    image = np.empty((*numbers.shape, 3), np.float32)
    shadow = _shadow(numbers, table, fields, sun)
    light = texture * (1 - shadow * (1 - sun.shade))
    for channel in range(3):
        low = first[:, channel].take(numbers)
        image[..., channel] = (low + (second[:, channel].take(numbers) - low) * mix) * light
    # Shaded ground is lit by the sky alone, which is blue.
    image[..., 0] *= 1 - 0.12 * shadow
    image[..., 2] *= 1 + 0.12 * shadow
    if season.snow > 0:
        _snow(image, numbers, snow, fields, season.snow, light)
    return image


def _stripes(
    numbers: np.ndarray,
    table: Table,
    fields: Fields,
    strength: np.ndarray,
    hard: np.ndarray,
    which: int,
) -> np.ndarray | float:
    own = strength.take(numbers)
    if not (own > 0).any():
        return 0.0
    rows = np.arange(numbers.shape[0], dtype=np.float32)[:, None]
    columns = np.arange(numbers.shape[1], dtype=np.float32)[None]
    phase = table.waves[which].take(numbers) * columns + table.waves[which + 1].take(numbers) * rows
    wave = np.sin(phase + 0.25 * fields.coarse) * hard.take(numbers)
    return np.asarray(own * np.clip(wave, -1, 1))


def _shadow(numbers: np.ndarray, table: Table, fields: Fields, sun: Sun) -> np.ndarray:
    """Return the shadow of higher things on each pixel, float32 (H, W), 0..1."""
    crown = table.strengths[5]
    height = table.height.take(numbers)
    leaves = crown.take(numbers) > 0.3
    height = np.where(leaves, height * (0.3 + 0.7 * fields.dome), height)
    rows, columns = height.shape
    reach = min(int(np.ceil(float(height.max()) / sun.steepness)), LONGEST_SHADOW)
    if reach < 1:
        return np.zeros(height.shape, np.float32)
    padded = cv2.copyMakeBorder(height, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    # A pixel is lit if it rises above this horizon.
    horizon = np.full(height.shape, -1e3, np.float32)
    step = 1
    while step <= reach:
        right, down = (round(step * part) for part in sun.towards)
        other = padded[reach + down : reach + down + rows, reach + right : reach + right + columns]
        np.maximum(horizon, other - np.float32(step * sun.steepness), out=horizon)
        step += 1 if step < 12 else 2
    shadow = np.clip(horizon - height, 0, 1)
    return np.asarray(cv2.GaussianBlur(shadow, (0, 0), 0.6))


def _snow(
    image: np.ndarray,
    numbers: np.ndarray,
    hold: np.ndarray,
    fields: Fields,
    depth: float,
    light: np.ndarray,
) -> None:
    """Cover a picture with snow, in place."""
    cover = hold.take(numbers) * np.clip(
        1.6 * depth + 0.35 * fields.mid + 0.2 * fields.fine - 0.3, 0, 1
    )
    white = np.array([226, 230, 236], np.float32)
    shine = (0.35 + 0.65 * light)[..., None]
    image += cover[..., None] * (white * shine - image)
