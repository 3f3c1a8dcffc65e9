import builtins
import io
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tfinet_mm.errors import ImageFormatError, MissingExtraError
from tfinet_mm.io.images import (
    Window,
    check_complete,
    image_size,
    join_dates,
    read_image,
    split_dates,
)


def noise(*shape, dtype=np.uint8, high=256):
    return np.random.default_rng(1).integers(0, high, shape).astype(dtype)


def write_tiff(path, image):
    rasterio = pytest.importorskip('rasterio')
    profile = dict(width=image.shape[1], height=image.shape[0], count=image.shape[2])
    with rasterio.open(path, 'w', driver='GTiff', dtype=image.dtype, **profile) as file:
        file.write(image.transpose(2, 0, 1))


@pytest.mark.parametrize('name', ['plain.png', 'with space.v1.2.png', 'Zürich 北京.png'])
def test_png_comes_in_rgb_order_as_another_library_reads_it(tmp_path, name):
    image = noise(7, 5, 3)
    Image.fromarray(image).save(tmp_path / name)
    assert np.array_equal(read_image(tmp_path / name), image)
    assert image_size(tmp_path / name) == (5, 7)


def test_jpeg_agrees_with_pillow(tmp_path):
    smooth = cv2.GaussianBlur(noise(64, 48, 3), (0, 0), 5)
    Image.fromarray(smooth).save(tmp_path / 'a.jpg', quality=95)
    with Image.open(tmp_path / 'a.jpg') as other:
        difference = read_image(tmp_path / 'a.jpg').astype(int) - np.asarray(other).astype(int)
    assert np.abs(difference).max() <= 3


def test_sixteen_bit_png_keeps_its_values(tmp_path):
    image = noise(6, 6, 3, dtype=np.uint16, high=60000)
    (tmp_path / 'a.png').write_bytes(cv2.imencode('.png', image[..., ::-1])[1].tobytes())
    read = read_image(tmp_path / 'a.png')
    assert read.dtype == np.uint16
    assert np.array_equal(read, image)


def test_palette_image_gives_its_colours(tmp_path):
    image = Image.fromarray(noise(4, 4, high=3), mode='P')
    image.putpalette([9, 8, 7, 200, 100, 50, 1, 2, 3])
    image.save(tmp_path / 'a.png')
    assert np.array_equal(read_image(tmp_path / 'a.png'), np.asarray(image.convert('RGB')))


@pytest.mark.parametrize(('bands', 'hint'), [(1, r'bands=\[1, 1, 1\]'), (4, r'bands=\[1, 2, 3\]')])
def test_other_than_three_bands_need_a_choice(tmp_path, bands, hint):
    image = noise(5, 6, bands)
    Image.fromarray(image[..., 0] if bands == 1 else image).save(tmp_path / 'a.png')
    with pytest.raises(ImageFormatError, match=f'has {bands} band.*expected 3.*{hint}'):
        read_image(tmp_path / 'a.png')
    assert np.array_equal(read_image(tmp_path / 'a.png', bands=[1]), image[..., :1])
    repeated = read_image(tmp_path / 'a.png', bands=[1, 1, 1])
    assert np.array_equal(repeated, image[..., [0, 0, 0]])


def test_chosen_bands_come_in_the_order_asked_for(tmp_path):
    image = noise(5, 6, 5, dtype=np.uint16, high=9000)
    write_tiff(tmp_path / 'a.tif', image)
    assert np.array_equal(read_image(tmp_path / 'a.tif', bands=[5, 1, 3]), image[..., [4, 0, 2]])
    with pytest.raises(ImageFormatError, match=r'bands 1 to 5, got bands=\[0, 1\]'):
        read_image(tmp_path / 'a.tif', bands=[0, 1])
    with pytest.raises(ImageFormatError, match='has 5 bands, expected 3'):
        read_image(tmp_path / 'a.tif')


