"""Build and run detectors on timm's backbones, ConvNeXt among them.

A script of its own: timm imports torchvision's Python code, and next to a
CPU-only torch the compiled operators of the usual torchvision wheel can't be
loaded, which ends the import. No backbone calls these operators, so declaring
the missing ones is enough; a process that did so should not run other tests.

Usage: timm_detectors.py [FOLDER], a folder with timm and torchvision in it.
"""

from __future__ import annotations

import importlib
import re
import sys

import torch

MISSING = re.compile(r'operator torchvision::(\w+) does not exist')


def import_torchvision() -> torch.library.Library:
    """Import torchvision, declaring operators as long as one is missing."""
    declared = torch.library.Library('torchvision', 'FRAGMENT')
    while True:
        try:
            importlib.import_module('torchvision')
        except RuntimeError as error:
            missing = MISSING.match(str(error))
            if missing is None:
                raise
            declared.define(f'{missing[1]}(Tensor x) -> Tensor')
            for name in [name for name in sys.modules if name.startswith('torchvision')]:
                del sys.modules[name]
        else:
            return declared


def run(model_name: str, level: int, channels: int, stride: int) -> None:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    from tfinet_mm.registry import MODELS

    head = {
        'type': 'tfinet_mm.ProgressiveHead',
        'blocks': ((8,),),
        'stride': stride,
    }
    model = MODELS.build(
        {
            'type': 'tfinet_mm.SemanticChangeDetector',
            'backbone': {
                'type': 'mmseg.TIMMBackbone',
                'model_name': model_name,
                'features_only': True,
                'pretrained': False,
                'out_indices': (level,),
            },
            'neck': {'type': 'tfinet_mm.FeatureInteraction', 'in_channels': channels},
            'semantic_head': {
                **head,
                'in_channels': channels,
                'num_classes': 6,
                'loss_decode': {'type': 'tfinet_mm.SemanticCELoss'},
            },
            'change_head': {
                **head,
                'in_channels': 2 * channels,
                'num_classes': 1,
                'loss_decode': {'type': 'tfinet_mm.ChangeBCELoss'},
            },
        }
    )
    inputs = torch.randn(2, 6, 64, 96)
    sample = SegDataSample()
    for field in ('gt_sem_seg', 'gt_sem_seg_from', 'gt_sem_seg_to'):
        sample.set_data({field: PixelData(data=torch.randint(0, 2, (1, 64, 96)))})
    total, _ = model.parse_losses(model(inputs, [sample, sample], mode='loss'))
    total.backward()
    gradients = [p.grad for p in model.backbone.parameters() if p.grad is not None]
    assert torch.isfinite(total)
    assert any((g != 0).any() for g in gradients)
    logits = model.eval()(inputs, mode='tensor')
    assert logits.semantic_from.shape == (2, 6, 64, 96)
    print(f'{model_name}: {tuple(logits.change.shape)}')


if __name__ == '__main__':
    sys.path[1:1] = sys.argv[1:]
    declared = import_torchvision()
    run('convnext_atto', 3, 320, 32)
    run('mobilenetv3_small_050', 2, 16, 8)
