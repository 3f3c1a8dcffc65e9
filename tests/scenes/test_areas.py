import numpy as np
import pytest

from tfinet_mm.errors import MissingExtraError, SceneError
from tfinet_mm.scenes.areas import PixelAreas
from tfinet_mm.scenes.grid import SceneGrid, apply_affine

pytest.importorskip('rasterio')
pyproj = pytest.importorskip('pyproj')
from rasterio import Affine
from rasterio.crs import CRS

SOUTH_POLE = CRS.from_epsg(3031)
TURNED = CRS.from_proj4('+proj=omerc +lat_0=40 +lonc=10 +alpha=30 +k=1 +ellps=bessel +units=m')


def grid(code, x, y, size, width=40, height=30, turn=0.0):
    crs = CRS.from_epsg(code) if isinstance(code, int) else code
    place = Affine.translation(x, y) @ Affine.rotation(turn) @ Affine.scale(size, -size)
    return SceneGrid(crs, place, width, height)


def geod_areas(scene, rows, columns, points=9):
    """Return the areas of outlines of pixels on the ellipsoid, their sides in short geodesics."""
    crs = pyproj.CRS.from_wkt(scene.crs.to_wkt())
    to_globe = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    geod = crs.get_geod()
    degrees = np.degrees(crs.geodetic_crs.axis_info[0].unit_conversion_factor)
    along = np.linspace(0, 1, points)[:-1]
    zero, one = np.zeros_like(along), np.ones_like(along)
    x = np.concatenate([along, one, 1 - along, zero])
    y = np.concatenate([zero, along, one, 1 - along])
    areas = np.empty((len(rows), len(columns)))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            outline = apply_affine(scene.transform, column + x, row + y)
            longitude, latitude = to_globe.transform(*outline)
            area, _ = geod.polygon_area_perimeter(longitude * degrees, latitude * degrees)
            areas[i, j] = abs(area)
    return areas


@pytest.mark.parametrize(
    ('scene', 'points'),
    [
        # Degrees: about 11 m, near a pole, across the date line, turned; and large pixels, whose
        # northern and southern sides are no geodesics.
        (grid(4326, 13, 52, 1e-4), 9),
        (grid(4326, -60, 89, 0.01), 9),
        (grid(4326, 179.9, 10, 0.01), 9),
        (grid(4326, 13, 52, 0.01, turn=20), 9),
        (grid(4326, -180, 80, 0.5, width=700, height=300), 200),
        # Web Mercator: small and large pixels.
        (grid(3857, 1_500_000, 8_400_000, 10), 9),
        (grid(3857, 0, 15_000_000, 3_000, width=900, height=3_000), 9),
        # UTM far from its zone, polar stereographic, an oblique Mercator on another ellipsoid,
        # and grads from Paris.
        (grid(32633, 2_500_000, 5_000_000, 30), 9),
        (grid(SOUTH_POLE, -1_000_000, 2_000_000, 1_000, width=500, height=600), 9),
        (grid(TURNED, 0, 0, 10, width=300, height=500, turn=45), 9),
        (grid(4807, 2, 50, 1e-3), 9),
    ],
)
def test_geodesic_areas_are_those_of_outlines(scene, points):
    rows = np.unique(np.linspace(0, scene.height - 1, 7).round().astype(int))
    columns = np.unique(np.linspace(0, scene.width - 1, 7).round().astype(int))
    areas = PixelAreas(scene, 'geodesic')
    assert areas.constant is None
    found = np.broadcast_to(areas.rows(0, scene.height), (scene.height, scene.width))
    np.testing.assert_allclose(
        found[np.ix_(rows, columns)], geod_areas(scene, rows, columns, points), rtol=5e-5
    )


def test_areas_hardly_depend_on_the_block():
    scene = grid(3857, 0, 15_000_000, 300, width=130, height=300)
    areas = PixelAreas(scene)
    whole = areas.rows(0, 300)
    parts = [areas.rows(top, min(37, 300 - top)) for top in range(0, 300, 37)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-12)


def test_web_mercator_at_60_degrees_is_a_quarter():
    x, y = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform(10, 60)
    areas = PixelAreas(grid(3857, x, y, 10))
    assert areas.method == 'geodesic'
    assert areas.rows(0, 1).max() == pytest.approx(25, rel=0.01)
    assert areas.distortion == pytest.approx(3, rel=0.02)
    planar = PixelAreas(grid(3857, x, y, 10), 'planar')
    assert planar.constant == 100
    assert planar.rows(5, 2).tolist() == [[100]]


def test_utm_counts_pixels():
    areas = PixelAreas(grid(32633, 500_000, 5_000_000, 10))
    assert (areas.method, areas.constant) == ('planar', 100)
    # On the central meridian the scale is 0.9996.
    assert areas.distortion == pytest.approx(1 - 0.9996**2, rel=1e-3)
    assert PixelAreas(grid(32633, 500_000, 5_000_000, 10, turn=30)).constant == pytest.approx(100)
    # Ten degrees from it no more.
    assert PixelAreas(grid(32633, 1_300_000, 5_000_000, 10)).method == 'geodesic'


def test_feet():
    """New York's state plane is in US survey feet of 1200 / 3937 m."""
    areas = PixelAreas(grid(2263, 980_000, 200_000, 3))
    assert areas.method == 'planar'
    assert areas.constant == pytest.approx((3 * 1200 / 3937) ** 2, rel=1e-9)
    geodesic = PixelAreas(grid(2263, 980_000, 200_000, 3), 'geodesic').rows(0, 1)
    np.testing.assert_allclose(geodesic, areas.constant, rtol=1e-3)


def test_without_crs_pixels_are_counted():
    scene = SceneGrid(None, Affine(10, 0, 0, 0, -10, 0), 4, 3)
    areas = PixelAreas(scene)
    assert (areas.method, areas.constant, areas.distortion) == ('pixels', 1, None)
    for method in ('planar', 'geodesic'):
        with pytest.raises(SceneError, match='need a CRS'):
            PixelAreas(scene, method)


def test_local_coordinates_have_planar_areas_only():
    local = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')
    scene = SceneGrid(local, Affine(2, 0, 0, 0, -2, 0), 4, 3)
    assert (PixelAreas(scene).method, PixelAreas(scene).constant) == ('planar', 4)
    with pytest.raises(SceneError, match='nowhere on the globe'):
        PixelAreas(scene, 'geodesic')


def test_pixels_off_the_globe_have_no_area():
    """The corners of a picture of the whole Earth from above aren't on the globe."""
    whole = CRS.from_proj4('+proj=ortho +lat_0=20 +lon_0=5')
    areas = PixelAreas(grid(whole, -6_400_000, 6_400_000, 100_000, width=128, height=128))
    found = areas.rows(0, 128)
    assert found[0, 0] == 0
    # Orthographic: right below the eye a pixel is as large as it looks.
    assert found[64, 64] == pytest.approx(1e10, rel=0.01)


def test_wrong_options(monkeypatch):
    degrees = grid(4326, 13, 52, 1e-4)
    with pytest.raises(SceneError, match="auto, planar, geodesic; got 'flat'"):
        PixelAreas(degrees, 'flat')
    with pytest.raises(SceneError, match='in degrees'):
        PixelAreas(degrees, 'planar')
    monkeypatch.setitem(__import__('sys').modules, 'pyproj', None)
    with pytest.raises(MissingExtraError, match=r'needs pyproj.*tfinet-mm\[geo\]'):
        PixelAreas(degrees)
