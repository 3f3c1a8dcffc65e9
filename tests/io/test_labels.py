import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.errors import ImageFormatError, LabelFormatError, LabelValueError
from tfinet_mm.io.change_masks import read_change_mask
from tfinet_mm.io.label_storage import LabelStorage
from tfinet_mm.io.labels import read_semantic_label
from tfinet_mm.structures import LANDSAT_SCD, SECOND

LABEL = np.array([[0, 1, 2, 3], [4, 5, 6, 0]], np.uint8)
COLOURS = np.array(SECOND.palette, np.uint8)
VOC = [
    (0, 0, 0),
    (128, 0, 0),
    (0, 128, 0),
    (128, 128, 0),
    (0, 0, 128),
    (128, 0, 128),
    (0, 128, 128),
]


@pytest.fixture
def save(tmp_path):
    def write(pixels, palette=None, name='label.png', mode=None):
        image = Image.fromarray(np.asarray(pixels), mode='P' if palette is not None else mode)
        if palette is not None:
            image.putpalette([int(v) for colour in palette for v in colour])
        image.save(tmp_path / name)
        return tmp_path / name

    return write


def test_index(save):
    label = read_semantic_label(save(LABEL), SECOND)
    assert np.array_equal(label.values, LABEL)
    assert label.values.dtype == np.uint8
    assert label.storage == 'index'


def test_index_keeps_ignored_pixels(save):
    pixels = np.array([[0, 1, 255], [2, 3, 255]], np.uint8)
    assert np.array_equal(read_semantic_label(save(pixels), SECOND).values, pixels)


def test_sixteen_bit_index(save):
    label = read_semantic_label(save(LABEL.astype(np.uint16)), SECOND)
    assert np.array_equal(label.values, LABEL)
    with pytest.raises(LabelValueError, match=r'12.50 % of its pixels as 700'):
        read_semantic_label(save(np.where(LABEL == 6, np.uint16(700), LABEL)), SECOND)


def test_rgb(save):
    label = read_semantic_label(save(COLOURS[LABEL]), SECOND)
    assert np.array_equal(label.values, LABEL)
    assert label.storage == 'rgb'


def test_rgb_agrees_with_a_slow_loop(save):
    pixels = LANDSAT_SCD.palette
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 5, (9, 7))
    image = np.array(pixels, np.uint8)[indices]
    read = read_semantic_label(save(image), LANDSAT_SCD).values
    for row in range(9):
        for column in range(7):
            assert pixels[read[row, column]] == tuple(image[row, column])


def test_rgb_with_opaque_transparency_is_rgb_and_other_transparency_an_error(save):
    alpha = np.full((*LABEL.shape, 1), 255, np.uint8)
    image = np.concatenate([COLOURS[LABEL], alpha], axis=2)
    assert np.array_equal(read_semantic_label(save(image), SECOND).values, LABEL)
    image[0, 0, 3] = 0
    with pytest.raises(LabelFormatError, match=r'transparent in 12.50 %'):
        read_semantic_label(save(image), SECOND)


def test_unknown_colours_are_named_with_their_share(save):
    image = COLOURS[LABEL].copy()
    image[0, 0] = (1, 2, 3)
    image[0, 1] = image[0, 2] = (7, 7, 9)
    with pytest.raises(LabelValueError) as error:
        read_semantic_label(save(image), SECOND)
    message = str(error.value)
    assert 'label.png holds 37.50 % of its pixels in 2 colours of no class' in message
    assert '(7, 7, 9) 25.00 %, (1, 2, 3) 12.50 %' in message


def test_jpeg_artefacts_are_an_error_whatever_the_suffix(tmp_path):
    pixels = COLOURS[np.kron(LABEL, np.ones((9, 9), np.uint8))]
    Image.fromarray(pixels).save(tmp_path / 'a.jpg')
    with pytest.raises(LabelFormatError, match='JPEG'):
        read_semantic_label(tmp_path / 'a.jpg', SECOND)
    with Image.open(tmp_path / 'a.jpg') as lossy:
        lossy.save(tmp_path / 'b.png')
    with pytest.raises(LabelValueError, match='of no class'):
        read_semantic_label(tmp_path / 'b.png', SECOND)


