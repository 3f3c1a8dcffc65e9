"""Measure the gain on the rest of a scene from the correction of ten polygons.

    python projects/corrections/run.py study [--scenes NAME ...] [--seeds N ...] [--kinds KIND ...]
    python projects/corrections/run.py table

Generated scenes are predicted with the weights of the package. Ten polygons of each are corrected
by its annotation, as a person would do in QGIS: false ones deleted, classes changed, missing ones
added, those of the largest error first. The last layer of the semantic head is fitted to these, or
the whole network is fine-tuned, and the scene is predicted again. Both maps are scored outside the
ten polygons and a margin. ``study`` skips what an earlier run finished.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyogrio
import rasterio
import shapely
from mmengine.config import Config
from rasterio.features import rasterize
from scipy import stats

from tfinet_mm.apis import SCDInferencer
from tfinet_mm.apis.correcting import fit_corrections
from tfinet_mm.datasets.synthetic.generate import SyntheticConfig, SyntheticPair, generate_pair
from tfinet_mm.datasets.synthetic.geo import write_scene
from tfinet_mm.datasets.synthetic.world import WorldConfig, generate_scene
from tfinet_mm.engine.runner import build_runner
from tfinet_mm.evaluation.functional import binary_scores, scd_scores
from tfinet_mm.io.rasters import raw_writer
from tfinet_mm.scenes.areas import PixelAreas
from tfinet_mm.scenes.corrections.dataset import write_labels
from tfinet_mm.scenes.prediction import predict_scene
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.scenes.scoring import score_scene
from tfinet_mm.scenes.vectorize.polygons import LAYER, write_polygons
from tfinet_mm.utils.command import add_traceback_option, run_command, seed
from tfinet_mm.utils.files import whole_file

HERE = Path(__file__).resolve().parent
CONFIG = HERE.parents[1] / 'configs' / 'tfinet_lite0_fpn_corrections.py'
WORK = Path('work_dirs/corrections')
RESULTS = HERE / 'results.json'
SIZE = 512
WINDOW = 128
NUMBER = 10
MARGIN = 8
"""Pixels around a corrected polygon that are not scored either."""
MOSTLY = 0.7
"""Share of a polygon's pixels with one transition from which a person sees it as that."""
SCORES = ('SeK', 'Fscd', 'change F1')
KINDS = ('fit', 'fine-tuning')
"""Of the last layer, which has no random part, and of the whole network with the config."""


class Place(NamedTuple):
    """Settings of a generated scene.

    Attributes:
        style: 'other' (a generator that the weights never saw), 'haze' (the same with twice the
            differences that are no change), 'world' (the generator that they were trained on)
            or 'winter' (the same, with snow at half of the dates).
        seed: Its seed.
        metres: Side of a pixel.
        role: 'chosen on' for scenes on which the settings were chosen, else 'reported'.
    """

    style: str
    seed: int
    metres: float
    role: str = 'reported'


