"""Measure the gain on the rest of a scene from the correction of ten polygons.

    python projects/corrections/run.py [--seed N] [--out DIR]

A generated scene of a kind that the weights never saw is predicted. Ten polygons are corrected by
its annotation, as a person would do in QGIS: false ones deleted, classes changed, missing ones
added, those of the largest error first. The weights are fine-tuned on these, and the scene is
predicted again. Both maps are scored outside the ten polygons.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyogrio
import rasterio
import shapely
from rasterio.features import rasterize

from tfinet_mm.datasets.synthetic.generate import SyntheticConfig, generate_pair
from tfinet_mm.datasets.synthetic.geo import write_scene
from tfinet_mm.io.rasters import raw_writer
from tfinet_mm.scenes.areas import PixelAreas
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.scenes.vectorize.polygons import LAYER, write_polygons
from tfinet_mm.utils.command import add_traceback_option, run_command, seed

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs' / 'tfinet_lite0_fpn_corrections.py'
RESOLUTION = 0.5
MOSTLY = 0.7
"""Share of a polygon's pixels with one transition from which a person sees it as that."""


class Correction(NamedTuple):
    """Correction of one polygon.

    Attributes:
        pixels: Wrong pixels that it corrects.
        kind: 'deleted', 'class changed' or 'added'.
        row: Row of the predicted polygon, -1 for one that is added.
        shape: The polygon.
        code: Its true transition, 0 for none.
    """

    pixels: int
    kind: str
    row: int
    shape: Any
    code: int


def main(argv: Sequence[str] | None = None) -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/corrections'))
    parser.add_argument('--seed', type=seed, default=9, help='seed of the scene (default: 9)')
    parser.add_argument('--size', type=int, default=512, help='pixels of the scene (default: 512)')
    parser.add_argument('--number', type=int, default=10, help='corrections (default: 10)')
    parser.add_argument('--rest', default='prediction', help='option of make_labels.py')
    parser.add_argument('--config', default=CONFIG, help='config of the fine-tuning')
    add_traceback_option(parser)
    args = parser.parse_args(argv)
    out = args.out
    scene, first = out / 'scene', out / 'first'
    if not (scene / 'labels').is_dir():
        kind = SyntheticConfig(size=args.size, seed=args.seed, unchanged_pairs=0.0)
        write_scene(scene, generate_pair(0, kind), RESOLUTION)
    images = scene / 'before.tif', scene / 'after.tif'
    tool('predict.py', *images, '--out', first, '--no-tta', '--min-area', 4)
    results = SceneResults(first / 'before')
    truth = true_codes(scene / 'labels', results.classes.num_classes)
    chosen = find_corrections(results, truth, out)[: args.number]
    for one in chosen:
        print(f'{one.kind:14} {one.pixels:6} wrong pixels')
    write_corrections(results, chosen, out / 'corrected.gpkg')
    for made in ('data', 'tuned', 'second', 'rest'):
        shutil.rmtree(out / made, ignore_errors=True)
    data = out / 'data'
    words = ['--out', data, '--size', 128, '--rest', args.rest]
    tool('dataset/make_labels.py', results.folder, out / 'corrected.gpkg', *words)
    options = [f'{part}_dataloader.dataset.data_root={data}' for part in ('train', 'val', 'test')]
    tool('train.py', args.config, '--work-dir', out / 'tuned', '--cfg-options', *options)
    (checkpoint,) = (out / 'tuned').glob('epoch_*.pth')
    tool(
        *('predict.py', args.config, checkpoint, *images),
        *('--out', out / 'second', '--no-tta', '--min-area', 4),
    )
    write_rest(scene / 'labels', out / 'rest', [one.shape for one in chosen])
    for name in ('first', 'second'):
        print(f'\nThe rest of the scene, {name} prediction')
        words = ['--json', out / f'{name}.json']
        tool('analysis/score_scene.py', out / name / 'before', out / 'rest', *words)


def tool(name: str, *words: Any) -> None:
    """Run a tool of the repository."""
    subprocess.run([sys.executable, str(ROOT / 'tools' / name), *map(str, words)], check=True)


def true_codes(labels: Path, number: int) -> np.ndarray:
    """Return the annotated transition (H, W) of each pixel, 0 where nothing changed."""
    change, old, new = (
        _read(labels / f'{name}.tif') for name in ('change', 'land_cover_from', 'land_cover_to')
    )
    return np.where(change == 1, (old.astype(np.int32) - 1) * number + new, 0)


