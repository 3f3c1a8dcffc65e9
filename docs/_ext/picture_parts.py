"""Draw panels, arrows, labels and clouds for the pictures of `scene_pictures.py`."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
import shapely
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt

from tfinet_mm.io.geopackage import write_layer
from tfinet_mm.io.png import colourise
from tfinet_mm.report.scene_picture import fade
from tfinet_mm.scenes.grid import apply_affine
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.scenes.zones.areas import ZoneAreas
from tfinet_mm.structures import IGNORE_INDEX, ClassTable
from tfinet_mm.visualization.canvas import (
    BACKGROUND,
    INK,
    LegendEntry,
    Panel,
    compose,
    hatched,
    load_font,
)

Colour = tuple[int, int, int]
Line = Sequence[tuple[float, float]]

SIDE = 384
"""Pixels of a scene's side and of a panel's."""
ARROW_FACTOR = 6
USED_COLOUR, UNUSED_COLOUR = (214, 0, 147), (60, 60, 60)
OUTLINE = 20, 20, 20
CELL = 4
"""Pixels of a cell of a quality band, along a side."""
SHADOW = 16, 22
"""Rows and columns by which shadows lie from their clouds."""
CLOUD, CLOUD_SHADOW, PLANTS = 9, 3, 4
"""Values of the scene classification of Sentinel-2."""
DENSE = 0.02
MOST_BYTES, LEAST_QUALITY = 145_000, 64


def pale(image: np.ndarray) -> np.ndarray:
    """Turn a picture into a pale grey one without its noise, which would make large files."""
    return fade(cv2.GaussianBlur(image, (0, 0), 1.2))


def shown_change(
    image: np.ndarray, change: np.ndarray, cover: np.ndarray, palette: Sequence[Colour]
) -> Image.Image:
    """Draw changed pixels in the colours of their class over a pale picture.

    Args:
        image: RGB picture (H, W, 3) of uint8.
        change: 1 changed, 0 unchanged, else not seen, (H, W); the last is striped.
        cover: Class 1..K of each pixel, (H, W).
        palette: Colour of each class from 0 on.
    """
    shown = pale(image)
    changed = change == 1
    shown[changed] = colourise(cover, palette)[changed]
    return hatched(Image.fromarray(shown), change > 1)


def arrow(start: Sequence[float], move: Sequence[float], head: float = 7.0) -> tuple[Line, Line]:
    """Return the shaft and the tip of an arrow.

    Args:
        start: x and y of its start.
        move: x and y from there to the point of its tip.
        head: Length of the tip, and its width; shorter arrows have a smaller one.

    Returns:
        Start and end of the shaft, and the three corners of the tip, the point first.

    Example:
        >>> arrow((10, 10), (20, 0), head=8)
        (((10, 10), (22.0, 10.0)), ((30, 10), (22.0, 14.0), (22.0, 6.0)))
    """
    length = math.hypot(*move)
    if length == 0:
        point = (float(start[0]), float(start[1]))
        return (point, point), (point, point, point)
    head = min(head, length)
    right, down = move[0] / length, move[1] / length
    x, y = start[0] + move[0], start[1] + move[1]
    foot_x, foot_y = x - head * right, y - head * down
    half = head / 2
    corners = (
        (foot_x - half * down, foot_y + half * right),
        (foot_x + half * down, foot_y - half * right),
    )
    return ((start[0], start[1]), (foot_x, foot_y)), ((x, y), *corners)


def draw_arrows(
    picture: Image.Image,
    starts: np.ndarray,
    moves: np.ndarray,
    used: np.ndarray,
    factor: float = ARROW_FACTOR,
) -> Image.Image:
    """Draw the shift of each patch as an arrow from a dot.

    Args:
        picture: RGB panel.
        starts: Pixels right and down of N patches, (N, 2).
        moves: Shifts right and down in pixels, (N, 2).
        used: Whether a patch counts, (N,).
        factor: Length of an arrow as a multiple of its shift.
    """
    picture = picture.copy()
    pen = ImageDraw.Draw(picture)
    # Those that count lie over the others.
    for index in np.argsort(used, kind='stable'):
        colour = USED_COLOUR if used[index] else UNUSED_COLOUR
        x, y = starts[index]
        shaft, tip = arrow((x, y), moves[index] * factor, 11)
        pen.line([*shaft], colour, 3)
        pen.polygon([*tip], colour)
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), colour)
    return picture


def describe_shift(right: float, up: float) -> str:
    """Return a shift in metres with its directions.

    Example:
        >>> describe_shift(3.007, -2.0015), describe_shift(-0.004, 0.0)
        ('3.01 m east, 2.00 m south', '0.00 m east, 0.00 m north')
    """
    parts = [
        (abs(round(move, 2)), names[round(move, 2) < 0])
        for move, names in ((right, ('east', 'west')), (up, ('north', 'south')))
    ]
    return ', '.join(f'{length:.2f} m {name}' for length, name in parts)


def labelled(
    picture: Image.Image, middle: tuple[float, float], lines: Sequence[str], text: int
) -> Image.Image:
    """Write lines into a pale box over a panel, around a point but within the panel."""
    picture = picture.copy()
    pen = ImageDraw.Draw(picture)
    font = load_font(text)
    width = max(math.ceil(font.getlength(line)) for line in lines) + 10
    height = len(lines) * (text + 5) + 4
    left, top = (
        int(min(max(place - size / 2, 3), whole - size - 3))
        for place, size, whole in zip(middle, (width, height), picture.size, strict=True)
    )
    pen.rectangle((left, top, left + width, top + height), BACKGROUND, OUTLINE)
    for number, line in enumerate(lines):
        pen.text((left + 5, top + 2 + number * (text + 5)), line, INK, font)
    return picture


def outlined(
    picture: Image.Image, rings: Sequence[np.ndarray], width: int = 1, colour: Colour = OUTLINE
) -> Image.Image:
    """Draw the outlines of polygons, (n, 2) columns and rows each, over a panel."""
    picture = picture.copy()
    pen = ImageDraw.Draw(picture)
    for ring in rings:
        pen.line([tuple(point) for point in ring.tolist()], colour, width, joint='curve')
    return picture


def fitted(picture: Image.Image) -> Image.Image:
    """Cut a panel to SIDE pixels, or fill it up with the background on its right and below."""
    panel = Image.new('RGB', (SIDE, SIDE), BACKGROUND)
    panel.paste(picture)
    return panel


def zone_bars(found: Sequence[ZoneAreas], palette: Sequence[Colour], text: int) -> Image.Image:
    """Draw for each zone a bar of the hectares that changed, in the colours of the class after."""
    panel = Image.new('RGB', (SIDE, SIDE), (255, 255, 255))
    pen = ImageDraw.Draw(panel)
    font = load_font(text)
    most = max(zone.areas.matrix.sum() for zone in found)
    step = SIDE / len(found)
    for number, zone in enumerate(found):
        top = round(number * step) + 14
        pen.text((12, top), zone_line(zone), INK, font)
        for (left, right), colour in zip(
            bar_parts(zone.areas.matrix.sum(0), (SIDE - 24) / most), palette[1:], strict=True
        ):
            if right > left:
                box = 12 + left, top + text + 10, 11 + right, top + text + 40
                pen.rectangle(box, tuple(colour), OUTLINE)
    return panel


def bar_parts(values: Sequence[float], scale: float) -> list[tuple[int, int]]:
    """Return the left and right ends in pixels of the parts of a bar.

    Example:
        >>> bar_parts([0.5, 0, 1.0], 100)
        [(0, 50), (50, 50), (50, 150)]
    """
    ends = [0, *np.round(np.cumsum(values) * scale).astype(int).tolist()]
    return list(pairwise(ends))


def zone_line(zone: ZoneAreas) -> str:
    """Return the name of a zone and its changed hectares."""
    totals = zone.areas.totals()
    changed, total = totals['changed'][0], totals['total'][0]
    return f'{zone.name}: {changed:.2f} of {total:.2f} ha changed'


def clouds(seed: int, share: float) -> np.ndarray:
    """Return how dense clouds are, 0..1, float32 (SIDE, SIDE), of which a share is above 0."""
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE)).astype(np.float32)
    smooth = sum(cv2.GaussianBlur(noise, (0, 0), SIDE / part) * (8 / part) for part in (8, 16, 32))
    over = smooth - np.quantile(smooth, 1 - share)
    return np.asarray(np.clip(over / over.max() * 2.5, 0, 1), np.float32)


def under_clouds(image: np.ndarray, seed: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Lay clouds and their shadows over a picture.

    Args:
        image: RGB picture of uint8.
        seed: Seed of the clouds.
        share: Share of the picture that they cover.

    Returns:
        The picture, and the scene classification of each cell of 4 x 4 pixels, uint8.
    """
    dense = clouds(seed, share)
    shadow = np.roll(dense, SHADOW, (0, 1))
    shadow[: SHADOW[0]] = 0
    shadow[:, : SHADOW[1]] = 0
    dark = image * (1 - 0.7 * np.sqrt(shadow)[..., None])
    white = dark + (np.array([250, 250, 252]) - dark) * np.sqrt(dense)[..., None]
    cells = [part.reshape(-1, CELL, SIDE // CELL, CELL).max((1, 3)) for part in (dense, shadow)]
    quality = np.where(cells[1] > DENSE, CLOUD_SHADOW, PLANTS)
    quality[cells[0] > DENSE] = CLOUD
    return white.round().astype(np.uint8), quality.astype(np.uint8)


def write_quality(target: Path, quality: np.ndarray, image: Path) -> Path:
    """Write a quality band of cells over an image of SIDE pixels."""
    with rasterio.open(image) as file:
        place, crs = file.transform, file.crs
    height, width = quality.shape
    form = dict(driver='GTiff', width=width, height=height, count=1, dtype='uint8', crs=crs)
    wider = rasterio.Affine(place.a * CELL, place.b, place.c, place.d, place.e * CELL, place.f)
    with rasterio.open(target, 'w', transform=wider, **form) as file:
        file.write(quality, 1)
    return target


def write_zones(target: Path, zones: Mapping[str, Line], scene: SceneResults) -> None:
    """Write polygons of columns and rows as a GeoPackage."""
    shapes = [
        shapely.Polygon(np.stack(apply_affine(scene.grid.transform, *np.array(corners).T), axis=1))
        for corners in zones.values()
    ]
    write_layer(
        target,
        'districts',
        shapely.to_wkb(shapes).tolist(),
        dict(name=np.array(list(zones), object)),
        kind='Polygon',
        crs=scene.grid.crs,
    )


def leave_out(labels: Path, where: np.ndarray, out: Path) -> Path:
    """Copy an annotation, without the change of some pixels."""
    shutil.copytree(labels, out, dirs_exist_ok=True)
    with rasterio.open(out / 'change.tif', 'r+') as file:
        file.write(np.where(where, IGNORE_INDEX, file.read(1)).astype(np.uint8), 1)
    return out


def switched(changed: np.ndarray, intervals: int) -> np.ndarray:
    """Give each pixel the interval in which its surroundings change, from north to south.

    A connected change belongs to the interval of its middle, and every other pixel to that of the
    nearest change, so that shadows come with their buildings.

    Args:
        changed: Whether a pixel changes, bool (H, W).
        intervals: Number N of intervals.

    Returns:
        1..N for each pixel, (H, W).

    Example:
        >>> switched(np.array([[1, 0], [0, 0], [0, 0], [1, 0]], bool), 2).tolist()
        [[1, 1], [1, 1], [2, 2], [2, 2]]
    """
    found: Any = cv2.connectedComponentsWithStats(changed.astype(np.uint8))
    number, parts, _, middles = found
    order = np.zeros(number, np.int64)
    share = middles[1:, 1] / (changed.shape[0] - 1)
    order[1:] = np.minimum((share * intervals).astype(int), intervals - 1) + 1
    nearest = distance_transform_edt(~changed, return_distances=False, return_indices=True)
    return order[parts[tuple(nearest)]]


def class_legend(classes: ClassTable, shown: Sequence[np.ndarray]) -> list[LegendEntry]:
    """Return the names and colours of the classes that maps show, without 0 and 255.

    Example:
        >>> table = ClassTable(('same', 'water', 'tree'), ((0, 0, 0), (0, 0, 200), (0, 100, 0)))
        >>> class_legend(table, [np.array([0, 2]), np.array([255, 2])])
        [('tree', (0, 100, 0))]
    """
    numbers = sorted({int(one) for values in shown for one in np.unique(values)} - {0, 255})
    return [(classes.names[one], classes.palette[one]) for one in numbers]


def save(
    path: Path,
    columns: Sequence[Sequence[Panel | None]],
    title: str,
    legend: Sequence[Sequence[LegendEntry]],
    text: int,
    notes: Sequence[str] = (),
) -> None:
    """Write panels as a JPEG, as good as its size allows.

    Its comment is the text in it: title, headings, legend, and ``notes`` for text within panels.
    """
    picture = Image.fromarray(compose(columns, (SIDE, SIDE), title, legend, text))
    headings = [panel[0] for panels in columns for panel in panels if panel is not None]
    entries = [entry[0] for group in legend for entry in group]
    comment = '\n'.join([title, *headings, *entries, *notes])
    quality = 88
    while True:
        picture.save(path, quality=quality, optimize=True, progressive=True, comment=comment)
        if path.stat().st_size <= MOST_BYTES or quality <= LEAST_QUALITY:
            break
        quality -= 4
    size = f'{picture.width} x {picture.height}, {path.stat().st_size / 1e3:.0f} kB'
    print(f'{path.name}: {size}, quality {quality}')
    print('  ' + comment.replace('\n', '\n  '))
