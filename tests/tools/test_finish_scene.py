"""Test tools/finish_scene.py."""

import json

import numpy as np
import pytest

pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')
pytest.importorskip('shapely')
from finished_scene import finished_scene

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.results import SceneResults


@pytest.fixture
def scene(tmp_path):
    """A row of pixels at 0.45 that touches one at 0.9, one that doesn't, and water to tree."""
    prob = np.zeros((40, 60))
    prob[5, 10:30] = prob[20, 10:30] = 0.45
    prob[5, 30] = 0.9
    covers = [np.full((40, 60), one, np.uint8) for one in (1, 2)]
    return finished_scene(tmp_path, prob, *covers).folder


@pytest.mark.parametrize(
    ('words', 'changed', 'polygons'),
    [
        (['--threshold', '0.4'], 41, 2),
        (['--threshold', '0.4', '--min-area', '2050'], 41, 1),
        (['--hysteresis', '0.4', '0.8'], 21, 1),
        (['--threshold', '0.4', '--smooth', '3'], 0, 0),
        ([], 1, 1),
    ],
)
def test_rules(load_tool, scene, tmp_path, capsys, words, changed, polygons):
    out = tmp_path / 'a b'
    load_tool('finish_scene.py').main([str(scene), '--out', str(out), *words])
    assert f'{changed / 100:.2f} ha' in capsys.readouterr().out
    found = SceneResults(out)
    assert (found.read('change') == 1).sum() == changed
    assert found.polygon_summary().polygons == polygons


def test_classes(load_tool, scene, tmp_path, capsys):
    main = load_tool('finish_scene.py').main
    names, palette = tmp_path / 'names.json', tmp_path / 'palette.json'
    names.write_text(json.dumps(dict(water='Wasser', tree='Baum', same='gleich')))
    palette.write_text(json.dumps(dict(Baum=[1, 2, 3])))
    words = [str(scene), '--out', str(tmp_path / 'x'), '--no-polygons']
    main([*words, '--class-names', str(names), '--palette', str(palette)])
    assert 'Wasser to Baum' in capsys.readouterr().out
    found = SceneResults(tmp_path / 'x')
    assert found.classes.names == ('gleich', 'Wasser', 'Baum')
    assert found.classes.palette[2] == (1, 2, 3)
    assert not (tmp_path / 'x' / 'changes.gpkg').exists()
    with pytest.raises(SceneError, match="class 'wood', the scene has water, tree"):
        main([*words[:2], str(tmp_path / 'y'), '--merge', 'wood=tree'])
