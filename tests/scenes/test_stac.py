"""STAC items, checked by pystac's schemas and its readers of the extensions where it is there."""

import hashlib
import json
import re

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


def pattern(text):
    return lambda value: isinstance(value, str) and re.fullmatch(text, value) is not None


def numbers(*lengths):
    return lambda value: (
        len(value) in lengths and all(isinstance(one, float | int) for one in value)
    )


def is_count(value):
    return isinstance(value, int) and value >= 0


def is_software(value):
    return bool(value) and all(isinstance(one, str) for one in value.values())


# The fields that each extension defines in the version that items name, as its README and schema
# state them; an extension refuses others of its prefix.
FIELDS = {
    'proj:code': lambda value: value is None or pattern('[A-Z]+:[0-9]+')(value),
    'proj:wkt2': lambda value: isinstance(value, str) and pyproj.CRS.from_wkt(value) is not None,
    'proj:shape': lambda value: len(value) == 2 and all(map(is_count, value)),
    'proj:transform': numbers(6, 9),
    'raster:sampling': lambda value: value in ('area', 'point'),
    'raster:spatial_resolution': lambda value: isinstance(value, float | int),
    'classification:classes': lambda value: bool(value) and all(map(is_class, value)),
    'file:size': is_count,
    # A multihash in lower case: function, length, digest.
    'file:checksum': pattern('1220[0-9a-f]{64}'),
    'processing:software': is_software,
    'processing:lineage': lambda value: isinstance(value, str),
}
CLASS_FIELDS = {
    'value': lambda value: isinstance(value, int),
    'name': pattern('[0-9A-Za-z_-]+'),
    'title': lambda value: isinstance(value, str),
    'color_hint': pattern('[0-9A-Fa-f]{6}'),
    'nodata': lambda value: isinstance(value, bool),
}


def is_class(one):
    known = {'value', 'name'} <= set(one) <= set(CLASS_FIELDS)
    return known and all(CLASS_FIELDS[key](value) for key, value in one.items())


@pytest.mark.parametrize('crs', ['EPSG:32633', '+proj=laea +lat_0=45 +lon_0=15 +ellps=GRS80'])
def test_fields_are_those_of_the_extensions(results, crs):
    path = write_item(results(crs=crs).folder, after='2023-06-02')
    item = json.loads(path.read_text(encoding='utf-8'))
    versions = {url.split('/')[-3]: url.split('/')[-2] for url in item['stac_extensions']}
    assert versions == dict(
        projection='v2.0.0', raster='v2.0.0', classification='v2.0.0', file='v2.1.0',
        processing='v1.2.0',
    )  # fmt: skip
    prefixes = 'proj', *versions
    used = set()
    for place in (item['properties'], *item['assets'].values()):
        for key, value in place.items():
            if key.partition(':')[0] in prefixes:
                assert FIELDS[key](value), (key, value)
                used.add(key)
    # A CRS of no authority is described in full.
    assert set(FIELDS) - used == ({'proj:wkt2'} if crs.startswith('EPSG') else set())
    for one in item['assets'].values():
        values = [entry['value'] for entry in one.get('classification:classes', ())]
        assert len(set(values)) == len(values)


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
