import numpy as np
import pytest
from mmcv.transforms import CenterCrop
from mmcv.transforms import RandomFlip as MMCVRandomFlip
from mmseg.datasets.transforms import RandomRotFlip

from tfinet_mm.datasets.annotations import LabelSpec
from tfinet_mm.datasets.transforms import (
    ExchangeDates,
    PackPairInputs,
    RandomFlipOrRotate,
    consistency,
)
from tfinet_mm.datasets.transforms.consistency import label_combinations
from tfinet_mm.errors import ImageFormatError, LabelFormatError, LabelValueError
from tfinet_mm.structures import SECOND, ClassTable


def pair(classes=6, side=32, seed=0):
    """Return a pair as loaded: classes where something changed, in blocks of 4 x 4 pixels."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 2, (side // 4, side // 4)).astype(np.uint8)
    change = small.repeat(4, 0).repeat(4, 1)
    covers = [
        np.where(small, rng.integers(0, classes, small.shape), 255)
        .astype(np.uint8)
        .repeat(4, 0)
        .repeat(4, 1)
        for _ in range(2)
    ]
    table = SECOND
    if classes != 6:
        names = tuple(f'c{i}' for i in range(classes + 1))
        table = ClassTable(names, tuple((i, 0, 0) for i in range(classes + 1)))
    return dict(
        img=rng.integers(0, 256, (side, side, 6)).astype(np.uint8),
        gt_seg_map=change,
        gt_seg_map_from=covers[0],
        gt_seg_map_to=covers[1],
        seg_fields=['gt_seg_map', 'gt_seg_map_from', 'gt_seg_map_to'],
        sample_id='x y',
        label_spec=LabelSpec(table),
        label_combinations=label_combinations(change, *covers, classes),
    )


@pytest.mark.parametrize('block', [1, 100, 1 << 20])
@pytest.mark.parametrize('classes', [1, 6, 8, 9, 40])
def test_combinations_agree_with_a_slow_loop(classes, block, monkeypatch):
    monkeypatch.setattr(consistency, 'BLOCK_PIXELS', block)
    loaded = pair(classes)
    maps = [loaded[key].copy() for key in loaded['seg_fields']]
    maps[0][0, :4], maps[1][1, :4] = 255, 255
    expected = set(zip(*(m.ravel().tolist() for m in maps), strict=True))
    assert label_combinations(*maps, classes) == expected


@pytest.mark.parametrize('classes', [6, 40])
def test_transforms_that_move_all_maps_alike_pass(classes):
    for seed in range(6):
        results = ExchangeDates(prob=1)(RandomFlipOrRotate()(pair(classes, seed=seed)))
        packed = PackPairInputs()(results)
        assert packed['data_samples'].gt_sem_seg.data.shape == (1, 32, 32)


def test_padding_and_ignoring_more_pass():
    results = pair()
    results['gt_seg_map'][:5] = 255
    results['gt_seg_map_to'][:, :7] = 255
    PackPairInputs()(results)


def test_a_transform_that_crops_one_map_only_is_refused():
    """mmcv's CenterCrop crops no label map but gt_seg_map."""
    results = CenterCrop(crop_size=16)(pair())
    assert results['gt_seg_map_from'].shape == (32, 32)
    with pytest.raises(LabelFormatError, match=r'x y: the image is \(16, 16\).*gt_seg_map_from'):
        PackPairInputs()(results)


def test_a_rotation_that_mixes_classes_is_refused():
    """mmseg's RandomRotFlip rotates labels bilinearly and fills corners with class 0."""
    results = pair()
    turned = RandomRotFlip(rotate_prob=1, flip_prob=0, degree=(10, 11))
    rotated = turned(dict(results, img=results['img'][..., :3]))
    with pytest.raises((LabelFormatError, LabelValueError), match='x y'):
        PackPairInputs()(dict(rotated, img=results['img']))


def test_a_flip_of_one_map_only_is_refused():
    results = pair()
    results['gt_seg_map_to'] = results['gt_seg_map_to'][::-1].copy()
    with pytest.raises(LabelFormatError, match='none were loaded'):
        PackPairInputs()(results)
    # A transform that changes labels on purpose removes the combinations.
    del results['label_combinations']
    PackPairInputs()(results)
    flipped = MMCVRandomFlip(prob=1.0, direction='horizontal')(pair())
    flipped['gt_seg_map_to'] = pair()['gt_seg_map_to']
    with pytest.raises(LabelFormatError, match='none were loaded'):
        PackPairInputs()(flipped)


@pytest.mark.parametrize(
    ('changes', 'error', 'message'),
    [
        (dict(gt_seg_map=np.zeros((32, 31), np.uint8)), LabelFormatError, 'the image is'),
        (dict(gt_seg_map=np.zeros((32, 32), np.float32)), LabelFormatError, 'type float32'),
        (dict(gt_seg_map=np.full((32, 32), 2, np.uint8)), LabelValueError, r'100.00 % .* as 2'),
        (dict(gt_seg_map=np.full((32, 32), -1, np.int16)), LabelValueError, 'as -1'),
        (dict(gt_seg_map_from=np.full((32, 32), 6, np.uint8)), LabelValueError, 'expected 0 to 5'),
        (dict(gt_weight_to=np.full((32, 32), -0.5)), LabelValueError, 'gt_weight_to has values'),
        (dict(gt_weight_to=np.full((32, 32), np.nan)), LabelValueError, 'finite'),
        (dict(gt_weight_to=np.ones((1, 32))), LabelFormatError, r'gt_weight_to \(1, 32\)'),
        (dict(img2=np.zeros((32, 32, 3))), ImageFormatError, 'ConcatCDInput'),
    ],
)
def test_maps_that_do_not_fit_are_refused(changes, error, message):
    with pytest.raises(error, match=message):
        PackPairInputs()(pair() | changes)


def test_one_date_alone_is_refused():
    results = pair()
    del results['gt_seg_map_to']
    with pytest.raises(LabelFormatError, match='land cover of one date only'):
        PackPairInputs()(results)


def test_the_order_of_test_pipelines_of_mmseg_passes():
    """Labels keep the stored size if the image was resized before they were loaded."""
    results = pair()
    results |= dict(
        img=np.zeros((48, 48, 6), np.uint8), ori_shape=(32, 32), scale_factor=(1.5, 1.5)
    )
    assert PackPairInputs()(results)['data_samples'].gt_sem_seg.data.shape == (1, 32, 32)
    results['gt_seg_map'] = results['gt_seg_map'][:-1]
    with pytest.raises(LabelFormatError, match='the image is'):
        PackPairInputs()(results)
