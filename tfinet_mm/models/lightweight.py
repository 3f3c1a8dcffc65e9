"""Lightweight convolutions: one switch that makes any head depthwise separable."""

from __future__ import annotations

from torch import nn

from tfinet_mm.models.norms import BN, NormCfg, build_norm
from tfinet_mm.registry import MODELS


class SeparableConv(nn.Sequential):
    """Depthwise convolution, normalisation, ReLU, pointwise convolution, without bias.

    Maps (N, C_in, H, W) to (N, C_out, H', W').

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the depthwise kernel.
        stride: Stride of the depthwise convolution.
        padding: Zeros around the input.
        dilation: Dilation of the depthwise convolution.
        norm_cfg: Config of the normalisation between the two.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        norm_cfg: NormCfg = BN,
    ) -> None:
        depthwise = nn.Conv2d(
            in_channels,
            in_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups=in_channels,
            bias=False,
        )
        super().__init__(
            depthwise,
            build_norm(norm_cfg, in_channels),
            nn.ReLU(),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
        )
        # mmcv's ConvModule reads these attributes of a convolution.
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride = depthwise.kernel_size, depthwise.stride
        self.padding, self.dilation = depthwise.padding, depthwise.dilation
        self.transposed, self.output_padding, self.groups = False, (0, 0), 1


@MODELS.register_module()
class LightweightConv(nn.Module):
    """Build the convolution of ``conv_cfg=dict(type='tfinet_mm.LightweightConv')``.

    It works wherever a ``conv_cfg`` is taken: mmseg's heads, ``ProgressiveHead``,
    ``DeepLabV3PlusHead``. The layers after the convolution stay. Within the parts of a
    detector the layer between the two halves is that of the ``norm_cfg`` beside
    ``conv_cfg``; elsewhere ``conv_cfg=dict(type=..., norm_cfg=...)`` sets it.

    The result is a :class:`SeparableConv`, or for a 1x1 kernel, which has nothing to
    separate, a plain convolution.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the kernel.
        stride: Stride.
        padding: Zeros around the input.
        dilation: Dilation.
        groups: Must be 1: the depthwise half has one group for each channel.
        bias: Give a 1x1 convolution a bias; separable ones have none.
        norm_cfg: Config of the normalisation between the two halves.

    Raises:
        ValueError: ``groups`` isn't 1.
    """

    def __new__(  # type: ignore[misc]
        cls,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
        norm_cfg: NormCfg | None = None,
    ) -> nn.Module:
        """See the class."""
        if groups != 1:
            raise ValueError(f'a lightweight convolution takes no groups, got groups={groups}')
        if kernel_size == 1:
            return nn.Conv2d(in_channels, out_channels, 1, stride, padding, bias=bias)
        return SeparableConv(
            in_channels, out_channels, kernel_size, stride, padding, dilation, norm_cfg or BN
        )
