"""Test the memory format of weights, on GPUs that this machine needn't have."""

import pytest
import torch
from torch import nn

from tfinet_mm.models.detectors.layout import (
    check_layout,
    fit_layout,
    prefers_channels_last,
    set_layout,
)

GPU = torch.device('cuda', 0)


@pytest.fixture
def gpu(monkeypatch):
    """A function that sets the capability of the GPU and whether TF32 is allowed."""

    def make(capability=(9, 0), tf32=True):
        monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: capability)
        monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', tf32)

    return make


@pytest.mark.parametrize(
    ('capability', 'tf32', 'dtype', 'expected'),
    [
        ((9, 0), True, torch.float32, True),
        ((9, 0), False, torch.float32, False),
        ((7, 5), True, torch.float32, False),
        ((9, 0), False, torch.bfloat16, True),
        ((9, 0), True, torch.float64, False),
    ],
)
def test_formats_by_device_and_type(gpu, capability, tf32, dtype, expected):
    gpu(capability, tf32)
    assert prefers_channels_last(GPU, dtype) is expected
    assert prefers_channels_last(torch.device('cpu'), dtype)


def test_an_autocast_computes_on_tensor_cores(gpu):
    gpu(tf32=False)
    with torch.autocast('cuda', torch.bfloat16):
        expected = torch.is_autocast_enabled('cuda')
        assert prefers_channels_last(GPU, torch.float32) is expected


class Network(nn.Module):
    def __init__(self, layout):
        super().__init__()
        self.layer, self.scale = nn.Conv2d(6, 4, 3), nn.Parameter(torch.ones(1))
        self.layout, self.channels_last = layout, True
        set_layout(self, True)

    @property
    def last(self):
        return self.layer.weight.is_contiguous(memory_format=torch.channels_last)


def test_weights_change_their_format_and_nothing_else(gpu):
    gpu(tf32=False)
    network = Network('auto')
    weight, values = network.layer.weight, network.layer.weight.detach().clone()
    fit_layout(network, torch.device('cpu'), torch.float32)
    assert network.last
    with torch.inference_mode():
        fit_layout(network, GPU, torch.float32)
    assert not network.last
    assert not network.channels_last
    assert network.layer.weight is weight
    assert torch.equal(weight, values)
    network.layer(torch.ones(1, 6, 4, 4)).sum().backward()
    assert weight.grad is not None
    gpu(tf32=True)
    fit_layout(network, GPU, torch.float32)
    assert network.last


@pytest.mark.parametrize('layout', [True, False])
def test_a_given_format_stays(gpu, layout):
    gpu(tf32=False)
    network = Network(layout)
    fit_layout(network, GPU, torch.float32)
    assert network.last


def test_other_values_are_refused():
    assert check_layout('auto') == 'auto'
    for value in ('last', 1, None):
        with pytest.raises(ValueError, match="channels_last must be 'auto', True or False, got"):
            check_layout(value)
