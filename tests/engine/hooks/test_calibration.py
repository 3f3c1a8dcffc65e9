"""Test when a test, and no training, gets the calibrations of a checkpoint."""

from types import SimpleNamespace

import pytest
from torch import nn

from tfinet_mm.calibration import Calibration
from tfinet_mm.engine.hooks import CalibrationHook
from tfinet_mm.errors import CalibrationError

HALF = Calibration('temperature', scale=0.5)


def runner():
    model = nn.Identity()
    model.calibrations = ()
    return SimpleNamespace(model=model, _load_from='network.pth')


def checkpoint(*records):
    return dict(meta=dict(change_calibrations=list(records)), state_dict={})


def test_a_test_gets_them():
    hook, run = CalibrationHook(), runner()
    hook.after_load_checkpoint(run, checkpoint(HALF.record()))
    assert run.model.calibrations == ()
    hook.before_test(run)
    assert run.model.calibrations == (HALF,)


def test_a_training_and_a_test_after_it_do_not(monkeypatch):
    said = []
    monkeypatch.setattr(
        'tfinet_mm.engine.hooks.calibration.print_log',
        lambda text, logger, level: said.append(text),
    )
    hook, run = CalibrationHook(), runner()
    hook.before_train(run)
    assert said == []
    hook.after_load_checkpoint(run, checkpoint(HALF.record()))
    hook.before_train(run)
    assert 'in network.pth is left out, since the weights change' in said[0]
    hook.before_test(run)
    assert run.model.calibrations == ()


def test_without_any_those_of_the_model_stay():
    """Such as those of an ensemble, which has no checkpoint."""
    hook, run = CalibrationHook(), runner()
    run.model.calibrations = (HALF,)
    hook.before_test(run)
    assert run.model.calibrations == (HALF,)


def test_a_wrong_one_names_the_checkpoint():
    with pytest.raises(CalibrationError, match=r'network\.pth holds'):
        CalibrationHook().after_load_checkpoint(runner(), checkpoint(dict(method='x', views=['a'])))


def test_a_second_test_has_the_calibrations_of_its_own_checkpoint():
    hook, run = CalibrationHook(), runner()
    hook.after_load_checkpoint(run, checkpoint(HALF.record()))
    hook.before_test(run)
    hook.after_load_checkpoint(run, dict(meta={}))
    hook.before_test(run)
    assert run.model.calibrations == ()


def test_validation_in_a_training_after_a_test_is_not_calibrated():
    hook, run = CalibrationHook(), runner()
    hook.after_load_checkpoint(run, checkpoint(HALF.record()))
    hook.before_test(run)
    hook.before_train(run)
    assert run.model.calibrations == ()
