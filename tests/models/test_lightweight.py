import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn

from tfinet_mm.models import LightweightConv, ProgressiveHead
from tfinet_mm.models.lightweight import SeparableConv

CONV = {'type': 'tfinet_mm.LightweightConv'}


def test_is_depthwise_then_pointwise():
    """With an identity in between, it equals one convolution with the product of the weights."""
    conv = LightweightConv(3, 4, 3, padding=2, dilation=2).eval()
    depthwise, _, _, pointwise = conv
    conv[1], conv[2] = nn.Identity(), nn.Identity()
    x = torch.randn(2, 3, 7, 6)
    weight = pointwise.weight * depthwise.weight[:, 0][None]
    expected = nn.functional.conv2d(x, weight, padding=2, dilation=2)
    torch.testing.assert_close(conv(x), expected)


def test_parameters():
    assert sum(p.numel() for p in LightweightConv(16, 32, 3).parameters()) == 16 * 9 + 32 + 16 * 32


def test_a_kernel_of_one_stays_plain():
    conv = LightweightConv(3, 4, 1, bias=True)
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None


def test_groups_are_refused():
    with pytest.raises(ValueError, match='groups=2'):
        LightweightConv(4, 4, 3, groups=2)


def test_within_conv_module():
    module = ConvModule(3, 4, 3, padding=1, stride=2, conv_cfg=CONV, norm_cfg={'type': 'BN'})
    module.init_weights()
    assert isinstance(module.conv, SeparableConv)
    assert module(torch.randn(2, 3, 8, 8)).shape == (2, 4, 4, 4)


@pytest.mark.parametrize('classifier', ['conv', 'block'])
def test_switch_of_the_progressive_decoder(classifier):
    options = {
        'in_channels': 64,
        'blocks': ((64,), (32,)),
        'num_classes': 6,
        'classifier': classifier,
        'loss_decode': {'type': 'tfinet_mm.SemanticCELoss'},
    }
    normal, light = ProgressiveHead(**options), ProgressiveHead(**options, conv_cfg=CONV)
    sizes = [sum(p.numel() for p in head.parameters()) for head in (normal, light)]
    assert sizes[1] < sizes[0] / 4
    assert light([torch.randn(1, 64, 4, 4)]).shape == (1, 6, 32, 32)
