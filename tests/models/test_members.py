"""Test configs of members, and errors of loading one; the ensemble's tests do the rest."""

from types import SimpleNamespace

import pytest
import torch
from mmengine import Config
from torch import nn

from tfinet_mm.errors import TFINetError, UntrustedCheckpointError
from tfinet_mm.models.members import load_member, member_config, network_bands
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import SECOND

MODEL = dict(type='tfinet_mm.Plain', width=3)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@MODELS.register_module(name='Plain', force=True)
class Plain(nn.Linear):
    """A model that predicts no probabilities."""

    def __init__(self, width, backbone=None):
        super().__init__(width, 1)


@MODELS.register_module(name='Certain', force=True)
class Certain(Plain):
    """A model that counts as one that does."""

    data_preprocessor = None

    def test_step(self, data):
        return data

    def predict_probabilities(self, inputs):
        return inputs


@pytest.mark.parametrize('form', ['file', 'path', 'config', 'dict', 'model'])
def test_configs_in_every_form(form, tmp_path):
    whole = dict(model=MODEL, default_scope='mmseg')
    path = tmp_path / 'a b.py'
    Config(whole).dump(path)
    given = {
        'file': str(path),
        'path': path,
        'config': Config(whole),
        'dict': whole,
        'model': MODEL,
    }[form]
    cfg = member_config(given, {'model.width': 5})
    assert cfg.model == dict(type='tfinet_mm.Plain', width=5)
    assert MODEL['width'] == 3
    if form == 'config':
        assert given.model.width == 3


def test_configs_without_a_model(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'there is no config nowhere\.py'):
        member_config('nowhere.py')
    for config in (dict(model=dict(width=3)), dict(width=3)):
        with pytest.raises(ValueError, match='needs a model with a type'):
            member_config(config)


def test_models_that_predict_something_else(tmp_path):
    torch.save(nn.Linear(3, 1).state_dict(), tmp_path / 'x.pth')
    plain = dict(type='tfinet_mm.Plain', width=3)
    with pytest.raises(TypeError, match=r'odd is a Plain, expected .* predict_probabilities'):
        load_member(plain, tmp_path / 'x.pth', name='odd')
    wrapped = dict(type='tfinet_mm.SCDTTAModel', module=dict(type='tfinet_mm.Certain', width=3))
    with pytest.raises(TypeError, match=r'is a SCDTTAModel, expected'):
        load_member(wrapped, tmp_path / 'x.pth')


def test_what_a_checkpoint_says(tmp_path):
    weights = {f'module.{key}': value for key, value in Plain(3).state_dict().items()}
    torch.save(dict(state_dict=weights, meta=dict(dataset_meta=SECOND.metainfo())), 'x.pth')
    certain = dict(
        type='tfinet_mm.Certain',
        width=3,
        backbone=dict(type='mmseg.ResNet', depth=18, in_channels=5),
    )
    member = load_member(certain, 'x.pth')
    assert torch.equal(member.model.weight, weights['module.weight'])
    assert (member.name, member.checkpoint, member.bands) == ('tfinet_mm.Certain', 'x.pth', 5)
    assert member.class_table == SECOND
    torch.save(dict(weights), 'x.pth')
    member = load_member(certain, 'x.pth', name='best')
    assert (str(member), member.class_table) == ('best (x.pth)', None)


def test_a_checkpoint_runs_no_code(tmp_path):
    torch.save(dict(state_dict={}, meta=SimpleNamespace()), tmp_path / 'x.pth')
    with pytest.raises(UntrustedCheckpointError, match='SimpleNamespace'):
        load_member(dict(type='tfinet_mm.Certain', width=3), tmp_path / 'x.pth')


@pytest.mark.parametrize(
    ('weight', 'message'),
    [
        (torch.tensor([[1, float('nan'), 1]]), r'x\.pth: the weights weight hold NaN'),
        (torch.tensor([[1, 2, 3]]), r'x\.pth: .*weight is torch\.int64, expected torch\.float32'),
        (torch.ones(1, 3) * 1j, r'x\.pth: .*weight is torch\.complex64, expected'),
        ('text', r"x\.pth, \"state_dict\": 'weight' is a str, expected a tensor"),
    ],
)
def test_weights_that_can_not_be_used(weight, message):
    weights = Plain(3).state_dict() | {'weight': weight}
    torch.save(dict(state_dict=weights), 'x.pth')
    with pytest.raises(TFINetError, match=message):
        load_member(dict(type='tfinet_mm.Certain', width=3), 'x.pth')


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_fine(dtype):
    weights = {'weight': torch.ones(1, 3, dtype=dtype), 'bias': torch.ones(1, dtype=dtype)}
    torch.save(weights, 'x.pth')
    member = load_member(dict(type='tfinet_mm.Certain', width=3), 'x.pth')
    assert torch.equal(member.model.weight, torch.ones(1, 3))


def test_bands_of_a_network():
    assert network_bands(Config(dict(model=dict(type='tfinet_mm.SemanticChangeDetector')))) == 3
    five = dict(type='tfinet_mm.SemanticChangeDetector', backbone=dict(in_channels=5))
    assert network_bands(Config(dict(model=five))) == 5
    assert network_bands(Config(dict(model=dict(type='tfinet_mm.SCDTTAModel', module=five)))) == 5
    member = dict(config=five, checkpoint='x.pth')
    ensemble = dict(type='tfinet_mm.SCDEnsemble', members=[member])
    assert network_bands(Config(dict(model=ensemble))) == 5
    member['cfg_options'] = {'model.backbone.in_channels': 4}
    assert network_bands(Config(dict(model=ensemble))) == 4