def test_float_tiff_keeps_its_values(tmp_path):
    image = np.random.default_rng(0).normal(size=(4, 4, 3)).astype(np.float32)
    write_tiff(tmp_path / 'a.tif', image)
    assert np.array_equal(read_image(tmp_path / 'a.tif'), image)
    assert image_size(tmp_path / 'a.tif') == (4, 4)


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_windows(tmp_path, suffix):
    image = noise(20, 30, 3)
    path = tmp_path / f'a{suffix}'
    if suffix == '.tif':
        write_tiff(path, image)
    else:
        Image.fromarray(image).save(path)
    window = Window(left=7, top=3, width=11, height=5)
    assert np.array_equal(read_image(path, window=window), image[3:8, 7:18])
    with pytest.raises(ImageFormatError, match=r'30 x 20 pixels .*\(25, 0, 6, 5\)'):
        read_image(path, window=(25, 0, 6, 5))


def test_a_window_of_a_tile_reads_only_its_blocks(tmp_path):
    rasterio = pytest.importorskip('rasterio')
    profile = dict(width=4096, height=4096, count=3, dtype='uint8', driver='GTiff')
    blocks = dict(tiled=True, blockxsize=256, blockysize=256, SPARSE_OK=True)
    with rasterio.open(tmp_path / 'a.tif', 'w', **profile, **blocks) as file:
        window = rasterio.windows.Window(512, 256, 256, 256)
        file.write(np.full((3, 256, 256), 7, np.uint8), window=window)
    # All other blocks were never written, so the file is small; reading one is quick and exact.
    assert os.path.getsize(tmp_path / 'a.tif') < 1_000_000
    assert (read_image(tmp_path / 'a.tif', window=(512, 256, 256, 256)) == 7).all()


@pytest.mark.parametrize('name', ['a.png', 'a.jpg'])
def test_a_file_that_was_cut_off_is_named(tmp_path, name):
    Image.fromarray(noise(64, 64, 3)).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageFormatError, match=rf'{name} is incomplete'):
        read_image(tmp_path / name)


def test_damaged_files_are_named(tmp_path):
    Image.fromarray(noise(64, 64, 3)).save(tmp_path / 'a.png')
    data = bytearray((tmp_path / 'a.png').read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / 'a.png').write_bytes(bytes(data))
    with pytest.raises(ImageFormatError, match=r'a\.png can not be decoded'):
        read_image(tmp_path / 'a.png')
    (tmp_path / 'text.png').write_text('not an image at all')
    for read in (read_image, image_size):
        with pytest.raises(ImageFormatError, match=r'text\.png is named like a PNG'):
            read(tmp_path / 'text.png')
    pytest.importorskip('rasterio')
    (tmp_path / 'text.tif').write_text('not an image at all')
    for read in (read_image, image_size):
        with pytest.raises(ImageFormatError, match=r'text\.tif can not be read'):
            read(tmp_path / 'text.tif')


def test_missing_file_is_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.png'):
        read_image(tmp_path / 'none.png')


def test_tiff_without_rasterio_names_the_extra(tmp_path, monkeypatch):
    write_tiff(tmp_path / 'a.tif', noise(4, 4, 3))
    original = builtins.__import__

    def without_rasterio(name, *args, **kwargs):
        if name.startswith('rasterio'):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', without_rasterio)
    with pytest.raises(MissingExtraError, match=r'pip install "tfinet-mm\[geo\]"'):
        read_image(tmp_path / 'a.tif')


@pytest.mark.parametrize('bands', [1, 2, 3, 5])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32, np.int32, np.float64])
def test_joining_and_splitting_dates(bands, dtype):
    before, after = noise(4, 6, bands, dtype=dtype), noise(4, 6, bands, dtype=dtype) // 2
    pair = join_dates(before, after)
    assert pair.dtype == dtype
    assert np.array_equal(pair, np.concatenate([before, after], axis=2))
    for half, expected in zip(split_dates(pair), (before, after), strict=True):
        assert np.array_equal(half.reshape(expected.shape), expected)


def camera_jpeg(thumbnail_of, pixels):
    """Encode a JPEG with a whole JPEG as thumbnail in its EXIF segment."""
    thumbnail, whole = io.BytesIO(), io.BytesIO()
    Image.fromarray(thumbnail_of).save(thumbnail, 'JPEG')
    Image.fromarray(pixels).save(whole, 'JPEG', quality=98)
    body = b'Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0' + thumbnail.getvalue()
    segment = b'\xff\xe1' + struct.pack('>H', len(body) + 2) + body
    return whole.getvalue()[:2] + segment + whole.getvalue()[2:]


