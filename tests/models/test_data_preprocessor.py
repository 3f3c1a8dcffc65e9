import math

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from tfinet_mm.errors import LabelFormatError, LabelValueError, NormalisationError
from tfinet_mm.models.data_preprocessor import PairDataPreprocessor

NAMES = ('gt_sem_seg', 'gt_sem_seg_from', 'gt_sem_seg_to')
MEAN = np.array([123.675, 116.28, 103.53])
STD = np.array([58.395, 57.12, 57.375])


def batch(*sizes, channels=6, dtype=torch.uint8):
    generator = torch.Generator().manual_seed(0)
    inputs, samples = [], []
    for size in sizes:
        inputs.append(torch.randint(0, 256, (channels, *size), generator=generator).to(dtype))
        sample = SegDataSample(metainfo=dict(ori_shape=size))
        for value, name in enumerate(NAMES):
            sample.set_field(PixelData(data=torch.full((1, *size), value)), name)
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def test_normalises_both_dates_alike():
    data = batch((4, 5), (4, 5))
    result = PairDataPreprocessor()(data)
    assert result['inputs'].shape == (2, 6, 4, 5)
    assert result['inputs'].dtype == torch.float32
    for index, image in enumerate(data['inputs']):
        values = image.numpy().astype(np.float64)
        for channel in range(6):
            expected = (values[channel] - MEAN[channel % 3]) / STD[channel % 3]
            assert np.allclose(result['inputs'][index, channel].numpy(), expected, atol=1e-6)


def test_a_mean_for_each_date():
    data = batch((2, 2), channels=4)
    result = PairDataPreprocessor(mean=[0, 1, 2, 3], std=[1, 2, 4, 8])(data)
    for channel in range(4):
        expected = (data['inputs'][0][channel].float() - channel) / 2**channel
        assert torch.equal(result['inputs'][0, channel], expected)


def test_no_normalisation():
    data = batch((2, 2), channels=10)
    result = PairDataPreprocessor(mean=None, std=None)(data)
    assert torch.equal(result['inputs'][0], data['inputs'][0].float())


@pytest.mark.parametrize('channels', [4, 10])
def test_a_mean_for_other_bands_is_an_error(channels):
    with pytest.raises(ValueError, match=f'{channels} channels.*have 3 values.*expected'):
        PairDataPreprocessor()(batch((2, 2), channels=channels))


@pytest.mark.parametrize(
    ('options', 'target'),
    [
        (dict(), (7, 9)),
        (dict(size_divisor=8), (8, 16)),
        (dict(size=(12, 6)), (12, 9)),
        (dict(size=(12, 6), size_divisor=5), (15, 10)),
    ],
)
def test_training_pads_images_and_all_label_maps_together(options, target):
    data = batch((4, 9), (7, 5), (7, 9))
    result = PairDataPreprocessor(**options)(data, training=True)
    assert result['inputs'].shape == (3, 6, *target)
    for index, size in enumerate([(4, 9), (7, 5), (7, 9)]):
        sample, image = result['data_samples'][index], result['inputs'][index]
        assert sample.img_shape == size
        assert sample.pad_shape == target
        assert sample.padding_size == (0, target[1] - size[1], 0, target[0] - size[0])
        inside = torch.zeros(target, dtype=torch.bool)
        inside[: size[0], : size[1]] = True
        assert (image[:, ~inside] == 0).all()
        for value, name in enumerate(NAMES):
            field = sample.get(name).data[0]
            assert field.shape == target
            assert (field[inside] == value).all()
            assert (field[~inside] == 255).all()
        # The data of the loader is left unchanged.
        assert data['data_samples'][index].gt_sem_seg.data.shape == (1, *size)
        assert 'pad_shape' not in data['data_samples'][index]


def test_weights_are_padded_with_nothing():
    data = batch((4, 9), (7, 5))
    for sample in data['data_samples']:
        for name in ('gt_weight_from', 'gt_weight_to'):
            shape = sample.gt_sem_seg.data.shape
            sample.set_field(PixelData(data=torch.full(shape, 0.5)), name)
    result = PairDataPreprocessor()(data, training=True)
    for sample, (height, width) in zip(result['data_samples'], [(4, 9), (7, 5)], strict=True):
        for name in ('gt_weight_from', 'gt_weight_to'):
            weight = sample.get(name).data
            assert weight.shape == (1, 7, 9)
            assert weight.dtype == torch.float32
            assert (weight[:, :height, :width] == 0.5).all()
            assert weight.sum() == 0.5 * height * width


