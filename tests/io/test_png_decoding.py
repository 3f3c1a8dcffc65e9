import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.errors import ImageFormatError, LabelFormatError
from tfinet_mm.io import png_decoding
from tfinet_mm.io.images import read_image
from tfinet_mm.io.label_files import read_stored_label
from tfinet_mm.io.png_decoding import decode_png

pytest.importorskip('rasterio')


@pytest.fixture(autouse=True)
def worth(monkeypatch):
    """Let GDAL decode from the first picture on."""
    monkeypatch.setattr(png_decoding, 'WORTH', 0)


@pytest.fixture
def no_gdal(monkeypatch):
    """Return a function after which GDAL decodes no picture."""
    return lambda: monkeypatch.setattr(png_decoding, '_header', lambda data: None)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


PICTURES = dict(
    grey=Image.fromarray(noise(37, 53)),
    rgb=Image.fromarray(noise(37, 53, 3)),
    rgba=Image.fromarray(noise(37, 53, 4)),
    smooth=Image.fromarray(np.add.outer(np.arange(300), np.arange(7)).astype(np.uint8)),
    one=Image.fromarray(noise(1, 1, 3)),
)


@pytest.mark.parametrize('name', PICTURES)
def test_pixels_are_those_of_pillow(tmp_path, name):
    path = tmp_path / 'a.png'
    PICTURES[name].save(path)
    planes, palette = decode_png(path.read_bytes())
    expected = np.asarray(PICTURES[name])
    np.testing.assert_array_equal(planes, np.atleast_3d(expected).transpose(2, 0, 1))
    assert palette is None


@pytest.mark.parametrize('colours', [2, 3, 7, 200, 255])
def test_palettes_are_those_of_pillow(tmp_path, colours):
    path = tmp_path / 'a.png'
    picture = Image.fromarray(noise(37, 53) % colours, mode='P')
    picture.putpalette(noise(colours, 3).ravel().tolist())
    picture.save(path)  # with 1, 2, 4 or 8 bits a pixel
    planes, palette = decode_png(path.read_bytes())
    with Image.open(path) as stored:
        np.testing.assert_array_equal(planes[0], np.asarray(stored))
        expected = np.reshape(stored.getpalette('RGB'), (-1, 3))
    np.testing.assert_array_equal(palette, expected)


@pytest.mark.parametrize('name', ['grey', 'rgb', 'rgba'])
@pytest.mark.parametrize('window', [None, (3, 5, 20, 11)])
def test_images_are_the_same_by_either_decoder(tmp_path, no_gdal, name, window):
    path = tmp_path / 'a.png'
    PICTURES[name].save(path)
    bands = dict(grey=[1, 1], rgb=None, rgba=[4, 2])[name]
    found = read_image(path, bands, window)
    with pytest.raises(ImageFormatError, match='not inside'):
        read_image(path, bands, (40, 5, 20, 11))
    no_gdal()
    expected = read_image(path, bands, window)
    assert found.flags['C_CONTIGUOUS']
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('name', ['grey', 'rgb', 'opaque', 'palette'])
@pytest.mark.parametrize('window', [None, (3, 5, 20, 11)])
def test_labels_are_the_same_by_either_decoder(tmp_path, no_gdal, name, window):
    path = tmp_path / 'a.png'
    if name == 'palette':
        picture = Image.fromarray(noise(37, 53) % 7, mode='P')
        picture.putpalette(noise(7, 3).ravel().tolist())
        picture.save(path)
    elif name == 'opaque':
        PICTURES['rgb'].convert('RGBA').save(path)
    else:
        PICTURES[name].save(path)
    found = read_stored_label(path, window)
    no_gdal()
    expected = read_stored_label(path, window)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    np.testing.assert_array_equal(found.palette, expected.palette)
    assert found[2:] == expected[2:]


def test_transparent_labels_are_refused(tmp_path):
    PICTURES['rgba'].save(tmp_path / 'a.png')
    with pytest.raises(LabelFormatError, match='transparent'):
        read_stored_label(tmp_path / 'a.png')


def chunk(name, body):
    return struct.pack('>I', len(body)) + name + body + struct.pack('>I', zlib.crc32(name + body))


def test_other_pictures_are_left_to_other_decoders(tmp_path):
    path = tmp_path / 'a.png'
    saved = {
        '16 bits': (Image.fromarray(noise(9, 9).astype(np.uint16)), {}),
        '1 bit': (Image.fromarray(noise(9, 9) > 99), {}),
        'grey and alpha': (Image.fromarray(noise(9, 9, 2), mode='LA'), {}),
        'transparent colour': (PICTURES['rgb'], dict(transparency=(1, 2, 3))),
    }
    for name, (picture, options) in saved.items():
        picture.save(path, **options)
        assert decode_png(path.read_bytes()) is None, name
    PICTURES['rgb'].save(path)
    data = path.read_bytes()
    assert decode_png(data) is not None
    interlaced = chunk(b'IHDR', data[16:28] + b'\1')
    assert decode_png(data[:8] + interlaced + data[33:]) is None
    assert decode_png(b'') is None
    assert decode_png(b'BM' + data) is None


def test_damaged_pictures_are_left_to_other_decoders(tmp_path):
    """Every byte of a picture with a changed bit: GDAL gives the right pixels or none."""
    path = tmp_path / 'a.png'
    PICTURES['smooth'].crop((0, 0, 7, 40)).save(path)
    data = path.read_bytes()
    expected, _ = decode_png(data)
    refused = 0
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 4
        found = decode_png(bytes(changed))
        refused += found is None
        assert found is None or np.array_equal(found.planes, expected), at
        assert decode_png(data[:at]) is None
    assert refused > 0.8 * len(data)


def test_a_picture_that_its_bytes_can_not_hold_is_not_made_room_for(tmp_path, monkeypatch):
    PICTURES['rgb'].save(tmp_path / 'a.png')
    data = (tmp_path / 'a.png').read_bytes()
    header = chunk(b'IHDR', struct.pack('>II', 1 << 20, 1 << 20) + data[24:29])
    monkeypatch.setattr(png_decoding, '_rasterio', lambda: pytest.fail('it is decoded'))
    assert decode_png(data[:8] + header + data[33:]) is None


def test_rasterio_is_not_imported_for_a_few_pictures(tmp_path, monkeypatch):
    PICTURES['rgb'].save(tmp_path / 'a.png')
    data = (tmp_path / 'a.png').read_bytes()
    monkeypatch.setattr(png_decoding, 'WORTH', 2)
    monkeypatch.setattr(png_decoding, '_seen', 0)
    monkeypatch.setattr(png_decoding, 'sys', SimpleNamespace(modules={}))
    assert [decode_png(data) is None for _ in range(3)] == [True, True, False]


def test_threads_decode_without_warnings(tmp_path):
    PICTURES['rgb'].save(tmp_path / 'a.png')
    data = (tmp_path / 'a.png').read_bytes()
    with warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(8) as pool:
        warnings.simplefilter('always')
        found = list(pool.map(decode_png, [data] * 200))
        filters = list(warnings.filters)
    assert all((one.planes == found[0].planes).all() for one in found)
    assert caught == []
    assert filters[0][0] == 'always'  # as it was


def test_without_rasterio(tmp_path, monkeypatch):
    monkeypatch.setattr(png_decoding, '_found', [])

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(png_decoding, 'importlib', SimpleNamespace(import_module=missing))
    PICTURES['rgb'].save(tmp_path / 'a.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'a.png'), np.asarray(PICTURES['rgb']))
    assert png_decoding._found == [None]
