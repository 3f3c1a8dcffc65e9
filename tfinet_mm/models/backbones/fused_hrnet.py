"""HRNet with its four resolutions fused to one feature map."""

from __future__ import annotations

from typing import Any, Self

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmseg.models.backbones import HRNet
from mmseg.models.utils import Upsample
from torch import Tensor, nn

from tfinet_mm.checkpoints.addresses import plain_address, read_checkpoint
from tfinet_mm.checkpoints.matching import backbone_weights
from tfinet_mm.checkpoints.pretrained import is_pretrained
from tfinet_mm.models.data_preprocessor import IMAGENET_MEAN, IMAGENET_STD
from tfinet_mm.models.norms import BN, NormCfg, fitting_norm
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import Features


@MODELS.register_module()
class FusedHRNet(HRNet):
    """HRNetV2 whose four stage-4 maps are resized to 1/4 and concatenated.

    The output has ``15 * width`` channels: 270 for W18, 600 for W40, 960 for
    W64. The stages are the standard ones (4 bottlenecks of 64; 1, 4, 3 modules
    of 2, 3, 4 branches with 4 basic blocks each).

    Args:
        width: Channels of the finest branch: 18, 30, 32, 40, 44, 48 or 64 have
            published ImageNet weights, any other number works too.
        in_channels: Bands of one date.
        norm_cfg: Config of the normalisation layers.
        align_corners: Align the corners where maps are resized, between the
            branches and at the end. True as in the winning entry of SenseEarth
            2020; mmseg's own ``HRNet`` has False between its branches.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` with
            ``'open-mmlab://msra/hrnetv2_w18'`` or a local file. The layouts of
            mmseg, of HRNet's own ImageNet files (``hrnet_w18.pth``) and of
            checkpoints of whole networks (``backbone.*``) are all read.
        **kwargs: Other options of mmseg's ``HRNet``, such as ``norm_eval``,
            ``with_cp`` or ``frozen_stages``.
    """

    pretrained_mean = IMAGENET_MEAN
    """Mean of each channel that published weights were trained with, in RGB."""
    pretrained_std = IMAGENET_STD
    """Standard deviation of each channel that they were trained with, in RGB."""

    def __init__(
        self,
        width: int = 18,
        in_channels: int = 3,
        norm_cfg: NormCfg = BN,
        align_corners: bool = True,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        stages = {
            'stage1': {
                'num_modules': 1,
                'num_branches': 1,
                'block': 'BOTTLENECK',
                'num_blocks': (4,),
                'num_channels': (64,),
            }
        }
        for index, modules in enumerate((1, 4, 3), start=2):
            stages[f'stage{index}'] = {
                'num_modules': modules,
                'num_branches': index,
                'block': 'BASIC',
                'num_blocks': (4,) * index,
                'num_channels': tuple(width * 2**branch for branch in range(index)),
            }
        super().__init__(
            stages,
            in_channels=in_channels,
            norm_cfg=fitting_norm(norm_cfg),
            init_cfg=init_cfg,
            **kwargs,
        )
        self.align_corners = align_corners
        # torch's Upsample in place of mmseg's, which warns at every call with aligned corners.
        for parent in list(self.modules()):
            for name, child in parent.named_children():
                if isinstance(child, Upsample):
                    parent.add_module(
                        name,
                        nn.Upsample(
                            scale_factor=child.scale_factor,
                            mode='bilinear',
                            align_corners=align_corners,
                        ),
                    )
        self.out_channels = 15 * width

    def forward(self, x: Tensor) -> Features:
        """Map an image (N, in_channels, H, W) to one level (N, 15 * width, H / 4, W / 4)."""
        finest, *coarser = super().forward(x)
        resized = [
            F.interpolate(y, finest.shape[2:], mode='bilinear', align_corners=self.align_corners)
            for y in coarser
        ]
        return (torch.cat([finest, *resized], dim=1),)

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation, and return itself, as mmseg's HRNet doesn't."""
        super().train(mode)
        return self

    def init_weights(self) -> None:
        """Initialise, or load the weights that ``init_cfg`` names.

        Raises:
            ValueError: The file lacks weights of this backbone, or holds them
                in other shapes. (A partly loaded backbone trains to bad scores
                without a warning.)
        """
        if is_pretrained(self.init_cfg):
            self._load_pretrained(self.init_cfg['checkpoint'])
        else:
            super().init_weights()

    def _load_pretrained(self, path: str) -> None:
        path = plain_address(path)
        found = backbone_weights(read_checkpoint(path, logger='current'))
        own = self.state_dict()
        wrong = [
            f'{key}: file has {tuple(found[key].shape) if key in found else "nothing"}, '
            f'backbone needs {tuple(value.shape)}'
            for key, value in own.items()
            if not key.endswith('num_batches_tracked')
            and (key not in found or found[key].shape != value.shape)
        ]
        if wrong:
            raise ValueError(
                f'{path} does not fit this HRNet: {len(wrong)} of {len(own)} weights are missing '
                f'or of another shape, the first: {"; ".join(wrong[:3])}. '
                'Check width and in_channels, or set init_cfg=None to train from scratch'
            )
        self.load_state_dict({key: found.get(key, value) for key, value in own.items()})
        print_log(f'loaded {len(own)} tensors of HRNet from {path}', logger='current')
