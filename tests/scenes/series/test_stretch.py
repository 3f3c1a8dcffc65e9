"""Test the one stretch of a series of scenes."""

import numpy as np
import pytest

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.series.grid import series_grid
from tfinet_mm.scenes.series.stretch import series_stretch

rasterio = pytest.importorskip('rasterio')


@pytest.fixture
def values():
    return np.random.default_rng(1).integers(1, 1000, (3, 3, 40, 50)).astype(np.uint16)


def test_percentiles_of_all_scenes_in_the_numbers_of_each(raster, values):
    """The last scene stores 100 more, and says so; clouds and nodata of any scene don't count."""
    values[1, :, :10] = 0
    values[0, :, 30:] = 60_000
    scenes = [
        raster('a.tif', values[0]),
        raster('b.tif', values[1], nodata=0),
        raster('c.tif', values[2] + 100),
    ]
    for path, offset in zip(scenes, (0, 0, -10), strict=True):
        with rasterio.open(path, 'r+') as file:
            file.scales, file.offsets = (0.1,) * 3, (offset,) * 3
    clouds = np.zeros((1, 40, 50), np.uint8)
    clouds[:, 30:] = 1
    quality = raster('q.tif', clouds)
    found = series_stretch(
        scenes, series_grid(scenes), 'auto', (0, 100), quality=[quality] * len(scenes), bad_values=1
    )
    counted = values[:, :, 10:30].transpose(1, 0, 2, 3).reshape(3, -1)
    limits = np.array([counted.min(axis=1), counted.max(axis=1)])
    for stretch, more in zip(found, (0, 0, 100), strict=True):
        np.testing.assert_allclose([stretch.low, stretch.high], limits + more)
    with pytest.raises(SceneError, match='8-bit values'):
        series_stretch([*scenes[:2], raster('d.tif', clouds.repeat(3, 0))], series_grid(scenes))


def test_no_stretch_of_all(raster, values):
    eight = [raster(f'{i}.tif', one.astype(np.uint8)) for i, one in enumerate(values)]
    assert series_stretch(eight, series_grid(eight)) is None
    for wanted in ((0, 9), 'each-date', None):
        assert series_stretch(eight, series_grid(eight), wanted) is None
