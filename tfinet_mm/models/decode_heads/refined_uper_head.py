"""UPerHead whose logits are corrected on a finer level, where the edges are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads import UPerHead
from torch import Tensor, nn

from tfinet_mm.registry import MODELS


@MODELS.register_module()
class RefinedUPerHead(UPerHead):
    """UPerHead with a correction of its logits on a finer level.

    The logits of the pyramid are enlarged to the finer level, and a correction is added that two
    3x3 convolutions compute from that level and the pyramid's features. The correction begins at
    0, so the head starts as mmseg's ``UPerHead``, and takes the weights of one.

    Args:
        fine_channels: Channels of the finer level.
        fine_index: Index of the finer level; ``in_index`` has those of the pyramid, such as
            ``(1, 2, 3, 4)``.
        refine_channels: Channels that the pyramid's features are reduced to, and of the
            convolutions of the correction.
        **kwargs: Options of mmseg's ``UPerHead``: ``in_channels``, ``in_index``, ``channels``,
            ``num_classes``, ...
    """

    begins_without = ('reduce', 'refine')
    """Parts that change nothing at first: a training can begin from weights that lack them."""

    def __init__(
        self, fine_channels: int, fine_index: int = 0, refine_channels: int = 16, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.fine_channels = fine_channels
        self.fine_index = fine_index
        convs = {'conv_cfg': self.conv_cfg, 'norm_cfg': self.norm_cfg, 'act_cfg': self.act_cfg}
        self.reduce = ConvModule(self.channels, refine_channels, 1, **convs)
        self.refine = nn.Sequential(
            ConvModule(refine_channels + fine_channels, refine_channels, 3, padding=1, **convs),
            nn.Conv2d(refine_channels, self.out_channels, 3, padding=1),
        )
        for parameter in self.refine[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Decode a pyramid and a finer level to logits.

        Args:
            inputs: Levels (N, C, H, W), out of which ``fine_index`` and ``in_index`` choose.

        Returns:
            Logits (N, out_channels, H, W) at the size of the finer level.

        Raises:
            ValueError: The finer level is missing, has other channels than ``fine_channels``, or
                isn't finer than the pyramid.
        """
        features = self._forward_feature(inputs)
        fine = self._fine_level(inputs, features)
        coarse = _enlarged(self.cls_seg(features), fine, self.align_corners)
        context = _enlarged(self.reduce(features), fine, self.align_corners)
        return coarse + self.refine(torch.cat([context, fine], dim=1))

    def _fine_level(self, inputs: Sequence[Tensor], features: Tensor) -> Tensor:
        name = type(self).__name__
        if not -len(inputs) <= self.fine_index < len(inputs):
            raise ValueError(
                f'{name} has fine_index={self.fine_index}, but it gets {len(inputs)} level(s) of '
                'features; set fine_index'
            )
        fine = inputs[self.fine_index]
        if fine.shape[1] != self.fine_channels:
            raise ValueError(
                f'{name} takes fine_channels={self.fine_channels}, but level {self.fine_index} '
                f'has {fine.shape[1]} channels; set fine_channels or fine_index'
            )
        if fine.shape[2] < features.shape[2] or fine.shape[3] < features.shape[3]:
            raise ValueError(
                f'level {self.fine_index} of {name} has {tuple(fine.shape[2:])} pixels, fewer than '
                f'the {tuple(features.shape[2:])} of its pyramid; set fine_index to a finer level'
            )
        return fine


def _enlarged(x: Tensor, fine: Tensor, align_corners: bool) -> Tensor:
    return F.interpolate(x, fine.shape[2:], mode='bilinear', align_corners=align_corners)
