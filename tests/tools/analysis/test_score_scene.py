"""Test tools/analysis/score_scene.py on a scene with half of its change found."""

import numpy as np
import pytest

pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')
pytest.importorskip('shapely')
from finished_scene import PLACE, finished_scene

from tfinet_mm.evaluation.comparison import read_scores


def test_scores_are_printed_and_written(load_tool, raster, tmp_path, capsys):
    prob = np.zeros((20, 30))
    prob[:5] = 1
    covers = np.ones((2, 20, 30), np.uint8)
    covers[1, :10] = 2
    scene = finished_scene(tmp_path, prob, *covers)
    change = np.zeros((20, 30), np.uint8)
    change[:10] = 1
    for name, values in zip(
        ('change', 'land_cover_from', 'land_cover_to'), (change, *covers), strict=True
    ):
        raster(f'labels/{name}.tif', values[None], PLACE.c, PLACE.f)
    out = tmp_path / 'scores' / 'scene.json'
    words = [str(scene.folder), str(tmp_path / 'labels'), '--json', str(out)]
    load_tool('analysis/score_scene.py').main(words)
    printed = capsys.readouterr().out
    assert printed.startswith('Scores over 1 pair, in percent')
    scores = read_scores(out)['scores']
    # Half of the changed pixels were found, and no others.
    assert scores['IoU_changed'] == pytest.approx(50)
    assert scores['change/F1'] == pytest.approx(100 * 2 / 3)
    assert f'{scores["SeK"]:.2f}' in printed
