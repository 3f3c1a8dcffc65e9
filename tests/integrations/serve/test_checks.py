"""Test which uploaded files are refused by their headers."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.errors import ImageFormatError
from tfinet_mm.integrations.serve.checks import check_images

LIMITS = dict(picture_pixels=400, scene_pixels=1000)


@pytest.fixture
def picture(tmp_path):
    """A function that writes a PNG or JPEG of noise."""

    def write(name, width=20, height=20):
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def tiff(tmp_path):
    """A function that writes a GeoTIFF of zeros."""
    rasterio = pytest.importorskip('rasterio')

    def write(name, width=20, height=20, crs='EPSG:32633', **options):
        options = dict(driver='GTiff', count=3, dtype='uint8', crs=crs) | options
        if crs:
            options['transform'] = rasterio.Affine(0.5, 0, 4e5, 0, -0.5, 5e6)
        with rasterio.open(tmp_path / name, 'w', width=width, height=height, **options):
            return tmp_path / name

    return write


def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def test_pairs_that_are_taken(picture, tiff):
    check_images(picture('before.png'), picture('after.jpg'), **LIMITS)
    check_images(tiff('before.tif', 40), tiff('after.tif', 50), **LIMITS)
    check_images(tiff('before.tif', crs=None), tiff('after.tif', crs=None), **LIMITS)


def test_a_picture_with_too_many_pixels(picture):
    with pytest.raises(ImageFormatError, match=r'after.png has 21 x 20 pixels.*--max-picture-meg'):
        check_images(picture('before.png'), picture('after.png', 21), **LIMITS)


def test_a_picture_just_over_the_limit(tmp_path, picture):
    header = struct.pack('>IIBBBBB', 5000, 5001, 8, 2, 0, 0, 0)
    (tmp_path / 'after.png').write_bytes(
        b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', b'') + chunk(b'IEND', b'')
    )
    limits = LIMITS | dict(picture_pixels=25_000_000)
    with pytest.raises(
        ImageFormatError, match=r'5001 pixels, 25\.005 million; .* takes 25 million'
    ):
        check_images(picture('before.png'), tmp_path / 'after.png', **limits)


def test_a_small_file_of_many_pixels(tmp_path, picture):
    """A PNG of 10,000 million pixels in a kilobyte isn't decoded."""
    header = struct.pack('>IIBBBBB', 100_000, 100_000, 8, 2, 0, 0, 0)
    data = b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(b'')) * 9
    (tmp_path / 'after.png').write_bytes(data + chunk(b'IEND', b''))
    with pytest.raises(ImageFormatError, match=r'after.png has .*pixels'):
        check_images(picture('before.png'), tmp_path / 'after.png', **LIMITS)


def test_a_scene_with_too_many_pixels(tiff):
    with pytest.raises(ImageFormatError, match=r'before.tif has 51 x 20 .*--max-scene-megapixels'):
        check_images(tiff('before.tif', 51), tiff('after.tif'), **LIMITS)


def test_a_tiff_that_is_nowhere_counts_as_a_picture(tiff):
    with pytest.raises(ImageFormatError, match=r'--max-picture-megapixels'):
        check_images(tiff('before.tif', crs=None), tiff('after.tif', 21, crs=None), **LIMITS)


def test_a_tiff_of_too_many_bands(tiff):
    with pytest.raises(ImageFormatError, match='has 65 bands; this server takes 64'):
        check_images(tiff('before.tif', count=65), tiff('after.tif'), **LIMITS)


def test_a_tiff_whose_blocks_take_too_much_memory(tiff):
    """A file of some kilobytes, since no block is written."""
    large = dict(tiled=True, blockxsize=16000, blockysize=16000, sparse_ok=True, count=8)
    path = tiff('before.tif', 16000, 16000, **large, interleave='pixel')
    assert path.stat().st_size < 100_000
    with pytest.raises(ImageFormatError, match='decodes to 1953 MB; write it in tiles'):
        check_images(path, tiff('after.tif'), picture_pixels=1, scene_pixels=10**9)


def test_a_tiff_beside_a_picture(picture, tiff):
    """GDAL would open the JPEG, which can be a VRT as well as a JPEG."""
    vrt = b'\xff\xd8\xff\xfe<V<VRTDataset rasterXSize="1" rasterYSize="1"></VRTDataset>'
    jpeg = picture('after.jpg')
    jpeg.write_bytes(vrt + jpeg.read_bytes())
    with pytest.raises(ImageFormatError, match='give two GeoTIFFs or two pictures'):
        check_images(tiff('before.tif'), jpeg, **LIMITS)


@pytest.mark.parametrize('name', ['before.png', 'before.jpg', 'before.tif'])
def test_files_of_which_only_the_first_bytes_are_right(tmp_path, picture, tiff, name):
    whole = tiff(name) if name.endswith('.tif') else picture(name)
    other = tiff('after.tif') if name.endswith('.tif') else picture('after.png')
    whole.write_bytes(whole.read_bytes()[:12] + bytes(50))
    with pytest.raises(ImageFormatError, match=f'{name} is no whole'):
        check_images(whole, other, **LIMITS)


def test_a_file_of_another_format_by_its_content(tmp_path, tiff):
    """Stored as a TIFF by mistake, a VRT isn't opened."""
    other = tiff('after.tif')
    text = f'<VRTDataset rasterXSize="9" rasterYSize="9"><!-- {"x" * 99} --></VRTDataset>'
    (tmp_path / 'before.tif').write_text(text)
    with pytest.raises(ImageFormatError, match=r'before.tif is no whole GeoTIFF'):
        check_images(tmp_path / 'before.tif', other, **LIMITS)
