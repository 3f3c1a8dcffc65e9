import json
import sys
from dataclasses import asdict

import numpy as np
import pytest
from scipy import ndimage

from tfinet_mm.errors import MissingExtraError, SceneError
from tfinet_mm.io.rasters import raw_writer
from tfinet_mm.scenes.areas import PixelAreas
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.vectorize.polygons import write_polygons

rasterio = pytest.importorskip('rasterio')
pyproj = pytest.importorskip('pyproj')
pyogrio = pytest.importorskip('pyogrio')
shapely = pytest.importorskip('shapely')
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.features import rasterize

CLASSES = 'water', 'tree', 'town'
UTM = CRS.from_epsg(32633)
PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
WATER_TO_TREE, TREE_TO_TOWN, TOWN_TO_TOWN = 2, 6, 9


class Written:
    """Read a layer back, as columns."""

    def __init__(self, path, summary):
        self.path, self.summary = path, summary
        self.info, _, stored, columns = pyogrio.raw.read(path, layer='changes')
        self.shapes = shapely.from_wkb(stored)
        self.columns = dict(zip(self.info['fields'], columns, strict=True))

    def __getitem__(self, key):
        return self.columns[key].tolist()


@pytest.fixture
def write(tmp_path):
    def write(codes, prob=None, place=PLACE, crs=UTM, areas='auto', nodata=255, **options):
        codes = np.asarray(codes, np.uint8 if nodata == 255 else np.uint16)
        prob = np.full(codes.shape, 0.75) if prob is None else prob
        paths = tmp_path / 'transition.img', tmp_path / 'change_prob.img'
        for path, values, kind in zip(
            paths, (codes, prob), (codes.dtype.name, 'float32'), strict=True
        ):
            with raw_writer(path, kind, *values.shape) as append:
                append(values)
        grid = SceneGrid(crs, place, codes.shape[1], codes.shape[0])
        target = tmp_path / 'out' / 'changes.gpkg'
        summary = write_polygons(
            *paths,
            target,
            classes=CLASSES,
            nodata=nodata,
            pixel_areas=PixelAreas(grid, areas),
            **options,
        )
        assert [path.name for path in target.parent.iterdir()] == ['changes.gpkg']
        return Written(target, summary)

    return write


def scene(seed=0, height=61, width=47, share=0.55):
    """Noise of a few transitions, which has holes and corners that touch."""
    generator = np.random.default_rng(seed)
    codes = generator.choice([WATER_TO_TREE, TREE_TO_TOWN], (height, width))
    codes[generator.random(codes.shape) > share] = 0
    codes[20:25, 30:] = 255
    prob = generator.random(codes.shape)
    prob[codes == 255] = np.nan
    return codes, prob


@pytest.mark.parametrize('nodata', [255, 65535])
def test_hand_made_areas(write, nodata):
    codes = np.zeros((12, 15), int)
    codes[1:4, 2:4] = WATER_TO_TREE
    codes[6:11, 1:6] = TREE_TO_TOWN
    codes[8, 3] = 0
    codes[6, 9:14] = TOWN_TO_TOWN
    codes[9:, 9:] = nodata
    prob = np.random.default_rng(0).random(codes.shape)
    prob[codes == nodata] = np.nan
    found = write(codes, prob, nodata=nodata)
    assert found['from'] == ['tree', 'water', 'town']
    assert found['to'] == ['town', 'tree', 'town']
    assert found['from_class'] == [2, 1, 3]
    assert found['to_class'] == [3, 2, 3]
    assert found['area_m2'] == [2400, 600, 500]
    means = [prob[codes == code].mean() for code in (TREE_TO_TOWN, WATER_TO_TREE, TOWN_TO_TOWN)]
    np.testing.assert_allclose(found['mean_prob'], means, rtol=1e-6)
    # The hole is one; corners are where the pixels' are.
    hole = shapely.box(500_030, 5_000_000 - 90, 500_040, 5_000_000 - 80)
    outer = shapely.box(500_010, 5_000_000 - 110, 500_060, 5_000_000 - 60)
    assert found.shapes[0].equals(outer - hole)
    assert found.shapes[2].equals(shapely.box(500_090, 4_999_930, 500_140, 4_999_940))
    assert found.info['geometry_type'] == 'Polygon'
    assert CRS.from_user_input(found.info['crs']) == UTM
    assert asdict(found.summary) == dict(
        unit='m2', min_area=0, connectivity=4, polygons=3, area=3500, dropped=0, dropped_area=0
    )
    info = pyogrio.read_info(found.path, layer='changes')
    assert json.loads(info['layer_metadata']['SUMMARY']) == asdict(found.summary)


