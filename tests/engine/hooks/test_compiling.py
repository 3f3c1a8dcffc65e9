"""Test that networks learn how long a run is, and the option of the command line."""

import pytest
import torch
from mmengine.config import Config
from torch import nn

from tfinet_mm.engine.hooks import CompileHook, compiling
from tfinet_mm.models.detectors.compiled import CompiledNetwork
from tfinet_mm.utils import compiler


@pytest.fixture
def network(small_runner):
    """A network of the small training, with something to compile."""
    made = small_runner.network()
    made.compiled = CompiledNetwork()
    return made


def test_a_training_announces_its_steps(small_runner, network):
    runner = small_runner(network=network, scores=[1.0, 2.0, 3.0])
    assert any(isinstance(hook, CompileHook) for hook in runner.hooks)
    runner.train()
    assert network.compiled._calls[True] == runner.max_iters
    assert network.compiled._graphs
    # The last of three validations.
    assert network.compiled._calls[False] == len(runner.val_dataloader)


def test_gradients_that_add_up_go_without_graphs(small_runner, network):
    wrapper = dict(optimizer=dict(type='SGD', lr=0.1), accumulative_counts=2)
    small_runner(network=network, optim_wrapper=wrapper).train()
    assert not network.compiled._graphs


def test_a_short_run_says_that_it_is_not_compiled(small_runner, network, monkeypatch):
    said = []
    monkeypatch.setattr(compiling, 'say_once', said.append)
    monkeypatch.setattr(compiler, 'LEAST_CALLS', {('cpu', True): 100})
    runner = small_runner(network=network)
    runner.train()
    assert said == [
        f'The training of {runner.max_iters} steps runs uncompiled: compiling pays from 100 '
        'steps on. --compile on compiles in any case'
    ]


@pytest.mark.parametrize('mode', ['on', 'off'])
def test_the_mode_of_the_command_line(small_runner, network, mode):
    # Nothing of this network is run through it.
    small_runner(network=network, custom_hooks=[CompileHook(mode)]).train()
    assert network.compiled.mode == mode


def test_a_model_without_anything_to_compile(small_runner):
    with pytest.raises(ValueError, match=r"Network has no part .* MMEngine's option compile=True"):
        small_runner(custom_hooks=[CompileHook('on')]).train()
    with pytest.raises(ValueError, match="compile must be one of 'auto', 'on', 'off', got 'yes'"):
        CompileHook('yes')


def test_mmengines_own_option_takes_precedence(network, monkeypatch):
    monkeypatch.setattr(compiling, 'say_once', lambda message: None)

    class Runner:
        cfg = Config(dict(compile=True))
        model = nn.ModuleList([network])

    CompileHook('on').before_run(Runner())
    assert network.compiled.mode == 'off'


def test_devices():
    assert compiler.least_calls(torch.device('cpu'), True) is None
    assert compiler.least_calls(torch.device('cuda', 1), True) == 2000
    assert compiler.compiler_settings(torch.device('cpu'), True)['triton.cudagraphs'] is False
    assert compiler.compiler_settings(torch.device('cuda'), True)['triton.cudagraphs'] is True
    assert compiler.compiler_settings(torch.device('cuda'), False)['triton.cudagraphs'] is False
    assert compiler.compiler_error(ValueError('of a network')) is None
