"""Test reduced pictures of a scene on its grid."""

import cv2
import numpy as np
import pytest

from tfinet_mm.scenes.dates import SceneDate
from tfinet_mm.scenes.quicklook import write_quicklooks
from tfinet_mm.scenes.reader import ScenePair

rasterio = pytest.importorskip('rasterio')
EAST, NORTH = 500_000, 5_000_000


def plane(x, y):
    """A field of ground coordinates, within 0..255 for the scenes here."""
    return 120 + 0.05 * (x - EAST) + 0.05 * (y - NORTH)


def ground(x, y, size, height, width):
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return plane(x + columns * size, y - rows * size)[None].astype(np.uint8)


def test_both_dates_lie_on_the_reduced_grid(scene):
    """One is cut from a larger file, one warped from other pixels in another CRS."""
    from rasterio.warp import transform

    before = scene('a', ground(EAST - 100, NORTH + 50, 5, 100, 160), EAST - 100, NORTH + 50, 5)
    (x,), (y,) = transform('EPSG:32633', 'EPSG:32634', [EAST - 400.0], [NORTH + 300.0])
    columns, rows = np.meshgrid(np.arange(200) + 0.5, np.arange(180) + 0.5)
    there = transform('EPSG:32634', 'EPSG:32633', (x + columns * 7).ravel(), (y - rows * 7).ravel())
    values = plane(*map(np.array, there)).reshape(1, 180, 200)
    assert values.min() > 0
    assert values.max() < 255
    after = scene('b', values.astype(np.uint8), x, y, 7, crs='EPSG:32634')
    with ScenePair(before, after) as pair:
        for side in (40, 1000):
            found, valid = pair.picture(side)
            grid = pair.grid.reduced(side)
            assert found.shape == (2, grid.height, grid.width)
            assert max(found.shape[1:]) == min(side, max(pair.grid.width, pair.grid.height))
            expected = ground(
                grid.transform.c, grid.transform.f, grid.transform.a, grid.height, grid.width
            )
            assert valid.mean() > 0.95
            # A pixel is picked, not averaged: off by up to a reduced pixel each way.
            allowed = 2 + 0.1 * grid.transform.a
            for date in found:
                difference = date.astype(float) - expected[0]
                assert np.abs(difference[valid]).max() < allowed
                assert np.abs(difference[valid].mean()) < allowed / 2


def test_the_whole_scene_is_not_read(scene, monkeypatch):
    values = ground(EAST, NORTH, 1, 400, 300)
    pair = [scene(name, values, size=1, tiled=True) for name in 'ab']
    shapes = []
    plain = SceneDate._values

    def noted(self, raster, **where):
        made = plain(self, raster, **where)
        shapes.append(made[0].shape)
        return made

    with ScenePair(*pair, after_crs='EPSG:32633') as both:
        monkeypatch.setattr(SceneDate, '_values', noted)
        both.picture(50)
    assert shapes == [(1, 50, 38)] * 2


def test_jpeg_files_of_the_stretched_colours(scene, tmp_path):
    bands = np.zeros((4, 64, 48), np.uint16) + np.array([1000, 2000, 3000, 9]).reshape(4, 1, 1)
    bands = bands.astype(np.uint16)
    bands[:, :, :16] = 0
    pair = [scene(name, bands, nodata=0) for name in 'ab']
    with ScenePair(*pair, stretch=(0, 4000), bands={'before': [3, 2, 1], 'after': [4, 4, 4]}) as p:
        write_quicklooks(p, tmp_path / 'new folder', 32)
    before, after = (cv2.imread(str(tmp_path / f'new folder/{n}.jpg')) for n in ('before', 'after'))
    assert before.shape == after.shape == (32, 24, 3)
    np.testing.assert_allclose(before[16, 20, ::-1], [191, 127, 64], atol=4)
    assert before[:, :6].max() < 12
    assert after.max() < 4
    with ScenePair(*pair, stretch=(0, 4000), bands=[2]) as p:
        write_quicklooks(p, tmp_path)
    grey = cv2.imread(str(tmp_path / 'after.jpg'), cv2.IMREAD_UNCHANGED)
    assert grey.shape == (64, 48)
