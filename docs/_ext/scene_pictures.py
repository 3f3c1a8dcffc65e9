"""Draw the pictures of what comes with a map: `python docs/_ext/scene_pictures.py`.

All scenes are generated, and predicted with the weights of the package. Each picture is a JPEG in
``docs/images``; its comment holds the title and headings, so that a test can compare the figures
of the pages with them.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from picture_parts import (
    ARROW_FACTOR,
    OUTLINE,
    SIDE,
    UNUSED_COLOUR,
    USED_COLOUR,
    Line,
    class_legend,
    describe_shift,
    draw_arrows,
    fitted,
    labelled,
    leave_out,
    outlined,
    pale,
    save,
    shown_change,
    switched,
    under_clouds,
    write_quality,
    write_zones,
    zone_bars,
    zone_line,
)
from PIL import Image
from rasterio.features import rasterize

from tfinet_mm.apis import SCDInferencer, predict_scene, predict_series
from tfinet_mm.apis.correcting import fit_corrections
from tfinet_mm.datasets.synthetic.generate import SyntheticPair
from tfinet_mm.datasets.synthetic.geo import SceneFiles, Site, write_scene
from tfinet_mm.datasets.synthetic.world import WorldConfig, generate_scene
from tfinet_mm.evaluation.score_table import overall_scores
from tfinet_mm.io.geopackage import read_rows, write_layer
from tfinet_mm.io.png import colourise
from tfinet_mm.scenes.corrections.dataset import write_labels
from tfinet_mm.scenes.finishing import finish_scene
from tfinet_mm.scenes.grid import apply_affine
from tfinet_mm.scenes.registration_file import ALIGNED_LAYER, LAYER, REGISTRATION_FILE
from tfinet_mm.scenes.results import ChangePolygon, SceneResults
from tfinet_mm.scenes.scoring import score_scene
from tfinet_mm.scenes.series.maps import series_rasters
from tfinet_mm.scenes.validity import BOTH_SEEN, CODE_COLOURS, CODE_NAMES
from tfinet_mm.scenes.vectorize.polygons import LAYER as CHANGES
from tfinet_mm.scenes.write_results import POLYGONS_FILE
from tfinet_mm.scenes.zones.areas import zone_areas
from tfinet_mm.scenes.zones.polygons import read_zones
from tfinet_mm.structures import IGNORE_INDEX, SECOND
from tfinet_mm.visualization.canvas import LegendEntry, Panel, hatched

ROOT = Path(__file__).parents[2]
RESOLUTION = 0.5
PIXEL_HA = RESOLUTION**2 / 10_000
SITE = Site('EPSG:32632', 'EPSG:32632')
TOWN, SERIES_TOWN = 7, 68
"""Seeds of two scenes: one for most of the pictures, and one whose dates have the same light."""
SHIFT = 3.0, -2.0
CLOUDS, CLOUD_SHARE = (3, 8), 0.06
"""Seeds of the clouds of both dates."""
SETTINGS: dict[str, dict[str, Any]] = {
    'as predicted': {},
    '--threshold 0.8': dict(threshold=0.8),
    '--smooth 9 --min-area 50': dict(smooth=9, min_area=50.0),
}
DATES = '2015', '2018', '2021', '2024'
ZONES: dict[str, tuple[Line, tuple[float, float]]] = {
    'north-west': ([(0, 0), (90, 0), (188, 165), (0, 236)], (60, 20)),
    'north-east': ([(90, 0), (384, 0), (384, 126), (216, 213)], (250, 70)),
    'south-west': ([(0, 236), (188, 165), (318, 384), (0, 384)], (70, 335)),
    'south-east': ([(216, 213), (384, 126), (384, 384), (318, 384)], (320, 300)),
}
"""Corners of zones between the streets, and the places of their names, in columns and rows."""
CORRECTIONS = 3
"""Number of polygons to delete, and of those to give another class."""
MIN_AREA = 30.0
CORRECTED_PART = 0, 50, 240, 290
"""Part of the corrected scene to show larger: left, top, right, bottom."""
DELETED_COLOUR, CHANGED_COLOUR = OUTLINE, (255, 120, 0)
IGNORED_COLOUR = 205, 205, 205
WIDE, NARROW = 20, 17
"""Heights of text in pictures of three and of two panels, to be read at a width of 700."""
MOST_ROWS = 10_000


@dataclass(frozen=True)
class Studio:
    """Folders and network of all pictures.

    Attributes:
        work: Folder of the scenes.
        out: Folder of the pictures.
        inferencer: The network.
    """

    work: Path
    out: Path
    inferencer: SCDInferencer

    def write(self, name: str, pair: SyntheticPair, **options: Any) -> SceneFiles:
        """Write a pair as a scene."""
        return write_scene(self.work / name, pair, RESOLUTION, SITE, **options)

    def predict(
        self, files: SceneFiles, name: str, inferencer: SCDInferencer | None = None, **options: Any
    ) -> SceneResults:
        """Predict a scene."""
        out = self.work / name
        predict_scene(
            inferencer or self.inferencer, files.before, files.after, out, overwrite=True, **options
        )
        return SceneResults(out)


def make_pair(seed: int) -> SyntheticPair:
    """Return a generated pair whose dates lie on each other."""
    config = WorldConfig(
        size=SIDE,
        seed=seed,
        resolutions=(RESOLUTION, RESOLUTION),
        change_share=0.2,
        unchanged_pairs=0.0,
        infrared=0.0,
        winter=0.0,
        misregistration=0.0,
    )
    return generate_scene(0, config)


def covers_of(scene: SceneResults) -> np.ndarray:
    """Return the class after of changed pixels, 0 elsewhere."""
    return np.where(scene.read('change') == 1, scene.read('land_cover_to'), 0)


def changed_of(scene: SceneResults) -> float:
    """Return the changed hectares of a scene."""
    return float(scene.areas().totals()['changed'][0])


def map_of(scene: SceneResults) -> Image.Image:
    """Draw the changed pixels of a scene by their class after."""
    image = np.asarray(date_of(scene, 'after'))
    maps = scene.read('change'), scene.read('land_cover_to')
    return shown_change(image, *maps, scene.classes.palette)


def date_of(scene: SceneResults, date: str) -> Image.Image:
    """Read ``before.jpg`` or ``after.jpg`` of a scene."""
    with Image.open(scene.folder / f'{date}.jpg') as image:
        return image.convert('RGB')


def rings_of(polygon: ChangePolygon) -> list[np.ndarray]:
    """Return the outlines of a polygon, outer rings and those of holes."""
    return [ring for part in polygon.outline for ring in part]


def patches_of(scene: SceneResults, layer: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the middles of patches and their shifts in pixels (N, 2), and which count (N,)."""
    names = 'right_px', 'up_px', 'used'
    points, fields = read_rows(scene.folder / REGISTRATION_FILE, layer, names, MOST_ROWS)
    xy = shapely.get_coordinates(shapely.from_wkb(points))
    starts = np.stack(apply_affine(~scene.grid.transform, *xy.T), axis=1)
    right, up, used = (np.array(fields[name]) for name in names)
    return starts, np.stack([right, -up], axis=1), used > 0


