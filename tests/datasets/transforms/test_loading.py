import logging

import numpy as np
import pytest
from mmcv.transforms import Resize
from mmengine.logging import MMLogger
from PIL import Image

from tfinet_mm.datasets import SECONDDataset
from tfinet_mm.datasets.annotations import LabelSpec
from tfinet_mm.datasets.transforms import LoadImagePair, LoadPairAnnotations
from tfinet_mm.errors import ImageFormatError, LabelFormatError
from tfinet_mm.structures import SECOND


def entries(tmp_path, **options):
    dataset = SECONDDataset(data_root=str(tmp_path), **options)
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def test_eight_bit_passes_through(make_scd, tmp_path):
    written = make_scd(names=['a'])
    results = LoadImagePair()(entries(tmp_path)[0])
    assert results['img'].dtype == np.uint8
    assert np.array_equal(results['img'][..., :3], written['a']['before'])
    assert np.array_equal(results['img'][..., 3:], written['a']['after'])
    for key in ('img_shape', 'ori_shape', 'pad_shape'):
        assert results[key] == (12, 16)
    assert results['flip'] is False
    assert results['exchanged'] is False


def test_sixteen_bit_needs_a_range(make_scd, tmp_path):
    written = make_scd(names=['a'], dtype=np.uint16)
    with pytest.raises(ImageFormatError, match=r'a\.png holds values of type uint16 .*value_range'):
        LoadImagePair()(entries(tmp_path)[0])
    results = LoadImagePair(value_range=(1000, 3000))(entries(tmp_path)[0])
    assert results['img'].dtype == np.float32
    before = written['a']['before'].astype(np.float64)
    expected = np.clip((before - 1000) / 2000, 0, 1) * 255
    assert np.allclose(results['img'][..., :3], expected, atol=1e-3)


def test_a_choice_of_many_bands(make_scd, tmp_path):
    pytest.importorskip('rasterio')
    written = make_scd(names=['a'], dtype=np.uint16, bands=5, suffix='.tif')
    info = entries(tmp_path, img_suffix='.tif')[0]
    results = LoadImagePair(bands=[5, 2], value_range=(0, 255))(info)
    expected = np.clip(written['a']['after'][..., [4, 1]], 0, 255)
    assert results['img'].shape == (12, 16, 4)
    assert np.array_equal(results['img'][..., 2:], expected)


def test_grey_images(make_scd, tmp_path):
    written = make_scd(names=['a'], bands=1)
    results = LoadImagePair(bands=[1])(entries(tmp_path)[0])
    assert np.array_equal(results['img'][..., :1], written['a']['before'])


def test_infinite_values_are_an_error(tmp_path):
    rasterio = pytest.importorskip('rasterio')
    for name in 'ab':
        values = np.full((1, 4, 4), np.nan, np.float32)
        profile = dict(width=4, height=4, count=1, dtype='float32', driver='GTiff')
        with rasterio.open(tmp_path / f'{name}.tif', 'w', **profile) as file:
            file.write(values)
    info = dict(img_path=[str(tmp_path / 'a.tif'), str(tmp_path / 'b.tif')])
    with pytest.raises(ImageFormatError, match='not finite'):
        LoadImagePair(bands=[1], value_range=(0, 1))(info)


def test_images_of_different_sizes_are_both_named(make_scd, tmp_path):
    make_scd(names=['a'])
    Image.fromarray(np.zeros((5, 4, 3), np.uint8)).save(tmp_path / 'im2' / 'a.png')
    with pytest.raises(ImageFormatError, match=r'im1/a\.png 16 x 12.*im2/a\.png 4 x 5'):
        LoadImagePair()(entries(tmp_path)[0])


@pytest.mark.parametrize(
    'value_range', [(5, 5), (9, 1), (0,), (None, 3), (0, float('inf')), (float('nan'), 1), 'ab', 3]
)
def test_bad_ranges(value_range):
    with pytest.raises(ValueError, match='low, high'):
        LoadImagePair(value_range=value_range)


@pytest.mark.parametrize('bands', [[], ['a'], [1.5, 2, 3], [0, 1, 2], 'abc', 3, [True]])
def test_bad_bands(bands):
    with pytest.raises(ValueError, match='bands has to be a list of whole numbers'):
        LoadImagePair(bands=bands)


def float_pair(raster, nodata):
    values = np.array([[[0, 10], [nodata, 40]]], np.float32)
    return dict(img_path=[raster(f'{n}.tif', values, nodata=nodata) for n in 'ab'])


