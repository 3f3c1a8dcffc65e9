import random

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from torch import nn

from tfinet_mm.engine.batch_guard import check_batches, last_batch_note, layer_that_needs_two
from tfinet_mm.errors import BatchSizeError


@pytest.fixture
def loader(small_runner):
    def make(pairs=5, batch_size=2, kind='DefaultSampler', **more):
        cfg = dict(
            dataset=small_runner.samples(pairs),
            sampler=dict(type=kind, shuffle=True),
            batch_size=batch_size,
            num_workers=0,
        )
        return Runner.build_dataloader(cfg | more, seed=0)

    return make


def _trains_on_one(network, inputs):
    """Return torch's answer."""
    network.train()
    try:
        network(inputs, mode='loss')
    except ValueError as error:
        return 'more than 1 value per channel' not in str(error)
    return True


@pytest.mark.parametrize('pooled', [False, True])
def test_a_layer_is_found_where_torch_refuses_one(small_runner, loader, pooled):
    network = small_runner.network(pooled)
    layer = layer_that_needs_two(loader(), network)
    assert layer == ('branch.1 (BatchNorm2d)' if pooled else None)
    assert _trains_on_one(network, [torch.rand(6, 4, 4)]) is not pooled


def test_looking_changes_nothing(small_runner, loader):
    network = small_runner.network(pooled=True)
    network.first.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    assert layer_that_needs_two(loader(), network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert modes == [module.training for module in network.modules()]
    assert states == (
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        torch.get_rng_state().tolist(),
    )
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_frozen_batch_norm_and_group_norm_train_on_one(small_runner, loader):
    class Frozen(small_runner.network):
        def train(self, mode=True):
            super().train(mode)
            self.branch[1].eval()
            return self

    grouped = small_runner.network(pooled=True)
    grouped.branch[1] = nn.GroupNorm(4, 8)
    for network in (Frozen(pooled=True), grouped):
        assert layer_that_needs_two(loader(), network) is None
        assert _trains_on_one(network, [torch.rand(6, 4, 4)])


def test_a_network_that_cannot_be_run_like_this_is_left_alone(loader):
    ready = loader()
    check_batches(ready, nn.BatchNorm2d(8))
    assert len(ready) == 3


@pytest.mark.parametrize(
    ('pairs', 'batch_size', 'pooled', 'batches'),
    [(5, 2, True, 2), (5, 2, False, 3), (6, 2, True, 3), (6, 4, True, 2), (4, 1, False, 4)],
)
def test_batches_of_an_epoch(small_runner, loader, pairs, batch_size, pooled, batches):
    ready = loader(pairs, batch_size)
    check_batches(ready, small_runner.network(pooled))
    assert len(ready) == len(list(ready)) == batches
    assert ready.drop_last == (batches * batch_size < pairs)


def test_nothing_is_left_out_where_there_is_no_end(small_runner, loader):
    ready = loader(kind='InfiniteSampler')
    check_batches(ready, small_runner.network(pooled=True))
    assert not ready.drop_last


def test_the_training_goes_on_without_the_rest(small_runner, tmp_path):
    runner = small_runner(epochs=1, network=small_runner.network(pooled=True))
    runner.train()
    assert runner.iter == 2
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    assert '5 training pairs in batches of train_dataloader.batch_size=2 end with one pair' in log
    assert "branch.1 (BatchNorm2d) can't train on: it is left out (drop_last)" in log


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(batch_size=1), r'batch_size is 1, but the layer branch\.1 .*set .*batch_size=2'),
        (dict(pairs=1), r'no batch is left .* 1 training pairs, .*batch_size is 2 .*Add pairs'),
        (dict(pairs=3, batch_size=8, loader=dict(drop_last=True)), r'3 training pairs, .* is 8 '),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_first_step(small_runner, options, message):
    network = small_runner.network(pooled=True)
    with pytest.raises(BatchSizeError, match=message):
        small_runner(network=network, **options).train()
    assert network.steps == 0


def test_ranks_with_a_pair_more_or_less_do_the_same(small_runner, loader, monkeypatch):
    def other_rank_has_a_rest(value):
        value += 1

    monkeypatch.setattr('tfinet_mm.engine.batch_guard.all_reduce', other_rank_has_a_rest)
    ready = loader(pairs=6)
    check_batches(ready, small_runner.network(pooled=True))
    assert ready.drop_last


@pytest.mark.parametrize(
    ('options', 'pairs', 'text'),
    [
        (dict(batch_size=2), 5, 'last batch of an epoch holds one pair (5 pairs, '),
        (dict(batch_size=1), 5, 'batch_size is 1'),
        (dict(batch_size=2), 6, None),
        (dict(batch_size=2, drop_last=True), 5, None),
        (dict(batch_size=2, sampler=dict(type='InfiniteSampler')), 5, None),
    ],
)
def test_what_is_said_before_a_network_is_known(options, pairs, text):
    note = last_batch_note(options, pairs)
    assert note is None if text is None else text in note
