"""Test that checkpoints hold finite tensors by name, of the network's kind of number."""

import pytest
import torch
from torch import nn

from tfinet_mm.checkpoints.contents import (
    check_contents,
    check_finite,
    check_kinds,
    check_resumable,
    trained_classes,
    weights_of,
)
from tfinet_mm.errors import (
    CheckpointMismatchError,
    DamagedCheckpointError,
    NotFiniteWeightsError,
    TFINetError,
)

NAN, INF = float('nan'), float('inf')


@pytest.mark.parametrize(
    ('found', 'message'),
    [
        ([1], r'x\.pth holds a list, expected a dictionary'),
        (None, r'x\.pth holds a NoneType'),
        ((1,), r'x\.pth holds a tuple'),
        ('x', r'x\.pth holds a str'),
        (torch.ones(1), r'x\.pth holds a Tensor'),
        ({'state_dict': None}, r'x\.pth, "state_dict": found a NoneType'),
        ({'state_dict': [1]}, r'x\.pth, "state_dict": found a list'),
        ({'state_dict': {1: torch.ones(1)}}, r'x\.pth, "state_dict": found the key 1'),
        ({'a': 5, 'b': 'x'}, r"x\.pth: 'a' is a int, expected a tensor"),
        ({'model_state_dict': {'a': torch.ones(1)}}, r"'model_state_dict' is a dict"),
    ],
)
def test_other_objects_are_named(found, message):
    with pytest.raises(DamagedCheckpointError, match=message):
        weights_of(found, 'x.pth')


def test_weights_are_found():
    weights = nn.BatchNorm2d(2).state_dict()
    assert weights_of(weights, 'x') is weights
    assert weights_of(dict(state_dict=weights, meta='what'), 'x') is weights
    assert weights_of({'a._extra_state': 5, 'b': torch.ones(1)}, 'x')


@pytest.mark.parametrize('value', [NAN, INF, -INF])
@pytest.mark.parametrize(
    'dtype',
    [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64],
)
def test_numbers_that_are_not_finite(dtype, value):
    weights = {f'layer{i}.weight': torch.ones(50, dtype=dtype) for i in range(9)}
    check_finite(weights, 'x.pth')
    for i in range(1, 7):
        weights[f'layer{i}.weight'][i] = value
    with pytest.raises(
        NotFiniteWeightsError,
        match=r'x\.pth: the weights layer1\.weight, .*layer4\.weight and 2 more hold NaN',
    ):
        check_finite(weights, 'x.pth')
    for checkpoint in (weights, dict(state_dict=weights), dict(model=weights)):
        with pytest.raises(TFINetError, match='finite'):
            check_contents(checkpoint, 'x.pth')


def test_a_sum_that_overflows_is_finite_all_the_same():
    largest = {
        dtype: torch.full((64,), torch.finfo(dtype).max, dtype=dtype)
        for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16)
    }
    check_finite(largest, 'x')
    check_finite({'empty': torch.ones(0), 'count': torch.tensor(3), 'text': 'nan'}, 'x')
    check_finite({'meta': torch.ones(3, device='meta')}, 'x')
    sparse = torch.eye(3).to_sparse()
    check_finite({'sparse': sparse}, 'x')
    with pytest.raises(NotFiniteWeightsError, match='sparse'):
        check_finite({'sparse': sparse * NAN}, 'x')


def test_kinds_of_numbers():
    network = nn.BatchNorm2d(3)
    own = network.state_dict()
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        check_kinds(own, {'weight': torch.ones(3, dtype=dtype)}, 'x')
    check_kinds(own, {'num_batches_tracked': torch.tensor(3), 'other': torch.ones(1).int()}, 'x')
    for dtype in (torch.int8, torch.int64, torch.complex64, torch.bool):
        with pytest.raises(CheckpointMismatchError, match=rf'x: .*weight is {dtype}, expected'):
            check_kinds(own, {'weight': torch.ones(3).to(dtype)}, 'x')
    quantised = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    with pytest.raises(CheckpointMismatchError, match=r'qint8'):
        check_kinds(own, {'weight': quantised}, 'x')


def test_what_resuming_needs():
    whole = dict(meta=dict(epoch=1, iter=2), message_hub={}, state_dict={}, optimizer={})
    check_resumable(whole, 'x')
    for key in whole:
        rest = {name: value for name, value in whole.items() if name != key}
        with pytest.raises(DamagedCheckpointError, match=f'x holds no {key}'):
            check_resumable(rest, 'x')
    with pytest.raises(DamagedCheckpointError, match=r'x: "meta" is a str'):
        check_resumable(whole | dict(meta='x'), 'x')
    with pytest.raises(DamagedCheckpointError, match=r"whole numbers, got 'one'"):
        check_resumable(whole | dict(meta=dict(epoch='one', iter=2)), 'x')
    check_resumable(dict(state_dict={}), 'x', needed=('state_dict',))


def test_classes():
    assert trained_classes({}, 'x') == (None, None)
    assert trained_classes({'meta': {'dataset_meta': None}}, 'x') == (None, None)
    said = dict(semantic_classes=('a', 'b'), semantic_palette=[(0, 0, 0), (1, 1, 1)])
    found = trained_classes({'meta': {'dataset_meta': said}}, 'x')
    assert found == (('a', 'b'), [(0, 0, 0), (1, 1, 1)])
    for meta in ('x', {'dataset_meta': 5}, {'dataset_meta': {'semantic_classes': 3}}):
        with pytest.raises(DamagedCheckpointError, match=r'^x: '):
            trained_classes({'meta': meta}, 'x')
