"""Building blocks that TFINet's neck and decoders share."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from mmcv.cnn import build_conv_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from tfinet_mm.models.norms import BN, NormCfg, build_norm, conv_with_norm


class ConvBlock(BaseModule):
    """Two 3x3 convolutions, the second on a residual path, as TFINet uses them throughout.

    ``y = conv1(x); out = relu(bn2(conv2(relu(bn1(y)))) + y)``: what is added
    back is the output of the first convolution, so the block may change the
    number of channels without a projection.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        norm_cfg: Config of both normalisation layers.
        conv_cfg: Config of both convolutions; None for plain ones with bias.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm_cfg: NormCfg = BN,
        conv_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        conv_cfg = conv_with_norm(conv_cfg, norm_cfg)
        self.conv1 = build_conv_layer(conv_cfg, in_channels, out_channels, 3, padding=1)
        self.bn1 = build_norm(norm_cfg, out_channels)
        self.conv2 = build_conv_layer(conv_cfg, out_channels, out_channels, 3, padding=1)
        self.bn2 = build_norm(norm_cfg, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H, W), values >= 0."""
        y = self.conv1(x)
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(y)))) + y)


class DifferenceEnhancement(BaseModule):
    """TFINet's difference enhancement module (DEM).

    A local mean, squeezed and expanded by two 1x1 convolutions, is added to
    the features: ``relu(bn(expand(relu(bn(squeeze(pool(x)))))) + x)``. The
    3x3 mean leaves the padding out, so borders are not darkened.

    Args:
        channels: Channels C of input and output.
        reduction: Factor between C and the squeezed width, which is at least 1.
        norm_cfg: Config of both normalisation layers.
    """

    def __init__(self, channels: int, reduction: int = 16, norm_cfg: NormCfg = BN) -> None:
        super().__init__()
        squeezed = max(channels // reduction, 1)
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.bn1 = build_norm(norm_cfg, squeezed)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.bn2 = build_norm(norm_cfg, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape, values >= 0."""
        mean = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        mean = self.bn2(self.expand(F.relu(self.bn1(self.squeeze(mean)))))
        return F.relu(mean + x)
