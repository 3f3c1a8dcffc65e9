"""Initial weights of modules are read safely, by MMEngine's own initialisation."""

import os

import pytest
import torch
from mmengine.model import BaseModule, ModuleList
from mmengine.runner import CheckpointLoader
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


def test_code_and_nan_are_refused(tmp_path):
    class Touch:
        def __reduce__(self):
            return os.system, (f'touch {tmp_path / "ran"}',)

    path = tmp_path / 'x.pth'
    torch.save({'state_dict': {}, 'extra': Touch()}, path)
    model = Whole(dict(type='Pretrained', checkpoint=str(path)))
    guard_pretrained(model)
    with pytest.raises(UntrustedCheckpointError, match=r'x\.pth') as caught:
        model.init_weights()
    assert SCHEME not in str(caught.value)
    assert not (tmp_path / 'ran').exists()
    torch.save({'conv.bias': torch.tensor([float('inf')])}, path)
    model = Whole(dict(type='Pretrained', checkpoint=str(path)))
    guard_pretrained(model)
    with pytest.raises(NotFiniteWeightsError, match=r'conv\.bias'):
        model.init_weights()
