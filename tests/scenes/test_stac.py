"""STAC items, checked by pystac's schemas and its readers of the extensions where it is there."""

import hashlib
import json

import numpy as np
import pytest

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.grid import SceneGrid

pytest.importorskip('rasterio')
pyproj = pytest.importorskip('pyproj')
shapely = pytest.importorskip('shapely')
pytest.importorskip('pyogrio')
from finished_scene import finished_scene
from rasterio import Affine
from rasterio.crs import CRS

from tfinet_mm.scenes.stac import footprint, image_times, write_item

ORIGIN = dict(
    software={'tfinet_mm': '0.1.0'},
    model=[dict(name='net', checkpoint='best.pth', weights='abc')],
    before=dict(file='a.tif', sha256='0' * 64, acquired='2018-06-01 10:00:00'),
    after=dict(file='b.tif', sha256='1' * 64),
    settings=dict(threshold=0.5),
)


@pytest.fixture
def results(tmp_path):
    """Make a scene of 40 x 30 pixels with provenance, in a folder whose name has a blank."""

    def make(**options):
        prob = np.full((30, 40), 0.1)
        prob[:9] = 0.9
        old, new = np.ones((2, 30, 40), np.uint8)
        new[:9] = 2
        found = finished_scene(tmp_path / 'a b', prob, old, new, **options)
        path = found.folder / 'scene.json'
        path.write_text(json.dumps(found.scene | dict(provenance=ORIGIN)))
        return found

    return make


def test_item(results):
    scene = results()
    path = write_item(scene.folder, after='2023-06-02')
    item = json.loads(path.read_text(encoding='utf-8'))
    assert path.name == 'item.json'
    assert (item['stac_version'], item['id'], item['links']) == ('1.1.0', 'scene', [])
    found = item['properties']
    assert found['datetime'] is None
    assert found['start_datetime'] == '2018-06-01T10:00:00Z'
    assert found['end_datetime'] == '2023-06-02T23:59:59Z'
    assert found['proj:code'] == 'EPSG:32633'
    assert found['proj:shape'] == [30, 40]
    assert found['proj:transform'] == [10, 0, 500_000, 0, -10, 5e6]
    assert found['processing:lineage'].endswith('a.tif and b.tif, predicted by net (best.pth)')
    assert found['tfinet:before']['sha256'] == '0' * 64
    assets = item['assets']
    assert {(scene.folder / one['href']).resolve().name for one in assets.values()} == {
        *(f'{name}.tif' for name in scene.rasters),
        *('changes.gpkg', 'areas.json', 'areas.csv', 'totals.csv', 'before.jpg', 'after.jpg'),
        'scene.json',
    }
    change = assets['change']
    content = (scene.folder / 'change.tif').read_bytes()
    assert change['file:size'] == len(content)
    assert change['file:checksum'] == '1220' + hashlib.sha256(content).hexdigest()
    assert (change['data_type'], change['nodata']) == ('uint8', 255)
    assert change['raster:spatial_resolution'] == 10
    assert assets['change_prob']['nodata'] == 'nan'
    cover = assets['land_cover_to']['classification:classes']
    assert cover[0] == dict(
        value=0, name='no_data', title='no data', color_hint='000000', nodata=True
    )
    assert cover[2] == dict(value=2, name='tree', title='tree', color_hint='006400')
    classes = assets['transition']['classification:classes']
    assert [one['name'] for one in classes[:3]] == ['unchanged', 'water_to_water', 'water_to_tree']
    assert classes[-1] == dict(value=255, name='no_data', title='no data', nodata=True)
    west, north = pyproj.Transformer.from_crs(32633, 4326, always_xy=True).transform(500_000, 5e6)
    assert item['bbox'][0] == pytest.approx(west, abs=1e-6)
    assert item['bbox'][3] == pytest.approx(north, abs=1e-6)


def test_pystac_accepts_it(results, tmp_path):
    """The schema of items comes with pystac; those of extensions would need the network."""
    pystac = pytest.importorskip('pystac')
    local = pytest.importorskip('pystac.validation.local_validator')
    from pystac.extensions.classification import ClassificationExtension
    from pystac.extensions.projection import ProjectionExtension

    path = write_item(results().folder, tmp_path / 'items' / 'one.json', after='2023-06-02')
    values = json.loads(path.read_text(encoding='utf-8'))
    schema = 'https://schemas.stacspec.org/v1.1.0/item-spec/json-schema/item.json'
    assert list(local.LocalValidator()._validate_from_local(schema, values)) == []
    item = pystac.Item.from_file(str(path))
    assert ProjectionExtension.ext(item).shape == [30, 40]
    asset = item.assets['transition']
    assert asset.href == './../a%20b/scene/transition.tif'
    classes = ClassificationExtension.ext(asset).classes
    assert [one.title for one in classes][2] == 'water to tree'


def grid_around(crs, x, y, side=1000, size=20):
    return SceneGrid(
        CRS.from_user_input(crs), Affine(side, 0, x, 0, -side, y), size, size
    )  # fmt: skip


def test_a_scene_across_the_antimeridian():
    """Two parts, of the area of the grid on the ellipsoid together."""
    grid = grid_around('EPSG:32660', 593_000, 8_000_000)
    east, _ = pyproj.Transformer.from_crs(32660, 4326, always_xy=True).transform(*grid.outline())
    assert east.min() < -179.7 < 179.7 < east.max()
    geometry, box = footprint(grid)
    shape = shapely.geometry.shape(geometry)
    assert geometry['type'] == 'MultiPolygon'
    assert box[0] > 179 > -179 > box[2]
    area = pyproj.Geod(ellps='WGS84').geometry_area_perimeter(shape)[0]
    assert area == pytest.approx(400e6, rel=2e-3)
    assert all(part.exterior.is_ccw for part in shape.geoms)


@pytest.mark.parametrize('code', [3031, 3413])
def test_a_scene_of_a_pole(code):
    geometry, box = footprint(grid_around(f'EPSG:{code}', -10_000, 10_000))
    assert geometry['type'] == 'Polygon'
    assert (box[0], box[2]) == (-180, 180)
    assert box[1 if code == 3031 else 3] == (-90 if code == 3031 else 90)
    # 10 km times the root of 2 from the pole.
    assert abs(box[3 if code == 3031 else 1]) == pytest.approx(90 - 14_142 / 111_700, abs=0.01)


def test_errors(results):
    with pytest.raises(SceneError, match='the image after does not state when it was taken'):
        write_item(results().folder)
    with pytest.raises(SceneError, match=r"'June' is no time of the image before"):
        image_times({}, 'June', '2023-01-01')
    with pytest.raises(SceneError, match='is of 2017-01-01, earlier than the image before'):
        image_times({}, '2018-01-01', '2017-01-01')
    assert image_times({}, '2018-01-01', '2018-01-01')[1] == '2018-01-01T23:59:59Z'


def test_a_scene_without_crs(results):
    with pytest.raises(SceneError, match='has no CRS, and a STAC item needs its place'):
        write_item(results(crs=None).folder, after='2023-06-02')