@pytest.mark.parametrize('connectivity', [4, 8])
@pytest.mark.parametrize('block_pixels', [1, 47 * 7, 10**6])
@pytest.mark.parametrize('share', [0.3, 0.55, 0.8])
def test_noise(write, connectivity, block_pixels, share):
    """Polygons cover the changed pixels, each one connected region, for blocks of any size."""
    codes, prob = scene(share=share)
    found = write(codes, prob, connectivity=connectivity, block_pixels=block_pixels)
    structure = np.ones((3, 3)) if connectivity == 8 else None
    expected = []
    painted = np.zeros(codes.shape, np.int32)
    for code in (WATER_TO_TREE, TREE_TO_TOWN):
        labels, count = ndimage.label(codes == code, structure)
        for number in range(1, count + 1):
            here = labels == number
            expected.append((here.sum() * 100, code, prob[here].mean()))
    mine = zip(found['area_m2'], found['from'], found['mean_prob'], strict=True)
    names = {'water': WATER_TO_TREE, 'tree': TREE_TO_TOWN}
    rows = sorted((area, names[name], mean) for area, name, mean in mine)
    np.testing.assert_allclose(rows, sorted(expected), rtol=1e-5)
    assert found['area_m2'] == sorted(found['area_m2'], reverse=True)
    assert shapely.is_valid(found.shapes).all()
    np.testing.assert_allclose(shapely.area(found.shapes), found['area_m2'])
    kind = 'Polygon' if connectivity == 4 else 'MultiPolygon'
    assert {shape.geom_type for shape in found.shapes} == {found.info['geometry_type']} == {kind}
    values = [names[name] for name in found['from']]
    rasterize(zip(found.shapes, values, strict=True), out=painted, transform=PLACE)
    np.testing.assert_array_equal(painted, np.where(codes == 255, 0, codes))


def test_blocks_give_the_same_outlines(write):
    codes, prob = scene(share=0.75)
    whole = write(codes, prob)
    for rows in (1, 3, 10):
        parts = write(codes, prob, block_pixels=rows * 47)
        assert len(parts.shapes) == len(whole.shapes)
        # Also in the number of points: none is left where blocks meet.
        for one, other in zip(
            sorted(shapely.normalize(parts.shapes), key=shapely.to_wkb),
            sorted(shapely.normalize(whole.shapes), key=shapely.to_wkb),
            strict=True,
        ):
            assert one.equals(other)
            assert shapely.get_num_coordinates(one) == shapely.get_num_coordinates(other)


def test_minimum_mapping_unit(write):
    codes = np.zeros((9, 20), int)
    for left, size in ((0, 1), (3, 2), (7, 3), (12, 4)):
        codes[1 : 1 + size, left : left + size] = WATER_TO_TREE
    found = write(codes, min_area=400, block_pixels=40)
    assert found['area_m2'] == [1600, 900, 400]
    assert (found.summary.dropped, found.summary.dropped_area) == (1, 100)
    assert (found.summary.polygons, found.summary.area) == (3, 2900)
    # A grid that is turned has the same areas but for rounding.
    turned = PLACE @ Affine.rotation(30)
    assert write(codes, place=turned, min_area=400).summary.dropped == 1
    assert write(codes, min_area=400.1).summary.dropped == 2


