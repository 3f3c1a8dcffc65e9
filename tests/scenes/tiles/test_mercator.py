"""Test the arithmetic of tiles against published places and sizes."""

import math

import pytest

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.tiles.mercator import (
    least_zoom,
    native_zoom,
    scene_box,
    tile_at,
    tile_ranges,
)

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyproj')
pytest.importorskip('shapely')


def test_tiles_of_places():
    # The corners of tile 10/486/332, as the documentation of mercantile has them.
    west, north, east, south = -9.140625, 53.33087298301705, -8.7890625, 53.12040528310657
    assert tile_at(west + 1e-9, north - 1e-9, 10) == (486, 332)
    assert tile_at(east - 1e-9, south + 1e-9, 10) == (486, 332)
    assert tile_at(east + 1e-9, south - 1e-9, 10) == (487, 333)
    assert tile_at(180, -90, 3) == (7, 7)
    (part,) = tile_ranges((west + 0.01, south - 0.01, east + 0.01, north - 0.01), 10)
    assert list(part.places()) == [(486, 332), (487, 332), (486, 333), (487, 333)]


def test_across_the_antimeridian():
    left, right = tile_ranges((179.5, -1, -179.5, 1), 9)
    assert list(left.places()) == [(511, 254), (511, 255), (511, 256), (511, 257)]
    assert {x for x, _ in right.places()} == {0}
    assert least_zoom((179.5, -1, -179.5, 1)) == 7


@pytest.mark.parametrize(('metres', 'zoom'), [(10, 14), (0.5, 18), (30, 12)])
def test_zoom_of_a_resolution(metres, zoom):
    """In the middle of UTM's zone 33, at 45 degrees north: 156543 m cos(45) / 2 ** zoom."""
    assert 156_543 * math.cos(math.radians(45)) / 2**zoom < 1.04 * metres
    assert 156_543 * math.cos(math.radians(45)) / 2 ** (zoom - 1) > 1.04 * metres
    place = rasterio.Affine(metres, 0, 5e5, 0, -metres, 4_983_000)
    grid = SceneGrid(rasterio.crs.CRS.from_epsg(32633), place, 40, 40)
    assert native_zoom(grid) == zoom


def test_places_without_tiles():
    place = rasterio.Affine(100, 0, -500, 0, -100, 500)
    with pytest.raises(SceneError, match='has no CRS'):
        scene_box(SceneGrid(None, place, 10, 10))
    with pytest.raises(SceneError, match=r'end at 85\.05 degrees'):
        scene_box(SceneGrid(rasterio.crs.CRS.from_epsg(3413), place, 10, 10))
