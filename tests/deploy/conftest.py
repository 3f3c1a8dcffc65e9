"""A tiny detector with batch statistics of its own, every class of which wins somewhere."""

import pytest
import torch
from lively import lively
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


def make_network(bands=3, seed=0, **more):
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope('mmseg'):
        return lively(SemanticChangeDetector(**network_config(bands, **more)), bands, seed)


@pytest.fixture
def network():
    """A function that makes the detector."""
    return make_network
