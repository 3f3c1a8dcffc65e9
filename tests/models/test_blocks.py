import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tfinet_mm.models.blocks import ConvBlock, DifferenceEnhancement


def _random_norms(module):
    for m in module.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(m.weight, 0.5, 1.5)
            torch.nn.init.normal_(m.bias)
    return module


@pytest.mark.parametrize(
    ('c_in', 'c_out', 'size'), [(3, 5, (7, 9)), (4, 4, (1, 1)), (2, 1, (5, 2))]
)
def test_conv_block_shape(c_in, c_out, size):
    out = ConvBlock(c_in, c_out)(torch.randn(2, c_in, *size))
    assert out.shape == (2, c_out, *size)
    assert out.min() >= 0


def test_conv_block_adds_its_first_convolution():
    """With the second batch norm at zero, the block is the ReLU of its first convolution."""
    block = _random_norms(ConvBlock(2, 3)).eval()
    torch.nn.init.zeros_(block.bn2.weight)
    torch.nn.init.zeros_(block.bn2.bias)
    x = torch.randn(1, 2, 6, 6)
    torch.testing.assert_close(block(x), block.conv1(x).relu())


def test_enhancement_by_hand():
    """One channel, every layer the identity: relu(relu(mean) + x), the mean without padding."""
    module = DifferenceEnhancement(1, reduction=16).eval()
    for conv in (module.squeeze, module.expand):
        torch.nn.init.ones_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    for norm in (module.bn1, module.bn2):
        norm.eps = 0.0
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, -20.0, 6.0], [7.0, 8.0, 9.0]])
    mean = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            mean[i, j] = x[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].mean()
    expected = F.relu(torch.from_numpy(mean).float().relu() + x)
    torch.testing.assert_close(module(x[None, None])[0, 0], expected)


@pytest.mark.parametrize('channels', [5, 16, 270])
def test_enhancement_keeps_the_shape(channels):
    x = torch.randn(2, channels, 4, 5)
    assert DifferenceEnhancement(channels)(x).shape == x.shape


def test_lightweight_block():
    block = ConvBlock(3, 5, conv_cfg={'type': 'tfinet_mm.LightweightConv'})
    assert block(torch.randn(1, 3, 6, 7)).shape == (1, 5, 6, 7)
    assert block.conv1[0].groups == 3
