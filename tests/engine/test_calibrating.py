"""Test what is said of thresholds after a calibration."""

import logging

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger

from tfinet_mm.calibration import NODES, Calibration
from tfinet_mm.engine.calibrating import PREDICTED, _option, _same_maps, _warn_of_worse
from tfinet_mm.evaluation.reliability import ChangeHistogram


def test_thresholds_are_rounded_down():
    """Rounded up, 0.99985 would leave out most of the pixels above it."""
    assert _option(0.5) == '0.5'
    for value in (0.99984976, 1 / 3, 0.45150905847549, 1.1253517e-07, 1 - 1.1e-7):
        assert 0 <= value - float(_option(value)) < 1e-6 * value


def test_maps_that_change_are_not_said_to_stay():
    probability = torch.linspace(0, 1, 1001, dtype=torch.float64)[None]
    pixels = ChangeHistogram.from_maps(probability, (probability > 0.7).long())
    logit = np.linspace(-16, 16, NODES)
    p = 1 / (1 + np.exp(-logit))
    flat = Calibration('isotonic', values=tuple(np.where((p > 0.4) & (p < 0.6), 0.5, p).tolist()))
    text = _same_maps(flat, pixels, 0.55)
    # Of the pixels, those from 0.4 to 0.55 become changed.
    assert 'the function is flat there, so 15 % of the pixels become changed' in text
    assert text.endswith('with --threshold 0.5')
    text = _same_maps(Calibration('platt', scale=2.0, bias=-1.0), pixels, 0.5)
    assert text.endswith('is 0.2689414 now: maps stay the same with --threshold 0.2689414')


@pytest.mark.parametrize('errors', [(5.0, 6.0, 4.0), (5.0, 6.0), (5.0, 4.0, 6.0), (5.0, 5.0)])
def test_a_calibration_that_does_not_help_is_named(caplog, monkeypatch, errors):
    """The error of other pairs decides, and that of the same pairs if there are no others."""
    logger = MMLogger.get_instance('calibrating')
    monkeypatch.setattr(MMLogger, 'get_current_instance', classmethod(lambda cls: logger))
    monkeypatch.setattr(logger, 'handlers', [caplog.handler])
    names = (PREDICTED, 'calibrated on other pairs', 'calibrated on the same pairs')
    series = {name: dict(ECE=error / 100) for name, error in zip(names, errors, strict=False)}
    with caplog.at_level(logging.WARNING, 'calibrating'):
        _warn_of_worse('temperature', series)
    if errors[1] > errors[0]:
        assert 'on other pairs is 6.00 %, as predicted it is 5.00 %' in caplog.text
        assert 'try platt or isotonic' in caplog.text
    else:
        assert not caplog.text
