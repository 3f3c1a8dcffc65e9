import random

import numpy as np
import pytest

from tfinet_mm.datasets.transforms import ExchangeDates


@pytest.mark.parametrize('bands', [1, 3, 4])
def test_exchange(bands):
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 2 * bands)).astype(np.uint8)
    results = dict(
        img=image,
        gt_seg_map=np.array([[1]]),
        gt_seg_map_from=np.array([[2]]),
        gt_seg_map_to=np.array([[3]]),
        gt_weight_from=np.array([[0.5]]),
        gt_weight_to=np.array([[0.25]]),
        img_path=['before', 'after'],
        seg_map_path='mask',
        seg_map_path_from='l1',
        seg_map_path_to='l2',
        exchanged=False,
    )
    results = ExchangeDates(prob=1.0)(results)
    assert np.array_equal(results['img'][..., :bands], image[..., bands:])
    assert np.array_equal(results['img'][..., bands:], image[..., :bands])
    assert (results['gt_seg_map_from'], results['gt_seg_map_to']) == (3, 2)
    assert (results['gt_weight_from'], results['gt_weight_to']) == (0.25, 0.5)
    assert results['gt_seg_map'] == 1
    assert results['img_path'] == ['after', 'before']
    assert (results['seg_map_path_from'], results['seg_map_path_to']) == ('l2', 'l1')
    assert results['exchanged'] is True
    again = ExchangeDates(prob=1.0)(results)
    assert np.array_equal(again['img'], image)
    assert again['exchanged'] is False


def test_without_labels_and_by_probability():
    random.seed(0)
    image = np.arange(6, dtype=np.uint8).reshape(1, 1, 6)
    exchanged = sum(bool(ExchangeDates(0.25)(dict(img=image)).get('exchanged')) for _ in range(400))
    assert 70 < exchanged < 130
    with pytest.raises(ValueError, match='prob'):
        ExchangeDates(1.5)
