import pickle

import numpy as np
import pytest
import torch
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import init_default_scope
from mmseg.datasets.transforms import ConcatCDInput
from mmseg.structures import SegDataSample

from tfinet_mm.datasets import SECONDDataset
from tfinet_mm.datasets.transforms import PackPairInputs


def results():
    return dict(
        img=np.random.default_rng(0).integers(0, 256, (4, 5, 6)).astype(np.uint8),
        gt_seg_map=np.ones((4, 5), np.uint8),
        gt_seg_map_from=np.full((4, 5), 255, np.uint8),
        gt_seg_map_to=np.full((4, 5), 3, np.uint8),
        sample_id='a',
        img_path=['1', '2'],
        flip=True,
        something_else=1,
    )


def test_packing():
    packed = PackPairInputs()(results())
    assert packed['inputs'].dtype == torch.uint8
    assert np.array_equal(packed['inputs'].numpy().transpose(1, 2, 0), results()['img'])
    sample = packed['data_samples']
    assert isinstance(sample, SegDataSample)
    for name, value in (('gt_sem_seg', 1), ('gt_sem_seg_from', 255), ('gt_sem_seg_to', 3)):
        data = sample.get(name).data
        assert data.shape == (1, 4, 5)
        assert data.dtype == torch.int64
        assert (data == value).all()
    assert sample.metainfo == dict(sample_id='a', img_path=['1', '2'], flip=True)


def test_packing_weights():
    weights = np.random.default_rng(0).random((4, 5)).astype(np.float32)
    packed = PackPairInputs()({**results(), 'gt_weight_from': weights, 'gt_weight_to': weights})
    sample = packed['data_samples']
    assert sample.gt_weight_from.data.dtype == torch.float32
    assert np.array_equal(sample.gt_weight_from.data[0].numpy(), weights)
    assert sample.gt_weight_to.data.shape == (1, 4, 5)


def test_packing_without_labels_and_of_real_numbers():
    packed = PackPairInputs()(dict(img=np.full((2, 3, 4), 0.5, np.float32)))
    assert packed['inputs'].dtype == torch.float32
    assert packed['inputs'].shape == (4, 2, 3)
    assert packed['data_samples'].keys() == []


def test_what_concat_cd_input_of_mmseg_gives():
    image = results()['img']
    joined = ConcatCDInput()(
        dict(img=image[..., :3], img2=image[..., 3:], gt_seg_map=image[..., 0] % 2)
    )
    packed = PackPairInputs()(joined)
    assert np.array_equal(packed['inputs'].numpy().transpose(1, 2, 0), image)
    assert packed['data_samples'].gt_sem_seg.data.shape == (1, 4, 5)


def test_a_whole_pipeline_from_the_scope_of_mmseg(make_scd, tmp_path):
    make_scd(sizes=(20, 24), mask='0/255')
    init_default_scope('mmseg')
    pipeline = [
        dict(type='tfinet_mm.LoadImagePair'),
        dict(type='tfinet_mm.LoadPairAnnotations'),
        dict(type='Resize', scale=(48, 40)),
        dict(type='RandomFlip', prob=0.5),
        dict(type='tfinet_mm.RandomFlipOrRotate'),
        dict(type='tfinet_mm.RandomCropWithChange', crop_size=16, min_change=0.1),
        dict(type='tfinet_mm.PairPhotoMetricDistortion'),
        dict(type='tfinet_mm.ExchangeDates'),
        dict(type='tfinet_mm.PackPairInputs'),
    ]
    prefix = dict(seg_map_path='change')
    dataset = SECONDDataset(data_root=str(tmp_path), data_prefix=prefix, pipeline=pipeline)
    for item in dataset:
        sample = item['data_samples']
        assert item['inputs'].shape == (6, 16, 16)
        assert sample.img_shape == (16, 16)
        assert sample.ori_shape == (20, 24)
        assert set(sample.gt_sem_seg.data.unique().tolist()) <= {0, 1}
        changed = sample.gt_sem_seg.data == 1
        assert ((sample.gt_sem_seg_from.data != 255) == changed).all()
        assert ((sample.gt_sem_seg_to.data != 255) == changed).all()


@pytest.mark.parametrize(('label_type', 'size'), [('int64', 8), ('uint8', 1)])
def test_the_type_of_labels(label_type, size):
    weights = dict(gt_weight_from=np.ones((4, 5), np.float32))
    given = {**results(), **weights, 'gt_seg_map_to': np.full((4, 5), 3, np.int16)}
    sample = PackPairInputs(label_type=label_type)(given)['data_samples']
    assert sample.gt_sem_seg.data.element_size() == size
    assert (sample.gt_sem_seg.data == 1).all()
    assert (sample.gt_sem_seg_to.data == 3).all()
    assert sample.gt_sem_seg_to.data.dtype == torch.int64  # not stored as bytes before either
    assert sample.gt_weight_from.data.dtype == torch.float32
    # Maps of the pipeline may change afterwards.
    given['gt_seg_map'][:] = 0
    assert (sample.gt_sem_seg.data == 1).all()


def test_labels_of_bytes_reach_any_model_as_int64():
    """As MMEngine's own preprocessor moves them, from a worker's process too."""
    sample = PackPairInputs(label_type='uint8')(results())['data_samples']
    sent = pickle.loads(pickle.dumps(sample))
    (moved,) = BaseDataPreprocessor().cast_data([sent])
    assert isinstance(moved, SegDataSample)
    for name, value in (('gt_sem_seg', 1), ('gt_sem_seg_from', 255), ('gt_sem_seg_to', 3)):
        assert sent.get(name).data.dtype == torch.uint8
        assert moved.get(name).data.dtype == torch.int64
        assert (moved.get(name).data == value).all()
    assert moved.metainfo == sample.metainfo


def test_unknown_types_of_labels_are_refused():
    with pytest.raises(ValueError, match=r"label_type has to be one of \('int64', 'uint8'\)"):
        PackPairInputs(label_type='int32')
