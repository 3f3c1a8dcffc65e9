"""TFINet's tri-branch neck: feature interaction with difference enhancement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from tfinet_mm.models.blocks import ConvBlock, DifferenceEnhancement
from tfinet_mm.models.norms import BN, NormCfg, build_norm, fitting_norm
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import Branches, Features

Refine = Literal['block', 'conv']


class InteractionLevel(BaseModule):
    """Feature interaction module (FIM) on one level.

    With f1, f2 the features of the two dates (section 3 of the TFINet paper)::

        s = conv1x1(2C -> C/2)(cat(f1, f2))
        d = conv1x1(C -> C/2)(|f1 - f2|)
        e = DEM(cat(s, d))
        m = bn(conv3x3(C -> 1)(e))
        g = ConvBlock(f * tanh(m) * beta) + f        for f in (f1, f2)

    While m is small, the published refinement gets almost no input. The one by
    a single convolution gets the features themselves, amplified where they
    changed::

        g = relu(bn(conv3x3(f * (1 + tanh(m) * beta))))

    Args:
        channels: Channels C of either date.
        reduction: Squeeze factor of the difference enhancement.
        norm_cfg: Config of the normalisation layers.
        refine: ``'block'``, as published, or ``'conv'``.
        enhancement: False leaves the DEM out, ``e = relu(cat(s, d))``.
        interaction: False leaves m out of g, which then doesn't depend on the
            other date: ``ConvBlock(f) + f``, or the convolution of f.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        norm_cfg: NormCfg = BN,
        refine: Refine = 'block',
        enhancement: bool = True,
        interaction: bool = True,
    ) -> None:
        super().__init__()
        half = channels // 2
        self.merge = nn.Conv2d(2 * channels, channels - half, 1)
        self.contrast = nn.Conv2d(channels, half, 1)
        self.enhance: nn.Module = nn.ReLU()
        if enhancement:
            self.enhance = DifferenceEnhancement(channels, reduction, norm_cfg)
        self.logit_conv = nn.Conv2d(channels, 1, 3, padding=1)
        self.logit_bn = build_norm(norm_cfg, 1)
        self.residual = refine == 'block'
        self.refine: nn.Module
        if refine == 'block':
            self.refine = ConvBlock(channels, channels, norm_cfg)
        elif refine == 'conv':
            self.refine = ConvModule(
                channels, channels, 3, padding=1, norm_cfg=fitting_norm(norm_cfg), inplace=False
            )
        else:
            raise ValueError(f"refine must be 'block' or 'conv', got {refine!r}")
        if interaction:
            self.beta = nn.Parameter(torch.ones(1))
        self.interaction = interaction

    def forward(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Let the two dates interact.

        Args:
            before: (N, C, H, W).
            after: (N, C, H, W).

        Returns:
            Both dates' refined features (N, C, H, W), the enhanced difference
            e (N, C, H, W), and the logit of change m (N, 1, H, W), positive
            where changed.
        """
        merged = self.merge(torch.cat([before, after], dim=1))
        contrast = self.contrast((before - after).abs())
        enhanced = self.enhance(torch.cat([merged, contrast], dim=1))
        logit = self.logit_bn(self.logit_conv(enhanced))
        both = torch.cat([before, after])
        attended = both
        if self.interaction:
            attention = torch.tanh(logit).repeat(2, 1, 1, 1) * self.beta
            attended = both * (attention if self.residual else 1 + attention)
        refined = self.refine(attended)
        if self.residual:
            refined = refined + both
        # No chunk(2), which would fix the number of pairs of an exported graph.
        pairs = before.shape[0]
        return refined[:pairs], refined[pairs:], enhanced, logit


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
        refine: Refinement of the features, ``'block'`` (as published) or
            ``'conv'``, see :class:`InteractionLevel`.
        change: Content of the change branch: ``'concat'``, the refined features of
            both dates (as published), or ``'difference'``, their absolute
            difference and the enhanced difference.
        enhancement: Enhance the difference.
        interaction: Let the difference act on the features of both dates.
        fine_channels: Channels of a finer level before those of ``in_channels``, for a change
            head that refines edges, such as
            :class:`~tfinet_mm.models.RefinedUPerHead`. Its absolute difference comes first in
            the change branch; it takes no part in the interaction or the land cover. None: there
            is none.
        init_cfg: Initialisation, as everywhere in MMEngine.

    Raises:
        ValueError: ``refine`` or ``change`` is unknown.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: int | None = None,
        reduction: int = 16,
        norm_cfg: NormCfg = BN,
        refine: Refine = 'block',
        change: Literal['concat', 'difference'] = 'concat',
        enhancement: bool = True,
        interaction: bool = True,
        fine_channels: int | None = None,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if change not in ('concat', 'difference'):
            raise ValueError(f"change must be 'concat' or 'difference', got {change!r}")
        self.change = change
        widths = [in_channels] if isinstance(in_channels, int) else list(in_channels)
        self.in_channels = widths
        self.fine_channels = fine_channels
        self.reduce = nn.ModuleList(
            nn.Identity()
            if channels is None
            else ConvModule(width, channels, 1, norm_cfg=fitting_norm(norm_cfg), inplace=False)
            for width in widths
        )
        self.levels = nn.ModuleList(
            InteractionLevel(
                channels or width, reduction, norm_cfg, refine, enhancement, interaction
            )
            for width in widths
        )

    def forward(self, before: Features, after: Features) -> Branches:
        """Build the three branches.

        Args:
            before: Features of the first date, one (N, C, H, W) a level: the
                finer one, if ``fine_channels`` is set, and those of ``in_channels``.
            after: Features of the second date, of the same shapes.

        Returns:
            The branches: ``before`` and ``after`` with C (or ``channels``)
            channels a level, ``change`` with twice as many, after the finer
            level if there is one, ``difference`` one logit map (N, 1, H, W) a
            level.

        Raises:
            ValueError: The number of levels or their channels differ from
                ``in_channels`` and ``fine_channels``.
        """
        got = [feature.shape[1] for feature in before]
        finer = [] if self.fine_channels is None else [self.fine_channels]
        if got != finer + self.in_channels:
            raise ValueError(
                f'FeatureInteraction was built for levels of {finer + self.in_channels} channels, '
                f"the backbone gives {got}; set the neck's in_channels or fine_channels, "
                "or the backbone's out_indices"
            )
        edges = tuple(
            (b - a).abs() for b, a in zip(before[: len(finer)], after[: len(finer)], strict=True)
        )
        before, after = before[len(finer) :], after[len(finer) :]
        outputs = [
            level(reduce(b), reduce(a))
            for level, reduce, b, a in zip(self.levels, self.reduce, before, after, strict=True)
        ]
        refined_before, refined_after, enhanced, logits = (
            tuple(x) for x in zip(*outputs, strict=True)
        )
        if self.change == 'concat':
            parts = zip(refined_before, refined_after, strict=True)
        else:
            contrast = ((b - a).abs() for b, a in zip(refined_before, refined_after, strict=True))
            parts = zip(contrast, enhanced, strict=True)
        change = tuple(torch.cat(pair, dim=1) for pair in parts)
        return Branches(refined_before, refined_after, edges + change, logits)
