"""Every layer of a network has the normalisation that a config asks for."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from mmcv.cnn import build_norm_layer
from mmengine import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import tfinet_mm
from tfinet_mm.models import LightweightConv, SemanticChangeDetector
from tfinet_mm.models.norms import FittingGroupNorm, fitting_norm
from tfinet_mm.registry import MODELS

CONFIGS = Path(tfinet_mm.__file__).parents[1] / 'configs'
SLOW = ('published/tfinet_r18.py', 'tfinet_r18_lightweight.py', 'senseearth/pspnet_hrnet18.py')
SLOW += ('senseearth/fcn_hrnet18_lightweight.py', 'baselines/scd_upernet_r18.py')
NORMS = {
    'GN': (dict(type='GN', num_groups=8), nn.GroupNorm),
    'layer': (dict(type='GN', num_groups=1, requires_grad=False), nn.GroupNorm),
    'SyncBN': (dict(type='SyncBN', requires_grad=False), nn.SyncBatchNorm),
}


@pytest.fixture(autouse=True)
def mmseg_scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def with_norm(part, norm):
    """The config of a part with another norm_cfg, at every depth."""
    if isinstance(part, list | tuple):
        return [with_norm(one, norm) for one in part]
    if not isinstance(part, dict):
        return part
    made = {key: with_norm(value, norm) for key, value in part.items()}
    if 'norm_cfg' in made:
        made['norm_cfg'] = norm
    return made


def network(name, norm):
    model = Config.fromfile(CONFIGS / name).model.to_dict()
    for part in ('backbone', 'neck', 'semantic_head', 'change_head'):
        # Where a config leaves it out, it is that of the class.
        if model[part]['type'] != 'tfinet_mm.AbsoluteDifference':
            model[part].setdefault('norm_cfg', None)
    model['backbone']['init_cfg'] = None
    model['autocast'] = None
    return MODELS.build(with_norm(model, norm))


def norms(model):
    kinds = (_BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.modules.instancenorm._InstanceNorm)
    return [module for module in model.modules() if isinstance(module, kinds)]


def sample(num_classes):
    changed = torch.randint(0, 2, (1, 64, 64))
    cover = torch.randint(0, num_classes, (1, 64, 64))
    fields = dict(gt_sem_seg=changed, gt_sem_seg_from=cover, gt_sem_seg_to=cover)
    return SegDataSample(**{name: PixelData(data=data) for name, data in fields.items()})


@pytest.mark.parametrize('kind', NORMS)
@pytest.mark.parametrize(
    'name',
    [
        'tfinet_r18_fpn.py',
        'tfinet_hrnet18_lightweight.py',
        'senseearth/deeplabv3plus_r18_lightweight.py',
        *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW),
    ],
)
def test_every_layer_is_the_one_asked_for(name, kind):
    norm, expected = NORMS[kind]
    model = network(name, norm)
    found = norms(model)
    assert {isinstance(layer, expected) for layer in found} == {True}, Counter(map(type, found))
    assert len(found) > 20
    trained = {p.requires_grad for layer in found for p in layer.parameters()}
    assert trained == {norm.get('requires_grad', True)}
    # SyncBN trains on GPUs.
    model = revert_sync_batchnorm(model).train()
    samples = [sample(model.num_classes) for _ in range(2)]
    losses = model(torch.randn(2, 6, 64, 64), samples, 'loss')
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    missing = [key for key, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not [key for key in missing if 'beta' not in key], missing
    with torch.no_grad():
        logits = model.eval()(torch.randn(1, 6, 40, 56))
    assert all(torch.isfinite(part).all() for part in logits)


def test_lightweight_convolutions_in_heads_of_mmseg():
    """FCNHead doesn't know the layers within its convolutions."""
    norm = dict(type='GN', num_groups=4, eps=1e-3)
    head = dict(
        type='mmseg.FCNHead',
        in_channels=64,
        channels=8,
        num_convs=2,
        conv_cfg=dict(type=LightweightConv),
        norm_cfg=norm,
    )
    config = dict(
        backbone=dict(type='mmseg.ResNet', depth=18, base_channels=8, norm_cfg=norm),
        neck=dict(type='tfinet_mm.AbsoluteDifference'),
        semantic_head=dict(head, in_index=3, num_classes=6),
        change_head=dict(head, in_index=3, num_classes=1, threshold=0.5),
    )
    model = SemanticChangeDetector(**config)
    assert [type(layer) for layer in norms(model.semantic_head)] == [FittingGroupNorm] * 6
    assert {layer.eps for layer in norms(model)} == {1e-3}
    assert 'type' in config['semantic_head']['conv_cfg']
    assert 'norm_cfg' not in config['semantic_head']['conv_cfg']


def test_groups_that_divide_the_channels():
    layer = build_norm_layer(fitting_norm(dict(type='GN', num_groups=8)), 16)[1]
    other = nn.GroupNorm(8, 16)
    x = torch.randn(2, 16, 3, 5)
    torch.testing.assert_close(layer(x), other(x))
    groups = [
        build_norm_layer(fitting_norm(dict(type='GN', num_groups=8)), channels)[1].num_groups
        for channels in (1, 4, 6, 18, 32)
    ]
    assert groups == [1, 4, 2, 2, 8]


def test_layer_norm_is_refused():
    with pytest.raises(ValueError, match=r'GN.*num_groups=1'):
        network('tfinet_r18.py', dict(type='LN'))