def _read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


def find_corrections(results: SceneResults, truth: np.ndarray, work: Path) -> list[Correction]:
    """Return all corrections that a person could make, those of the largest error first."""
    shapes, codes = _polygons(results.folder / 'changes.gpkg', results)
    predicted = _burn(shapes, codes, results)
    found = []
    for row, shape in enumerate(shapes):
        counts = np.bincount(truth[_burn([shape], [1], results) == 1])
        most = int(counts.argmax()) if counts.size else 0
        if counts.size and most != codes[row] and counts[most] >= MOSTLY * counts.sum():
            kind = 'class changed' if most else 'deleted'
            found.append(Correction(int(counts[most]), kind, row, shape, most))
    own, own_codes = _true_polygons(results, truth, work)
    for shape, code in zip(own, own_codes, strict=True):
        inside = _burn([shape], [1], results) == 1
        missed = int((predicted[inside] == 0).sum())
        if missed >= MOSTLY * inside.sum():
            found.append(Correction(missed, 'added', -1, shape, int(code)))
    return sorted(found, key=lambda one: -one.pixels)


def _true_polygons(
    results: SceneResults, truth: np.ndarray, work: Path
) -> tuple[np.ndarray, np.ndarray]:
    codes, change = work / 'true.img', work / 'true_change.img'
    for path, values in ((codes, truth.astype(np.uint8)), (change, (truth > 0).astype('float32'))):
        with raw_writer(path, values.dtype.name, *truth.shape) as write:
            write(values)
    target = work / 'true.gpkg'
    classes = results.classes.land_cover
    areas = PixelAreas(results.grid)
    write_polygons(codes, change, target, classes=classes, nodata=255, pixel_areas=areas)
    return _polygons(target, results)


def _polygons(path: Path, results: SceneResults) -> tuple[np.ndarray, np.ndarray]:
    info, _, stored, columns = pyogrio.raw.read(path, layer=LAYER)
    fields = dict(zip(info['fields'], columns, strict=True))
    codes = (fields['from_class'] - 1) * results.classes.num_classes + fields['to_class']
    return shapely.from_wkb(stored), codes


def _burn(shapes: Any, codes: Any, results: SceneResults) -> np.ndarray:
    grid = results.grid
    made = np.zeros((grid.height, grid.width), np.int32)
    pairs = [(shape, int(code)) for shape, code in zip(shapes, codes, strict=True)]
    return rasterize(pairs, out=made, transform=grid.transform) if pairs else made


def write_corrections(results: SceneResults, chosen: Sequence[Correction], path: Path) -> None:
    """Write the polygons of a scene with corrections, as QGIS saves them."""
    info, _, stored, columns = pyogrio.raw.read(results.folder / 'changes.gpkg', layer=LAYER)
    names = list(info['fields'])
    table = {name: column.tolist() for name, column in zip(names, columns, strict=True)}
    shapes = list(stored)
    number = results.classes.num_classes
    for one in chosen:
        sides = [results.classes.land_cover[i] for i in divmod(max(one.code, 1) - 1, number)]
        if one.kind == 'added':
            shapes.append(shapely.to_wkb(one.shape))
            for name in names:
                table[name].append(dict(zip(('from', 'to'), sides, strict=True)).get(name, 0))
        elif one.kind == 'class changed':
            table['from'][one.row], table['to'][one.row] = sides
    gone = {one.row for one in chosen if one.kind == 'deleted'}
    kept = [row for row in range(len(shapes)) if row not in gone]
    data = [np.array([table[name][row] for row in kept]) for name in ('from', 'to')]
    path.unlink(missing_ok=True)
    pyogrio.raw.write(
        path,
        geometry=np.array([shapes[row] for row in kept], object),
        field_data=[column.astype(object) for column in data],
        fields=['from', 'to'],
        layer=LAYER,
        driver='GPKG',
        geometry_type='Polygon',
        crs=info['crs'],
    )


def write_rest(labels: Path, out: Path, shapes: Sequence[Any]) -> None:
    """Copy an annotation without the pixels of the corrected polygons."""
    shutil.copytree(labels, out)
    with rasterio.open(out / 'change.tif', 'r+') as file:
        change = file.read(1)
        rasterize([(shape, 255) for shape in shapes], out=change, transform=file.transform)
        file.write(change, 1)


if __name__ == '__main__':
    run_command(main)
