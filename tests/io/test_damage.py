"""Damaged tiles are found where they are, and decoders that only warn are heard."""

import logging
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tfinet_mm.errors import ImageFormatError, SceneError
from tfinet_mm.io.images import image_size, read_image
from tfinet_mm.scenes.reader import ScenePair

rasterio = pytest.importorskip('rasterio')
JPEG = dict(compress='JPEG', photometric='YCBCR', interleave='pixel')
TILES = dict(tiled=True, blockxsize=64, blockysize=64)


@pytest.fixture
def values():
    noise = np.random.default_rng(1).integers(1, 250, (3, 32, 32)).astype(np.uint8)
    return noise.repeat(8, 1).repeat(8, 2)


def overwrite(path, column, row, level=None, start=0.0):
    """Put zeros into a tile of the first band, or of its overview, from a share of it on."""
    with rasterio.open(path) as file:
        offset, size = (
            int(file.get_tag_item(f'BLOCK_{kind}_{column}_{row}', 'TIFF', bidx=1, ovr=level))
            for kind in ('OFFSET', 'SIZE')
        )
    data = bytearray(Path(path).read_bytes())
    first = offset + int(start * size)
    data[first : first + size // 4] = bytes(size // 4)
    Path(path).write_bytes(data)


def test_a_jpeg_tile_that_is_decoded_to_other_pixels(raster, values):
    """GDAL returns wrong pixels and warns; the error has the tile, in every thread."""
    path, other = raster('a.tif', values, **JPEG, **TILES), raster('b.tif', values)
    with rasterio.open(path) as file:
        expected = file.read()
    overwrite(path, column=2, row=1, start=0.5)
    with rasterio.open(path) as file:
        assert (file.read() != expected).any()
    place = r'band 1 in the window left 128, top 64, width 64, height 64 \(pixels\).*Corrupt JPEG'

    def read():
        with ScenePair(path, other) as pair:
            pair.read()

    with ThreadPoolExecutor(1) as thread, pytest.raises(SceneError, match=place):
        thread.submit(read).result()
    with pytest.raises(ImageFormatError, match=r'a\.tif can not be read as an image: ' + place):
        read_image(path)
    # Warnings still go where they went.
    assert logging.getLogger('rasterio._err').handlers == []


def test_damage_of_a_warped_scene_is_named_in_the_file(raster, values):
    path = raster('a.tif', values, compress='DEFLATE', **TILES)
    other = raster('b.tif', values, size=8.0)
    overwrite(path, column=3, row=2)
    place = r'before .*a\.tif\) can not be read: band 1 in the window left 192, top 128, width 64'
    with pytest.raises(SceneError, match=place), ScenePair(path, other, grid='after') as pair:
        pair.read()


def test_a_file_that_was_cut_off(raster, values):
    path, other = raster('a.tif', values, **TILES), raster('b.tif', values)
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: len(data) * 3 // 4])
    place = r'band \d in the window left \d+, top \d+, width 64, height 64 \(pixels\)'
    named = r'before \(.*a\.tif\) can not be read: ' + place
    with pytest.raises(SceneError, match=named), ScenePair(path, other) as pair:
        pair.read()
    with pytest.raises(ImageFormatError, match=r'a\.tif can not be read as an image: ' + place):
        read_image(path)


def test_a_damaged_overview_is_named(raster, values):
    path, other = raster('a.tif', values, compress='DEFLATE', **TILES), raster('b.tif', values)
    with rasterio.open(path, 'r+') as file:
        file.build_overviews([2, 4])
    overwrite(path, column=0, row=0, level=1)
    with ScenePair(path, other) as pair:
        pair.read()
        with pytest.raises(
            SceneError, match=r'band 1 of the overview of 1/4 size.*gdaladdo -clean'
        ):
            pair.picture(64)


@pytest.mark.parametrize('suffix', ['png', 'tif'])
def test_pictures_in_zip_files_are_those_on_the_disk(tmp_path, values, suffix):
    driver = dict(png='PNG', tif='GTiff')[suffix]
    path, packed = tmp_path / f'a.{suffix}', tmp_path / 'p.zip'
    with rasterio.open(
        path, 'w', driver=driver, count=3, height=256, width=256, dtype='uint8'
    ) as file:
        file.write(values)
    with zipfile.ZipFile(packed, 'w') as archive:
        archive.write(path, path.name)
    inside = f'{packed}/{path.name}'
    np.testing.assert_array_equal(read_image(inside), read_image(path))
    np.testing.assert_array_equal(read_image(inside, [3, 1]), values[[2, 0]].transpose(1, 2, 0))
    assert image_size(inside) == (256, 256)
    with pytest.raises(ImageFormatError, match=r'p\.zip/b\.png is not in the zip file'):
        read_image(f'{packed}/b.png')