def test_index_out_of_range_is_named_with_its_share(save):
    pixels = LABEL.copy()
    pixels[0, :2] = 9
    with pytest.raises(
        LabelValueError, match=r'label\.png holds 25.00 % .* as 9, expected .* 0 to 6'
    ):
        read_semantic_label(save(pixels), SECOND)


@pytest.mark.parametrize('values', [(0, 255), (255, 255)])
def test_a_change_mask_is_no_semantic_label(save, values):
    pixels = np.array([values], np.uint8)
    with pytest.raises(LabelFormatError, match='looks like a change mask'):
        read_semantic_label(save(pixels), SECOND)
    forced = read_semantic_label(save(pixels), SECOND, storage='index')
    assert np.array_equal(forced.values, pixels)


def test_grey_rgb_is_index_where_nothing_else_fits(save):
    read = read_semantic_label(save(np.repeat(LABEL[..., None], 3, axis=2)), SECOND)
    assert np.array_equal(read.values, LABEL)
    assert read.storage == 'index'


def test_grey_rgb_of_class_colours_is_rgb(save):
    # White and mid-grey are classes of SECOND: "unchanged" and "ground".
    read = read_semantic_label(save(COLOURS[np.array([[0, 2]])]), SECOND)
    assert read.values.tolist() == [[0, 2]]
    assert read.storage == 'rgb'


@pytest.mark.parametrize('values', [(0, 0), (0, 255), (1, 255), (9, 1)])
def test_grey_rgb_that_can_be_meant_in_two_ways_is_refused(save, values):
    pixels = np.repeat(np.array([values], np.uint8)[..., None], 3, axis=2)
    with pytest.raises(LabelValueError, match='label_storage="index"'):
        read_semantic_label(save(pixels), SECOND)


def test_palette_with_the_class_colours(save):
    label = read_semantic_label(save(LABEL, SECOND.palette), SECOND)
    assert np.array_equal(label.values, LABEL)
    assert label.storage == 'palette'


def test_palette_in_another_order_is_read_by_colour(save):
    order = np.array([3, 0, 6, 1, 5, 2, 4])
    stored = np.argsort(order)[LABEL].astype(np.uint8)
    label = read_semantic_label(save(stored, COLOURS[order]), SECOND)
    assert np.array_equal(label.values, LABEL)


def test_palette_at_arbitrary_indices_is_read_by_colour(save):
    palette = np.zeros((256, 3), np.uint8)
    indices = np.array([255, 40, 41, 90, 91, 200, 201])
    palette[indices] = COLOURS
    label = read_semantic_label(save(indices[LABEL].astype(np.uint8), palette), SECOND)
    assert np.array_equal(label.values, LABEL)


def test_palette_as_pillow_quantizes_an_rgb_label(save, tmp_path):
    Image.fromarray(COLOURS[LABEL]).convert('P', palette=Image.Palette.ADAPTIVE).save(
        tmp_path / 'quantized.png'
    )
    label = read_semantic_label(tmp_path / 'quantized.png', SECOND)
    assert np.array_equal(label.values, LABEL)


@pytest.mark.parametrize(
    'palette',
    [
        [(i, i, i) for i in range(256)],
        [(250, 10 * i + 1, 7) for i in range(7)],
        [(0, 0, 0), *SECOND.palette[1:]],
    ],
    ids=['grey ramp', 'colours of their own', 'unchanged in black'],
)
def test_palette_that_does_not_contradict_the_table_gives_indices(save, palette):
    assert np.array_equal(read_semantic_label(save(LABEL, palette), SECOND).values, LABEL)


