"""Test that numbers of steps are read together, and nothing is lost by it."""

import math

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from tfinet_mm.checkpoints.reading import load_checkpoint_file
from tfinet_mm.engine.fused import with_fused
from tfinet_mm.engine.hooks import FiniteLossHook, StepLogHook
from tfinet_mm.engine.hooks.step_log import Clipping
from tfinet_mm.engine.step_values import StepValues
from tfinet_mm.errors import TrainingDivergedError


def test_numbers_of_several_types_are_read_in_order():
    values = StepValues()
    weight = torch.ones(1, requires_grad=True)
    values.add('a', dict(loss=weight * 0.1, count=torch.tensor(3), rate=0.5))
    values.add('b', dict(other=torch.tensor(math.pi, dtype=torch.float64)))
    first, second = values.read()
    assert first[0] == 'a'
    assert list(first[1]) == ['loss', 'count', 'rate']
    assert first[1] == dict(loss=pytest.approx(0.1), count=3.0, rate=0.5)
    assert second == ('b', dict(other=math.pi))
    assert values.read() == []


def logged(runner):
    return {
        name: buffer.data[0].tolist()
        for name, buffer in runner.message_hub.log_scalars.items()
        if 'time' not in name
    }


@pytest.mark.parametrize('by_epoch', [True, False])
def test_the_log_is_that_of_numbers_read_at_once(small_runner, by_epoch, monkeypatch):
    """Of several steps together, with clipped gradients and checkpoints in between."""
    options = dict(
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1), clip_grad=dict(max_norm=0.5)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=2)),
    )
    if not by_epoch:
        options |= dict(
            train_cfg=dict(by_epoch=False, max_iters=7, val_interval=3),
            loader=dict(sampler=dict(type='InfiniteSampler')),
            param_scheduler=None,
            scores=[1.0, 2.0, 3.0],
        )
    found = []
    for wait in (False, True):
        hooks = dict(runtime_info=dict(type=StepLogHook, wait=wait), **options['default_hooks'])
        runner = small_runner(**{**options, 'default_hooks': hooks})
        runner.train()
        found.append(logged(runner))
        lengths = {name: len(numbers) for name, numbers in found[-1].items()}
        assert lengths['train/loss'] == lengths['train/grad_norm'] == runner.max_iters
    assert found[0] == found[1]


@pytest.mark.parametrize('step', [2, 4, 5])
def test_a_loss_that_is_not_finite_never_gets_into_a_checkpoint(small_runner, tmp_path, step):
    """Also where losses are read later: the message names the step, and nothing is saved."""

    def spoil(number, loss, network):
        return loss * math.nan if number == step else loss

    runner = small_runner(
        network=small_runner.network(spoil=spoil),
        custom_hooks=[FiniteLossHook(wait=True)],
        default_hooks=dict(logger=dict(type='LoggerHook', interval=10)),
    )
    with pytest.raises(TrainingDivergedError, match=rf'not finite in iteration {step} '):
        runner.train()
    # An epoch has three steps, and its end is the first to read them.
    assert runner.iter + 1 == math.ceil(step / 3) * 3
    for path in (tmp_path / 'work').glob('*.pth'):
        weights = load_checkpoint_file(path)['state_dict']
        assert all(value.isfinite().all() for value in weights.values())


def test_the_runner_registers_the_hook_unless_the_config_has_one(small_runner):
    kinds = [type(hook).__name__ for hook in small_runner().hooks]
    assert 'StepLogHook' in kinds
    assert 'RuntimeInfoHook' not in kinds
    own = small_runner(default_hooks=dict(runtime_info=dict(type='RuntimeInfoHook')))
    kinds = [type(hook).__name__ for hook in own.hooks]
    assert 'StepLogHook' not in kinds
    assert kinds.count('RuntimeInfoHook') == 1


def test_clipping_keeps_the_norm():
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    wrapper = OptimWrapper(torch.optim.SGD([weight], lr=1.0), clip_grad=dict(max_norm=1.0))
    wrapper.clip_func = Clipping(wrapper.clip_func)
    wrapper._clip_grad()
    assert wrapper.clip_func.norm.item() == 5
    torch.testing.assert_close(weight.grad, torch.tensor([0.6, 0.8]))


def test_fused_optimizers():
    cpu = torch.device('cpu')
    config = dict(optimizer=dict(type='AdamW', lr=0.1))
    assert with_fused(config, cpu)['optimizer'] == dict(type='AdamW', lr=0.1, fused=True)
    assert config['optimizer'] == dict(type='AdamW', lr=0.1)
    adam = with_fused(dict(optimizer=dict(type=torch.optim.Adam, lr=0.1)), cpu)
    assert adam['optimizer']['fused'] is True
    for plain in (
        dict(type='LBFGS'),
        dict(type='Adam', fused=False),
        dict(type='SGD', foreach=True),
        dict(type='mmpretrain.Adam'),
    ):
        assert with_fused(dict(optimizer=plain), cpu)['optimizer'] == plain
    assert with_fused(config, torch.device('meta')) is config
    built = object()
    assert with_fused(built, cpu) is built


@pytest.mark.parametrize('kind', ['Adam', 'AdamW', 'SGD'])
def test_a_fused_step_is_that_of_torchs_plain_loop(kind):
    ends = []
    for options in (dict(fused=True), dict(foreach=False)):
        torch.manual_seed(0)
        weight = nn.Parameter(torch.randn(50))
        optimizer = getattr(torch.optim, kind)([weight], lr=0.01, weight_decay=0.1, **options)
        for _ in range(20):
            optimizer.zero_grad()
            (weight**3).sum().backward()
            optimizer.step()
        ends.append(weight.detach())
    torch.testing.assert_close(*ends)
