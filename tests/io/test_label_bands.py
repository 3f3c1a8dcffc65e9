"""Test labels of several bands, written by Pillow, OpenCV and rasterio."""

import cv2
import numpy as np
import pytest
from PIL import Image

from tfinet_mm.errors import LabelFormatError
from tfinet_mm.io.change_masks import read_change_mask
from tfinet_mm.io.label_bands import read_label_bands, read_one_hot
from tfinet_mm.io.label_storage import LabelStorage, ValueRules
from tfinet_mm.io.labels import read_semantic_label
from tfinet_mm.structures import LANDSAT_SCD

BANDS = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(2, 3, 4) % 5


@pytest.mark.parametrize('mode', ['L', 'LA', 'RGB', 'RGBA'])
def test_bands_of_pictures_are_numbers(tmp_path, mode):
    number = len(mode)
    path = tmp_path / 'a.png'
    Image.fromarray(BANDS[..., :number].squeeze(), mode=mode).save(path)
    for band, stored in enumerate(read_label_bands(path)):
        assert np.array_equal(stored.pixels, BANDS[..., band])
    (last,) = read_label_bands(path, [number], window=(1, 0, 2, 1))
    assert np.array_equal(last.pixels, BANDS[:1, 1:, number - 1])
    with pytest.raises(
        LabelFormatError, match=rf'has {number} bands?, but label_bands names band 5'
    ):
        read_label_bands(path, [5])


def test_a_band_that_is_transparency_in_a_raster(raster):
    path = raster('a.tif', BANDS.transpose(2, 0, 1), photometric='RGB', alpha='YES', nodata=None)
    stored = read_label_bands(path, [4, 1])
    assert np.array_equal(stored[0].pixels, BANDS[..., 3])
    assert np.array_equal(stored[1].pixels, BANDS[..., 0])
    assert stored[0].missing is None


def test_a_palette_and_few_bits_are_numbers_too(tmp_path):
    path = tmp_path / 'a.png'
    image = Image.fromarray(BANDS[..., 0], mode='P')
    image.putpalette([9, 9, 9] * 256)
    image.save(path, bits=4)
    (stored,) = read_label_bands(path, [1])
    assert stored.palette is None
    assert np.array_equal(stored.pixels, BANDS[..., 0])


def test_colours_of_16_bits_are_refused(tmp_path):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), np.full((2, 2, 3), 300, np.uint16))
    with pytest.raises(LabelFormatError, match=r'3 bands of 16 bit.*convert it to TIFF'):
        read_label_bands(path)
    Image.fromarray(BANDS[..., 0]).save(tmp_path / 'b.jpg')
    with pytest.raises(LabelFormatError, match='JPEG'):
        read_label_bands(tmp_path / 'b.jpg')
    with pytest.raises(FileNotFoundError):
        read_label_bands(tmp_path / 'c.png')


def test_readers_take_their_band(tmp_path):
    path = tmp_path / 'a.png'
    stored = np.array([[[1, 0, 7], [4, 255, 7]]], np.uint8)
    Image.fromarray(stored).save(path)
    storage = LabelStorage('index', rules=ValueRules(band=1))
    assert read_semantic_label(path, LANDSAT_SCD, storage).values.tolist() == [[1, 4]]
    mask = LabelStorage('0/255', rules=ValueRules(band=2))
    assert read_change_mask(path, mask).values.tolist() == [[0, 1]]
    # Nothing is decided: the file alone has to tell.
    mask = LabelStorage(rules=ValueRules(band=2))
    assert read_change_mask(path, mask, window=(1, 0, 1, 1)).values.tolist() == [[1]]


def test_one_hot_windows_and_masks(raster):
    bands = np.zeros((4, 3, 5), np.uint8)
    expected = np.array([[1, 2, 3, 4, 0], [4, 3, 2, 1, 0], [1, 1, 1, 1, 1]])
    for band in range(4):
        bands[band][expected == band + 1] = 1
    path = raster('a.tif', bands)
    values, unset = read_one_hot(path, LANDSAT_SCD, LabelStorage('one_hot'), (1, 0, 4, 2))
    assert values.tolist() == [[2, 3, 4, 255], [3, 2, 1, 255]]
    assert unset == 2
    with pytest.raises(LabelFormatError, match=r'has 8 bands.*label_storage="one_hot"'):
        read_semantic_label(raster('b.tif', np.concatenate([bands, bands])), LANDSAT_SCD)