def test_palette_that_contradicts_the_table_is_refused_and_can_be_forced(save):
    # Entry 1 of VOC's palette has the colour of SECOND's building (5).
    path = save(LABEL, VOC)
    with pytest.raises(LabelFormatError, match=r'label_storage="index".*label_storage="palette"'):
        read_semantic_label(path, SECOND)
    forced = read_semantic_label(path, SECOND, storage='index')
    assert np.array_equal(forced.values, LABEL)
    # The same for a file that uses only that entry, since other files may use more.
    with pytest.raises(LabelFormatError, match='contradicts'):
        read_semantic_label(save(np.ones((2, 2), np.uint8), VOC, 'one.png'), SECOND)
    with pytest.raises(LabelValueError, match='not in the class table'):
        read_semantic_label(path, SECOND, storage='palette')
    ignoring = LabelStorage('palette', unknown_colours='ignore')
    # Of VOC's colours, (128, 0, 0) and (0, 128, 0) are SECOND's building and low vegetation.
    assert read_semantic_label(path, SECOND, ignoring).values[0].tolist() == [255, 5, 3, 255]


def test_palette_with_an_index_out_of_range(save):
    ramp = [(i, i, i) for i in range(256)]
    with pytest.raises(LabelValueError, match='as 9'):
        read_semantic_label(save(np.full((2, 2), 9, np.uint8), ramp), SECOND)


@pytest.mark.parametrize(
    ('storage', 'palette', 'asked', 'error'),
    [
        ('rgb', None, 'palette', LabelFormatError),
        ('rgb', None, 'index', LabelFormatError),
        ('index', None, 'rgb', LabelFormatError),
        ('index', None, 'palette', LabelFormatError),
        ('index', None, 'colour', ValueError),
    ],
)
def test_asking_for_a_storage_the_file_does_not_have(save, storage, palette, asked, error):
    path = save(COLOURS[LABEL] if storage == 'rgb' else LABEL, palette)
    with pytest.raises(error, match=r'label|asked'):
        read_semantic_label(path, SECOND, storage=asked)


def test_types_that_hold_no_labels(save, tmp_path):
    Image.fromarray(LABEL.astype(np.float32)).save(tmp_path / 'a.tif')
    pytest.importorskip('rasterio')
    with pytest.raises(LabelFormatError, match='float32'):
        read_semantic_label(tmp_path / 'a.tif', SECOND)
    Image.fromarray(np.dstack([LABEL, LABEL]), mode='LA').save(tmp_path / 'b.png')
    with pytest.raises(LabelFormatError, match="mode 'LA'"):
        read_semantic_label(tmp_path / 'b.png', SECOND)


def test_damaged_and_missing_files(save, tmp_path):
    path = save(COLOURS[LABEL])
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(LabelFormatError, match=r'label\.png can not be read'):
        read_semantic_label(path, SECOND)
    path.write_text('text')
    with pytest.raises(LabelFormatError, match='not of the type of its name'):
        read_semantic_label(path, SECOND)
    with pytest.raises(FileNotFoundError):
        read_semantic_label(tmp_path / 'none.png', SECOND)


@pytest.mark.parametrize('storage', ['index', 'palette', 'rgb'])
@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_windows_of_every_storage(save, tmp_path, storage, suffix):
    rng = np.random.default_rng(2)
    label = rng.integers(0, 7, (20, 30)).astype(np.uint8)
    path = tmp_path / f'label{suffix}'
    if suffix == '.png':
        pixels = COLOURS[label] if storage == 'rgb' else label
        save(pixels, SECOND.palette if storage == 'palette' else None)
    else:
        rasterio = pytest.importorskip('rasterio')
        pixels = COLOURS[label].transpose(2, 0, 1) if storage == 'rgb' else label[None]
        profile = dict(width=30, height=20, count=len(pixels), dtype='uint8', driver='GTiff')
        with rasterio.open(path, 'w', **profile) as file:
            file.write(pixels)
            if storage == 'palette':
                file.write_colormap(1, dict(enumerate(SECOND.palette)))
    read = read_semantic_label(path, SECOND, window=(3, 5, 10, 8))
    assert np.array_equal(read.values, label[5:13, 3:13])
    assert read.storage == storage


