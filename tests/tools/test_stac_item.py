"""Test tools/stac_item.py."""

import json

import pytest

pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')
pytest.importorskip('pyproj')
pytest.importorskip('shapely')
from zone_files import striped_scene


def test_item_of_a_scene_without_provenance(load_tool, tmp_path, capsys):
    folder = striped_scene(tmp_path / 'out').folder
    dates = ['--before-date', '2018-06-01', '--after-date', '2023-06-02T10:00:00+02:00']
    load_tool('stac_item.py').main([str(folder), *dates, '--id', 'mine'])
    assert capsys.readouterr().out.strip() == str(folder / 'item.json')
    item = json.loads((folder / 'item.json').read_text(encoding='utf-8'))
    assert item['id'] == 'mine'
    assert item['properties']['end_datetime'] == '2023-06-02T08:00:00Z'
    assert not any(key.startswith('tfinet:') for key in item['properties'])
