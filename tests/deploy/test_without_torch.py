"""Predict a pair and a scene in a process that can't import torch or OpenMMLab's packages.

Nor, where only the extra ``runtime-geo`` is installed, OpenCV, SciPy and pyogrio.
"""

import json
import subprocess
import sys

import numpy as np
import pytest
import tiny_export

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
rasterio = pytest.importorskip('rasterio')

CODE = """
import importlib.util, json, pkgutil, runpy, sys
from pathlib import Path

BANNED = {'torch', 'mmengine', 'mmcv', 'mmseg', 'safetensors', *sys.argv[2:]}

class Ban:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in BANNED:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name.partition('.')[0])

# As if they were not installed.
sys.meta_path.insert(0, Ban())
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in BANNED else find_spec(name, *rest)
folder = Path(sys.argv[1])
found = {}

import numpy as np
import tfinet_mm
from tfinet_mm import io, scenes
from tfinet_mm.deploy import card, runtime
from tfinet_mm.apis import SCDInferencer, predict_scene

# Pictures are predicted without these; [runtime] doesn't install them.
from tfinet_mm.apis import command

found['large'] = sorted({'cv2', 'scipy', 'rasterio', 'shapely', 'jinja2'} & set(sys.modules))

# The page of data sets and the hook of trainings are for those who train.
TRAINING = {'tfinet_mm.report.dataset_sheet', 'tfinet_mm.report.hook'}
for package in (io, scenes, importlib.import_module('tfinet_mm.report')):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):
        if module.name not in TRAINING:
            importlib.import_module(module.name)

inferencer = SCDInferencer(folder / 'tiny.onnx', backend='onnxruntime')
pair = np.load(folder / 'pair.npy')
result = inferencer(pair[..., :3], pair[..., 3:])
np.save(folder / 'change_prob.npy', result.change_prob)
predict_scene(inferencer, folder / 'before.tif', folder / 'after.tif', folder / 'scene')

from tfinet_mm.cli import main

def command(*words):
    sys.argv = ['tfinet', *map(str, words)]
    try:
        main()
    except SystemExit as end:
        return end.code or 0
    return 0

network = folder / 'tiny.onnx'
images = folder / 'before.tif', folder / 'after.tif'
DATES = '--before-date', '2018-06-01', '--after-date', '2023-06-02'
found['predict'] = command(
    'predict', network, *images, '--out', folder / 'out', '--report', '--backend', 'onnxruntime'
)
found['areas'] = command('areas', folder / 'out' / 'before')
found['stac'] = command('stac', folder / 'out' / 'before', *DATES)
found['report'] = command('report', folder / 'out')
scene, finished, points = folder / 'scene', folder / 'finished', folder / 'points'
found['finish'] = command(
    'finish', scene, '--out', finished, '--smooth', 3, '--hysteresis', 0.3, 0.6
)
if 'pyogrio' not in BANNED:
    found['assess'] = command('assess', 'sample', scene, '--out', points, '--points', 20)
found['mosaic'] = command('mosaic', folder / 'mosaic.vrt', *images)
found['train'] = command('train', 'a.py')
found['torch'] = sorted(BANNED & set(sys.modules))
try:
    SCDInferencer()
except Exception as error:
    found['missing'] = f'{type(error).__name__}: {error}'
(folder / 'found.json').write_text(json.dumps(found))
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / 'without torch'
    folder.mkdir()
    tiny_export.write(folder / 'tiny.onnx')
    random = np.random.default_rng(0)
    np.save(folder / 'pair.npy', random.integers(0, 256, (21, 35, 6), dtype=np.uint8))
    before = random.integers(0, 256, (3, 90, 100), dtype=np.uint8)
    after = before.copy()
    after[:, 20:50, 30:70] = 255 - after[:, 20:50, 30:70]
    for name, values in dict(before=before, after=after).items():
        options = dict(driver='GTiff', count=3, height=90, width=100, dtype='uint8')
        place = dict(crs='EPSG:32633', transform=rasterio.transform.from_origin(5e5, 6e6, 2, 2))
        with rasterio.open(folder / f'{name}.tif', 'w', **options, **place) as file:
            file.write(values)
    return folder


@pytest.mark.parametrize('missing', [(), ('cv2', 'scipy', 'pyogrio')], ids=['all', 'runtime-geo'])
def test_everything_about_an_exported_network_works_without_torch(folder, missing):
    done = subprocess.run(
        [sys.executable, '-c', CODE, folder, *missing], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((folder / 'found.json').read_text())
    assert found.pop('torch') == found.pop('large') == []
    refusal = found.pop('missing')
    assert refusal.startswith('StackError')
    assert 'pip install "tfinet-mm[mm]"' in refusal
    assert found.pop('train') == 2
    assert 'torch is not installed' in done.stderr
    assert set(found.values()) == {0}, (found, done.stderr[-3000:])
    pair = np.load(folder / 'pair.npy').transpose(2, 0, 1)[None]
    wanted = tiny_export.expected(pair)[2][0, 0]
    np.testing.assert_allclose(np.load(folder / 'change_prob.npy'), wanted, atol=2e-6)
    scene = json.loads((folder / 'scene' / 'scene.json').read_text())
    assert set(scene['provenance']['software']) == {'tfinet_mm', 'onnxruntime', 'gdal'}
    exported = scene['provenance']['settings']['exported']
    assert (exported['file'], exported['backend'], exported['precision']) == (
        'tiny.onnx',
        'onnxruntime',
        'float32',
    )
    assert len(exported['sha256']) == 64
    assert scene['provenance']['model'][0]['weights'] == 'abc'
    with rasterio.open(folder / 'scene' / 'change_prob.tif') as file:
        change = file.read(1)
    assert change[25:45, 35:65].mean() > 5 * change[60:].mean()
    assert scene['registration']['found'] is not None
    pyogrio = pytest.importorskip('pyogrio')
    about = pyogrio.read_info(folder / 'scene' / 'changes.gpkg', layer='changes')
    assert about['features'] == scene['polygons']['polygons'] > 0
    assert about['crs'] == 'EPSG:32633'