@pytest.mark.parametrize(
    ('values', 'expected', 'storage'),
    [
        ([0, 0], [0, 0], '0'),
        ([0, 1], [0, 1], '0/1'),
        ([1, 1], [1, 1], '0/1'),
        ([0, 255], [0, 1], '0/255'),
        ([255, 255], [1, 1], '0/255'),
        ([0, 1, 255], [0, 1, 255], '0/1/255'),
    ],
)
def test_change_masks(save, values, expected, storage):
    path = save(np.array([values], np.uint8))
    mask = read_change_mask(path)
    assert mask.values.tolist() == [expected]
    assert mask.storage == storage
    grey = save(np.array([[[v] * 3 for v in values]], np.uint8), name='grey.png')
    assert read_change_mask(grey).values.tolist() == [expected]


def test_change_mask_of_one_bit(tmp_path):
    Image.fromarray(np.array([[0, 255, 255]], np.uint8)).convert('1').save(tmp_path / 'a.png')
    assert read_change_mask(tmp_path / 'a.png').values.tolist() == [[0, 1, 1]]


def test_change_mask_storage_can_be_forced(save):
    path = save(np.array([[0, 255]], np.uint8))
    assert read_change_mask(path, '0/1').values.tolist() == [[0, 255]]
    assert read_change_mask(path, '0/255').values.tolist() == [[0, 1]]
    with pytest.raises(LabelValueError, match='as 1'):
        read_change_mask(save(np.array([[0, 1]], np.uint8)), '0/255')
    with pytest.raises(ValueError, match='0/2'):
        read_change_mask(path, '0/2')


def test_other_values_and_colours_are_no_change_mask(save):
    with pytest.raises(LabelValueError, match=r'50.00 % .* as 128'):
        read_change_mask(save(np.array([[0, 128]], np.uint8)))
    with pytest.raises(LabelFormatError, match='holds colours'):
        read_change_mask(save(COLOURS[LABEL]))


def save_raster(path, bands, **options):
    rasterio = pytest.importorskip('rasterio')
    bands = bands if bands.ndim == 3 else bands[None]
    size = dict(count=len(bands), height=bands.shape[1], width=bands.shape[2], dtype=bands.dtype)
    with rasterio.open(path, 'w', **dict(driver='GTiff') | size | options) as file:
        file.write(bands)
    return path


SMOOTH = np.kron(LABEL, np.ones((16, 16), np.uint8))


@pytest.mark.parametrize(
    ('suffix', 'bands', 'options'),
    [
        ('.tif', 1, dict(compress='JPEG')),
        ('.tif', 1, dict(compress='LERC', max_z_error=1)),
        ('.tif', 3, dict(compress='WEBP')),
        ('.tif', 3, dict(compress='JPEG', photometric='YCBCR')),
        ('.jp2', 1, dict(driver='JP2OpenJPEG', quality='15')),
    ],
)
def test_storage_with_loss_is_refused(tmp_path, suffix, bands, options):
    path = save_raster(tmp_path / f'a{suffix}', np.stack([SMOOTH] * bands), **options)
    for read in (
        lambda: read_semantic_label(path, SECOND, 'index'),
        lambda: read_change_mask(path),
    ):
        with pytest.raises(LabelFormatError, match=r'/a\.\w+ is compressed with loss'):
            read()


@pytest.mark.parametrize(
    ('suffix', 'bands', 'options'),
    [
        ('.tif', 1, dict(compress='LERC')),
        ('.tif', 1, dict(compress='LERC', max_z_error=0.5)),
        ('.tif', 3, dict(compress='WEBP', webp_lossless=True)),
        ('.tif', 1, dict(compress='DEFLATE', predictor=2)),
        ('.jp2', 1, dict(driver='JP2OpenJPEG', quality='100', reversible='YES')),
        ('.tif', 1, dict(nbits=4)),
    ],
)
def test_storage_without_loss_is_read(tmp_path, suffix, bands, options):
    path = save_raster(tmp_path / f'a{suffix}', np.stack([SMOOTH] * bands), **options)
    assert np.array_equal(read_semantic_label(path, SECOND, 'index').values, SMOOTH)


