"""The scripts that made the weights of the package."""

import importlib
import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from tfinet_mm.checkpoints.shipped import DEFAULT
from tfinet_mm.structures import SECOND
from tfinet_mm.utils.config.check import check_config

FOLDER = Path(__file__).parents[2] / 'projects' / 'pretrain'


def _load(name):
    spec = importlib.util.spec_from_file_location(f'pretrain_{name}', FOLDER / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def timed(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER.parents[1]))
    return importlib.import_module('projects.pretrain.timed_schedule').TimedScheduleHook


def test_the_rate_follows_the_clock(timed, monkeypatch):
    now = [100.0]
    monkeypatch.setattr('time.monotonic', lambda: now[0])
    groups = [dict(lr=2.0), dict(lr=0.5)]
    runner = SimpleNamespace(optim_wrapper=SimpleNamespace(param_groups=groups))
    hook = timed(seconds=100, warmup=0.1)
    hook.before_train(runner)
    rates = []
    for second in (5, 10, 55, 91, 150):
        now[0] = 100.0 + second
        hook.before_train_iter(runner, 0)
        rates.append((groups[0]['lr'], groups[1]['lr']))
    # Half of the way up, the top, half of the way down, a tenth, and never quite 0.
    expected = [0.5, 1, 0.5, 0.1, 1e-3]
    np.testing.assert_allclose(rates, [(2 * part, part / 2) for part in expected], rtol=1e-6)


def test_the_averaged_weights_are_kept_and_the_training_stops(timed, monkeypatch, tmp_path):
    now = [0.0]
    monkeypatch.setattr('time.monotonic', lambda: now[0])
    averaged = SimpleNamespace(ema_model=SimpleNamespace(module=torch.nn.Linear(2, 3)))
    loop = SimpleNamespace(stop_training=False)
    runner = SimpleNamespace(hooks=[averaged], train_loop=loop, model=None)
    hook = timed(seconds=10, out=str(tmp_path))
    hook.before_train(runner)
    hook.after_train_epoch(runner)
    assert not loop.stop_training
    kept = torch.load(tmp_path / 'weights.pth', weights_only=True)
    assert torch.equal(kept['weight'], averaged.ema_model.module.weight.detach().half())
    now[0] = 10.0
    hook.after_train_epoch(runner)
    assert loop.stop_training


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


@pytest.mark.parametrize('name', ['', '_timed', '_more'])
def test_the_configs_are_valid(name, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER.parents[1]))
    cfg = Config.fromfile(FOLDER / f'tfinet_lite0_fpn_generated{name}.py')
    check_config(cfg)
    flagship = Config.fromfile(FOLDER.parents[1] / 'configs' / 'tfinet_lite0_fpn.py')
    for part in ('backbone', 'neck', 'change_head', 'data_preprocessor'):
        assert cfg.model[part] == flagship.model[part]


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
