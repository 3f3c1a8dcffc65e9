"""Test tools/scene_areas.py."""

import csv
import json
import sys

import pytest

pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')
pytest.importorskip('pyproj')
pytest.importorskip('shapely')
from zone_files import SQUARES, striped_scene, write_shapes

from tfinet_mm.errors import SceneError


@pytest.fixture
def scene(tmp_path):
    return striped_scene(tmp_path / 'out').folder


def test_tool(scene, load_tool, tmp_path, capsys):
    pytest.importorskip('exactextract')
    tool = load_tool('scene_areas.py')
    path = write_shapes(tmp_path / 'aoi.gpkg', SQUARES, ['Mühldorf', 'b', 'b', 'far'])
    tool.main([str(scene), '--aoi', str(path), '--by', 'name'])
    printed = capsys.readouterr().out
    assert 'Mühldorf: changed 0.04 of 0.09 ha' in printed
    assert '50.0 % of water was lost on balance: 0.09 ha before, 0.04 ha after' in printed
    # Of 1600 m2, 200 outside; of the rest 1000 without data.
    assert 'b: 12.5 % outside of the scene, 71.4 % not seen, changed 0.00 of 0.04 ha' in printed
    assert 'Outside of the scene: far' in printed
    folder = scene / 'zones' / 'aoi'
    values = json.loads((folder / 'zone_areas.json').read_text(encoding='utf-8'))
    assert (values['by'], values['coverage']) == ('name', 'exact')
    assert values['zones'][0]['from_to'][0][1] == pytest.approx(0.045)
    with (folder / 'zone_totals.csv').open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert [row['zone'] for row in rows[::2]] == ['Mühldorf', 'b', 'far']
    assert float(rows[0]['net_percent']) == pytest.approx(-50)
    # Of 1400 m2 inside, 1000.
    assert float(rows[2]['not_seen_percent']) == pytest.approx(100 * 1000 / 1400)
    assert values['zones'][1]['not_seen']['percent'] == pytest.approx(100 * 1000 / 1400)
    assert 'unseen' not in values['zones'][1]
    with (folder / 'zone_from_to.csv').open(newline='', encoding='utf-8') as file:
        (row,) = csv.DictReader(file)
    assert (row['from'], row['to'], round(float(row['hectares']), 9)) == ('water', 'tree', 0.045)
    tool.main([str(scene)])
    assert '25.0 % of water was lost on balance' in capsys.readouterr().out


def test_without_exactextract(scene, load_tool, tmp_path, monkeypatch, capsys):
    path = write_shapes(tmp_path / 'aoi.gpkg', SQUARES[:1])
    monkeypatch.setitem(sys.modules, 'exactextract', None)
    with pytest.warns(UserWarning, match='exactextract is not installed'):
        load_tool('scene_areas.py').main([str(scene), '--aoi', str(path)])
    assert '1: changed' in capsys.readouterr().out


def test_errors(scene, load_tool, tmp_path, capsys):
    tool = load_tool('scene_areas.py')
    far = write_shapes(tmp_path / 'far.gpkg', SQUARES[3:])
    with pytest.raises(SceneError, match=r'all polygons of .* are outside of the scene'):
        tool.main([str(scene), '--aoi', str(far), '--coverage', 'centre'])
    with pytest.raises(SystemExit):
        tool.main([str(scene), '--by', 'name'])
    assert 'need polygons: add --aoi FILE' in capsys.readouterr().err
