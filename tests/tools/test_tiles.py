"""Test tools/tiles.py."""

import json

import numpy as np
import pytest

pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')
pytest.importorskip('pyproj')
pytest.importorskip('shapely')
from finished_scene import finished_scene


def test_folder_of_tiles(load_tool, tmp_path, capsys):
    prob, covers = np.full((20, 30), 0.9), np.ones((2, 20, 30), np.uint8)
    folder = finished_scene(tmp_path / 'a', prob, *covers).folder
    out = tmp_path / 'web'
    options = ['--map', 'before', '--zoom', '12', '14', '--attribution', 'Mine']
    load_tool('tiles.py').main([str(folder), '--out', str(out), *options])
    number = len(list(out.rglob('*.png')))
    assert capsys.readouterr().out.strip() == f'{number} tiles of zoom 12 to 14: {out}'
    described = json.loads((out / 'tiles.json').read_text(encoding='utf-8'))
    assert (described['attribution'], described['minzoom'], described['maxzoom']) == (
        'Mine',
        12,
        14,
    )
    assert described['legend'][0] == dict(name='water', colour='#0000c8')
