"""Areas within polygons, against squares whose areas are known."""

import sys

import pytest

from tfinet_mm.errors import MissingExtraError, SceneError

pytest.importorskip('rasterio')
pyogrio = pytest.importorskip('pyogrio')
pyproj = pytest.importorskip('pyproj')
shapely = pytest.importorskip('shapely')
from rasterio import Affine
from rasterio.crs import CRS
from zone_files import NORTH, SIZE, SQUARES, WEST, striped_scene, write_shapes

from tfinet_mm.scenes.grid import SceneGrid, apply_affine
from tfinet_mm.scenes.zones.areas import write_zone_areas, zone_areas
from tfinet_mm.scenes.zones.polygons import read_zones


@pytest.fixture
def scene(tmp_path):
    return lambda **options: striped_scene(tmp_path / 'out', **options)


@pytest.fixture
def polygons(tmp_path):
    def write(shapes, names=None, name='aoi.gpkg', **options):
        return write_shapes(tmp_path / name, shapes, names, **options)

    return write


@pytest.mark.parametrize('block', [1 << 22, 60])
def test_parts_of_pixels(scene, polygons, block):
    pytest.importorskip('exactextract')
    results = scene()
    zones = read_zones(polygons(SQUARES), results.grid)
    inside, cloudy, outside, far = zone_areas(results, zones, 'exact', block)
    assert [one.name for one in (inside, cloudy, outside, far)] == ['1', '2', '3', '4']
    assert inside.areas.matrix[0, 1] == pytest.approx(15 * 30 / 1e4)
    assert inside.areas.unchanged == pytest.approx(15 * 30 / 1e4)
    water, tree = inside.areas.by_class()
    assert (water['before'], tree['after']) == pytest.approx((30 * 30 / 1e4, 15 * 30 / 1e4))
    assert (inside.outside, inside.areas.not_seen_percent) == (0, 0)
    assert cloudy.areas.not_seen == pytest.approx(40 * 20 / 1e4)
    assert cloudy.areas.not_seen_percent == pytest.approx(200 / 3)
    assert (outside.outside, outside.areas.not_seen_percent) == pytest.approx((0.5, 100))
    assert outside.areas.totals()['total'][0] == pytest.approx(20 * 10 / 1e4)
    assert (far.outside, far.areas.totals()['total']) == (1, (0, 0))


def test_centres_of_pixels(scene, polygons):
    """Of 25 to 55 m, the pixels from 30 to 60 m have their centre inside."""
    results = scene()
    zones = read_zones(polygons(SQUARES[:1]), results.grid)
    (found,) = zone_areas(results, zones, 'centre', 60)
    assert found.areas.pixels[0, 1] in (3, 6)
    assert found.areas.totals()['total'] == (pytest.approx(0.09), 9)


def test_another_crs_and_a_turned_grid(scene, polygons):
    """A polygon in degrees, against the area of its geodesics."""
    pytest.importorskip('exactextract')
    place = Affine.translation(WEST, NORTH) @ Affine.rotation(30) @ Affine.scale(10, -10)
    results = scene(place=place)
    middle = pyproj.Transformer.from_crs(32633, 4326, always_xy=True).transform(
        *apply_affine(place, SIZE / 2, SIZE / 2)
    )
    shape = shapely.Point(middle).buffer(0.0006).reverse()
    zones = read_zones(polygons([shape], crs='EPSG:4326', place=False), results.grid)
    (found,) = zone_areas(results, zones)
    area = pyproj.Geod(ellps='WGS84').geometry_area_perimeter(shape)[0] / 1e4
    # UTM's scale at its central meridian is 0.9996.
    assert found.areas.totals()['total'][0] == pytest.approx(area * 0.9996**2, rel=1e-5)
    assert found.outside == 0


def test_degrees_count_the_ellipsoid(scene, polygons):
    pytest.importorskip('exactextract')
    results = scene(crs='EPSG:4326', place=Affine(0.001, 0, 5, 0, -0.001, 60))
    shape = shapely.box(5.0055, 59.9875, 5.0105, 59.9925)
    zones = read_zones(polygons([shape], crs='EPSG:4326', place=False), results.grid)
    (found,) = zone_areas(results, zones)
    area = pyproj.Geod(ellps='WGS84').geometry_area_perimeter(shape)[0] / 1e4
    assert found.areas.totals()['total'][0] == pytest.approx(area, rel=1e-4)


def test_names_join_polygons_and_overlaps_count_once(scene, polygons):
    pytest.importorskip('exactextract')
    results = scene()
    shapes = [shapely.box(0, 0, 40, 10), shapely.box(20, 0, 60, 10), shapely.box(0, 50, 10, 60)]
    # A bow tie, half of which is on either side of its knot.
    shapes.append(shapely.Polygon([(0, 100), (20, 120), (20, 100), (0, 120)]))
    path = polygons(shapes, ['Nord', 'Nord', None, 'tie'])
    north, unnamed, tie = zone_areas(results, read_zones(path, results.grid, by='name'))
    assert (north.name, north.polygons) == ('Nord', 2)
    assert north.areas.totals()['total'][0] == pytest.approx(60 * 10 / 1e4)
    assert unnamed.name == '(no name)'
    assert tie.areas.totals()['total'][0] == pytest.approx(200 / 1e4)


