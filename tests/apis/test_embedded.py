"""Test configs in checkpoints: those of MMEngine are read, and no code is run."""

import copy

import pytest
import torch
from mmengine import Config

from tfinet_mm.apis.embedded import config_values, embedded_config
from tfinet_mm.errors import DamagedCheckpointError, UntrustedCheckpointError


def save(path, cfg):
    torch.save(dict(meta=dict(cfg=cfg), state_dict={}), path)
    return path


def test_what_mmengine_writes_is_read_back():
    whole = dict(
        a=[1, -2.5, None, True, 'x\n"y"'],
        b=dict(c=(1, (2,), ()), d={'a b': 1, 3: 4}, type='T'),
        e=float('inf'),
        f={1},
    )
    values = config_values(Config(whole).pretty_text, 'a.pth')
    assert values == whole


@pytest.mark.parametrize(
    'text',
    [
        "__import__('os').system('touch ran')",
        "a = __import__('os').system('touch ran')",
        "import os\na = os.system('touch ran')",
        'a = dict(**dict(b=1))',
        'a = {**dict(b=1)}',
        'a = [i for i in range(3)]',
        "a = open('ran', 'w')",
        'a.b = 1',
        'a = (',
        "_base_ = 'x.py' + 'y'",
    ],
)
def test_code_is_not_run(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UntrustedCheckpointError, match=r'a\.pth carries is more than plain values'):
        config_values(text, 'a.pth')
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize(
    'name', ['os.system', 'mmengine.load', 'mmengine.fileio.load', 'torch.nn.Conv2d', 'NoSuchType']
)
def test_types_must_be_registered(name, member, tmp_path):
    cfg = Config.fromfile(member()[0])
    for change in (
        lambda: cfg.model.backbone.update(type=name),
        lambda: cfg.test_dataloader.dataset.pipeline[0].update(type=name),
    ):
        change()
        with pytest.raises(UntrustedCheckpointError, match=f'uses {name!r}, which is registered'):
            embedded_config(save(tmp_path / 'b.pth', cfg.pretty_text))


def test_only_what_predicting_needs_is_kept(member):
    cfg = embedded_config(member()[1])
    assert 'test_evaluator' not in cfg
    assert 'init_cfg' not in cfg.model.backbone
    assert cfg.model.backbone.strides == (1, 2, 2, 2)


@pytest.mark.parametrize('cfg', [None, 'a = 1', 3])
def test_checkpoints_without_a_config(cfg, tmp_path):
    with pytest.raises(ValueError, match=r'carries no config.*SCDInferencer\(CONFIG'):
        embedded_config(save(tmp_path / 'c.pth', cfg))
    torch.save([1], tmp_path / 'd.pth')
    with pytest.raises(ValueError, match='carries no config'):
        embedded_config(tmp_path / 'd.pth')


def test_networks_that_can_not_be_those_of_the_weights(member, tmp_path):
    config, checkpoint = member()
    whole = torch.load(checkpoint, weights_only=False)
    cfg = Config.fromfile(config)

    def stored(**model):
        changed = copy.deepcopy(cfg)
        changed.model = model or changed.model
        whole['meta'] = dict(cfg=changed.pretty_text)
        torch.save(whole, tmp_path / 'x.pth')
        return tmp_path / 'x.pth'

    assert embedded_config(stored()).model.type == cfg.model.type
    parts = dict(type='tfinet_mm.SemanticChangeDetector', backbone=cfg.model.backbone)
    for model in (parts, cfg.model.to_dict() | dict(neck=5), cfg.model.to_dict() | dict(x=1)):
        with pytest.raises(DamagedCheckpointError, match=r'x\.pth carries can not be built'):
            embedded_config(stored(**model))
    # 3 GB in one layer, were it built.
    wide = dict(type='mmseg.FCNHead', branch='change', in_channels=8, channels=9000, num_classes=4)
    with pytest.raises(DamagedCheckpointError, match=r'x\.pth carries describes a network of'):
        embedded_config(stored(**cfg.model.to_dict() | dict(auxiliary_head=wide)))
