"""Test counts against sums worked by hand and against the published network."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

import tfinet_mm
from tfinet_mm.analysis.benchmark import build_model
from tfinet_mm.analysis.complexity import count_flop, count_parts

CONFIGS = Path(tfinet_mm.__file__).parents[1] / 'configs'


class Two(nn.Module):
    """A strided and grouped convolution and a linear layer, one called twice."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(6, 4, 3, stride=2, padding=1, groups=2)
        self.linear = nn.Linear(4, 5)
        self.activation = nn.ReLU()

    def forward(self, inputs, mode):
        assert mode == 'tensor'
        pooled = self.activation(self.conv(inputs)).mean((2, 3))
        return self.linear(pooled) + self.linear(pooled)


def test_parts_by_hand():
    whole, conv, linear = count_parts(Two(), torch.zeros(3, 6, 8, 10))
    # 4 x 5 output pixels of 4 channels, each 3 x 3 x (6 / 2) multiply-adds, for 3 images.
    assert conv == ('conv', 4 * 27 + 4, 2 * 3 * 4 * 5 * 4 * 27)
    assert linear == ('linear', 25, 2 * 2 * 3 * 4 * 5)
    assert whole == ('', 112 + 25, conv.flop + linear.flop)


def test_parts_in_a_list():
    class Several(nn.Module):
        def __init__(self):
            super().__init__()
            self.members = nn.ModuleList([nn.Linear(4, 5), nn.Linear(5, 2, bias=False)])

        def forward(self, inputs, mode):
            return self.members[1](self.members[0](inputs))

    whole, first, second = count_parts(Several(), torch.zeros(3, 4))
    assert first == ('members.0', 25, 2 * 3 * 4 * 5)
    assert second == ('members.1', 10, 2 * 3 * 5 * 2)
    assert whole == ('', 35, first.flop + second.flop)


def test_training_counts_the_backward_pass():
    layer = nn.Linear(4, 5)
    inputs = torch.zeros(3, 4)
    # Forward and the gradient of the weights; that of the inputs isn't needed.
    assert count_flop(lambda: layer(inputs).sum().backward()) == 2 * (2 * 3 * 4 * 5)


@pytest.mark.parametrize('mode', [True, False])
def test_the_model_stays_in_its_mode(mode):
    model = Two().train(mode)
    count_parts(model, torch.zeros(1, 6, 4, 4))
    assert model.training is mode


def test_the_published_network_has_its_published_size():
    model = build_model(Config.fromfile(CONFIGS / 'published/tfinet_r18.py'))
    device = next(model.parameters()).device
    whole = count_parts(model, torch.zeros(1, 6, 128, 128, device=device))[0]
    assert whole.parameters / 1e6 == pytest.approx(25.37, abs=0.005)
    # Published for 512 x 512: sixteen times as many pixels, and the network is convolutions only.
    assert 16 * whole.flop / 1e9 == pytest.approx(362.7, abs=0.05)
