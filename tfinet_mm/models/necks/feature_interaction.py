"""TFINet's tri-branch neck: feature interaction with difference enhancement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule, build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from tfinet_mm.models.blocks import BN, ConvBlock, DifferenceEnhancement, NormCfg
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import Branches, Features


class InteractionLevel(BaseModule):
    """Feature interaction module (FIM) on one level.

    With f1, f2 the features of the two dates (section 3 of the TFINet paper)::

        s = conv1x1(2C -> C/2)(cat(f1, f2))
        d = conv1x1(C -> C/2)(|f1 - f2|)
        m = bn(conv3x3(C -> 1)(DEM(cat(s, d))))
        g = ConvBlock(f * tanh(m) * beta) + f        for f in (f1, f2)

    Args:
        channels: Channels C of either date.
        reduction: Squeeze factor of the difference enhancement.
        norm_cfg: Config of the normalisation layers.
    """

    def __init__(self, channels: int, reduction: int = 16, norm_cfg: NormCfg = BN) -> None:
        super().__init__()
        half = channels // 2
        self.merge = nn.Conv2d(2 * channels, channels - half, 1)
        self.contrast = nn.Conv2d(channels, half, 1)
        self.enhance = DifferenceEnhancement(channels, reduction, norm_cfg)
        self.logit_conv = nn.Conv2d(channels, 1, 3, padding=1)
        self.logit_bn = build_norm_layer(norm_cfg, 1)[1]
        self.refine = ConvBlock(channels, channels, norm_cfg)
        self.beta = nn.Parameter(torch.ones(1))

    def forward(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Let the two dates interact.

        Args:
            before: (N, C, H, W).
            after: (N, C, H, W).

        Returns:
            Both dates' refined features (N, C, H, W) and the logit of change
            (N, 1, H, W), positive where changed.
        """
        merged = self.merge(torch.cat([before, after], dim=1))
        contrast = self.contrast((before - after).abs())
        enhanced = self.enhance(torch.cat([merged, contrast], dim=1))
        logit = self.logit_bn(self.logit_conv(enhanced))
        both = torch.cat([before, after])
        attention = torch.tanh(logit).repeat(2, 1, 1, 1) * self.beta
        before, after = (self.refine(both * attention) + both).chunk(2)
        return before, after, logit


@MODELS.register_module()
class FeatureInteraction(BaseModule):
    """TFINet's neck, on one feature level (as published) or on every level of a pyramid.

    Args:
        in_channels: Channels of the backbone's level, or of each of its levels.
        channels: Width to which every level is reduced first by a 1x1
            convolution with normalisation and ReLU. None, the published way,
            works on the backbone's features as they are.
        reduction: Squeeze factor of the difference enhancement.
        norm_cfg: Config of the normalisation layers.
        init_cfg: Initialisation, as everywhere in MMEngine.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: int | None = None,
        reduction: int = 16,
        norm_cfg: NormCfg = BN,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        widths = [in_channels] if isinstance(in_channels, int) else list(in_channels)
        self.in_channels = widths
        self.reduce = nn.ModuleList(
            nn.Identity()
            if channels is None
            else ConvModule(width, channels, 1, norm_cfg=norm_cfg, inplace=False)
            for width in widths
        )
        self.levels = nn.ModuleList(
            InteractionLevel(channels or width, reduction, norm_cfg) for width in widths
        )

    def forward(self, before: Features, after: Features) -> Branches:
        """Build the three branches.

        Args:
            before: Features of the first date, one (N, C, H, W) a level, as
                many levels as ``in_channels`` has.
            after: Features of the second date, of the same shapes.

        Returns:
            The branches: ``before`` and ``after`` with C (or ``channels``)
            channels a level, ``change`` their concatenation with twice as
            many, ``difference`` one logit map (N, 1, H, W) a level.

        Raises:
            ValueError: The number of levels or their channels differ from
                ``in_channels``.
        """
        got = [feature.shape[1] for feature in before]
        if got != self.in_channels:
            raise ValueError(
                f'FeatureInteraction was built for levels of {self.in_channels} channels, '
                f"the backbone gives {got}; set the neck's in_channels, "
                "or the backbone's out_indices"
            )
        outputs = [
            level(reduce(b), reduce(a))
            for level, reduce, b, a in zip(self.levels, self.reduce, before, after, strict=True)
        ]
        refined_before, refined_after, difference = (tuple(x) for x in zip(*outputs, strict=True))
        change = tuple(
            torch.cat(pair, dim=1) for pair in zip(refined_before, refined_after, strict=True)
        )
        return Branches(refined_before, refined_after, change, difference)
