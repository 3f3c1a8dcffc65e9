import re
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tfinet_mm.engine.hooks import CheckpointCheckHook, checkpoint_check
from tfinet_mm.errors import CheckpointMismatchError, NotFiniteWeightsError


def _model(width=4, names=('backbone', 'head')):
    return nn.ModuleDict({name: nn.Sequential(nn.Conv2d(3, width, 1)) for name in names})


def _run(model, stored, stage, resume=False, key='state_dict'):
    hook = CheckpointCheckHook()
    runner = SimpleNamespace(model=model, _resume=resume)
    hook.after_load_checkpoint(runner, {key: stored} if key else stored)
    getattr(hook, stage)(runner)


@pytest.mark.parametrize('key', ['state_dict', None])
@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('stage', ['before_test', 'before_val', 'before_train'])
def test_weights_that_fit(stage, prefix, key):
    stored = {f'{prefix}{name}': value for name, value in _model().state_dict().items()}
    _run(_model(), stored, stage, key=key)


@pytest.mark.parametrize('stage', ['before_test', 'before_val'])
@pytest.mark.parametrize(
    ('stored', 'message'),
    [
        (_model(names=('backbone',)), r'2 missing: head\.0\.weight, head\.0\.bias\.'),
        (_model(names=('backbone', 'head', 'neck')), r'does not have: neck\.0\.weight, neck'),
        (_model(width=5), r'backbone\.0\.weight is \(5, 3, 1, 1\), expected \(4, 3, 1, 1\)'),
    ],
)
def test_weights_that_do_not_fit(stored, message, stage, monkeypatch):
    said = []
    monkeypatch.setattr(checkpoint_check, 'print_log', lambda text, **kwargs: said.append(text))
    with pytest.raises(CheckpointMismatchError, match=message):
        _run(_model(), stored.state_dict(), stage)
    _run(_model(), stored.state_dict(), 'before_train')
    assert len(said) == 1
    assert re.search(message, said[0])
    with pytest.raises(CheckpointMismatchError, match=message):
        _run(_model(), stored.state_dict(), 'before_train', resume=True)


@pytest.mark.parametrize('names', [('backbone', 'auxiliary_heads'), ('backbone',)])
def test_auxiliary_heads_matter_in_training_only(names):
    other = ('backbone',) if len(names) == 2 else ('backbone', 'auxiliary_heads')
    stored = _model(names=names).state_dict()
    _run(_model(names=other), stored, 'before_test')
    with pytest.raises(CheckpointMismatchError, match='auxiliary_heads'):
        _run(_model(names=other), stored, 'before_train', resume=True)


def test_counters_of_batch_norm_may_be_missing():
    stored = nn.BatchNorm2d(2).state_dict()
    del stored['num_batches_tracked']
    _run(nn.BatchNorm2d(2), stored, 'before_test')


def test_names_that_a_module_translates():
    class Renamed(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, *arguments):
            state_dict[f'{prefix}weight'] = state_dict.pop(f'{prefix}old')
            super()._load_from_state_dict(state_dict, prefix, *arguments)

    _run(Renamed(2, 2, bias=False), {'old': torch.ones(2, 2)}, 'before_test')


def test_weights_that_are_not_finite_whatever_the_runner():
    stored = _model().state_dict()
    stored['head.0.bias'][0] = float('nan')
    with pytest.raises(NotFiniteWeightsError, match=r'head\.0\.bias hold NaN'):
        _run(_model(), stored, 'before_train')
