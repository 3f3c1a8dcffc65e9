"""Test what is said of thresholds after a calibration."""

import numpy as np
import torch

from tfinet_mm.calibration import NODES, Calibration
from tfinet_mm.engine.calibrating import _option, _same_maps
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