def test_without_exactextract(scene, polygons, monkeypatch):
    results = scene()
    monkeypatch.setitem(sys.modules, 'exactextract', None)
    with pytest.raises(MissingExtraError, match=r'pip install "tfinet-mm\[zones\]"'):
        write_zone_areas(results.folder, polygons(SQUARES[:1]), coverage='exact')


def test_errors(scene, polygons, tmp_path):
    grid = scene().grid
    with pytest.raises(FileNotFoundError, match=r'there is no .*gone\.gpkg'):
        read_zones(tmp_path / 'gone.gpkg', grid)
    (tmp_path / 'text.gpkg').write_text('no GeoPackage')
    with pytest.raises(SceneError, match='could not be read as polygons'):
        read_zones(tmp_path / 'text.gpkg', grid)
    path = polygons(SQUARES[:1], ['a'])
    with pytest.raises(SceneError, match="no field 'kind'; name one of name with --by"):
        read_zones(path, grid, by='kind')
    with pytest.raises(SceneError, match='holds a Point, expected polygons only'):
        read_zones(polygons([shapely.Point(0, 0)], name='points.gpkg'), grid)
    with pytest.raises(SceneError, match='holds no polygons'):
        read_zones(polygons([], name='empty.gpkg', place=False), grid)
    for layer in 'ab':
        two = polygons(SQUARES[:1], name='two.gpkg', layer=layer)
    with pytest.raises(SceneError, match=r'has 2 layers with shapes \(a, b\)'):
        read_zones(two, grid)
    with pytest.raises(SceneError, match="has no layer 'c', only a, b"):
        read_zones(two, grid, layer='c')
    assert read_zones(two, grid, layer='b').names == ('1',)
    bare = polygons(SQUARES[:1], name='bare.shp', crs=None)
    with pytest.raises(SceneError, match='has no CRS and the scene has one'):
        read_zones(bare, grid)
    assert read_zones(bare, grid, crs='EPSG:32633').outside.tolist() == [0]
    with pytest.raises(SceneError, match="'EPSG:1' is no CRS of"):
        read_zones(bare, grid, crs='EPSG:1')


EAST_SIDE, WEST_SIDE = (
    shapely.box(179.9, -18.1, 180, -17.9),
    shapely.box(-180, -18.1, -179.9, -17.9),
)


@pytest.mark.parametrize(
    ('shapes', 'part'),
    [
        ([shapely.union_all([EAST_SIDE, WEST_SIDE])], 1.0),
        ([shapely.box(179.9, -18.1, 180.1, -17.9)], 1.0),
        ([EAST_SIDE, WEST_SIDE], 0.5),
    ],
)
def test_polygons_across_180_degrees(polygons, shapes, part):
    """However a file writes them, they meet a scene whose middle lies on the meridian."""
    there = pyproj.Transformer.from_crs(4326, 32760, always_xy=True)
    x, y = there.transform(180, -18)
    place = Affine(10, 0, x - 640, 0, -10, y + 640)
    grid = SceneGrid(CRS.from_epsg(32760), place, 128, 128)
    zones = read_zones(polygons(shapes, crs='EPSG:4326', place=False), grid)
    globe = pyproj.Geod(ellps='WGS84')
    for shape, outline, outside in zip(zones.shapes, shapes, zones.outside, strict=True):
        inside = shapely.intersection(shape, shapely.box(0, 0, 128, 128))
        assert shapely.area(inside) == pytest.approx(part * 128**2, rel=1e-3)
        share = part * 128**2 * 100 / abs(globe.geometry_area_perimeter(outline)[0])
        assert 1 - outside == pytest.approx(share, rel=5e-3)


def test_longitudes_of_another_turn(polygons):
    """A scene at 185 degrees, polygons at -175."""
    grid = SceneGrid(CRS.from_epsg(4326), Affine(1e-4, 0, 185, 0, -1e-4, -17), 100, 100)
    for crs in ('EPSG:4326', 'EPSG:4258'):
        square = shapely.box(-174.998, -17.004, -174.994, -17.001)
        path = polygons([square], crs=crs, place=False, name=f'{crs[5:]}.gpkg')
        zones = read_zones(path, grid)
        assert shapely.bounds(zones.shapes[0]) == pytest.approx((20, 10, 60, 40), abs=1e-3)
        assert zones.outside[0] == 0


def test_a_file_without_polygons(polygons, scene):
    with pytest.raises(SceneError, match='holds no polygons'):
        read_zones(polygons([]), scene().grid, by='name')
