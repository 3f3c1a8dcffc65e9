"""Test the study of land cover of one date in place of labelled pairs."""

import json
from pathlib import Path

import pytest
from study import load_study

from tfinet_mm.utils.config.check import check_config


@pytest.fixture(scope='module')
def study():
    return load_study('supervision/run.py')


def parts(cfg):
    dataset = cfg.train_dataloader.dataset
    return dataset.datasets if dataset.type == 'ConcatDataset' else [dataset]


@pytest.mark.parametrize('arm', ['all', 'half', 'either', 'places', 'paste'])
def test_a_training_has_its_labels_and_as_many_steps_as_all_others(study, arm):
    cfg = study.setting(arm, 3, Path('d'))
    check_config(cfg)
    labelled, *made = parts(cfg)
    assert labelled.data_root == 'd/train'
    assert labelled.get('indices') == (None if arm == 'all' else 24)
    pairs = 48 if arm == 'all' else 24
    if arm not in ('all', 'half'):
        (single,) = made
        # The other half, of which the images before and their land cover are used.
        assert single.indices == -24
        assert single.data_prefix == dict(img_path='im1', seg_map_path='cover1')
        assert single.pipeline[0].method == arm
        assert single.seed == cfg.randomness.seed == 3
        pairs += 24
    steps = pairs // cfg.train_dataloader.batch_size * cfg.train_cfg.max_epochs
    assert steps == cfg.steps == 60
    assert cfg.val_dataloader.dataset.data_root == 'd/val'


def test_results_are_collected_by_arm_and_seed(study, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study, 'WORK', tmp_path)
    monkeypatch.setattr(study, 'RESULTS', tmp_path / 'results' / 'results.json')
    study.RESULTS.parent.mkdir()
    for name, value in (('all_0', 30.0), ('all_1', 40.0), ('half_0', 20.5)):
        scores = {'SeK': value, 'Fscd': 2 * value, 'change/IoU': 50.0}
        (tmp_path / f'{name}.json').write_text(json.dumps(scores))
    study.collect()
    study.table(json.loads(study.RESULTS.read_text()))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:5] == ['all', '2', 'seeds', 'SeK', '35.0']
    assert '(30.0-40.0)' in lines[0]
    assert lines[1].split()[:5] == ['half', '1', 'seeds', 'SeK', '20.5']


def test_the_readme_states_the_scores_that_were_measured(study):
    results = json.loads((study.HERE / 'results.json').read_text())
    text = (study.HERE / 'README.md').read_text(encoding='utf-8')
    for arm, runs in results.items():
        mean = sum(one['SeK'] for one in runs.values()) / len(runs)
        (row,) = [line for line in text.splitlines() if line.startswith(f'| `{arm}` ')]
        assert row.split('|')[3:5] == [f' {len(runs)} ', f' {mean:.1f} ']
