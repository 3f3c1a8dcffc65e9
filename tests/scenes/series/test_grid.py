"""Test the common grid of a series of scenes."""

import re

import numpy as np
import pytest

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.reader import ScenePair
from tfinet_mm.scenes.series.grid import series_grid

pytest.importorskip('rasterio')
EAST, NORTH = 500_000, 5_000_000


def ones(height=40, width=50):
    return np.ones((3, height, width), np.uint8)


def test_the_overlap_of_all_in_pixels_of_the_first(raster):
    scenes = [
        raster('a.tif', ones()),
        raster('b.tif', ones(), EAST + 33, NORTH + 50),
        raster('c.tif', ones(), EAST - 100, NORTH - 120, 5.0),
    ]
    made = series_grid(scenes)
    # b begins in the fourth column and ends before row 35; c spans 15 columns, rows 12 to 32.
    assert (made.transform.c, made.transform.f) == (EAST + 40, NORTH - 120)
    assert (made.width, made.height) == (11, 20)
    squares = series_grid(scenes, 20.0)
    assert (squares.transform.c, squares.transform.f) == (EAST + 40, NORTH - 120)
    assert (squares.transform.a, squares.width, squares.height) == (20, 5, 10)
    assert series_grid(scenes, crs='EPSG:32632').crs.to_epsg() == 32632


def test_scenes_without_a_common_place(raster):
    """Each overlaps the next, and the last not what the others have in common."""
    scenes = [raster(f'{i}.tif', ones(), EAST + 300 * i) for i in range(3)]
    expected = f"the scenes don't overlap by a whole pixel: before ({scenes[0]})"
    with pytest.raises(SceneError, match=re.escape(expected)) as found:
        series_grid(scenes)
    assert scenes[2] in str(found.value)
    with pytest.raises(SceneError, match="'first' or the size of a pixel, got 'after'"):
        series_grid(scenes, 'after')


def test_a_pair_on_a_stated_grid(raster):
    """Pixels outside a scene are not valid, whether it lies on the grid or is warped."""
    rising = np.arange(1, 1 + 3 * 40 * 50).reshape(3, 40, 50).astype(np.float32)
    a, b = raster('a.tif', rising), raster('b.tif', rising, EAST + 60)
    whole = series_grid([a, a])
    with ScenePair(a, b, grid=whole, stretch=(0, 255)) as pair:
        assert pair.grid == whole
        values, valid = pair.read()
        small, small_valid = pair.picture(25)
    assert valid[:, 6:].all()
    assert not valid[:, :6].any()
    shown = rising[:, :, 6:].clip(0, 255)
    np.testing.assert_array_equal(values[:3, :, 6:], shown)
    np.testing.assert_allclose(values[3:, :, 6:], rising[:, :, :-6].clip(0, 255), atol=1e-3)
    assert small_valid[:, 4:].all()
    assert not small_valid[:, :2].any()
    assert small.shape == (6, 20, 25)


def test_moves_of_both_dates(raster):
    """A scene that an earlier pair moved onto the first stays there in the next pair."""
    rising = np.add.outer(np.arange(40), 2.0 * np.arange(50)).astype(np.float32)[None] + 1
    paths = [raster(f'{move}.tif', rising, EAST + 10 * move) for move in (0, 2.5, -1.5)]
    grid = series_grid(paths)
    moves = dict(before_correction=(1, 0, -25, 0, 1, 0), correction=(1, 0, 15, 0, 1, 0))
    with ScenePair(*paths[1:], grid=grid, stretch=(0, 255), **moves) as pair:
        values, valid = pair.read()
        told = pair.metadata()
    with ScenePair(*paths[:2], grid=grid, stretch=(0, 255)) as pair:
        first = pair.read()[0][0]
    assert valid.mean() > 0.9
    for date in values:
        np.testing.assert_allclose(date[valid], first[valid], atol=0.01)
    assert told['before']['correction'] == [1, 0, -25, 0, 1, 0]
    assert told['after']['correction'] == [1, 0, 15, 0, 1, 0]