def test_testing_leaves_labels_alone_and_takes_more_than_one():
    data = batch((5, 6), (5, 6), (5, 6))
    result = PairDataPreprocessor(test_cfg=dict(size_divisor=4))(data)
    assert result['inputs'].shape == (3, 6, 8, 8)
    for sample in result['data_samples']:
        assert sample.gt_sem_seg_from.data.shape == (1, 5, 6)
        assert sample.padding_size == (0, 2, 0, 3)
        assert sample.img_shape == (5, 6)
    unpadded = PairDataPreprocessor(size_divisor=32)(data)
    assert unpadded['inputs'].shape == (3, 6, 5, 6)


def test_testing_refuses_mixed_sizes():
    with pytest.raises(ValueError, match=r'one size, got .*\(5, 6\), \(5, 7\).*batch_size=1'):
        PairDataPreprocessor()(batch((5, 6), (5, 7)))


@pytest.mark.parametrize('training', [False, True])
def test_without_labels_and_without_samples(training):
    data = batch((4, 4), (4, 4))
    result = PairDataPreprocessor(size_divisor=3)(dict(inputs=data['inputs']), training)
    assert result['data_samples'] is None
    empty = [SegDataSample(metainfo=dict(sample_id='a')) for _ in range(2)]
    result = PairDataPreprocessor()(dict(inputs=data['inputs'], data_samples=empty), training)
    assert result['data_samples'][0].img_shape == (4, 4)
    assert result['data_samples'][0].keys() == []


def test_a_stacked_batch_gives_the_same_as_a_list():
    data = batch((4, 5), (4, 5))
    stacked = dict(inputs=torch.stack(data['inputs']), data_samples=data['data_samples'])
    preprocessor = PairDataPreprocessor(size_divisor=4)
    for training in (False, True):
        first, second = preprocessor(data, training), preprocessor(stacked, training)
        assert torch.equal(first['inputs'], second['inputs'])


def test_double_precision():
    data = batch((4, 5), dtype=torch.float64)
    result = PairDataPreprocessor().double()(data)
    assert result['inputs'].dtype == torch.float64
    mean, std = (torch.tensor(v).float().double() for v in (MEAN, STD))
    expected = (data['inputs'][0][:3] - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    assert torch.equal(result['inputs'][0, :3], expected)
    assert PairDataPreprocessor()(data)['inputs'].dtype == torch.float32


def test_bgr_inputs():
    data = batch((3, 3))
    swapped = [image[[2, 1, 0, 5, 4, 3]] for image in data['inputs']]
    expected = PairDataPreprocessor()(data)['inputs']
    result = PairDataPreprocessor(bgr_to_rgb=True)(dict(inputs=swapped))['inputs']
    assert torch.equal(result, expected)
    with pytest.raises(ValueError, match='bgr_to_rgb'):
        PairDataPreprocessor(bgr_to_rgb=True)(batch((3, 3), channels=4))


@pytest.mark.parametrize('stated', ['RGB', 'BGR'])
def test_the_order_that_a_pair_states_is_followed_or_contradicted(stated):
    data = batch((3, 3))
    expected = PairDataPreprocessor()(dict(inputs=data['inputs']))['inputs']
    if stated == 'BGR':
        data['inputs'] = [image[[2, 1, 0, 5, 4, 3]] for image in data['inputs']]
    metainfo = dict(sample_id='one', img_path=['a', 'b'], band_order=stated)

    def result(**options):
        data['data_samples'] = [SegDataSample(metainfo=metainfo) for _ in data['inputs']]
        return PairDataPreprocessor(**options)(data)['inputs']

    assert torch.equal(result(), expected)
    assert torch.equal(result(bgr_to_rgb=stated == 'BGR'), expected)
    with pytest.raises(NormalisationError, match=f'pair one was loaded as {stated}.*would get BGR'):
        result(bgr_to_rgb=stated == 'RGB')


def test_files_of_an_unknown_order_need_the_option():
    """Loaders of mmcv and Open-CD give BGR and don't say so."""
    data = batch((3, 3))
    data['data_samples'] = [SegDataSample(metainfo=dict(img_path=['a', 'b']))]
    with pytest.raises(NormalisationError, match=r"pair \['a', 'b'\] does not state .*bgr_to_rgb="):
        PairDataPreprocessor()(data)
    for value in (True, False):
        data['data_samples'] = [SegDataSample(metainfo=dict(img_path=['a', 'b']))]
        PairDataPreprocessor(bgr_to_rgb=value)(data)


def test_mean_and_std_are_no_weights():
    assert PairDataPreprocessor().state_dict() == {}


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(mean=None), 'mean and std'),
        (dict(mean=[1, 2], std=[1]), 'one finite number for each channel'),
        (dict(std=[1, 0, 1]), 'above 0'),
        (dict(std=[1, -1, 1]), 'above 0'),
        (dict(std=[1, math.nan, 1]), 'one finite number for each channel'),
        (dict(std=[1, math.inf, 1]), 'one finite number for each channel'),
        (dict(mean=[0, math.nan, 0]), 'one finite number for each channel'),
        (dict(mean='abc'), 'mean=abc'),
        (dict(mean=['1', '2', '3']), 'one finite number for each channel'),
        (dict(mean=0, std=1), 'one finite number for each channel'),
        (dict(mean=[], std=[]), 'one finite number for each channel'),
        (dict(size=(4, 0)), 'size'),
        (dict(size_divisor=0), 'size_divisor must be a whole number above 0, got 0'),
        (dict(size_divisor=2.5), 'size_divisor'),
        (dict(size_divisor='8'), 'size_divisor'),
        (dict(test_cfg=dict(size_divisor=-1)), r'test_cfg\.size_divisor .* got -1'),
        (dict(test_cfg=dict(size=(0, 4))), 'size'),
        (dict(test_cfg=dict(pad=1)), 'test_cfg'),
    ],
)
def test_options_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        PairDataPreprocessor(**options)