def test_webp_by_its_compression(save, tmp_path):
    Image.fromarray(COLOURS[SMOOTH]).save(tmp_path / 'a.webp', lossless=True)
    assert np.array_equal(read_semantic_label(tmp_path / 'a.webp', SECOND).values, SMOOTH)
    # Refused even if the only colour of a file is restored exactly.
    for number, pixels in enumerate((COLOURS[SMOOTH], np.full((16, 16, 3), 255, np.uint8))):
        path = tmp_path / f'{number}.webp'
        Image.fromarray(pixels).save(path, quality=90)
        with pytest.raises(LabelFormatError, match='WebP file compressed with loss'):
            read_semantic_label(path, SECOND)


def test_a_mosaic_of_lossy_files_is_lossy(tmp_path):
    rasterio = pytest.importorskip('rasterio')
    save_raster(tmp_path / 'a.tif', SMOOTH, compress='JPEG')
    (tmp_path / 'a.vrt').write_text(
        '<VRTDataset rasterXSize="64" rasterYSize="32"><VRTRasterBand dataType="Byte" band="1">'
        '<SimpleSource><SourceFilename relativeToVRT="1">a.tif</SourceFilename>'
        '<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    with rasterio.open(tmp_path / 'a.vrt') as file:
        assert file.count == 1
    with pytest.raises(LabelFormatError, match=r'a\.tif is compressed with loss'):
        read_semantic_label(tmp_path / 'a.vrt', SECOND)


def small_png(path, values, bits):
    """Write a grey PNG of 2 or 4 bits, which Pillow can't."""
    bands = np.unpackbits(values[..., None], axis=2)[:, :, 8 - bits :]
    rows = np.packbits(bands.reshape(len(values), -1), axis=1)
    data = zlib.compress(b''.join(b'\0' + row.tobytes() for row in rows))
    header = struct.pack('>IIBBBBB', values.shape[1], values.shape[0], bits, 0, 0, 0, 0)
    parts = [(b'IHDR', header), (b'IDAT', data), (b'IEND', b'')]
    path.write_bytes(
        b'\x89PNG\r\n\x1a\n'
        + b''.join(
            struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
            for kind, body in parts
        )
    )
    return path


@pytest.mark.parametrize(('bits', 'highest'), [(2, 3), (4, 6)])
def test_grey_of_few_bits_holds_indices(tmp_path, bits, highest):
    values = np.minimum(LABEL, highest).astype(np.uint8)
    path = small_png(tmp_path / 'a.png', values, bits)
    # Pillow spreads the values over 0..255.
    assert np.asarray(Image.open(path)).max() > highest
    assert np.array_equal(read_semantic_label(path, SECOND).values, values)
    assert np.array_equal(
        read_semantic_label(path, SECOND, window=(1, 0, 2, 2)).values, values[:, 1:3]
    )


@pytest.mark.parametrize('bits', [2, 4])
def test_masks_of_few_bits_are_of_0_and_1_or_of_black_and_white(tmp_path, bits):
    values = np.array([[0, 1, 1, 0]], np.uint8)
    assert read_change_mask(small_png(tmp_path / 'a.png', values, bits)).storage == '0/1'
    white = read_change_mask(small_png(tmp_path / 'b.png', values * (2**bits - 1), bits))
    assert white.values.tolist() == [[0, 1, 1, 0]]
    assert white.storage == '0/255'
    with pytest.raises(LabelValueError, match='as 2'):
        read_change_mask(small_png(tmp_path / 'c.png', values * 2, bits))


def test_declared_nodata_is_ignored(tmp_path):
    values = np.array([[0, 1, -9999, 6]], np.int16)
    path = save_raster(tmp_path / 'a.tif', values, nodata=-9999)
    assert read_semantic_label(path, SECOND).values.tolist() == [[0, 1, 255, 6]]
    with pytest.raises(LabelValueError, match='as -9999'):
        read_semantic_label(save_raster(tmp_path / 'b.tif', values), SECOND)
    # 0 stays "unchanged", but a class can't be nodata.
    zero = save_raster(tmp_path / 'c.tif', LABEL, nodata=0)
    assert np.array_equal(read_semantic_label(zero, SECOND).values, LABEL)
    with pytest.raises(LabelFormatError, match="value 2 as nodata, which is the class 'ground'"):
        read_semantic_label(save_raster(tmp_path / 'd.tif', LABEL, nodata=2), SECOND)
    colours = COLOURS[LABEL].transpose(2, 0, 1).copy()
    colours[:, 0, 0] = 0
    rgb = save_raster(tmp_path / 'e.tif', colours, nodata=0)
    assert read_semantic_label(rgb, SECOND).values.tolist() == [[255, 1, 2, 3], [4, 5, 6, 0]]


def test_nodata_of_masks(tmp_path):
    mask = np.array([[0, 1, 7]], np.uint8)
    path = save_raster(tmp_path / 'a.tif', mask, nodata=7)
    assert read_change_mask(path).values.tolist() == [[0, 1, 255]]
    ambiguous = save_raster(tmp_path / 'b.tif', np.array([[0, 255]], np.uint8), nodata=255)
    with pytest.raises(LabelFormatError, match='declares 255 as nodata'):
        read_change_mask(ambiguous)
    assert read_change_mask(ambiguous, '0/1').values.tolist() == [[0, 255]]
    assert read_change_mask(ambiguous, '0/255').values.tolist() == [[0, 1]]


def test_a_mask_inside_of_a_file_leaves_pixels_out(tmp_path):
    rasterio = pytest.importorskip('rasterio')
    profile = dict(driver='GTiff', width=4, height=2, count=1, dtype='uint8')
    inside = rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True)
    with inside, rasterio.open(tmp_path / 'a.tif', 'w', **profile) as file:
        file.write(LABEL, 1)
        file.write_mask(LABEL != 5)
    read = read_semantic_label(tmp_path / 'a.tif', SECOND)
    assert read.values.tolist() == [[0, 1, 2, 3], [4, 255, 6, 0]]


