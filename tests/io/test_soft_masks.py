"""Test change masks of grey levels and of probabilities."""

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.datasets import SCDDataset
from tfinet_mm.datasets.label_contract import decide_soft_storage
from tfinet_mm.datasets.transforms import LoadPairAnnotations
from tfinet_mm.errors import LabelFormatError, LabelValueError
from tfinet_mm.io.change_masks import read_change_mask
from tfinet_mm.io.label_storage import LabelStorage

LEVELS = np.array([[0, 1, 100, 127, 128, 200, 254, 255]], np.uint8)
SOFT = LabelStorage('soft')


def saved(tmp_path, pixels, name='a.png', palette=None, mode=None):
    image = Image.fromarray(np.asarray(pixels), mode='P' if palette is not None else mode)
    if palette is not None:
        image.putpalette([value for colour in palette for value in colour])
    image.save(tmp_path / name)
    return str(tmp_path / name)


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(), [0, 0, 0, 0, 1, 1, 1, 1]),
        (dict(threshold=0.2), [0, 0, 1, 1, 1, 1, 1, 1]),
        (dict(threshold=1), [0, 0, 0, 0, 0, 0, 0, 1]),
        # 0.5 - 0.3 = 51 / 255 to 0.5 + 0.3 = 204 / 255
        (dict(margin=0.3), [0, 0, 255, 255, 255, 255, 1, 1]),
    ],
)
def test_levels_above_the_threshold_are_changed(tmp_path, raster, options, expected):
    storage = LabelStorage('soft', **options)
    files = [
        saved(tmp_path, LEVELS),
        saved(tmp_path, np.stack([LEVELS] * 3, -1), 'rgb.png'),
        # White first, as a program that reduces colours may store it.
        saved(tmp_path, 255 - LEVELS, 'p.png', [(255 - i,) * 3 for i in range(256)]),
        raster('grey.tif', LEVELS[None]),
        raster('real.tif', LEVELS[None].astype(np.float32) / 255),
        raster('double.tif', LEVELS[None].astype(np.float64) / 255),
    ]
    for path in files:
        mask = read_change_mask(path, storage)
        assert mask.values.tolist() == [expected], path
        assert (mask.values.dtype, mask.storage) == (np.uint8, 'soft')
        part = read_change_mask(path, storage, window=(2, 0, 3, 1))
        assert part.values.tolist() == [expected[2:5]]


def test_pixels_without_a_value_are_ignored(raster):
    real = np.array([[[0.0, np.nan, 0.7, -1.0]]], np.float32)
    path = raster('a.tif', real, nodata=-1.0)
    assert read_change_mask(path, SOFT).values.tolist() == [[0, 255, 1, 255]]
    path = raster('b.tif', LEVELS[None], nodata=200)
    assert read_change_mask(path, SOFT).values.tolist() == [[0, 0, 0, 0, 1, 255, 1, 1]]


def test_few_bits_are_levels_of_white(tmp_path):
    path = saved(tmp_path, np.array([[False, True]]))
    assert read_change_mask(path, SOFT).values.tolist() == [[0, 1]]


def test_what_holds_no_levels_is_refused(tmp_path, raster):
    for number, (pixels, message) in enumerate(
        [
            (
                np.array([[[0.0, 1.5]]], np.float32),
                r'numbers from 0 to 1\.5, expected .* 0 to 1',
            ),
            (np.array([[[0, 1000]]], np.uint16), 'whole numbers of 16 bits, expected .* 8 bits'),
        ]
    ):
        with pytest.raises((LabelFormatError, LabelValueError), match=message):
            read_change_mask(raster(f'{number}.tif', pixels), SOFT)
    colours = saved(tmp_path, np.array([[[255, 0, 0], [0, 0, 0]]], np.uint8), 'c.png')
    with pytest.raises(LabelFormatError, match=r'holds colours, expected .* grey levels'):
        read_change_mask(colours, SOFT)


def test_without_the_option_levels_are_refused_and_it_is_named(tmp_path, raster):
    for storage in ('auto', '0/1', '0/255'):
        with pytest.raises(LabelValueError, match=r'change_storage="soft" takes grey levels'):
            read_change_mask(saved(tmp_path, LEVELS), storage)
        with pytest.raises(LabelFormatError, match=r'or set change_storage="soft"'):
            read_change_mask(raster('a.tif', LEVELS[None].astype(np.float32) / 255), storage)


@pytest.mark.parametrize(
    ('name', 'options', 'message'),
    [
        ('soft', dict(threshold=0), 'mask_threshold has to be a number above 0, at most 1'),
        ('soft', dict(threshold=128), 'mask_threshold has to be .* got 128'),
        ('soft', dict(margin=0.5), 'mask_margin has to be a number from 0, below 0.5'),
        ('auto', dict(threshold=0.3), 'set change_storage="soft", got .auto'),
    ],
)
def test_options_out_of_range(name, options, message):
    with pytest.raises(ValueError, match=message):
        LabelStorage(name, **options)


def test_masks_of_0_and_1_are_not_taken_for_unchanged(tmp_path):
    ones = saved(tmp_path, np.array([[0, 1]], np.uint8), 'ones.png')
    zeros = saved(tmp_path, np.array([[0, 0]], np.uint8), 'zeros.png')
    grey = saved(tmp_path, LEVELS, 'grey.png')
    with pytest.raises(LabelFormatError, match=r'ones\.png and all .* set change_storage="0/1"'):
        decide_soft_storage([zeros, ones], SOFT)
    stated = LabelStorage('soft', threshold=0.4, margin=0.1)
    decided = decide_soft_storage([ones, grey], stated)
    assert str(decided) == 'soft (changed from 0.4 on, ignored up to 0.1 from it)'
    assert decide_soft_storage([zeros], SOFT).name == 'soft'


def test_a_data_set_with_soft_masks(make_scd, tmp_path, raster):
    make_scd(['a'], sizes=(1, 8))
    (tmp_path / 'soft').mkdir()
    saved(tmp_path / 'soft', LEVELS)
    prefix = dict(seg_map_path_from=None, seg_map_path_to=None, seg_map_path='soft')
    options = dict(data_root=str(tmp_path), data_prefix=prefix, change_storage='soft')
    dataset = SCDDataset(**options, mask_threshold=0.75, mask_margin=0.1)
    loaded = LoadPairAnnotations()(dataset.get_data_info(0))
    # 0.65 = 165.75 / 255 to 0.85 = 216.75 / 255
    assert loaded['gt_seg_map'].tolist() == [[0, 0, 0, 0, 0, 255, 1, 1]]
    assert loaded['label_storages'] == {'change': 'soft'}
    with pytest.raises(ValueError, match='mask_threshold'):
        SCDDataset(**options, mask_threshold=2)