def test_nodata_is_never_clipped_to_a_grey_value(raster):
    load = dict(bands=[1], value_range=(0, 51))
    with pytest.raises(ImageFormatError, match=r'a\.tif declares -9999 as nodata, which 25.00 %'):
        LoadImagePair(**load)(float_pair(raster, -9999))
    filled = LoadImagePair(**load, nodata_value=20)(float_pair(raster, -9999))
    assert filled['img'][..., 0].tolist() == [[0, 50], [100, 200]]
    # Nodata inside the range is a value like any other, such as black borders of 8-bit pictures.
    inside = LoadImagePair(**load)(float_pair(raster, 30))
    assert inside['img'][..., 1].tolist() == [[0, 50], [150, 200]]
    with pytest.raises(ValueError, match='nodata_value has to be'):
        LoadImagePair(nodata_value=float('nan'))


@pytest.mark.parametrize('dtype', ['<U3', object, np.complex64])
def test_arrays_that_hold_no_numbers_are_refused(dtype):
    pair = [np.ones((4, 4, 3)).astype(dtype)] * 2
    with pytest.raises(ImageFormatError, match='image before'):
        LoadImagePair(value_range=(0, 1))(dict(img_path=pair))


def test_labels_of_another_size_than_the_image_are_both_named(make_scd, tmp_path):
    make_scd(names=['a'])
    for folder in ('label1', 'label2'):
        Image.fromarray(np.zeros((5, 4), np.uint8)).save(tmp_path / folder / 'a.png')
    results = LoadImagePair()(entries(tmp_path)[0])
    with pytest.raises(LabelFormatError, match=r'label1/a\.png is 4 x 5.*im1/a\.png is 16 x 12'):
        LoadPairAnnotations()(results)


def test_labels_keep_their_size_where_the_image_was_resized_before(make_scd, tmp_path):
    """In the order of mmseg's test pipelines, predictions are scored at the stored size."""
    make_scd(names=['a'])
    info = entries(tmp_path)[0]
    resized = Resize(scale=(33, 18))(LoadImagePair()(dict(info)))
    assert resized['img'].shape == (18, 33, 6)
    labels = LoadPairAnnotations()(dict(resized))
    assert labels['gt_seg_map'].shape == labels['gt_seg_map_to'].shape == (12, 16)
    for cut in (
        resized | dict(img_shape=(16, 33)),
        LoadImagePair()(dict(info)) | dict(img_shape=(10, 16)),
    ):
        with pytest.raises(LabelFormatError, match='Only a Resize for testing may come before'):
            LoadPairAnnotations()(dict(cut))


def test_fields_and_storages(make_scd, tmp_path):
    make_scd(names=['a'], storage='palette')
    results = LoadPairAnnotations()(LoadImagePair()(entries(tmp_path)[0]))
    assert results['seg_fields'] == ['gt_seg_map', 'gt_seg_map_from', 'gt_seg_map_to']
    assert results['label_storages'] == {'from': 'palette', 'to': 'palette'}
    again = LoadPairAnnotations()(results)
    assert again['seg_fields'] == ['gt_seg_map', 'gt_seg_map_from', 'gt_seg_map_to']


def test_a_pair_without_labels_passes_through():
    results = LoadPairAnnotations()(dict(label_spec=LabelSpec(SECOND), seg_map_path=None))
    assert results['seg_fields'] == []
    assert 'gt_seg_map' not in results


def test_conflicts_are_counted_and_warned_about_once(make_scd, tmp_path, caplog):
    written = make_scd(names=['a', 'b'], storage='index')
    for name, arrays in written.items():
        label = arrays['label_to'].copy()
        label[0] = 1
        Image.fromarray(label).save(tmp_path / 'label2' / f'{name}.png')
    load = LoadPairAnnotations()
    logger = MMLogger.get_current_instance()
    with caplog.at_level(logging.WARNING, logger=logger.name):
        logger.addHandler(caplog.handler)
        for info, arrays in zip(entries(tmp_path), written.values(), strict=True):
            results = load(info)
            expected = int((arrays['label_from'][0] == 0).sum())
            assert results['label_conflicts'] == expected > 0
            assert (results['gt_seg_map'] == 255).sum() == expected
        logger.removeHandler(caplog.handler)
    messages = {record.getMessage() for record in caplog.records}
    assert len(messages) == 1
    assert 'label1/a.png are ignored' in messages.pop()
