"""Configs in checkpoints: those that MMEngine writes are read, and nothing is run."""

import pytest
import torch
from mmengine import Config

from tfinet_mm.apis.embedded import config_values, embedded_config
from tfinet_mm.errors import UntrustedCheckpointError


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