def test_other_meanings_of_numbers_are_refused(tmp_path):
    path = save_raster(tmp_path / 'a.tif', (LABEL > 0) * np.uint8(255), photometric='MINISWHITE')
    with pytest.raises(LabelFormatError, match='MINISWHITE'):
        read_change_mask(path)
    assert read_change_mask(path, '0/255').values.tolist() == (LABEL > 0).astype(int).tolist()
    rasterio = pytest.importorskip('rasterio')
    scaled = save_raster(tmp_path / 'b.tif', LABEL)
    with rasterio.open(scaled, 'r+') as file:
        file.scales = (2.0,)
    with pytest.raises(LabelFormatError, match='values are to be scaled'):
        read_semantic_label(scaled, SECOND)


def test_labels_above_the_limit_of_pillow(save, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 3)
    path = save(LABEL)
    assert np.array_equal(read_semantic_label(path, SECOND).values, LABEL)
    window = read_semantic_label(path, SECOND, window=(0, 0, 4, 2))
    assert np.array_equal(window.values, LABEL)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack('>II', 60000, 60000)
    data[29:33] = struct.pack('>I', zlib.crc32(data[12:29]))
    path.write_bytes(data)
    with pytest.raises(LabelFormatError, match='claims to be 60000 x 60000'):
        read_semantic_label(path, SECOND)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / 'a.png')
    (tmp_path / 'b.png').mkdir()
    for name, message in (('a.png', 'is a pipe'), ('b.png', 'is a folder')):
        with pytest.raises((LabelFormatError, ImageFormatError), match=message):
            read_semantic_label(tmp_path / name, SECOND)


def test_a_window_of_a_mask_is_read_as_the_whole_file_says(save):
    path = save(np.array([[0, 1, 255, 255]], np.uint8))
    assert read_change_mask(path, window=(2, 0, 2, 1)).values.tolist() == [[255, 255]]
