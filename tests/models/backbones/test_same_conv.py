from itertools import product

import pytest
import torch

from tfinet_mm.models.backbones.same_conv import SameConv


@pytest.mark.parametrize(('kernel', 'stride'), [(3, 1), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize('size', [(8, 8), (7, 10), (2, 1)])
def test_padding_is_tensorflows_same(kernel, stride, size):
    """An output's filter begins at stride times its index, less half the padding, rounded down."""
    conv = SameConv(1, 1, kernel, stride=stride).double()
    image = torch.rand(1, 1, *size, dtype=torch.float64)
    expected = torch.zeros(1, 1, *(-(-side // stride) for side in size), dtype=torch.float64)
    both = [
        max((out - 1) * stride + kernel - side, 0)
        for out, side in zip(expected.shape[2:], size, strict=True)
    ]
    for row, column in product(*(range(side) for side in expected.shape[2:])):
        for i, j in product(range(kernel), repeat=2):
            y, x = row * stride + i - both[0] // 2, column * stride + j - both[1] // 2
            if 0 <= y < size[0] and 0 <= x < size[1]:
                expected[0, 0, row, column] += image[0, 0, y, x] * conv.weight[0, 0, i, j].detach()
    torch.testing.assert_close(conv(image), expected + conv.bias.detach())


@pytest.mark.parametrize(('kernel', 'stride'), [(5, 1), (3, 2)])
def test_slow_gradients_are_taken_in_float32(kernel, stride):
    conv = SameConv(16, 16, kernel, stride=stride, groups=16, bias=False)
    image = torch.randn(2, 16, 12, 12).bfloat16()
    conv(image.float()).bfloat16().float().square().sum().backward()
    expected, conv.weight.grad = conv.weight.grad, None
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = conv(image)
        with torch.no_grad():
            assert conv(image).dtype == torch.bfloat16
    assert found.dtype == torch.bfloat16
    found.float().square().sum().backward()
    # In bfloat16 the inputs of this sum, the weights, would be rounded to 3 digits.
    torch.testing.assert_close(conv.weight.grad, expected, rtol=1e-5, atol=1e-5)
