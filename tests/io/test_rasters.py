import importlib

import numpy as np
import pytest

from tfinet_mm.errors import MissingExtraError, SceneError
from tfinet_mm.io.rasters import (
    check_same_size,
    import_geo,
    open_raster,
    raw_writer,
    read_rows,
    row_blocks,
)

rasterio = pytest.importorskip('rasterio')


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'float32'])
def test_what_is_appended_is_read_by_gdal(tmp_path, dtype):
    values = (np.random.default_rng(0).random((7, 5)) * 250).astype(dtype)
    path = tmp_path / 'a.img'
    with raw_writer(path, dtype, 7, 5) as write:
        # Not contiguous, and of the other byte order.
        write(np.asfortranarray(values[:4]).astype(values.dtype.newbyteorder('>')))
        write(values[4:])
    with open_raster(path) as raster:
        assert raster.dtypes == (dtype,)
        np.testing.assert_array_equal(raster.read(1), values)
        np.testing.assert_array_equal(read_rows(raster, 3, 2), values[3:5])


def test_blocks_that_were_read_stay_in_the_cache(tmp_path):
    """rasterio counts the size of GDAL's cache in bytes; one of 256 bytes would keep nothing."""
    from rasterio.env import get_gdal_config

    with raw_writer(tmp_path / 'a.img', 'uint8', 2, 2) as write:
        write(np.ones((2, 2)))
    with open_raster(tmp_path / 'a.img'):
        assert int(get_gdal_config('GDAL_CACHEMAX')) == 256 << 20


def test_a_file_that_was_cut_off_is_refused(tmp_path):
    """GDAL alone reads the missing pixels as zeros."""
    path = tmp_path / 'a.img'
    with raw_writer(path, 'uint16', 7, 5) as write:
        write(np.ones((6, 5)))
        write(np.ones((1, 4)))
    message = r'a\.img was cut off: expected 70 bytes, got 68'
    with pytest.raises(OSError, match=message), open_raster(path):
        pass
    with raw_writer(path, 'uint16', 7, 5):
        pass
    with pytest.raises(OSError, match=r'a\.img could not be read'), open_raster(path):
        pass


def test_files_that_are_no_raster_of_one_band(tmp_path):
    with (
        pytest.raises(OSError, match=r'none\.tif could not be read'),
        open_raster(tmp_path / 'none.tif'),
    ):
        pass
    path = tmp_path / 'two.tif'
    with rasterio.open(
        path, 'w', driver='GTiff', count=2, height=3, width=4, dtype='uint8'
    ) as file:
        file.write(np.ones((2, 3, 4), np.uint8))
    with pytest.raises(SceneError, match='to have one band, got 2'), open_raster(path):
        pass


def test_another_size_is_refused(tmp_path):
    path = tmp_path / 'a.img'
    with raw_writer(path, 'uint8', 3, 4) as write:
        write(np.ones((3, 4), np.uint8))
    with open_raster(path) as raster:
        check_same_size(path, raster, 3, 4)
        with pytest.raises(SceneError, match=r"a\.img is 4 x 3 pixels, the scene's grid 3 x 4"):
            check_same_size(path, raster, 4, 3)


def test_blocks_cover_every_row_once():
    for height, width, pixels in ((1, 1, 1), (10, 7, 20), (10, 7, 3), (100, 3, 1000)):
        blocks = list(row_blocks(height, width, pixels))
        covered = [row for top, rows in blocks for row in range(top, top + rows)]
        assert covered == list(range(height))
        assert all(rows == 1 or rows * width <= pixels for _, rows in blocks)


def test_a_missing_package_names_the_extra(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, 'import_module', missing)
    with pytest.raises(
        MissingExtraError, match=r'Areas needs pyproj.*pip install "tfinet-mm\[geo\]"'
    ):
        import_geo('pyproj.crs', 'Areas')


def test_one_pixel_is_read_as_it_was_written(tmp_path):
    """GDAL doesn't open a file of one byte."""
    with raw_writer(tmp_path / 'one.img', 'uint8', 1, 1) as append:
        append(np.array([[7]], np.uint8))
    with open_raster(tmp_path / 'one.img') as raster:
        assert read_rows(raster, 0, 1).tolist() == [[7]]
