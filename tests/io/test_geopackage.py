"""Test GeoPackages, written with and without pyogrio, against what pyogrio reads."""

import sqlite3
import sys

import numpy as np
import pytest

pyogrio = pytest.importorskip('pyogrio')
shapely = pytest.importorskip('shapely')
rasterio_crs = pytest.importorskip('rasterio.crs')

from tfinet_mm.errors import SceneError
from tfinet_mm.io.geopackage import count_rows, read_metadata, read_rows, write_layer

SHAPES = [
    shapely.Polygon([(0, 0), (4, 0), (4, 3), (0, 3)], [[(1, 1), (2, 1), (2, 2), (1, 2)]]),
    shapely.box(-10, 5, -8, 6),
    shapely.box(7, 7, 8, 8),
]
WKB = shapely.to_wkb(SHAPES).tolist()
FIELDS = {
    'from': np.array(['water', 'tree "x"', 'Köln'], object),
    'to_class': np.array([1, 2, 3], np.int32),
    'area_m2': np.array([11, 2.5, 1e-9]),
}
METADATA = {'SUMMARY': '{"a": "<&\n"}', 'TIFFTAG_SOFTWARE': 'x 1'}
# A projection around a point of its own, which no register has.
OWN = '+proj=laea +lat_0=47.3 +lon_0=11.2 +datum=WGS84 +units=m'


@pytest.fixture(params=[True, False], ids=['pyogrio', 'sqlite'])
def installed(request, monkeypatch):
    """Run the test with pyogrio, and as if it were not installed."""
    if not request.param:
        monkeypatch.setattr('tfinet_mm.io.geopackage.find_spec', lambda _: None)
        monkeypatch.setitem(sys.modules, 'pyogrio', None)
    return request.param


def part(start, stop):
    return WKB[start:stop], {name: values[start:stop] for name, values in FIELDS.items()}


def crs_of(word):
    return None if word is None else rasterio_crs.CRS.from_user_input(word)


@pytest.mark.parametrize('crs', ['EPSG:32633', 'EPSG:4326', OWN, None])
def test_a_layer_in_two_parts(installed, tmp_path, crs):
    path = tmp_path / 'a.gpkg'
    options = dict(kind='Polygon', crs=crs_of(crs))
    write_layer(path, 'changes', *part(0, 2), metadata=METADATA, **options)
    write_layer(path, 'changes', *part(2, 3), append=True, **options)
    info, fids, stored, columns = pyogrio.raw.read(path, layer='changes')
    assert fids is None or len(fids) == 3
    assert shapely.equals_exact(shapely.from_wkb(stored), SHAPES).all()
    assert info['fields'].tolist() == list(FIELDS)
    for found, wanted in zip(columns, FIELDS.values(), strict=True):
        assert found.dtype == wanted.dtype
        assert found.tolist() == wanted.tolist()
    about = pyogrio.read_info(path, layer='changes', force_total_bounds=True)
    assert (about['features'], about['geometry_type']) == (3, 'Polygon')
    assert about['geometry_name'] == 'geom'
    assert about['layer_metadata'] == METADATA
    assert tuple(about['total_bounds']) == (-10, 0, 8, 8)
    if crs is None:
        assert 'EPSG' not in (about['crs'] or '')
    elif crs == OWN:
        found = rasterio_crs.CRS.from_user_input(about['crs'])
        assert found.to_dict()['proj'] == 'laea'
        assert found.to_dict()['lat_0'] == 47.3
    else:
        assert about['crs'] == crs
    assert read_metadata(path, 'changes') == METADATA
    assert count_rows(path, 'changes') == 3
    shapes, fields = read_rows(path, 'changes', ['area_m2', 'from'], 2)
    assert shapely.equals_exact(shapely.from_wkb(shapes), SHAPES[:2]).all()
    assert fields == {'area_m2': [11, 2.5], 'from': ['water', 'tree "x"']}


def test_layers_of_one_file_with_systems_of_their_own(installed, tmp_path):
    path = tmp_path / 'a.gpkg'
    points = shapely.to_wkb(shapely.points([[1, 2], [3, 4]])).tolist()
    values = dict(x=np.array([0.5, 1.5]))
    systems = dict(first=OWN, second='EPSG:3857', third=OWN.replace('47.3', '48'), fourth=OWN)
    for name, crs in systems.items():
        options = dict(kind='Point', crs=crs_of(crs), append=path.exists())
        write_layer(path, name, points, values, **options)
    assert [one for one, _ in pyogrio.list_layers(path)] == list(systems)
    found = {name: crs_of(pyogrio.read_info(path, layer=name)['crs']) for name in systems}
    degrees = {name: crs.to_dict().get('lat_0') for name, crs in found.items()}
    assert (degrees['first'], degrees['third'], degrees['fourth']) == (47.3, 48, 47.3)
    assert found['second'].to_epsg() == 3857
    assert read_metadata(path, 'first') == {}


def test_an_empty_layer(installed, tmp_path):
    path = tmp_path / 'a.gpkg'
    write_layer(path, 'changes', *part(0, 0), kind='MultiPolygon', crs=None, metadata=METADATA)
    about = pyogrio.read_info(path, layer='changes')
    assert (about['features'], about['geometry_type']) == (0, 'MultiPolygon')
    assert read_metadata(path, 'changes') == METADATA
    assert read_rows(path, 'changes', ['from'], 5) == ([], {'from': []})


def test_gdal_sees_a_valid_geopackage_and_adds_to_it(tmp_path, monkeypatch):
    path = tmp_path / 'a.gpkg'
    with monkeypatch.context() as patch:
        patch.setattr('tfinet_mm.io.geopackage.find_spec', lambda _: None)
        write_layer(path, 'changes', *part(0, 2), kind='Polygon', crs=crs_of('EPSG:32633'))
    with sqlite3.connect(path) as database:
        assert database.execute('PRAGMA integrity_check').fetchall() == [('ok',)]
        assert database.execute('PRAGMA foreign_key_check').fetchall() == []
        (head,) = database.execute('SELECT hex(substr(geom, 1, 8)) FROM changes').fetchone()
    # GP, version 0, little-endian without envelope, and 32633.
    assert head == '47500001' + (32633).to_bytes(4, 'little').hex().upper()
    write_layer(path, 'changes', *part(2, 3), kind='Polygon', crs=crs_of('EPSG:32633'), append=True)
    assert pyogrio.read_info(path, layer='changes', force_feature_count=True)['features'] == 3


def test_what_is_no_geopackage(tmp_path):
    path = tmp_path / 'a.gpkg'
    path.write_bytes(b'no database' * 1000)
    for read in (lambda: read_metadata(path, 'a'), lambda: read_rows(path, 'a', ['b'], 1)):
        with pytest.raises(SceneError, match=r'a\.gpkg can not be read as a GeoPackage .*remove'):
            read()
    with pytest.raises(SceneError, match='can not be read'):
        count_rows(tmp_path / 'lost.gpkg', 'a')


def test_a_file_that_cannot_be_written(installed, tmp_path):
    with pytest.raises(OSError, match=r'a\.gpkg could not be written'):
        write_layer(tmp_path / 'no' / 'a.gpkg', 'changes', *part(0, 1), kind='Polygon', crs=None)
    with pytest.raises(OSError, match=r'wanted\.gpkg could not be written'):
        write_layer(
            tmp_path / 'no' / '.part.gpkg',
            'changes',
            *part(0, 1),
            kind='Polygon',
            crs=None,
            shown=tmp_path / 'wanted.gpkg',
        )