def test_end_markers_in_thumbnails_and_texts_do_not_count(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    data = camera_jpeg(pixels[:8, :8], pixels)
    check_complete(data, 'a.jpg')
    for length in (len(data) // 2, len(data) - 5):
        assert b'\xff\xd9' in data[:length]
        with pytest.raises(ImageFormatError, match=r'a\.jpg is incomplete'):
            check_complete(data[:length], 'a.jpg')
    text = PngInfo()
    text.add_text('k', 'see IEND')
    Image.fromarray(pixels).save(tmp_path / 'a.png', pnginfo=text)
    data = (tmp_path / 'a.png').read_bytes()
    check_complete(data, 'a.png')
    assert b'IEND' in data[: len(data) // 2]
    with pytest.raises(ImageFormatError, match=r'a\.png is incomplete'):
        check_complete(data[: len(data) // 2], 'a.png')


def test_sizes_above_the_limit_of_pillow_are_read_from_the_header(tmp_path):
    # 20000 x 20000 pixels, more than twice Pillow's limit, in a file of 50 kB.
    Image.new('1', (20000, 20000)).save(tmp_path / 'a.png')
    assert image_size(tmp_path / 'a.png') == (20000, 20000)
    data = bytearray((tmp_path / 'a.png').read_bytes())
    data[16:24] = struct.pack('>II', 2**31 - 1, 2**31 - 1)
    data[29:33] = struct.pack('>I', zlib.crc32(data[12:29]))
    (tmp_path / 'a.png').write_bytes(data)
    with pytest.raises(ImageFormatError, match=r'claims to be 2147483647 x 2147483647'):
        image_size(tmp_path / 'a.png')


def test_what_no_memory_holds_is_refused_before_it_is_read(tmp_path):
    rasterio = pytest.importorskip('rasterio')
    profile = dict(driver='GTiff', width=200000, height=200000, count=3, dtype='uint8')
    layout = dict(sparse_ok=True, tiled=True, BIGTIFF='YES', compress='DEFLATE')
    rasterio.open(tmp_path / 'a.tif', 'w', **profile, **layout).close()
    with pytest.raises(ImageFormatError, match=r'200000 x 200000 pixels of 3 bands.*112 GiB'):
        read_image(tmp_path / 'a.tif')
    assert read_image(tmp_path / 'a.tif', window=(199990, 5, 4, 3)).shape == (3, 4, 3)


def test_pipes_are_no_images(tmp_path):
    os.mkfifo(tmp_path / 'a.png')
    for read in (read_image, image_size):
        with pytest.raises(ImageFormatError, match=r'a\.png is a pipe'):
            read(tmp_path / 'a.png')


@pytest.mark.parametrize('start', [b'', b'\x89PNG\r\n\x1a\n', b'\xff\xd8\xff', b'BM'])
@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_random_bytes_are_named(tmp_path, start, suffix):
    rng = np.random.default_rng(0)
    for number in range(20):
        path = tmp_path / f'{number}{suffix}'
        path.write_bytes(start + rng.bytes(300))
        for read in (read_image, image_size):
            with pytest.raises(ImageFormatError, match=rf'/{number}\{suffix} '):
                read(path)


def test_a_tiff_of_numbers_of_colours_gives_its_colours(tmp_path):
    rasterio = pytest.importorskip('rasterio')
    numbers = np.random.default_rng(0).integers(0, 5, (6, 7)).astype(np.uint8)
    colours = np.random.default_rng(1).integers(0, 256, (5, 3))
    path = tmp_path / 'palette.tif'
    size = dict(count=1, height=6, width=7, dtype='uint8')
    with rasterio.open(path, 'w', driver='GTiff', **size) as file:
        file.write(numbers, 1)
        file.write_colormap(1, {number: tuple(map(int, c)) for number, c in enumerate(colours)})
    np.testing.assert_array_equal(read_image(path), colours[numbers])
    np.testing.assert_array_equal(
        read_image(path, bands=[3, 1], window=(1, 2, 3, 4)), colours[numbers[2:6, 1:4]][..., [2, 0]]
    )
    with pytest.raises(ImageFormatError, match=r'colour table.*-expand rgb'):
        read_image(path, bands=[1, 1, 1])


def test_a_gif_is_named(tmp_path):
    pytest.importorskip('rasterio')
    path = tmp_path / 'gif.tif'
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).quantize(4).save(path, 'GIF')
    for bands in (None, [1, 1, 1]):
        with pytest.raises(ImageFormatError, match=r'gif\.tif is a GIF file'):
            read_image(path, bands)


PICTURES = dict(bilevel='1', grey='L', veiled='LA', palette='P', rgb='RGB', rgba='RGBA')


@pytest.mark.parametrize('kind', [*PICTURES, 'holes', 'rgb.jpg', 'grey.jpg', 'rgb.webp'])
def test_pictures_are_decoded_alike_without_opencv(tmp_path, monkeypatch, kind):
    values = np.random.default_rng(0).integers(0, 256, (7, 9, 4), dtype=np.uint8)
    image, mode = Image.fromarray(values), PICTURES.get(kind.partition('.')[0], 'P')
    if mode not in ('LA', 'RGBA'):
        image = image.convert('RGB')
    path = tmp_path / (kind if '.' in kind else f'{kind}.png')
    image.convert(mode).save(path, **(dict(transparency=3) if kind == 'holes' else {}))
    bands = [1] if mode in ('1', 'L') else [1, 2, 3]
    wanted = read_image(path, bands)
    monkeypatch.setattr('tfinet_mm.io.images.has_opencv', lambda: False)
    assert (read_image(path, bands) == wanted).all()
    joined = join_dates(wanted, wanted[::-1])
    assert (joined == np.concatenate([wanted, wanted[::-1]], axis=2)).all()
    before, after = split_dates(joined)
    assert (before == wanted).all()
    assert (after == wanted[::-1]).all()


def test_deep_pictures_need_opencv(tmp_path, monkeypatch):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), np.full((4, 5, 3), 1000, np.uint16))
    assert read_image(path).dtype == np.uint16
    monkeypatch.setattr('tfinet_mm.io.images.has_opencv', lambda: False)
    with pytest.raises(MissingExtraError, match=r'more than 8 bit.*tfinet-mm\[opencv\]'):
        read_image(path)


@pytest.mark.parametrize(
    ('options', 'found'),
    [
        (dict(photometric='MINISWHITE'), 'MINISWHITE'),
        (dict(nbits=4), r'stores 4-bit values .* from 0 to 15'),
    ],
)
def test_values_that_a_tiff_states_otherwise(tmp_path, options, found):
    """Inverted grey values and dark ones would be read without a word."""
    rasterio = pytest.importorskip('rasterio')
    profile = dict(driver='GTiff', width=5, height=7, count=1, dtype='uint8')
    with rasterio.open(tmp_path / 'a.tif', 'w', **profile, **options) as file:
        file.write(noise(7, 5, high=16), 1)
    with pytest.raises(ImageFormatError, match=rf'a\.tif .*{found}|a\.tif {found}'):
        read_image(tmp_path / 'a.tif', [1, 1, 1])


def test_a_container_of_several_rasters(tmp_path):
    rasterio = pytest.importorskip('rasterio')
    profile = dict(driver='GPKG', width=8, height=8, count=3, dtype='uint8', crs='EPSG:32633')
    profile['transform'] = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
    for name, more in (('one', {}), ('two', dict(APPEND_SUBDATASET='YES'))):
        with rasterio.open(tmp_path / 'a.gpkg', 'w', RASTER_TABLE=name, **profile, **more) as file:
            file.write(noise(3, 8, 8))
    with pytest.raises(ImageFormatError, match=r'a\.gpkg holds 2 rasters \(GPKG:.*:one, GPKG:'):
        read_image(tmp_path / 'a.gpkg')