def test_inputs_that_do_not_fit():
    preprocessor = PairDataPreprocessor()
    for data, message in (
        (dict(inputs=[]), 'no inputs'),
        (dict(img=[]), r"no 'inputs', only \['img'\]"),
        (dict(inputs=[torch.zeros(5, 4, 4)]), '2B'),
        (dict(inputs=[torch.zeros(6, 4, 4)], data_samples=[]), '0 data samples'),
    ):
        with pytest.raises(ValueError, match=message):
            preprocessor(data, True)
    data = batch((4, 4), (5, 5))
    data['data_samples'][0].set_field(PixelData(data=torch.zeros(1, 3, 3)), 'gt_sem_seg_to')
    with pytest.raises(ValueError, match='gt_sem_seg_to is'):
        preprocessor(data, True)


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize(
    ('name', 'values', 'message'),
    [
        ('gt_sem_seg', torch.full((1, 4, 4), 2), 'gt_sem_seg of a pair holds values from 2 to 2'),
        ('gt_sem_seg', torch.full((1, 4, 4), 0.5), 'gt_sem_seg of a pair has values of type'),
        ('gt_sem_seg_from', torch.full((1, 4, 4), -1), 'from -1 to -1'),
        ('gt_sem_seg_to', torch.full((1, 4, 4), 256), 'from 256 to 256'),
        ('gt_sem_seg_to', torch.zeros(1, 4, 3, dtype=torch.long), r'gt_sem_seg_to is \(4, 3\)'),
    ],
)
def test_ground_truth_without_meaning_is_refused(training, name, values, message):
    data = batch((4, 4), (4, 4))
    data['data_samples'][1].set_field(PixelData(data=values), name)
    with pytest.raises((LabelFormatError, LabelValueError), match=message):
        PairDataPreprocessor()(data, training)


def test_ignored_pixels_and_resized_tests_are_fine():
    data = batch((6, 6))
    sample = data['data_samples'][0]
    sample.gt_sem_seg.data[0, 0] = 255
    PairDataPreprocessor()(data, training=True)
    data['inputs'] = [torch.zeros(6, 9, 9)]
    PairDataPreprocessor()(data)  # ori_shape is (6, 6)
    with pytest.raises(
        LabelFormatError, match=r'is \(6, 6\) \(H, W\) in a pair, but its image is \(9, 9\)'
    ):
        PairDataPreprocessor()(data, training=True)


@pytest.mark.parametrize('training', [True, False])
def test_labels_of_bytes_become_those_that_losses_take(training):
    """Equal to the same labels packed as int64, and the packed sample stays as it is."""
    made = []
    for dtype in (torch.uint8, torch.int64):
        sample = SegDataSample(metainfo=dict(sample_id='a'))
        for name, values in (('gt_sem_seg', [0, 1, 255]), ('gt_sem_seg_to', [0, 5, 255])):
            data = torch.tensor(values, dtype=dtype).view(1, 1, 3)
            sample.set_field(PixelData(data=data), name)
        data = dict(inputs=[torch.zeros(6, 1, 3, dtype=torch.uint8)], data_samples=[sample])
        options = dict(size=(2, 4)) if training else {}
        (found,) = PairDataPreprocessor(**options)(data, training)['data_samples']
        assert sample.gt_sem_seg.data.dtype == dtype
        made.append([found.get(name).data for name in ('gt_sem_seg', 'gt_sem_seg_to')])
    for narrow, wide in zip(*made, strict=True):
        assert narrow.dtype == torch.int64
        assert torch.equal(narrow, wide)
