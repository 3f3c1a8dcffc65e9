"""DeepLabV3+ with the narrow ASPP of the SenseEarth 2020 winner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from tfinet_mm.models.norms import BN, NormCfg, conv_with_norm, fitting_norm
from tfinet_mm.registry import MODELS


class ASPP(BaseModule):
    """Atrous spatial pyramid pooling: 1x1, three dilated 3x3 and the image's mean, projected.

    Args:
        in_channels: Channels of the input.
        channels: Channels of each branch and of the output.
        rates: Dilations of the 3x3 branches.
        dropout_ratio: Share of whole channels dropped after the projection.
        conv_cfg: Config of the convolutions; 1x1 ones stay plain.
        norm_cfg: Config of the normalisation layers.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        rates: Sequence[int] = (12, 24, 36),
        dropout_ratio: float = 0.5,
        conv_cfg: dict[str, Any] | None = None,
        norm_cfg: NormCfg = BN,
    ) -> None:
        super().__init__()
        norm_cfg = fitting_norm(norm_cfg)
        conv_cfg = conv_with_norm(conv_cfg, norm_cfg)
        self.branches = nn.ModuleList([ConvModule(in_channels, channels, 1, norm_cfg=norm_cfg)])
        for rate in rates:
            self.branches.append(
                ConvModule(
                    in_channels,
                    channels,
                    3,
                    padding=rate,
                    dilation=rate,
                    conv_cfg=conv_cfg,
                    norm_cfg=norm_cfg,
                )
            )
        self.image_pool = ConvModule(in_channels, channels, 1, norm_cfg=norm_cfg)
        self.project = ConvModule((len(rates) + 2) * channels, channels, 1, norm_cfg=norm_cfg)
        self.dropout = nn.Dropout2d(dropout_ratio)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, channels, H, W), values >= 0."""
        pooled = self.image_pool(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        return self.dropout(
            self.project(torch.cat([*(branch(x) for branch in self.branches), pooled], dim=1))
        )


@MODELS.register_module()
class DeepLabV3PlusHead(BaseDecodeHead):
    """DeepLabV3+ decoder on a coarse and a fine level, as in the winning entry of SenseEarth 2020.

    ASPP with an eighth of the coarse level's channels a branch, resized to the
    fine level and concatenated with 48 channels of it, then two 3x3
    convolutions and the classifier.

    Args:
        in_channels: Channels of the fine and of the coarse level.
        in_index: Indices of these two levels.
        channels: Channels of the two 3x3 convolutions.
        fine_channels: Channels that the fine level is reduced to.
        aspp_channels: Channels of an ASPP branch; by default an eighth of the
            coarse level's.
        rates: Dilations of the ASPP.
        num_classes: Number of output channels; 1 for change.
        norm_cfg: Config of the normalisation layers.
        **kwargs: Options of mmseg's ``BaseDecodeHead``: ``conv_cfg``,
            ``loss_decode``, ...
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        num_classes: int,
        in_index: Sequence[int] = (0, -1),
        channels: int = 256,
        fine_channels: int = 48,
        aspp_channels: int | None = None,
        rates: Sequence[int] = (12, 24, 36),
        norm_cfg: NormCfg = BN,
        **kwargs: Any,
    ) -> None:
        if num_classes == 1:
            kwargs.setdefault('threshold', 0.5)
        norm_cfg = fitting_norm(norm_cfg)
        kwargs['conv_cfg'] = conv_with_norm(kwargs.get('conv_cfg'), norm_cfg)
        super().__init__(
            in_channels,
            channels,
            num_classes=num_classes,
            in_index=in_index,
            input_transform='multiple_select',
            norm_cfg=norm_cfg,
            **kwargs,
        )
        fine, coarse = in_channels
        aspp_channels = aspp_channels or coarse // 8
        convs = {'conv_cfg': self.conv_cfg, 'norm_cfg': norm_cfg}
        self.aspp = ASPP(coarse, aspp_channels, rates, **convs)
        self.reduce = ConvModule(fine, fine_channels, 1, norm_cfg=norm_cfg)
        self.fuse = nn.Sequential(
            ConvModule(aspp_channels + fine_channels, channels, 3, padding=1, **convs),
            ConvModule(channels, channels, 3, padding=1, **convs),
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Decode two levels of features to logits.

        Args:
            inputs: Feature levels; the two picked are (N, C, H, W) and coarser.

        Returns:
            Logits (N, num_classes, H, W) at the size of the fine level.
        """
        fine, coarse = self._transform_inputs(inputs)
        context = F.interpolate(
            self.aspp(coarse), fine.shape[2:], mode='bilinear', align_corners=self.align_corners
        )
        return self.cls_seg(self.fuse(torch.cat([context, self.reduce(fine)], dim=1)))
