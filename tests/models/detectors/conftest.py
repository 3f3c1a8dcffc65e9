"""Configs and checkpoints of tiny networks of three kinds, for members of an ensemble."""

import pytest
import torch
from mmengine import Config

from tfinet_mm.models import SemanticChangeDetector
from tfinet_mm.structures import SECOND

RESNET = dict(
    type='mmseg.ResNet',
    depth=18,
    base_channels=8,
    strides=(1, 2, 2, 2),
    dilations=(1, 1, 1, 1),
    norm_cfg=dict(type='SyncBN'),
)


def _roles(head, num_classes):
    return dict(
        semantic_head=dict(**head, num_classes=num_classes),
        change_head=dict(**head, num_classes=1, threshold=0.5),
    )


def _fcn(num_classes, bands):
    head = dict(type='mmseg.FCNHead', in_channels=64, in_index=3, channels=8, num_convs=1)
    neck = dict(type='tfinet_mm.AbsoluteDifference')
    return dict(backbone=dict(RESNET, in_channels=bands), neck=neck, **_roles(head, num_classes))


def _psp(num_classes, bands):
    return _fcn(num_classes, bands) | _roles(
        dict(type='mmseg.PSPHead', in_channels=32, in_index=2, channels=8, pool_scales=(1, 2)),
        num_classes,
    )


def _tfinet(num_classes, bands):
    head = dict(type='tfinet_mm.ProgressiveHead', blocks=((8,), (8,)), stride=4)
    return dict(
        backbone=dict(RESNET, in_channels=bands, out_indices=(1,)),
        neck=dict(type='tfinet_mm.FeatureInteraction', in_channels=16),
        semantic_head=dict(head, in_channels=16, stride=8, num_classes=num_classes),
        change_head=dict(head, in_channels=32, stride=8, num_classes=1),
        auxiliary_head=dict(type='tfinet_mm.DifferenceHead', branch='difference'),
    )


KINDS = {'fcn': _fcn, 'psp': _psp, 'tfinet': _tfinet}


@pytest.fixture
def detector_config():
    """A function that returns a detector's config; it preprocesses as its name says."""

    def make(kind, num_classes=6, bands=3, mean=100.0, **more):
        return dict(
            type='tfinet_mm.SemanticChangeDetector',
            data_preprocessor=dict(
                type='tfinet_mm.PairDataPreprocessor', mean=[mean] * bands, std=[50.0] * bands
            ),
            **KINDS[kind](num_classes, bands),
            **more,
        )

    return make


@pytest.fixture
def save_member(detector_config, tmp_path):
    """A function that writes a member's config and checkpoint, and returns both as a dictionary."""

    def save(name, kind='fcn', table=SECOND, seed=0, num_classes=6, drop=(), **options):
        config = detector_config(kind, num_classes, **options)
        torch.manual_seed(seed)
        model = SemanticChangeDetector(**{k: v for k, v in config.items() if k != 'type'})
        # Larger weights, so that classes and change differ from pixel to pixel.
        for head in (model.semantic_head, model.change_head):
            torch.nn.init.normal_(head.conv_seg.weight, std=2.0)
        weights = {k: v for k, v in model.state_dict().items() if not k.startswith(tuple(drop))}
        meta = {} if table is None else dict(dataset_meta=table.metainfo())
        torch.save(dict(meta=meta, state_dict=weights), tmp_path / f'{name}.pth')
        Config(dict(model=config, default_scope='mmseg')).dump(tmp_path / f'{name}.py')
        return dict(config=str(tmp_path / f'{name}.py'), checkpoint=str(tmp_path / f'{name}.pth'))

    return save


@pytest.fixture
def raw_batch():
    """Two raw pairs (6, 40, 56), not square and no multiples of 32."""
    generator = torch.Generator().manual_seed(3)
    return {
        'inputs': [
            torch.randint(0, 256, (6, 40, 56), generator=generator, dtype=torch.uint8)
            for _ in range(2)
        ]
    }
