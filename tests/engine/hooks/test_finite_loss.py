import math

import pytest
import torch
from mmengine.runner import Runner

from tfinet_mm.checkpoints.reading import load_checkpoint_file
from tfinet_mm.engine.hooks import FiniteLossHook
from tfinet_mm.engine.hooks.finite_loss import nonfinite_weights
from tfinet_mm.errors import TrainingDivergedError


def _spoilt(value, step):
    """A loss of this value in one step, with gradients."""

    def spoil(number, loss, network):
        return loss * value if number == step else loss

    return spoil


def _spoilt_weights(step):
    def spoil(number, loss, network):
        if number == step:
            network.branch[1].running_var.data[3] = math.inf
        return loss

    return spoil


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_the_training(small_runner, tmp_path, value):
    runner = small_runner(network=small_runner.network(spoil=_spoilt(value, 5)))
    with pytest.raises(TrainingDivergedError) as caught:
        runner.train()
    message = str(caught.value)
    assert f'the loss is not finite in iteration 5 (epoch 2): loss_fit {value:g}. ' in message
    assert 'Lower the learning rate (optim_wrapper.optimizer.lr)' in message
    assert f'The last checkpoint, of finite weights, is {tmp_path}/work/epoch_1.pth' in message
    weights = load_checkpoint_file(tmp_path / 'work/epoch_1.pth')['state_dict']
    assert all(value.isfinite().all() for value in weights.values())
    assert not (tmp_path / 'work/epoch_2.pth').exists()


def test_the_first_iteration(small_runner):
    runner = small_runner(network=small_runner.network(spoil=_spoilt(math.nan, 1)))
    with pytest.raises(TrainingDivergedError, match=r'iteration 1 .* No checkpoint has been saved'):
        runner.train()


def test_weights_are_looked_at_before_they_are_saved_or_validated(small_runner, tmp_path):
    network = small_runner.network(spoil=_spoilt_weights(6))
    with pytest.raises(TrainingDivergedError, match=r'after epoch 2: branch\.1\.running_var\. '):
        small_runner(network=network, scores=[1.0, 2.0, 3.0]).train()
    assert {path.name for path in (tmp_path / 'work').glob('*.pth')} == {
        'epoch_1.pth',
        'best_Score_epoch_1.pth',
    }


def test_a_loop_over_iterations_keeps_its_last_checkpoint(small_runner, tmp_path):
    # MMEngine would remove the one checkpoint that it keeps before it saves the next.
    saving = dict(type='CheckpointHook', by_epoch=False, interval=2, max_keep_ckpts=1)
    runner = small_runner(
        network=small_runner.network(spoil=_spoilt_weights(4)),
        train_cfg=dict(by_epoch=False, max_iters=8),
        loader=dict(sampler=dict(type='InfiniteSampler')),
        param_scheduler=None,
        default_hooks=dict(checkpoint=saving),
    )
    with pytest.raises(TrainingDivergedError, match=r'after iteration 4: .*/work/iter_2\.pth'):
        runner.train()
    assert [path.name for path in (tmp_path / 'work').glob('*.pth')] == ['iter_2.pth']


def test_weights_before_a_validation_within_a_loop_over_iterations(small_runner, tmp_path):
    runner = small_runner(
        network=small_runner.network(spoil=_spoilt_weights(3)),
        scores=[1.0],
        train_cfg=dict(by_epoch=False, max_iters=8, val_interval=3),
        param_scheduler=None,
        loader=dict(sampler=dict(type='InfiniteSampler')),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=5)),
    )
    with pytest.raises(TrainingDivergedError, match='after iteration 3: '):
        runner.train()


def test_a_runner_without_this_hook_goes_on(small_runner, tmp_path):
    network = small_runner.network(spoil=_spoilt(math.nan, 1))
    small_runner(network=network, runner=Runner).train()
    weights = load_checkpoint_file(tmp_path / 'work/epoch_3.pth')['state_dict']
    assert weights['last.weight'].isnan().all()


def test_the_hook_of_a_config_is_the_only_one(small_runner):
    runner = small_runner(custom_hooks=[dict(type='tfinet_mm.FiniteLossHook', priority='LOW')])
    hooks = [hook for hook in runner.hooks if isinstance(hook, FiniteLossHook)]
    assert [hook.priority for hook in hooks] == ['LOW']


def test_names_of_weights_that_are_not_finite():
    network = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 1), torch.nn.BatchNorm2d(8))
    assert nonfinite_weights(network) == []
    network[0].bias.data[7] = math.inf
    network[1].running_mean[0] = math.nan
    assert nonfinite_weights(network) == ['0.bias', '1.running_mean']