def draw_registration(studio: Studio) -> None:
    """Draw the shift between two dates, and the change that it makes, with and without --align."""
    pair = make_pair(TOWN)
    files = studio.write('shifted', pair, shift=SHIFT)
    scenes = [studio.predict(files, f'align_{align}', align=align) for align in (False, True)]
    columns: list[list[Panel | None]] = []
    for scene, found, layer in zip(
        scenes, ('found', 'aligned'), (LAYER, ALIGNED_LAYER), strict=True
    ):
        measured = scene.scene['registration'][found]
        both = Image.blend(date_of(scene, 'before'), date_of(scene, 'after'), 0.5)
        arrows = draw_arrows(Image.fromarray(pale(np.asarray(both))), *patches_of(scene, layer))
        columns.append(
            [
                (describe_shift(measured['right_m'], measured['up_m']), fitted(arrows)),
                (f'map: {changed_of(scene):.2f} ha changed', fitted(map_of(scene))),
            ]
        )
    truth = (pair.label_from > 0).astype(np.uint8)
    true_map = shown_change(pair.after, truth, pair.cover_to, SECOND.palette)
    first: list[Panel | None] = [
        ('before', Image.fromarray(pair.before)),
        (f'truth: {truth.sum() * PIXEL_HA:.2f} ha changed', true_map),
    ]
    legend: list[LegendEntry] = [
        (f'shift of a patch, {ARROW_FACTOR} times as long', USED_COLOUR),
        ('patch that disagrees and does not count', UNUSED_COLOUR),
    ]
    title = 'Where after lies, from before: as it is stored (middle), and with --align (right)'
    classes = class_legend(SECOND, [*map(covers_of, scenes), pair.label_to])
    save(studio.out / 'registration.jpg', [first, *columns], title, [legend, classes], WIDE)


