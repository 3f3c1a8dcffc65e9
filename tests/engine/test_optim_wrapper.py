"""Test the optimizer wrapper that casts against torch's own autocast and gradients."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from tfinet_mm.engine.optim_wrapper import AutocastOptimWrapper

FIND = """
from mmengine.registry import OPTIM_WRAPPERS, DefaultScope
with DefaultScope.overwrite_default_scope('mmseg'):
    print(OPTIM_WRAPPERS.get('tfinet_mm.AutocastOptimWrapper').__module__)
"""


def make(dtype, **options):
    torch.manual_seed(0)
    model = nn.Linear(16, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    return model, AutocastOptimWrapper(dtype, optimizer=optimizer, **options)


@pytest.mark.parametrize(
    ('dtype', 'units', 'expected'),
    [
        ('bfloat16', False, torch.bfloat16),
        ('float32', True, torch.float32),
        ('auto', True, torch.bfloat16),
        ('auto', False, torch.float32),
    ],
)
def test_a_step_equals_torchs_own(made_up_cpu, said, dtype, units, expected):
    made_up_cpu(units)
    x = torch.randn(8, 16, generator=torch.Generator().manual_seed(1))
    model, wrapper = make(dtype)
    with wrapper.optim_context(model):
        y = model(x)
    assert y.dtype == expected
    wrapper.update_params(y.float().square().mean())

    plain, _ = make('float32')
    with torch.autocast('cpu', torch.bfloat16, enabled=expected == torch.bfloat16):
        y = plain(x)
    y.float().square().mean().backward()
    torch.testing.assert_close(
        model.weight.detach(), plain.weight.detach() - 0.5 * plain.weight.grad, rtol=0, atol=0
    )
    assert model.weight.dtype == torch.float32


def test_gradients_are_accumulated():
    model, wrapper = make('bfloat16', accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 2)
    before = model.weight.clone()
    for changed in (False, True):
        with wrapper.optim_context(model):
            loss = model(torch.ones(2, 16)).float().square().mean()
        wrapper.update_params(loss)
        assert torch.equal(before, model.weight) is not changed


def test_float16_is_refused():
    with pytest.raises(ValueError, match=r"AmpOptimWrapper.*'dynamic'"):
        make('float16')
    with pytest.raises(ValueError, match='int8'):
        make('int8')


def test_found_by_its_prefix_in_a_fresh_process():
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', FIND], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == 'tfinet_mm.engine.optim_wrapper'
