"""TFINet's decoders: convolution blocks between x2 upsamplings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from tfinet_mm.models.blocks import ConvBlock
from tfinet_mm.models.norms import BN, NormCfg, fitting_norm
from tfinet_mm.registry import MODELS


@MODELS.register_module()
class ProgressiveHead(BaseDecodeHead):
    """Decode one feature level to input size in steps of x2.

    Every step is a group of :class:`ConvBlock` followed by a bilinear x2
    upsampling; the classifier sits before the last upsampling, as published.
    The number of steps is log2 of the stride of the features.

    The published semantic decoder on stride 8 is ``blocks=((128,), (32,))``
    with ``classifier='block'``, the published change decoder
    ``blocks=((512, 128, 128), (64,), (32,))`` with ``num_classes=1``.

    Args:
        in_channels: Channels of the feature level (``in_index`` picks it).
        blocks: Widths of the blocks, one group a step. Steps beyond the last
            group only upsample; groups beyond the last step join that step.
        num_classes: Number of output channels; 1 for change.
        stride: Stride of the features against the image, a power of two >= 2.
        classifier: ``'conv'``, a 1x1 convolution, or ``'block'``, a
            :class:`ConvBlock`, whose ReLU keeps the logits from being
            negative. The latter is what published TFINet checkpoints hold.
        norm_cfg: Config of the normalisation layers.
        **kwargs: Options of mmseg's ``BaseDecodeHead``: ``in_index``,
            ``conv_cfg`` (``LightweightConv`` for a lightweight decoder),
            ``loss_decode``, ``dropout_ratio`` (0 by default), ...

    Raises:
        ValueError: The stride is no power of two, there are no blocks, or the
            classifier is unknown.
    """

    def __init__(
        self,
        in_channels: int,
        blocks: Sequence[Sequence[int]],
        *,
        num_classes: int,
        stride: int = 8,
        classifier: Literal['conv', 'block'] = 'conv',
        norm_cfg: NormCfg = BN,
        **kwargs: Any,
    ) -> None:
        steps = int(math.log2(stride)) if stride >= 2 else 0
        if steps < 1 or 2**steps != stride:
            raise ValueError(f'stride must be a power of two >= 2, got {stride}')
        groups = [tuple(group) for group in blocks]
        if not any(groups) or any(width < 1 for group in groups for width in group):
            raise ValueError(f'blocks must name at least one width, all above 0, got {blocks}')
        if classifier not in ('conv', 'block'):
            raise ValueError(f"classifier must be 'conv' or 'block', got {classifier!r}")
        groups += [()] * (steps - len(groups))
        groups[steps - 1 :] = [sum(groups[steps - 1 :], ())]
        channels = [width for group in groups for width in group][-1]
        kwargs.setdefault('dropout_ratio', 0)
        if num_classes == 1:
            kwargs.setdefault('threshold', 0.5)
        if classifier == 'block':
            # The default initialisation of mmseg would draw the block's batch norms again, too.
            kwargs.setdefault('init_cfg', None)
        norm_cfg = fitting_norm(norm_cfg)
        super().__init__(
            in_channels, channels, num_classes=num_classes, norm_cfg=norm_cfg, **kwargs
        )
        self.stride = stride
        self.steps = nn.ModuleList()
        width = in_channels
        for group in groups:
            step = nn.Sequential()
            for out_channels in group:
                step.append(ConvBlock(width, out_channels, norm_cfg, self.conv_cfg))
                width = out_channels
            self.steps.append(step)
        if classifier == 'block':
            self.conv_seg = ConvBlock(channels, self.out_channels, norm_cfg, self.conv_cfg)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Decode one level of features to logits.

        Args:
            inputs: Feature levels; the one picked is (N, C, H, W).

        Returns:
            Logits (N, num_classes, H * stride, W * stride).
        """
        x = self._transform_inputs(inputs)
        for step in self.steps[:-1]:
            x = _up2(step(x))
        return _up2(self.cls_seg(self.steps[-1](x)))


def _up2(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
