import json
import re
from pathlib import Path

import numpy as np
import pytest

from tfinet_mm.errors import ImageFormatError, SceneError
from tfinet_mm.io.rasters import raw_writer
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.scenes.write_results import write_results
from tfinet_mm.structures import ClassTable

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyproj')
pytest.importorskip('pyogrio')
pytest.importorskip('shapely')
from rasterio import Affine
from rasterio.crs import CRS

CLASSES = ClassTable(('same', 'water', 'tree'), ((255, 255, 255), (0, 0, 200), (0, 100, 0)))
PAGE = Path(__file__).parents[2] / 'docs' / 'scene_results.md'
PLACE = Affine.translation(500_000, 5e6) @ Affine.rotation(20) @ Affine.scale(10, -10)


@pytest.fixture
def finish(tmp_path):
    """A scene of 1200 x 800 pixels, turned, with two changes: 30 x 20 and 10 x 40 pixels."""

    def finish(crs='EPSG:32633', place=PLACE, **options):
        prob = np.full((800, 1200), 0.125, np.float32)
        old, new = np.ones((2, 800, 1200), np.uint8)
        prob[100:120, 200:230] = 0.75
        prob[300:340, 1190:] = 1
        new[100:120] = 2
        old[300:340] = 2
        prob[-10:] = np.nan
        staged = {}
        for name, values in (
            *(('change_prob', prob), ('land_cover_from', old), ('land_cover_to', new)),
        ):
            staged[name] = tmp_path / f'{name}.img'
            with raw_writer(staged[name], values.dtype.name, *values.shape) as write:
                write(values)
        grid = SceneGrid(crs and CRS.from_user_input(crs), place, 1200, 800)
        out = tmp_path / 'out'
        found = write_results(out, staged, grid, CLASSES, **options)
        (out / 'scene.json').write_text(json.dumps(found | dict(seconds=3)))
        return SceneResults(out), prob

    return finish


def test_what_was_written_is_read(finish):
    results, prob = finish()
    assert results.classes == CLASSES
    assert results.scene['seconds'] == 3
    assert (results.grid.width, results.grid.height) == (1200, 800)
    assert results.grid.crs == CRS.from_epsg(32633)
    assert results.grid.transform.almost_equals(PLACE, 1e-9)
    np.testing.assert_array_equal(results.read('change_prob'), prob)
    part = results.read('change', window=(190, 95, 50, 30))
    assert part.shape == (30, 50)
    assert part.sum() == 600
    assert results.areas().pixels.tolist() == [[0, 600], [400, 0]]
    first, second = results.largest(10)
    assert (first.number, first.old, first.new) == (1, 'water', 'tree')
    assert (second.from_class, second.to_class) == (2, 1)
    assert (first.area, second.area) == pytest.approx((60_000, 40_000))
    assert (first.mean_prob, second.mean_prob) == (0.75, 1)
    assert first.bounds == (200, 100, 230, 120)
    assert second.bounds == (1190, 300, 1200, 340)
    assert [one.number for one in results.largest(1)] == [1]
    assert results.largest(0) == []
    assert results.polygon_summary().polygons == 2


def test_reduced_pictures(finish):
    results, prob = finish()
    picture = results.read('change_prob', side=300)
    assert picture.shape == (200, 300)
    means = np.nanmean(prob[:788].reshape(197, 4, 300, 4), axis=(1, 3))
    np.testing.assert_allclose(picture[:197], means, rtol=1e-6)
    # The last rows are nodata, all four of a pixel or two.
    assert np.isnan(picture[198:]).all()
    codes = results.read('transition', side=100)
    assert codes.shape == (67, 100)
    assert set(codes.ravel().tolist()) <= {0, 2, 3, 255}
    assert results.read('transition', window=(0, 0, 20, 10), side=100).shape == (10, 20)


def test_without_crs_and_polygons(finish):
    results, _ = finish(crs=None, place=Affine.identity())
    assert results.grid.crs is None
    assert [(one.area, one.unit) for one in results.largest(5)] == [
        (600, 'pixels'),
        (400, 'pixels'),
    ]
    results, _ = finish(polygons=False)
    assert results.largest(5) == []
    assert results.polygon_summary() is None


def test_errors(finish, tmp_path):
    results, _ = finish()
    with pytest.raises(SceneError, match=r"expected one of change_prob, .*got 'cover'"):
        results.read('cover')
    with pytest.raises(SceneError, match='at least 1 pixel, got 0'):
        results.read('change', side=0)
    with pytest.raises(ImageFormatError, match='1200 x 800'):
        results.read('change', window=(1190, 0, 20, 10))
    with pytest.raises(SceneError, match='no finished scene'):
        SceneResults(tmp_path)


def test_the_page_shows_what_works(finish, tmp_path, monkeypatch, capsys):
    finish()
    (tmp_path / 'out').rename(tmp_path / '2018-2023')
    (tmp_path / 'out').mkdir()
    (tmp_path / '2018-2023').rename(tmp_path / 'out' / '2018-2023')
    monkeypatch.chdir(tmp_path)
    (snippet,) = re.findall(r'```python\n(.*?)```', PAGE.read_text(encoding='utf-8'), re.DOTALL)
    values = {}
    exec(snippet, values)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:3] for line in lines] == [['1', 'water', 'tree'], ['2', 'tree', 'water']]
    assert [float(line[-1]) for line in lines] == [0.75, 1]
    assert values['picture'].shape == (667, 1000)
    np.testing.assert_allclose(values['hectares'], [[0, 6], [4, 0]])
