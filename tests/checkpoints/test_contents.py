"""Test that checkpoints hold finite tensors by name, of the network's kind of number."""

import pytest
import torch
from torch import nn

from tfinet_mm.checkpoints.contents import (
    check_contents,
    check_finite,
    check_kinds,
    check_resumable,
    restoring,
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
    with pytest.raises(DamagedCheckpointError, match=r"whole numbers from 0 on, got 'one'"):
        check_resumable(whole | dict(meta=dict(epoch='one', iter=2)), 'x')
    with pytest.raises(DamagedCheckpointError, match=r'got 1 and -8'):
        check_resumable(whole | dict(meta=dict(epoch=1, iter=-8)), 'x')
    state = {0: dict(exp_avg=torch.ones(2), step=torch.tensor(3.0))}
    check_resumable(whole | dict(optimizer=dict(state=state)), 'x')
    state[0]['exp_avg'][1] = NAN
    for optimizer in (dict(state=state), dict(head=dict(state=state))):
        with pytest.raises(NotFiniteWeightsError, match='x: the state of the optimizer holds NaN'):
            check_resumable(whole | dict(optimizer=optimizer), 'x')
    check_resumable(dict(state_dict={}), 'x', needed=('state_dict',))


def test_tensors_that_no_network_takes():
    check_contents(nn.BatchNorm2d(2).state_dict(), 'x')
    check_contents({'bn.running_var': torch.ones(2, dtype=torch.complex64)}, 'x')
    for found, message in (
        ({'a': torch.ones(2, device='meta')}, "x: 'a' is a meta tensor"),
        ({'state_dict': {'a': torch.eye(2).to_sparse()}}, "x: 'a' is a torch.sparse_coo tensor"),
        ({'bn.running_var': torch.tensor([1.0, -1.0])}, "'bn.running_var', .* negative"),
    ):
        with pytest.raises(DamagedCheckpointError, match=message):
            check_contents(found, 'x')


def test_state_of_another_optimizer():
    layer = nn.Linear(1, 1)
    optimizer = torch.optim.Adam(layer.parameters())
    with (
        pytest.raises(CheckpointMismatchError, match=r"^x can't be .*: KeyError: param_g"),
        restoring('x'),
    ):
        optimizer.load_state_dict({})
    error = DamagedCheckpointError('own')
    with pytest.raises(DamagedCheckpointError, match='own'), restoring('x'):
        raise error


def test_classes():
    assert trained_classes({}, 'x') == (None, None)
    assert trained_classes({'meta': {'dataset_meta': None}}, 'x') == (None, None)
    said = dict(semantic_classes=('a', 'b'), semantic_palette=[(0, 0, 0), (1, 1, 1)])
    found = trained_classes({'meta': {'dataset_meta': said}}, 'x')
    assert found == (('a', 'b'), [(0, 0, 0), (1, 1, 1)])
    for meta in ('x', {'dataset_meta': 5}, {'dataset_meta': {'semantic_classes': 3}}):
        with pytest.raises(DamagedCheckpointError, match=r'^x: '):
            trained_classes({'meta': meta}, 'x')
