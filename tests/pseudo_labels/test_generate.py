import json
from pathlib import Path

import pytest

from tfinet_mm.pseudo_labels import Selection
from tfinet_mm.pseudo_labels.generate import ensemble_model, generate


@pytest.fixture
def sources(tmp_path, second, members):
    """Return CONFIG CHECKPOINT CONFIG CHECKPOINT; the first config has the data of ``second``."""
    model, _ = members(2)
    first, other = model['members']
    loader = dict(type='tfinet_mm.LoadImagePair'), dict(type='tfinet_mm.PackPairInputs')
    dataset = dict(
        type='tfinet_mm.SECONDDataset', data_root=str(tmp_path / 'nowhere'), pipeline=[*loader]
    )
    config = tmp_path / 'with data.py'
    config.write_text(
        f'_base_ = {Path(first["config"]).name!r}\ntrain_dataloader = dict(dataset={dataset!r})\n'
    )
    return [config, first['checkpoint'], other['config'], other['checkpoint']]


def test_members_and_pairs_come_from_what_is_named(tmp_path, sources):
    options = {'train_dataloader.dataset.data_root': str(tmp_path / 'data')}
    selection = Selection(0.5, quota=0.2)
    report = generate(
        sources,
        tmp_path / 'out',
        'soft',
        selection,
        tta=True,
        confidence=True,
        cfg_options=options,
        workers=0,
    )
    assert report['pairs'] == 5
    assert report['members'] == ['with data', 'pixels6']
    assert report['options'] == dict(
        transforms=[
            'identity',
            'vertical_flip',
            'horizontal_flip',
            'rotation_90',
            'rotation_270',
            'rotation_180',
        ],
        thresholds=[0.5] * 6,
        quota=[0.2] * 6,
        max_change_prob=None,
    )
    assert json.loads((tmp_path / 'out/report.json').read_text()) == report
    assert (tmp_path / 'out/confidence2/sub dir/b.c d.png').is_file()


def test_an_ensemble_config_is_the_same(tmp_path, sources, members):
    model, _ = members(2)
    names = [dict(entry, config=str(tmp_path / 'pixels6.py')) for entry in model['members']]
    config = tmp_path / 'ensemble.py'
    steps = [dict(type='tfinet_mm.LoadImagePair'), dict(type='tfinet_mm.PackPairInputs')]
    dataset = dict(type='tfinet_mm.SECONDDataset', data_root=str(tmp_path / 'data'), pipeline=steps)
    config.write_text(
        f"model = dict(type='tfinet_mm.SCDEnsemble', members={names!r})\n"
        f'train_dataloader = dict(dataset={dataset!r})\n'
    )
    options = {'train_dataloader.dataset.data_root': str(tmp_path / 'data')}
    pairs = generate(sources, tmp_path / 'pairs', cfg_options=options, workers=0)
    ensemble = generate([config], tmp_path / 'ensemble', workers=0)
    assert ensemble.pop('members') == ['pixels6', 'pixels6']
    assert pairs.pop('members') == ['with data', 'pixels6']
    assert ensemble == pairs
    _, changed = ensemble_model([config], {'model.members.1.weight': 3}, 'bfloat16')
    assert changed['members'][1]['weight'] == 3
    assert changed['autocast'] == 'bfloat16'


def test_options_are_those_of_every_member(sources):
    cfg, model = ensemble_model(sources, {'model.num_classes': 4}, 'float16')
    assert cfg.model.num_classes == 4
    assert [one['cfg_options'] for one in model['members']] == [{'model.num_classes': 4}] * 2
    assert model['autocast'] == 'float16'


def test_sources_that_do_not_fit_together(tmp_path, sources):
    with pytest.raises(ValueError, match=r'got 3: .*with data\.py'):
        ensemble_model(sources[:3])
    with pytest.raises(ValueError, match='got 0'):
        ensemble_model([])
    with pytest.raises(ValueError, match=r'with data\.py is not the config of an ensemble but of'):
        ensemble_model(sources[:1])
    with pytest.raises(FileNotFoundError, match='no checkpoint nowhere'):
        ensemble_model([*sources[:3], 'nowhere.pth'])
    with pytest.raises(FileNotFoundError, match='no config nowhere'):
        ensemble_model(['nowhere.py', sources[1]])
    with pytest.raises(ValueError, match='has no val_dataloader'):
        generate(sources, tmp_path / 'out', split='val')
