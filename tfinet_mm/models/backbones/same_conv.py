"""A convolution that pads as TensorFlow does, and whose gradients are fast on CPUs."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SameConv(nn.Conv2d):
    """Convolve with TensorFlow's ``SAME`` padding.

    On a CPU under autocast, depthwise convolutions with filters of 5 x 5 or a stride of 2
    train in float32: oneDNN's gradients of them in bfloat16 take 5 to 50 times as long.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the filters.
        **kwargs: Other options of ``torch.nn.Conv2d``; ``padding`` isn't used.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, **kwargs: Any
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, **{**kwargs, 'padding': 0})

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, out_channels, H / stride, W / stride), rounded up."""
        padding: list[int] = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size, self.stride, strict=True):
            # In this form it is a number even where an export leaves the size open.
            both = max(kernel - (size % stride or stride), 0)
            padding += [both // 2, both - both // 2]
        slow = self.groups > 1 and (self.kernel_size[0] > 3 or self.stride[0] > 1)
        training = slow and torch.is_grad_enabled() and torch.is_autocast_enabled('cpu')
        if not training or x.device.type != 'cpu':
            return self._convolve(x, padding)
        with torch.autocast('cpu', enabled=False):
            convolved = self._convolve(x.float(), padding)
        return convolved.to(torch.get_autocast_dtype('cpu'))

    def _convolve(self, x: Tensor, padding: list[int]) -> Tensor:
        left, right, top, bottom = padding
        if left == right and top == bottom:
            rest = (top, left)
        else:
            x, rest = F.pad(x, padding), (0, 0)
        return F.conv2d(x, self.weight, self.bias, self.stride, rest, groups=self.groups)
