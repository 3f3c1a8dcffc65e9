"""The origin of a scene's results, in all of its files."""

import hashlib
import json

import pytest

from tfinet_mm.scenes.prediction import predict_scene
from tfinet_mm.version import __version__

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyproj')
pytest.importorskip('shapely')
pyogrio = pytest.importorskip('pyogrio')


def test_every_file_tells_its_origin(network, scene, smooth, tmp_path):
    pair = [scene(f'{i}', smooth(40, 40, seed=i)) for i in (1, 2)]
    with rasterio.open(pair[0], 'r+') as file:
        file.update_tags(ns='IMAGERY', ACQUISITIONDATETIME='2018-06-01 10:00:00')
    with rasterio.open(pair[1], 'r+') as file:
        file.update_tags(TIFFTAG_DATETIME='2023:06:02 10:30:00')
    out = predict_scene(network(threshold=0.25), *pair, tmp_path / 'out', min_area=12)
    origin = json.loads((out / 'scene.json').read_text())['provenance']
    expected = [hashlib.sha256(path.read_bytes()).hexdigest() for path in pair]
    assert [origin[role]['sha256'] for role in ('before', 'after')] == expected
    assert (origin['before']['file'], origin['after']['file']) == ('1.tif', '2.tif')
    assert origin['before']['acquired'] == '2018-06-01 10:00:00'
    assert origin['after']['datetime'] == '2023:06:02 10:30:00'
    assert 'acquired' not in origin['after']
    assert origin['model'] == [dict(name='blur', checkpoint='blur.pth', weights='abc')]
    assert origin['settings']['threshold'] == 0.25
    assert origin['settings']['min_area'] == 12
    assert origin['settings']['window'] == 32
    assert 'batch_size' not in origin['settings']
    assert origin['software']['tfinet_mm'] == __version__
    parts = {f'TFINET_{name.upper()}': part for name, part in origin.items()}
    for name in ('change_prob', 'change', 'land_cover_from', 'land_cover_to', 'transition'):
        with rasterio.open(out / f'{name}.tif') as file:
            tags = file.tags()
        assert {key: json.loads(tags[key]) for key in parts} == parts
        assert tags['TIFFTAG_SOFTWARE'] == f'tfinet_mm {__version__}'
    stored = pyogrio.read_info(out / 'changes.gpkg', layer='changes')['layer_metadata']
    assert {key: json.loads(stored[key]) for key in parts} == parts


def test_paths_make_no_difference(network, scene, smooth, tmp_path):
    pair = [scene(f'{i}', smooth(40, 40, seed=i)) for i in (1, 2)]
    first = predict_scene(network(), *pair, tmp_path / 'a', polygons=False)
    (tmp_path / 'moved').mkdir()
    pair = [path.rename(tmp_path / 'moved' / path.name) for path in pair]
    second = predict_scene(network(batch_size=1), *pair, tmp_path / 'b', polygons=False)
    assert (first / 'change.tif').read_bytes() == (second / 'change.tif').read_bytes()
