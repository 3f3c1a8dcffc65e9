import csv
import json

import numpy as np
import pytest

from tfinet_mm.errors import SceneError
from tfinet_mm.io.rasters import raw_writer
from tfinet_mm.scenes.areas import PixelAreas
from tfinet_mm.scenes.from_to import FromToAreas, from_to_areas
from tfinet_mm.scenes.grid import SceneGrid

pytest.importorskip('rasterio')
pytest.importorskip('pyproj')
from rasterio import Affine
from rasterio.crs import CRS

CLASSES = 'water', 'tree', 'town'
UTM = CRS.from_epsg(32633)


@pytest.fixture
def add_up(tmp_path):
    def add_up(codes, place, crs, nodata=255, **options):
        path = tmp_path / 'transition.img'
        with raw_writer(path, codes.dtype.name, *codes.shape) as write:
            write(codes)
        grid = SceneGrid(crs, place, codes.shape[1], codes.shape[0])
        return from_to_areas(path, CLASSES, nodata, PixelAreas(grid), **options)

    return add_up


def north_up(size, x, y):
    return Affine(size, 0, x, 0, -size, y)


@pytest.mark.parametrize(('dtype', 'nodata'), [('uint8', 255), ('uint16', 65535)])
def test_counted_pixels(add_up, dtype, nodata):
    codes = np.random.default_rng(0).choice([0, 0, 0, *range(10), nodata], (37, 23)).astype(dtype)
    found = add_up(codes, north_up(20, 500_000, 5_000_000), UTM, nodata, block_pixels=100)
    for i in range(3):
        for j in range(3):
            number = (codes == i * 3 + j + 1).sum()
            assert found.pixels[i, j] == number
            # 20 m x 20 m are 0.04 ha.
            assert found.matrix[i, j] == pytest.approx(number * 0.04)
    assert found.unchanged == pytest.approx((codes == 0).sum() * 0.04)
    assert found.not_seen_pixels == (codes == nodata).sum()
    area, pixels = found.totals()['total']
    assert (pixels, round(area, 9)) == (codes.size, round(codes.size * 0.04, 9))
    assert (found.unit, found.method) == ('ha', 'planar')


def test_each_row_of_degrees_counts_its_own_area(add_up):
    """A row at 10 and one at 60 degrees north, with different classes."""
    codes = np.zeros((51, 30), np.uint8)
    codes[0, :12] = 2
    codes[50, :] = 6
    found = add_up(codes, Affine(0.01, 0, 5, 0, -1, 60.5), CRS.from_epsg(4326), block_pixels=60)
    geod = __import__('pyproj').Geod(ellps='WGS84')
    for (i, j), latitude, number in (((0, 1), 60, 12), ((1, 2), 10, 30)):
        west, east, south, north = 5, 5.01, latitude - 0.5, latitude + 0.5
        outline = [west, east, east, west], [south, south, north, north]
        area = abs(geod.polygon_area_perimeter(*outline)[0]) / 1e4
        assert found.matrix[i, j] == pytest.approx(number * area, rel=1e-4)
    assert found.method == 'geodesic'


def test_lost_and_gained(add_up):
    """Water to tree 2, tree to town 3, town to water 1, town to town 5 pixels of one hectare."""
    codes = np.array([[2, 2, 6, 6, 6, 7, 9, 9, 9, 9, 9, 0, 255]], np.uint8)
    found = add_up(codes, north_up(100, 500_000, 5_000_000), UTM)
    table = {one.pop('name'): one for one in found.by_class()}
    assert [table[name]['lost'] for name in CLASSES] == [2, 3, 1]
    assert [table[name]['gained'] for name in CLASSES] == [1, 2, 3]
    assert [table[name]['net_pixels'] for name in CLASSES] == [-1, -1, 2]
    assert found.totals() == {
        'changed': (11, 11), 'unchanged': (1, 1), 'not_seen': (1, 1), 'total': (13, 13)
    }  # fmt: skip


def test_files(add_up, tmp_path):
    codes = np.array([[2, 2, 6, 0, 255]], np.uint8)
    found = add_up(codes, north_up(10, 500_000, 5_000_000), UTM)
    found.write(tmp_path / 'out')
    values = json.loads((tmp_path / 'out' / 'areas.json').read_text())
    assert values['from_to'][0] == [0, 0.02, 0]
    assert values['from_to_pixels'][1] == [0, 0, 1]
    not_seen = {'area': 0.01, 'pixels': 1, 'percent': pytest.approx(20), 'reasons': {}}
    assert values['not_seen'] == not_seen
    assert values['unit'] == 'ha'
    again = FromToAreas.from_json(values)
    np.testing.assert_array_equal(again.matrix, found.matrix)
    assert again.totals() == found.totals()
    with (tmp_path / 'out' / 'areas.csv').open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9 + 9 + 4
    table = {(row['what'], row['from'], row['to']): row for row in rows}
    assert table['changed', 'water', 'tree']['hectares'] == '0.02'
    assert table['lost', 'water', '']['pixels'] == '2'
    assert table['gained', '', 'town']['hectares'] == '0.01'
    assert table['net', '', 'tree']['pixels'] == '1'
    assert table['all changed', '', '']['hectares'] == '0.03'
    assert table['total', '', '']['pixels'] == '5'


def test_without_crs_pixels_are_counted(add_up, tmp_path):
    found = add_up(np.array([[2, 2, 6, 0, 255]], np.uint8), Affine.identity(), None)
    assert (found.unit, found.matrix[0, 1], found.not_seen) == ('pixels', 2, 1)
    found.write(tmp_path)
    assert (tmp_path / 'areas.csv').read_text().splitlines()[:3] == [
        'what,from,to,pixels', 'changed,water,water,0', 'changed,water,tree,2'
    ]  # fmt: skip


@pytest.mark.parametrize('value', [0, 255])
def test_nothing_changed_or_nothing_known(add_up, value):
    found = add_up(np.full((4, 5), value, np.uint8), north_up(10, 500_000, 5_000_000), UTM)
    assert found.matrix.sum() == found.pixels.sum() == 0
    assert (found.unchanged_pixels, found.not_seen_pixels) == ((20, 0) if value == 0 else (0, 20))


def test_errors(add_up, tmp_path):
    place = north_up(10, 500_000, 5_000_000)
    with pytest.raises(SceneError, match='holds the code 11, expected 0 to 9 for 3 classes'):
        add_up(np.array([[11, 0]], np.uint8), place, UTM)
    with pytest.raises(SceneError, match='holds the code 10, expected 0 to 9 for 3 classes'):
        add_up(np.array([[10, 0]], np.uint8), place, UTM)
    wrong = PixelAreas(SceneGrid(UTM, place, 3, 3))
    with pytest.raises(SceneError, match=r"2 x 1 pixels, the scene's grid 3 x 3"):
        from_to_areas(tmp_path / 'transition.img', CLASSES, 255, wrong)