def draw_not_seen(studio: Studio) -> None:
    """Draw clouds and ground without data, and what becomes of them."""
    pair = make_pair(TOWN)
    before, quality_before = under_clouds(pair.before, CLOUDS[0], CLOUD_SHARE)
    after, quality_after = under_clouds(pair.after, CLOUDS[1], CLOUD_SHARE)
    files = studio.write('cloudy', replace(pair, before=before, after=after))
    with rasterio.open(files.after, 'r+') as file:
        # The edge of the strip that a satellite sees.
        rows, columns = np.indices(file.shape)
        file.write(file.read() * (columns + rows / 4 < file.width).astype(np.uint8))
    quality = {
        date: write_quality(studio.work / 'cloudy' / f'{date}_scl.tif', band, files.before)
        for date, band in (('before', quality_before), ('after', quality_after))
    }
    scene = studio.predict(files, 'cloudy_map', quality=quality, bad_values=['scl'])
    areas, valid = scene.areas(), scene.read('valid')
    panels: list[list[Panel | None]] = [
        [
            ('before', Image.fromarray(before)),
            ('valid.tif', Image.fromarray(colourise(valid, CODE_COLOURS))),
        ],
        [
            ('after', date_of(scene, 'after')),
            (f'map: {changed_of(scene):.2f} ha changed', map_of(scene)),
        ],
    ]
    colours = dict(zip(CODE_NAMES, CODE_COLOURS, strict=True))
    codes: list[LegendEntry] = [
        ('seen', CODE_COLOURS[BOTH_SEEN]),
        ('bad quality on a date', colours['bad quality before']),
        ('no data on a date', colours['no data after']),
        ('a reason on both', colours['bad quality before, bad quality after']),
    ]
    stripes = hatched(Image.new('RGB', (40, 40)), np.ones((1, 1), bool))
    classes = class_legend(SECOND, [covers_of(scene)])
    reasons = areas.describe_not_seen().partition(': ')[2]
    not_seen = f'{areas.not_seen:.2f} of {areas.totals()["total"][0]:.2f} ha'
    title = f'{not_seen} ({areas.not_seen_percent:.1f} %) are not seen'
    legend: list[list[LegendEntry]] = [
        [('valid.tif:', None), *codes],
        [('map:', None), *classes, ('not seen', stripes)],
        [(f'hectares: {reasons}', None)],
    ]
    save(studio.out / 'not_seen.jpg', panels, title, legend, NARROW)


def draw_settings(studio: Studio) -> None:
    """Draw one prediction, finished with other settings."""
    source = studio.predict(studio.write('scene', make_pair(TOWN)), 'map')
    prob = source.read('change_prob')
    shown = np.repeat((255 - prob * 235).round().astype(np.uint8)[..., None], 3, axis=2)
    columns: list[list[Panel | None]] = [
        [('before', date_of(source, 'before'))],
        [('after', date_of(source, 'after'))],
        [('P(changed), black where it is 1', Image.fromarray(shown))],
    ]
    covers, figures = [], []
    for number, (name, options) in enumerate(SETTINGS.items()):
        out = studio.work / f'finished_{number}'
        scene = SceneResults(finish_scene(source.folder, out, overwrite=True, **options))
        polygons = scene.largest(MOST_ROWS)
        covers.append(covers_of(scene))
        said = f'{changed_of(scene):.2f} ha', f'{len(polygons)} polygons'
        figures.append(f'{name}: {", ".join(said)}')
        panel = outlined(map_of(scene), [ring for one in polygons for ring in rings_of(one)])
        columns[number].append((name, labelled(panel, (SIDE, SIDE), said, WIDE)))
    title = 'One prediction, finished with three settings'
    save(studio.out / 'settings.jpg', columns, title, [class_legend(SECOND, covers)], WIDE, figures)