def test_degrees(write):
    """The area is that of the rectangle on the ellipsoid."""
    codes = np.zeros((60, 40), int)
    codes[10:50, 5:25] = TREE_TO_TOWN
    place = Affine(0.001, 0, 13, 0, -0.001, 52.5)
    found = write(codes, place=place, crs=CRS.from_epsg(4326), block_pixels=700)
    west, east, south, north = 13.005, 13.025, 52.45, 52.49
    sides = np.linspace(west, east, 50)
    outline = np.concatenate([sides, sides[::-1]]), np.repeat([south, north], 50)
    area, _ = pyproj.Geod(ellps='WGS84').polygon_area_perimeter(*outline)
    assert found['area_m2'][0] == pytest.approx(abs(area), rel=1e-6)
    np.testing.assert_allclose(found.shapes[0].bounds, (west, south, east, north))
    assert CRS.from_user_input(found.info['crs']) == CRS.from_epsg(4326)


def test_web_mercator_at_60_degrees(write):
    x, y = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform(10, 60)
    codes = np.full((4, 5), WATER_TO_TREE)
    options = dict(place=Affine(10, 0, x, 0, -10, y), crs=CRS.from_epsg(3857))
    (area,) = write(codes, **options)['area_m2']
    assert area == pytest.approx(20 * 25, rel=0.01)
    assert write(codes, **options, areas='planar')['area_m2'] == [2000]


def test_feet(write):
    codes = np.full((4, 5), WATER_TO_TREE)
    place = Affine(3, 0, 980_000, 0, -3, 200_000)
    (area,) = write(codes, place=place, crs=CRS.from_epsg(2263))['area_m2']
    assert area == pytest.approx(20 * (3 * 1200 / 3937) ** 2)


def test_without_crs(write):
    codes = np.zeros((4, 5), int)
    codes[1:3, 1:4] = WATER_TO_TREE
    codes[0, 0] = TREE_TO_TOWN
    found = write(codes, place=Affine.identity(), crs=None, min_area=2)
    assert found['area_px'] == [6]
    assert 'area_m2' not in found.columns
    assert found.summary.unit == 'pixels'
    assert found.shapes[0].bounds == (1, 1, 4, 3)


@pytest.mark.parametrize('value', [0, 255])
def test_nothing_changed_or_nothing_known(write, value):
    found = write(np.full((4, 5), value), np.full((4, 5), np.nan if value else 0.1))
    assert len(found.shapes) == found.summary.polygons == 0
    assert list(found.columns) == [
        *('from', 'to', 'from_class', 'to_class', 'area_m2', 'mean_prob')
    ]
    assert CRS.from_user_input(found.info['crs']) == UTM


def test_many_chunks(write, monkeypatch):
    monkeypatch.setattr('tfinet_mm.scenes.vectorize.polygons.CHUNK', 7)
    codes = np.zeros((20, 20), int)
    codes[::2, ::2] = WATER_TO_TREE
    codes[4, 4:7] = WATER_TO_TREE
    rows = []
    found = write(codes, block_pixels=60, progress=rows.append)
    assert found['area_m2'] == [300] + [100] * 98
    assert rows == [3] * 6 + [2]


def test_errors(write, tmp_path, monkeypatch):
    codes = np.zeros((4, 5), int)
    with pytest.raises(SceneError, match='0 or more, got -1'):
        write(codes, min_area=-1)
    with pytest.raises(SceneError, match='4 or 8, got 5'):
        write(codes, connectivity=5)
    with pytest.raises(SceneError, match=r"4 x 5 pixels, the scene's grid 5 x 4"):
        write(codes, np.zeros((5, 4)))
    monkeypatch.setitem(sys.modules, 'shapely', None)
    with pytest.raises(MissingExtraError, match=r'needs shapely.*tfinet-mm\[geo\]'):
        write(codes)
