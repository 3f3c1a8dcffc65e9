"""Initial weights of modules are read safely, by MMEngine's own initialisation."""

import pytest
import torch
from mmengine.model import BaseModule, ModuleList
from mmengine.model.weight_init import PretrainedInit
from mmengine.runner import CheckpointLoader
from mmseg.registry import MODELS
from torch import nn

from tfinet_mm.checkpoints.addresses import SCHEME
from tfinet_mm.checkpoints.pretrained import guard_pretrained
from tfinet_mm.errors import NotFiniteWeightsError, UntrustedCheckpointError


class Part(BaseModule):
    """A module whose weights ``init_cfg`` names."""

    def __init__(self, init_cfg):
        super().__init__(init_cfg)
        self.conv = nn.Conv2d(1, 1, 1)


class Whole(BaseModule):
    """A module with parts."""

    def __init__(self, *init_cfgs):
        super().__init__()
        self.parts = ModuleList(Part(init_cfg) for init_cfg in init_cfgs)


def test_weights_are_loaded_as_mmengine_does(tmp_path):
    weights = {'conv.weight': torch.full((1, 1, 1, 1), 3.0), 'conv.bias': torch.full((1,), 4.0)}
    torch.save({'state_dict': weights}, tmp_path / 'x.pth')
    prefixed = {f'backbone.{key}': value + 2 for key, value in weights.items()}
    torch.save({'state_dict': prefixed}, tmp_path / 'y.pth')
    before = {k: v for k, v in CheckpointLoader._schemes.items() if k != SCHEME}
    model = Whole(
        dict(type='Pretrained', checkpoint=str(tmp_path / 'x.pth')),
        dict(type='Pretrained', checkpoint=str(tmp_path / 'y.pth'), prefix='backbone.'),
        [dict(type='Constant', layer='Conv2d', val=7, bias=8)],
        [
            dict(type='Constant', layer='Conv2d', val=7),
            dict(type='Pretrained', checkpoint=str(tmp_path / 'x.pth')),
        ],
        None,
    )
    guard_pretrained(model)
    guard_pretrained(model)
    model.init_weights()
    assert [part.conv.weight.item() for part in model.parts][:4] == [3, 5, 7, 3]
    assert [part.conv.bias.item() for part in model.parts][:4] == [4, 6, 8, 4]
    assert {k: v for k, v in CheckpointLoader._schemes.items() if k != SCHEME} == before


WAYS = [
    'Pretrained',
    'mmengine.Pretrained',
    # As a config in MMEngine's new style has it, and as it is stored.
    PretrainedInit,
    'mmengine.model.weight_init.PretrainedInit',
]


@pytest.mark.parametrize('kind', WAYS)
def test_pretrained_weights_are_the_last_to_be_loaded(tmp_path, kind):
    torch.save({'conv.bias': torch.full((1,), 4.0)}, tmp_path / 'x.pth')
    pretrained = dict(type=kind, checkpoint=str(tmp_path / 'x.pth'))
    model = Whole([pretrained, dict(type='Constant', layer='Conv2d', val=7, bias=8)])
    guard_pretrained(model)
    model.init_weights()
    assert model.parts[0].conv.weight.item() == 7
    assert model.parts[0].conv.bias.item() == 4


@pytest.mark.parametrize(
    ('kind', 'backbone'),
    [
        ('Pretrained', dict(type='SwinTransformer', depths=(1,), num_heads=(1,), strides=(4,))),
        (None, dict(type='SwinTransformer', depths=(1,), num_heads=(1,), strides=(4,))),
        ('Pretrained_Part', dict(type='VisionTransformer', num_layers=1, num_heads=1)),
        ('Pretrained', dict(type='MAE', img_size=(32, 32), num_layers=1, num_heads=1)),
    ],
)
def test_backbones_that_read_the_file_themselves(tmp_path, hostile, kind, backbone):
    init_cfg = dict(checkpoint=str(tmp_path / 'x.pth')) | (dict(type=kind) if kind else {})
    model = MODELS.build(dict(backbone, embed_dims=8, out_indices=(0,), init_cfg=init_cfg))
    victim = hostile(tmp_path / 'x.pth')
    guard_pretrained(model)
    with pytest.raises(UntrustedCheckpointError, match=r'x\.pth'):
        model.init_weights()
    assert not victim.exists()


@pytest.mark.parametrize('kind', WAYS)
def test_code_and_nan_are_refused(tmp_path, hostile, kind):
    path = tmp_path / 'x.pth'
    victim = hostile(path)
    model = Whole(dict(type=kind, checkpoint=str(path)))
    guard_pretrained(model)
    with pytest.raises(UntrustedCheckpointError, match=r'x\.pth') as caught:
        model.init_weights()
    assert SCHEME not in str(caught.value)
    assert not victim.exists()
    torch.save({'conv.bias': torch.tensor([float('inf')])}, path)
    model = Whole(dict(type=kind, checkpoint=str(path)))
    guard_pretrained(model)
    with pytest.raises(NotFiniteWeightsError, match=r'conv\.bias'):
        model.init_weights()