def draw_series(studio: Studio) -> None:
    """Draw four dates of a place, and when each part of it changed."""
    pair = make_pair(SERIES_TOWN)
    changed = pair.label_from > 0
    intervals = len(DATES) - 1
    when = switched(changed, intervals)
    files = []
    for number, date in enumerate(DATES):
        image = np.where((when <= number)[..., None], pair.after, pair.before)
        files.append(studio.write(f'series/{date}', replace(pair, before=image)).before)
    out = studio.work / 'series_maps'
    found = predict_series(studio.inferencer, files, out, dates=DATES, overwrite=True)
    map_ = series_rasters(found['intervals'])['when']
    with rasterio.open(out / 'when.tif') as file:
        predicted = file.read(1)
    panels: list[Panel | None] = []
    for date, path in zip(DATES, files, strict=True):
        with rasterio.open(path) as file:
            panels.append((date, Image.fromarray(file.read().transpose(1, 2, 0))))
    for name, numbers in (('when.tif', predicted), ('truth', np.where(changed, when, 0))):
        shown = pale(pair.after)
        some = (numbers > 0) & (numbers <= intervals)
        shown[some] = np.array(map_.colours, np.uint8)[numbers[some]]
        panels.append((name, Image.fromarray(shown)))
    columns = [panels[index::3] for index in range(3)]
    areas = [row['area'] for row in found['summary'] if row['what'] == 'first change']
    true = [(changed & (when == one)).sum() * PIXEL_HA for one in range(1, len(DATES))]
    legend: list[LegendEntry] = [
        (f'{name}: {area:.2f} ha (truth {other:.2f})', colour)
        for name, area, other, colour in zip(
            found['intervals'], areas, true, map_.colours[1:], strict=True
        )
    ]
    title = 'Four dates of one place, and the interval in which each part of it changed first'
    save(studio.out / 'series.jpg', columns, title, [legend], WIDE)


def draw_zones(studio: Studio) -> None:
    """Draw zones over a map, and the hectares that changed in each."""
    scene = studio.predict(studio.write('scene', make_pair(TOWN)), 'map')
    corners = {name: corners for name, (corners, _) in ZONES.items()}
    file = studio.work / 'districts.gpkg'
    write_zones(file, corners, scene)
    found = zone_areas(scene, read_zones(file, scene.grid, 'name'), 'exact')
    picture = outlined(map_of(scene), [np.array([*ring, ring[0]]) for ring in corners.values()], 3)
    for name, (_, place) in ZONES.items():
        picture = labelled(picture, place, [name], NARROW)
    bars = zone_bars(found, scene.classes.palette, NARROW)
    legend = class_legend(SECOND, [covers_of(scene)])
    columns: list[list[Panel | None]] = [
        [('zones over the map', picture)],
        [('what changed, by the class after', bars)],
    ]
    title = f'{changed_of(scene):.2f} ha changed, in {len(found)} zones'
    save(
        studio.out / 'zones.jpg',
        columns,
        title,
        [legend],
        NARROW,
        [zone_line(zone) for zone in found],
    )


def choose_corrections(
    polygons: Sequence[ChangePolygon], pair: SyntheticPair, most: int
) -> dict[int, tuple[int, int]]:
    """Choose polygons that a person who knows the truth would correct first.

    Args:
        polygons: The polygons of a scene, the largest first.
        pair: Its pair, with the truth.
        most: Number of polygons to delete, and of those to give other classes.

    Returns:
        By index of a polygon, its true classes before and after; (0, 0) if it is no change.
    """
    chosen: dict[int, tuple[int, int]] = {}
    number = len(SECOND.names)
    for index, polygon in enumerate(polygons):
        shapes = [shapely.Polygon(part[0], part[1:]) for part in polygon.outline]
        inside = rasterize(shapes, out_shape=pair.label_to.shape) > 0
        pairs = pair.label_from[inside].astype(int) * number + pair.label_to[inside]
        classes = divmod(int(np.bincount(pairs).argmax()), number)
        deleted = classes == (0, 0)
        if classes[1] == polygon.to_class:
            continue
        if sum((one == (0, 0)) == deleted for one in chosen.values()) < most:
            chosen[index] = classes
    return chosen


def write_corrections(
    scene: SceneResults, chosen: dict[int, tuple[int, int]], target: Path
) -> None:
    """Write the polygons of a scene with corrections, as they would be saved in QGIS."""
    names = scene.classes.names
    shapes, fields = read_rows(scene.folder / POLYGONS_FILE, CHANGES, ('from', 'to'), MOST_ROWS)
    kept = [index for index in range(len(shapes)) if chosen.get(index) != (0, 0)]
    for index in kept:
        if index in chosen:
            fields['from'][index], fields['to'][index] = (names[one] for one in chosen[index])
    write_layer(
        target,
        CHANGES,
        [shapes[index] for index in kept],
        {
            key: np.array([values[index] for index in kept], object)
            for key, values in fields.items()
        },
        kind='Polygon',
        crs=scene.grid.crs,
    )


