"""Draw the maps of a scene as tiles: colours, reduction to lower zooms, legends."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from tfinet_mm.scenes.result_rasters import Colour, ResultRaster, from_and_to, transition_colour
from tfinet_mm.scenes.styles import CHANGED_COLOUR, PROBABILITIES
from tfinet_mm.structures import ClassTable

OPAQUE = 255
PROBABILITY_STEPS = 255
CLEAR_PIXEL = (0, 0, 0, 0)


class Layer(Protocol):
    """Map that is drawn as tiles.

    Attributes:
        name: Its name.
        title: Description for readers.
        path: Raster on the grid of the scene.
        bands: Number of its bands.
        resampling: Name of rasterio's resampling to the highest zoom.
        legend: A ``name`` and a ``colour`` (#rrggbb) for each entry.
    """

    name: str
    title: str
    path: Path
    bands: int
    resampling: str
    legend: list[dict[str, str]]

    def blank(self, side: int) -> np.ndarray:
        """Return a square (B, side, side) without data."""
        ...

    def reduce(self, values: np.ndarray) -> np.ndarray:
        """Return (B, h, w) of values (B, 2 h, 2 w)."""
        ...

    def draw(self, values: np.ndarray) -> bytes | None:
        """Return values (B, h, w) as a PNG, None if nothing of it would be seen."""
        ...


@dataclass
class ClassLayer:
    """Map of classes, each of one colour.

    Attributes:
        colours: RGBA of each value (N, 4), uint8; alpha 0 where nothing is shown.
        nodata: Value without data.
        dtype: NumPy's name of the type of the values.
        legend: See :class:`Layer`.
    """

    name: str
    title: str
    path: Path
    colours: np.ndarray
    nodata: int
    dtype: str = 'uint8'
    legend: list[dict[str, str]] = field(default_factory=list)
    bands: int = 1
    resampling: str = 'nearest'

    def blank(self, side: int) -> np.ndarray:
        """Return a square without data."""
        return np.full((1, side, side), self.nodata, self.dtype)

    def reduce(self, values: np.ndarray) -> np.ndarray:
        """Return the most frequent value of each 2 x 2 pixels.

        Of values of one number, that one is taken that is shown, before one that is not (unchanged
        land), before no data; so that small changes stay in view.
        """
        ranks = (self.colours[:, 3] > 0).astype(np.int64) + 1
        ranks[self.nodata] = 0
        quads = _quads(values[0])
        counts = (quads[:, None] == quads[None]).sum(1)
        best = (counts * 4 + ranks[quads]).argmax(0)
        return np.take_along_axis(quads, best[None], 0)

    def draw(self, values: np.ndarray) -> bytes | None:
        """Return the classes in their colours."""
        return _indexed_png(values[0], self.colours)


@dataclass
class ProbabilityLayer:
    """Map of P(changed), from transparent over yellow to dark red."""

    name: str
    title: str
    path: Path
    bands: int = 1
    resampling: str = 'nearest'
    legend: list[dict[str, str]] = field(
        default_factory=lambda: [
            dict(name=f'{value:g}', colour=hexadecimal(colour))
            for value, colour, alpha in PROBABILITIES
            if alpha
        ]
    )

    def blank(self, side: int) -> np.ndarray:
        """Return a square without data."""
        return np.full((1, side, side), np.nan, np.float32)

    def reduce(self, values: np.ndarray) -> np.ndarray:
        """Return the mean of each 2 x 2 pixels, of those with data."""
        quads = _quads(values[0])
        known = np.isfinite(quads)
        number = known.sum(0)
        total = np.where(known, quads, 0).sum(0)
        mean = np.where(number > 0, total / np.maximum(number, 1), np.nan)
        return mean.astype(np.float32)[None]

    def draw(self, values: np.ndarray) -> bytes | None:
        """Return the probabilities in their colours."""
        known = np.isfinite(values[0])
        steps = np.where(known, values[0], 0).clip(0, 1) * (PROBABILITY_STEPS - 1)
        codes = np.where(known, np.round(steps) + 1, 0).astype(np.uint8)
        return _indexed_png(codes, _ramp())


@dataclass
class PictureLayer:
    """Image of one date, of four bands: red, green, blue and alpha."""

    name: str
    title: str
    path: Path
    bands: int = 4
    resampling: str = 'bilinear'
    legend: list[dict[str, str]] = field(default_factory=list)

    def blank(self, side: int) -> np.ndarray:
        """Return a transparent square."""
        return np.zeros((4, side, side), np.uint8)

    def reduce(self, values: np.ndarray) -> np.ndarray:
        """Return the mean colour of each 2 x 2 pixels, of those with data."""
        quads = np.stack([_quads(band) for band in values]).astype(np.float32)
        weights = quads[3]
        total = weights.sum(0)
        colours = (quads[:3] * weights).sum(1) / np.maximum(total, 1)
        return np.round(np.concatenate([colours, total[None] / 4])).astype(np.uint8)

    def draw(self, values: np.ndarray) -> bytes | None:
        """Return the image."""
        if not values[3].any():
            return None
        return _png(Image.fromarray(np.ascontiguousarray(values.transpose(1, 2, 0)), 'RGBA'))


def raster_layer(
    raster: ResultRaster,
    path: Path,
    classes: ClassTable | None = None,
    shown: Sequence[int] | None = None,
    name: str | None = None,
) -> ClassLayer:
    """Return the layer of a raster of classes.

    Args:
        raster: The raster.
        path: Its GeoTIFF.
        classes: The K + 1 classes of a raster of transitions, which may have no colours of its
            own.
        shown: Values for the legend; by default all that are seen.
        name: Name of the layer; by default that of the raster.
    """
    number = len(raster.class_names)
    colours = np.zeros((max(number, int(raster.nodata) + 1), 4), np.uint8)
    colours[:number, :3] = _colours(raster, classes)
    colours[:number, 3] = OPAQUE
    colours[int(raster.nodata), 3] = 0
    if raster.clear:
        colours[0, 3] = 0
    values = np.flatnonzero(colours[:, 3]) if shown is None else shown
    legend = [
        dict(
            name=raster.class_names[value],
            colour=hexadecimal(tuple(colours[value, :3].tolist())),
        )
        for value in values
    ]
    return ClassLayer(
        name or raster.name,
        raster.description,
        path,
        colours,
        int(raster.nodata),
        raster.dtype,
        legend,
    )


def _colours(raster: ResultRaster, classes: ClassTable | None) -> np.ndarray:
    if raster.name == 'change':
        # The white of the colour table doesn't show on a pale map.
        return np.array([(0, 0, 0), CHANGED_COLOUR], np.uint8)
    if raster.colours:
        return np.array(raster.colours, np.uint8)
    if classes is None:
        raise ValueError(f'the raster {raster.name} has no colours; give its classes')
    codes = np.arange(1, len(raster.class_names))
    old, new = from_and_to(codes, classes.num_classes)
    return np.array(
        [
            (0, 0, 0),
            *(
                transition_colour(classes, int(first), int(last))
                for first, last in zip(old, new, strict=True)
            ),
        ],
        np.uint8,
    )


def hexadecimal(colour: Colour) -> str:
    """Return a colour as #rrggbb."""
    return '#{:02x}{:02x}{:02x}'.format(*colour)


def _ramp() -> np.ndarray:
    """Return RGBA of no data, and of P(changed) in steps."""
    places = np.linspace(0, 1, PROBABILITY_STEPS)
    stops = [value for value, _, _ in PROBABILITIES]
    bands = np.array([(*colour, alpha) for _, colour, alpha in PROBABILITIES], float).T
    ramp = np.stack([np.interp(places, stops, band) for band in bands], axis=1)
    return np.concatenate([[CLEAR_PIXEL], np.round(ramp)]).astype(np.uint8)


def _quads(values: np.ndarray) -> np.ndarray:
    """Return the four pixels of each 2 x 2 pixels of (2 h, 2 w), as (4, h, w)."""
    return np.stack([values[i::2, j::2] for i in (0, 1) for j in (0, 1)])


def _indexed_png(values: np.ndarray, colours: np.ndarray) -> bytes | None:
    """Return values (h, w) as a PNG in their colours, with a palette while 256 colours do."""
    present = np.flatnonzero(np.bincount(values.ravel(), minlength=len(colours)))
    if not colours[present, 3].any():
        return None
    if len(present) > 256:
        return _png(Image.fromarray(colours[values], 'RGBA'))
    numbers = np.zeros(len(colours), np.uint8)
    numbers[present] = np.arange(len(present))
    image = Image.fromarray(numbers[values])
    image.putpalette(colours[present, :3].ravel().tolist())
    return _png(image, transparency=colours[present, 3].tobytes())


def _png(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, 'PNG', **options)
    return buffer.getvalue()


def clear_tile(side: int) -> bytes:
    """Return a transparent PNG."""
    return _png(Image.new('RGBA', (side, side), CLEAR_PIXEL))
