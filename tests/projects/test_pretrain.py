"""Test the scripts that made the weights of the package."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from tfinet_mm.apis import SCDInferencer
from tfinet_mm.checkpoints.shipped import DEFAULT
from tfinet_mm.structures import SECOND
from tfinet_mm.utils.config.check import check_config

FOLDER = Path(__file__).parents[2] / 'projects' / 'pretrain'


def _load(name):
    spec = importlib.util.spec_from_file_location(f'pretrain_{name}', FOLDER / f'{name}.py')
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pipeline(monkeypatch):
    """Return the script, with trainings that only leave checkpoints, and an export and
    calibrations that write which file they began with."""
    module, averaging = _load('run'), _load('average_weights')
    calls = []

    def run(script, *arguments):
        calls.append((script.stem, *arguments))
        if script.stem == 'average_weights':
            averaging.main([str(word) for word in arguments])
        if script.stem == 'train':
            folder = arguments[arguments.index('--work-dir') + 1]
            folder.mkdir(parents=True, exist_ok=True)
            for epoch in (9, 10):
                value = torch.tensor(float(100 * sum(c[0] == 'train' for c in calls) + epoch))
                torch.save(dict(state_dict=dict(a=value), meta={}), folder / f'epoch_{epoch}.pth')

        if script.stem == 'export_weights':
            arguments[1].write_text(arguments[0].name)
        if script.stem == 'test':
            out = arguments[arguments.index('--calibrated') + 1]
            assert not out.exists()
            out.write_text(f'{arguments[1].read_text()} {out.stem}')

    monkeypatch.setattr(module, 'run', run)
    module.calls = calls
    return module


def _value(path):
    return float(torch.load(path, weights_only=True)['state_dict']['a'])


def test_each_training_begins_with_what_the_one_before_left(pipeline, tmp_path):
    pipeline.main(['--work-dir', str(tmp_path)])
    trained = [Path(call[1]).stem for call in pipeline.calls if call[0] == 'train']
    assert trained == ['first', 'second', 'third']
    begun = [call[-1] for call in pipeline.calls if call[0] == 'train']
    assert begun == [
        tmp_path / 'first',
        f'load_from={tmp_path / "first.pth"}',
        f'load_from={tmp_path / "both.pth"}',
    ]
    # The tenth epoch of each is taken, not the ninth, although its name sorts last.
    assert _value(tmp_path / 'first.pth') == 110
    assert _value(tmp_path / 'second.pth') == 210
    both = 0.3 * 110 + 0.7 * 210
    np.testing.assert_allclose(_value(tmp_path / 'both.pth'), both)
    np.testing.assert_allclose(_value(tmp_path / 'final.pth'), 0.3 * both + 0.7 * 310)
    made = (tmp_path / f'{DEFAULT}.safetensors').read_text()
    assert made == 'final.pth calibrated_one calibrated_default calibrated_all'


def test_each_set_of_views_is_calibrated(pipeline, tmp_path):
    out = tmp_path / 'out.safetensors'
    for _ in range(2):  # the second time, files are there
        pipeline.main(['--work-dir', str(tmp_path), '--out', str(out), '--cfg-options', 'a=1'])
    fits = [call for call in pipeline.calls if call[0] == 'test']
    assert len(fits) == 6
    assert ['--tta' in call for call in fits[:3]] == [False, True, True]
    values = [call[call.index('--cfg-options') + 1 :] for call in fits[:3]]
    assert values == [('a=1',), ('a=1', 'tta_model.transforms=["identity"]'), ('a=1',)]


def test_what_is_finished_is_skipped_and_the_rest_resumed(pipeline, tmp_path):
    def stop(script, *arguments):
        raise KeyboardInterrupt

    working = pipeline.run
    pipeline.main(['--work-dir', str(tmp_path), '--only', 'first'])
    pipeline.run = stop
    with pytest.raises(KeyboardInterrupt):
        pipeline.main(['--work-dir', str(tmp_path)])
    assert not (tmp_path / 'second.pth').exists()
    pipeline.run = working
    pipeline.main(['--work-dir', str(tmp_path)])
    trained = [call for call in pipeline.calls if call[0] == 'train']
    assert [Path(call[1]).stem for call in trained] == ['first', 'second', 'third']
    assert all('--resume' in call for call in trained)


@pytest.mark.slow
def test_the_weights_can_be_made_again(tmp_path):
    tiny = [
        'train_cfg.max_epochs=1',
        'train_cfg.val_interval=1',
        'default_hooks.checkpoint.interval=1',
        'train_dataloader.batch_size=2',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'train_dataloader.sampler.per_epoch=2',
        'train_dataloader.dataset.world.size=64',
        'val_dataloader.num_workers=0',
        'val_dataloader.persistent_workers=False',
        'val_dataloader.dataset.num_pairs=2',
        'val_dataloader.dataset.world.size=64',
    ]
    out = tmp_path / 'made.safetensors'
    command = ['--work-dir', str(tmp_path), '--out', str(out), '--cfg-options', *tiny]
    module = _load('run')
    # After so few steps, no calibration may fit.
    module.VIEWS = {}
    module.main(command)
    assert 7e6 < out.stat().st_size < 10e6
    pair = np.zeros((2, 64, 64, 3), np.uint8)
    assert SCDInferencer(str(out))(*pair).change.shape == (64, 64)


def test_an_average_lies_between(tmp_path):
    module = _load('average_weights')
    torch.save(dict(a=torch.tensor([0.0, 1.0]).half(), n=torch.tensor(3)), tmp_path / 'first.pth')
    torch.save(
        dict(state_dict=dict(a=torch.tensor([1.0, 1.0]), n=torch.tensor(5))),
        tmp_path / 'second.pth',
    )
    out = tmp_path / 'out.pth'
    module.main([str(tmp_path / 'first.pth'), str(tmp_path / 'second.pth'), str(out)])
    state = torch.load(out, weights_only=True)['state_dict']
    torch.testing.assert_close(state['a'], torch.tensor([0.7, 1.0]))
    assert state['n'] == 3
    torch.save(dict(b=torch.zeros(1)), tmp_path / 'second.pth')
    with pytest.raises(ValueError, match=r"other networks: \['a', 'b', 'n'\]"):
        module.main([str(tmp_path / 'first.pth'), str(tmp_path / 'second.pth'), str(out)])


@pytest.mark.parametrize('name', ['first', 'second', 'third'])
def test_the_configs_are_valid(name):
    cfg = Config.fromfile(FOLDER / 'configs' / f'{name}.py')
    check_config(cfg)
    flagship = Config.fromfile(FOLDER.parents[1] / 'configs' / 'tfinet_lite0_fpn.py')
    for part in ('backbone', 'neck', 'change_head', 'data_preprocessor'):
        assert cfg.model[part] == flagship.model[part]
    # The rate reaches its end with the last step; the third training stops before.
    steps = cfg.train_cfg.max_epochs * cfg.per_epoch
    assert steps == cfg.steps
    assert cfg.get('schedule', steps) == cfg.param_scheduler[1].end - 1
    assert cfg.train_dataloader.sampler.per_epoch == cfg.per_epoch * cfg.train_dataloader.batch_size


def test_the_calibration_has_pairs_that_no_training_has():
    configs = {
        name: Config.fromfile(FOLDER / 'configs' / f'{name}.py')
        for name in ('first', 'second', 'third', 'calibration')
    }
    check_config(configs['calibration'])
    pairs = configs.pop('calibration').val_dataloader.dataset
    fitted = range(pairs.first, pairs.first + pairs.num_pairs)
    for cfg in configs.values():
        sampler, trained = cfg.train_dataloader.sampler, cfg.train_dataloader.dataset
        first = trained.get('first', 0)
        seen = range(first, first + cfg.train_cfg.max_epochs * sampler.per_epoch)
        assert pairs.world.seed == trained.world.seed
        assert seen.stop <= fitted.start or fitted.stop <= seen.start


def test_real_pairs_are_scored_by_half_and_scale(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for part in ('im1', 'im2', 'label1', 'label2', 'A', 'B', 'label'):
        (tmp_path / part).mkdir()
        for name in 'abcd':
            values = rng.integers(0, 256, (40, 48, 3)).astype(np.uint8)
            if part.startswith('label'):
                changed = np.zeros((40, 48), np.uint8)
                changed[:20] = 1
                values = np.array(SECOND.palette, np.uint8)[changed * (5 if part != 'label' else 1)]
                if part == 'label':
                    values = changed * 255
            Image.fromarray(values).save(tmp_path / part / f'{name}.png')
    out = tmp_path / 'scores.json'
    command = [DEFAULT, '--second', str(tmp_path), '--levir', str(tmp_path), '--json', str(out)]
    _load('score_real').main(command)
    scores = json.loads(out.read_text())[DEFAULT]
    assert set(scores) == {
        'SECOND choose', 'SECOND report', 'SECOND all', 'LEVIR x1', 'LEVIR x0.5'
    }  # fmt: skip
    assert 0 <= scores['SECOND all']['change_F1'] <= 100
    assert set(scores['SECOND all']['classes']) == set(SECOND.names)
    assert 'LEVIR x0.5' in capsys.readouterr().out


def test_the_weights_of_the_package_reach_their_bar(second_samples, tmp_path):
    """Score real pairs with the default options of prediction."""
    out = tmp_path / 'scores.json'
    _load('score_real').main([DEFAULT, '--second', str(second_samples), '--json', str(out)])
    scores = json.loads(out.read_text())[DEFAULT]
    for part in ('SECOND report', 'SECOND all'):
        found = {key: scores[part][key] for key in ('change_F1', 'change_IoU', 'Fscd', 'SeK')}
        bar = dict(change_F1=80, change_IoU=65, Fscd=55, SeK=18)
        assert all(found[key] > bar[key] for key in bar), found