def draw_corrections(studio: Studio) -> None:
    """Draw corrected polygons, and the labels that are made of them."""
    pair = make_pair(TOWN)
    files = studio.write('scene', pair)
    scene = studio.predict(files, 'map_to_correct', min_area=MIN_AREA)
    polygons = scene.largest(MOST_ROWS)
    chosen = choose_corrections(polygons, pair, CORRECTIONS)
    corrected = studio.work / 'corrected.gpkg'
    write_corrections(scene, chosen, corrected)
    data = studio.work / 'corrections'
    shutil.rmtree(data, ignore_errors=True)
    areas = write_labels(scene.folder, corrected, data, size=SIDE).areas
    with Image.open(data / 'label2' / 'x0_y0.png') as file:
        label = np.asarray(file)
    known = label != IGNORE_INDEX
    shown = np.full((SIDE, SIDE, 3), IGNORED_COLOUR, np.uint8)
    shown[known] = colourise(label, SECOND.palette)[known]
    weights = studio.work / 'corrected.safetensors'
    fit_corrections(data, weights)
    again = studio.predict(files, 'map_corrected', SCDInferencer(weights), min_area=MIN_AREA)
    rest = leave_out(files.labels, known, studio.work / 'rest')
    scores = [overall_scores(score_scene(one, rest))['SeK'] for one in (scene, again)]
    maps = [map_of(scene), Image.fromarray(shown), map_of(again)]
    left, top, right, below = CORRECTED_PART
    panels = [one.crop(CORRECTED_PART).resize((SIDE, SIDE), Image.Resampling.BOX) for one in maps]
    factors = SIDE / (right - left), SIDE / (below - top)
    for index, classes in chosen.items():
        colour = DELETED_COLOUR if classes == (0, 0) else CHANGED_COLOUR
        rings = [(ring - (left, top)) * factors for ring in rings_of(polygons[index])]
        panels = [outlined(panel, rings, 3, colour) for panel in panels]
    headings = [
        f'corrected map, SeK {scores[0]:.1f}',
        'labels of the class after',
        f'map after the fit, SeK {scores[1]:.1f}',
    ]
    columns: list[list[Panel | None]] = [[panel] for panel in zip(headings, panels, strict=True)]
    deleted = sum(one == (0, 0) for one in chosen.values())
    kinds: list[LegendEntry] = [
        (f'deleted ({deleted} in the scene, {areas["deleted"]:.2f} ha)', DELETED_COLOUR),
        (
            f'another class ({len(chosen) - deleted}, {areas["class changed"]:.2f} ha)',
            CHANGED_COLOUR,
        ),
        ('unchanged', SECOND.palette[0]),
        ('ignored', IGNORED_COLOUR),
    ]
    classes_shown = class_legend(SECOND, [covers_of(scene), covers_of(again)])
    title = 'A part of a scene: corrected polygons, their labels, and the map after the fit'
    save(studio.out / 'corrections.jpg', columns, title, [kinds, classes_shown], WIDE)


PICTURES: dict[str, Callable[[Studio], None]] = dict(
    registration=draw_registration,
    not_seen=draw_not_seen,
    settings=draw_settings,
    series=draw_series,
    zones=draw_zones,
    corrections=draw_corrections,
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument(
        'names',
        nargs='*',
        metavar='NAME',
        help=f'pictures to draw: {", ".join(PICTURES)} (default: all)',
    )
    parser.add_argument(
        '--work',
        type=Path,
        default=ROOT / 'work_dirs' / 'doc_pictures',
        help='folder of scenes (default: %(default)s)',
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=ROOT / 'docs' / 'images',
        help='folder of pictures (default: %(default)s)',
    )
    args = parser.parse_args(argv)
    unknown = sorted(set(args.names) - set(PICTURES))
    if unknown:
        parser.error(f'expected names of {", ".join(PICTURES)}; got {", ".join(unknown)}')
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Draw all pictures, or those that are named."""
    args = parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    studio = Studio(args.work, args.out, SCDInferencer())
    for name in args.names or PICTURES:
        PICTURES[name](studio)


if __name__ == '__main__':
    main()