SCENES = {
    'other-21': Place('other', 21, 0.5, 'chosen on'),
    'other-26': Place('other', 26, 0.5, 'chosen on'),
    'haze-22': Place('haze', 22, 0.5, 'chosen on'),
    'world-23': Place('world', 23, 1.0, 'chosen on'),
    'coarse-25': Place('world', 25, 2.0, 'chosen on'),
    'other-31': Place('other', 31, 0.5, 'chosen on'),
    'other-32': Place('other', 32, 0.5, 'chosen on'),
    'other-37': Place('other', 37, 0.5, 'chosen on'),
    'haze-33': Place('haze', 33, 0.5),
    'world-34': Place('world', 34, 1.0),
    'coarse-35': Place('world', 35, 2.0),
    'winter-36': Place('winter', 36, 1.0),
    'other-38': Place('other', 38, 0.5),
    'world-39': Place('world', 39, 1.0),
    'haze-40': Place('haze', 40, 0.5),
    'coarse-41': Place('world', 41, 2.0),
}
REPORTED = [name for name, place in SCENES.items() if place.role == 'reported']


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


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Measure the gain from ten corrections')
    parts = parser.add_subparsers(dest='part', required=True)
    study = parts.add_parser('study', help='train and score')
    study.add_argument('--scenes', nargs='+', choices=tuple(SCENES), default=REPORTED)
    study.add_argument('--seeds', nargs='+', type=seed, default=[0], help='of the fine-tunings')
    study.add_argument('--kinds', nargs='+', choices=KINDS, default=KINDS[:1])
    study.add_argument('--name', default='default', help='of the settings in the results')
    study.add_argument(
        '--options', nargs='+', default=[], metavar='KEY=VALUE', help='of the fit, or the config'
    )
    table = parts.add_parser('table', help='print the scores')
    for part in (study, table):
        part.add_argument('--results', type=Path, default=RESULTS, help='file of the scores')
        add_traceback_option(part)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one part of the study."""
    args = parse_args(argv)
    runs = json.loads(args.results.read_text()) if args.results.exists() else []
    if args.part == 'table':
        table(runs)
        return
    options = read_options(args.options)
    for kind in args.kinds:
        for number in args.seeds:
            for name in args.scenes:
                run = dict(settings=args.name, scene=name, kind=kind, seed=number)
                if any(run.items() <= one.items() for one in runs):
                    continue
                folder = prepare(name)
                work = folder / f'{args.name}_{kind}_{number}'
                run['before'] = scores(folder / 'first', folder / 'rest')
                run['after'] = scores(learn(folder, work, kind, number, options), folder / 'rest')
                runs.append(run)
                with whole_file(args.results) as part:
                    lines = ',\n'.join(json.dumps(one) for one in runs)
                    part.write_text(f'[\n{lines}\n]\n')
                shutil.rmtree(work)
                gains = [run['after'][one] - run['before'][one] for one in SCORES]
                print(kind, number, name, *(f'{gain:+.1f}' for gain in gains), flush=True)


def read_options(words: Sequence[str]) -> dict[str, Any]:
    """Read KEY=VALUE words; a value is JSON, or else text."""
    made = {}
    for word in words:
        key, _, value = word.partition('=')
        try:
            made[key] = json.loads(value)
        except json.JSONDecodeError:
            made[key] = value
    return made


def prepare(name: str) -> Path:
    """Generate, predict and correct a scene, and return its folder."""
    out = WORK / name
    if (out / 'rest').is_dir():
        return out
    shutil.rmtree(out, ignore_errors=True)
    place = SCENES[name]
    files = write_scene(out / 'scene', generate(place), place.metres)
    inferencer = SCDInferencer()
    predict_scene(inferencer, files.before, files.after, out / 'first', min_area=4)
    results = SceneResults(out / 'first')
    truth = true_codes(files.labels, results.classes.num_classes)
    chosen = find_corrections(results, truth, out)[:NUMBER]
    kinds = [one.kind for one in chosen]
    print(name, *(f'{kinds.count(kind)} {kind}' for kind in sorted(set(kinds))), sep=', ')
    write_corrections(results, chosen, out / 'corrected.gpkg')
    margin = MARGIN * place.metres
    write_rest(files.labels, out / 'rest', [one.shape.buffer(margin) for one in chosen])
    return out


def generate(place: Place) -> SyntheticPair:
    """Generate the pair of a scene."""
    if place.style in ('other', 'haze'):
        nuisance = 2.0 if place.style == 'haze' else 1.0
        kind = SyntheticConfig(size=SIZE, seed=place.seed, unchanged_pairs=0.0, nuisance=nuisance)
        return generate_pair(0, kind)
    world = WorldConfig(
        size=SIZE,
        seed=place.seed,
        resolutions=(place.metres, place.metres),
        unchanged_pairs=0.0,
        infrared=0.0,
        winter=0.5 if place.style == 'winter' else 0.0,
    )
    return generate_scene(0, world)


def learn(folder: Path, work: Path, kind: str, number: int, options: dict[str, Any]) -> Path:
    """Learn from the corrections and return the folder of the scene, predicted again."""
    shutil.rmtree(work, ignore_errors=True)
    corrected = folder / 'corrected.gpkg'
    if kind == 'fit':
        write_labels(folder / 'first', corrected, work / 'data', size=SIZE)
        fitted = work / 'fitted.safetensors'
        fit_corrections(work / 'data', fitted, **options)
        inferencer = SCDInferencer(checkpoint=fitted)
    else:
        write_labels(folder / 'first', corrected, work / 'data', rest='prediction', size=WINDOW)
        inferencer = fine_tune(work, number, options)
    before, after = (folder / 'scene' / f'{date}.tif' for date in ('before', 'after'))
    second = work / 'second'
    return predict_scene(inferencer, before, after, second, polygons=False, registration=False)


def fine_tune(work: Path, number: int, options: dict[str, Any]) -> SCDInferencer:
    """Fine-tune the whole network and return it."""
    cfg = Config.fromfile(CONFIG)
    for part in ('train', 'val', 'test'):
        cfg[f'{part}_dataloader'].dataset.data_root = str(work / 'data')
        # Loaders with workers of their own take longer than these few windows.
        cfg[f'{part}_dataloader'].update(num_workers=0, persistent_workers=False)
    cfg.randomness.seed, cfg.work_dir, cfg.log_level = number, str(work / 'tuned'), 'ERROR'
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.merge_from_dict(options)
    build_runner(cfg).train()
    (checkpoint,) = (work / 'tuned').glob('epoch_*.pth')
    return SCDInferencer(cfg, checkpoint)


def scores(scene: Path, labels: Path) -> dict[str, float]:
    """Return the scores of a predicted scene, in percent."""
    counts = score_scene(SceneResults(scene), labels)
    semantic, binary = scd_scores(counts.scd), binary_scores(counts.change)
    found = dict(SeK=semantic['SeK'], Fscd=semantic['Fscd'], **{'change F1': binary['F1']})
    return {name: round(float(value), 2) for name, value in found.items()}


def table(runs: Sequence[dict[str, Any]]) -> None:
    """Print the score before and the difference of each scene, and of all with an interval.

    The difference of a scene is the mean over its runs; the intervals (95 %, of Student's t)
    are those of the mean over scenes.
    """
    for settings in dict.fromkeys(run['settings'] for run in runs):
        for kind in KINDS:
            for role in ('chosen on', 'reported'):
                own = [
                    run
                    for run in runs
                    if (run['settings'], run['kind']) == (settings, kind)
                    and SCENES[run['scene']].role == role
                ]
                if own:
                    print(f'\n{settings}, {kind}, scenes {role}')
                    _table(own)


def _table(runs: Sequence[dict[str, Any]]) -> None:
    means = []
    for name in dict.fromkeys(run['scene'] for run in runs):
        own = [run for run in runs if run['scene'] == name]
        gains = gain_table(own)
        means.append(gains.mean(axis=0))
        each = ', '.join(f'{gain:+.1f}' for gain in gains[:, 0])
        before = ' '.join(f'{own[0]["before"][one]:.1f}' for one in SCORES)
        shown = ' '.join(f'{gain:+.1f}' for gain in means[-1])
        print(f'{name:10} before {before}  difference {shown}  SeK of each {each}')
    for score, values in zip(SCORES, np.transpose(means), strict=True):
        low, high = interval(values)
        print(f'{score:10} mean {np.mean(values):+.1f} ({low:+.1f} to {high:+.1f})')


def gain_table(runs: Sequence[dict[str, Any]]) -> np.ndarray:
    """Return the differences (runs, scores) of the scores after the training to those before."""
    return np.array([[run['after'][one] - run['before'][one] for one in SCORES] for run in runs])


def interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of a mean by Student's t; of a single value, no bounds."""
    if len(values) < 2:
        return -np.inf, np.inf
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


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
