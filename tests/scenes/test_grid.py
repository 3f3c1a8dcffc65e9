import numpy as np
import pytest

from tfinet_mm.errors import SceneError
from tfinet_mm.io.images import Window
from tfinet_mm.scenes.grid import SceneGrid, beside, common_grid, outline_in, pixel_offset

pytest.importorskip('rasterio')
from rasterio import Affine
from rasterio.crs import CRS

UTM33 = 'EPSG:32633'


def corner(grid):
    return grid.transform.c, grid.transform.f


def test_overlap_counts_whole_pixels_of_the_chosen_grid():
    utm = CRS.from_string(UTM33)
    before = SceneGrid(utm, Affine(10, 0, 5000, 0, -10, 9000), 100, 100)
    after = SceneGrid(utm, Affine(20, 0, 5895, 0, -20, 8505), 100, 100)
    grids = {grid: common_grid(before, after, grid) for grid in ('before', 'after', 25)}
    found = {key: (corner(g), g.width, g.height) for key, g in grids.items()}
    assert found['before'] == ((5900, 8500), 10, 50)
    # After's columns end at 5995, the next would reach over before's edge at 6000.
    assert found['after'] == ((5895, 8505), 5, 25)
    # Steps of 25 from 5000 and down from 9000 that lie within 5895..6000 and 8505..8000.
    assert found[25] == ((5900, 8500), 4, 20)
    assert grids[25].transform.a == 25


@pytest.mark.parametrize('x', [5995, 7000, -3000])
def test_no_overlap_names_both_extents(x):
    utm = CRS.from_string(UTM33)
    before = SceneGrid(utm, Affine(10, 0, 5000, 0, -10, 9000), 100, 100)
    after = SceneGrid(utm, Affine(10, 0, x, 0, -10, 9000), 100, 100)
    with pytest.raises(SceneError, match=r"don't overlap.*x 5000 to 6000.*EPSG:32633.*after_crs"):
        common_grid(before, after)


@pytest.mark.parametrize('grid', ['both', 0, -1.0, float('nan'), 1001, None, [10]])
def test_grids_that_are_none(grid):
    scene = SceneGrid(CRS.from_string(UTM33), Affine(10, 0, 5000, 0, -10, 9000), 100, 100)
    with pytest.raises(SceneError, match='expected'):
        common_grid(scene, scene, grid)


def test_pixel_offset_sees_parts_of_a_pixel():
    utm = CRS.from_string(UTM33)
    one = SceneGrid(utm, Affine(10, 0, 5000, 0, -10, 9000), 1000, 1000)
    assert pixel_offset(one, one.cut(Window(30, -4, 5, 5))) == (-30, 4)
    assert pixel_offset(one, SceneGrid(utm, Affine(10, 0, 5001, 0, -10, 9000), 9, 9)) is None
    # 0.0002 m a pixel is 0.02 pixels at the far edge.
    assert pixel_offset(one, SceneGrid(utm, Affine(10.0002, 0, 5000, 0, -10, 9000), 9, 9)) is None


def test_a_cut_may_reach_over_the_edges():
    whole = SceneGrid(None, Affine(2, 0, 100, 0, -4, 80), 10, 10)
    part = whole.cut(Window(-3, 5, 20, 2))
    assert (corner(part), part.width, part.height) == ((94, 60), 20, 2)
    assert (part.transform.a, part.transform.e) == (2, -4)


def test_a_smaller_picture_covers_the_same_ground():
    whole = SceneGrid(None, Affine(2, 0, 100, 0, -4, 80), 1000, 300)
    assert whole.reduced(1000) is whole
    small = whole.reduced(100)
    assert (corner(small), small.width, small.height) == ((100, 80), 100, 30)
    assert (small.transform.a, small.transform.e) == (20, -40)
    # A side never vanishes.
    assert SceneGrid(None, Affine(1, 0, 0, 0, -1, 0), 1000, 2).reduced(100).height == 1


def test_an_outline_follows_edges_that_bend():
    """A parallel of latitude is no straight line in UTM; it is lowest in the middle."""
    box = SceneGrid(CRS.from_epsg(4326), Affine(0.06, 0, 12, 0, -0.01, 60), 100, 100)
    utm = SceneGrid(CRS.from_string(UTM33), Affine(1, 0, 0, 0, -1, 0), 1, 1)
    _, rows = outline_in(utm, box)
    top = -rows[:65]
    # The upper edge runs symmetrically about the central meridian 15 E, where it is lowest.
    np.testing.assert_allclose(top, top[::-1], atol=1e-3)
    assert top.argmin() == 32
    # Meridian convergence 3 deg * sin(60 deg) over half of 6 deg * 111.4 km * cos(60 deg): 3.8 km.
    assert top.max() - top.min() == pytest.approx(3800, rel=0.02)


def test_a_size_that_makes_billions_of_pixels_is_refused():
    scene = SceneGrid(CRS.from_epsg(32633), Affine(10, 0, 5000, 0, -10, 9000), 40, 40)
    with pytest.raises(SceneError, match=r'grid=0.001 \(--grid\) makes 400000 x 400000 pixels'):
        common_grid(scene, scene, 0.001)
    # As many of a scene that has them, or of a fine one, are as they should be.
    assert common_grid(scene, scene, 0.02).width == 20_000
    large = SceneGrid(CRS.from_epsg(32633), Affine(1, 0, 5000, 0, -1, 9000), 50_000, 50_000)
    assert common_grid(large, large, 0.5).width == 100_000


def test_longitudes_of_two_turns_of_the_circle():
    """Longitudes of both dates count in one turn of the circle, wherever it starts."""
    degrees = CRS.from_epsg(4326)
    east = SceneGrid(degrees, Affine(0.5, 0, 179, 0, -0.5, 10), 8, 4)
    for turns in (-1, 0, 1):
        other = SceneGrid(degrees, Affine(0.5, 0, 180 + 360 * turns, 0, -0.5, 10), 8, 4)
        overlap = common_grid(east, beside(other, east))
        assert (overlap.transform.c, overlap.width, overlap.height) == (180, 6, 4)


def test_an_overlap_in_two_pieces_is_refused():
    """Longitudes 0 to 360 and -180 to 180 have 180 to 360 in common too."""
    degrees = CRS.from_epsg(4326)
    one, two = (SceneGrid(degrees, Affine(1, 0, x, 0, -1, 90), 360, 180) for x in (-180, 0))
    for pair in ((one, two), (two, one)):
        with pytest.raises(SceneError, match=r'two pieces.*180th.*before covers'):
            common_grid(*pair)
    assert common_grid(one, one).width == 360
    # Pixel centres on both ends: the last column repeats the first.
    centred = SceneGrid(degrees, Affine(1, 0, -180.5, 0, -1, 90), 361, 180)
    assert common_grid(centred, centred).width == 361
    part = SceneGrid(degrees, Affine(1, 0, 100, 0, -1, 90), 60, 60)
    assert common_grid(two, part).width == common_grid(part, one).width == 60
