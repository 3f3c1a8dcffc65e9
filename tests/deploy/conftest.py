"""A tiny detector with batch statistics of its own, every class of which wins somewhere."""

import pytest
import torch
from mmengine.registry import DefaultScope

from tfinet_mm.models import SemanticChangeDetector

NORM = dict(type='BN')


def network_config(bands=3, **more):
    """Return the config of a detector with a pyramid pooling head and one of plain upsampling."""
    head = dict(in_channels=64, in_index=3, channels=8, norm_cfg=NORM)
    psp = dict(type='mmseg.PSPHead', pool_scales=(1, 2, 3), align_corners=True, **head)
    return dict(
        data_preprocessor=dict(
            type='tfinet_mm.PairDataPreprocessor', mean=[100.0] * bands, std=[50.0] * bands
        ),
        backbone=dict(
            type='mmseg.ResNet',
            depth=18,
            base_channels=8,
            strides=(1, 2, 2, 2),
            dilations=(1, 1, 1, 1),
            norm_cfg=NORM,
            in_channels=bands,
        ),
        neck=dict(type='tfinet_mm.AbsoluteDifference'),
        semantic_head=dict(psp, num_classes=4),
        change_head=dict(type='mmseg.FCNHead', num_convs=1, num_classes=1, threshold=0.5, **head),
        test_cfg=dict(mode='whole', threshold=0.4),
        **more,
    )


def lively(network, bands=3, seed=0):
    """Give a network batch statistics, and classifiers of which every class wins somewhere."""
    draw = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.copy_(0.1 * torch.randn(layer.num_features, generator=draw))
            layer.running_var.copy_(0.5 + torch.rand(layer.num_features, generator=draw))
    network.eval().requires_grad_(False)
    logits = network.encode_decode(torch.randn(2, 2 * bands, 128, 128, generator=draw))
    for head, made in ((network.semantic_head, logits[0]), (network.change_head, logits[2])):
        last, spread = head.conv_seg, 2 / made.std((0, 2, 3))
        if isinstance(last, torch.nn.Conv2d) and last.out_channels == len(spread):
            last.weight *= spread.view(-1, 1, 1, 1)
            last.bias.sub_(made.mean((0, 2, 3))).mul_(spread)
    return network


def make_network(bands=3, seed=0, **more):
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope('mmseg'):
        return lively(SemanticChangeDetector(**network_config(bands, **more)), bands, seed)


@pytest.fixture
def network():
    """A function that makes the detector."""
    return make_network
