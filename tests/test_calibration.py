"""Test calibrations of P(changed) as functions and as records."""

import json
import math

import pytest
import torch

from tfinet_mm.calibration import (
    LOGIT_LIMIT,
    NODES,
    Calibration,
    calibrations_of,
    for_views,
    replaced,
    views_key,
)
from tfinet_mm.errors import CalibrationError

RISING = tuple((i / (NODES - 1)) ** 2 for i in range(NODES))


def test_values_by_hand():
    """The logit of 0.9 is ln 9: halved, it is ln 3, which is 0.75."""
    half = Calibration('temperature', scale=0.5)
    assert half(torch.tensor([0.9, 0.5, 0.1])).tolist() == pytest.approx([0.75, 0.5, 0.25])
    moved = Calibration('platt', scale=0.5, bias=-math.log(3))
    assert moved(torch.tensor([0.9])).tolist() == pytest.approx([0.5])


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize(
    'calibration',
    [
        Calibration('temperature', scale=3.0),
        Calibration('platt', scale=0.2, bias=2.0),
        Calibration('isotonic', values=RISING),
    ],
    ids=lambda one: one.method,
)
def test_functions_never_fall_and_keep_shape_and_type(calibration, dtype):
    grid = torch.linspace(0, 1, 4001, dtype=dtype).reshape(1, 1, 1, -1)
    found = calibration(grid)
    assert found.dtype == dtype
    assert found.shape == grid.shape
    assert bool(((found >= 0) & (found <= 1)).all())
    assert bool((found.diff() >= -1e-6).all())
    given = calibration(grid, calibration.table(grid))
    assert torch.equal(found, given)


def test_isotonic_values_are_met_and_lie_between():
    calibration = Calibration('isotonic', values=RISING)
    z = torch.linspace(-LOGIT_LIMIT, LOGIT_LIMIT, NODES, dtype=torch.float64)
    found = calibration(torch.sigmoid(z))
    assert found[20:-20].tolist() == pytest.approx(RISING[20:-20], abs=1e-6)
    between = calibration(torch.sigmoid((z[300:301] + z[301:302]) / 2))
    assert between.item() == pytest.approx((RISING[300] + RISING[301]) / 2, abs=1e-9)


@pytest.mark.parametrize(
    'calibration',
    [Calibration('platt', ('b', 'a'), 2.0, -1.0, origin=dict(pairs=3, keys=[1])),
     Calibration('isotonic', values=RISING)],
    ids=lambda one: one.method,
)  # fmt: skip
def test_records_survive_json(calibration):
    again = json.loads(json.dumps([calibration.record()]))
    assert calibrations_of(again, 'a.json') == (calibration,)
    short = json.dumps(calibration.summary())
    assert len(short) < 300
    assert 'origin' not in short


def test_summaries_differ_with_the_values():
    one, other = Calibration('isotonic', values=RISING), Calibration('isotonic', values=RISING[::1])
    assert one.summary() == other.summary()
    changed = Calibration('isotonic', values=(*RISING[:-1], 1.0 - 1e-9))
    assert changed.summary() != one.summary()


@pytest.mark.parametrize(
    ('record', 'said'),
    [
        ('temperature', 'expected a dictionary'),
        (dict(method='temperature'), 'needs a method and views'),
        (dict(method='beta', views=['identity']), "got 'beta'"),
        (dict(method='temperature', views=[]), 'names the views'),
        (dict(method='temperature', views=['identity'], scale=0), 'scale above 0'),
        (dict(method='platt', views=['identity'], bias='1'), 'both numbers'),
        (dict(method='platt', views=['identity'], bias=float('nan')), 'both numbers'),
        (dict(method='isotonic', views=['identity'], values=[0, 1]), f'has {NODES} values'),
        (dict(method='isotonic', views=['identity'], values=RISING[::-1]), 'never fall'),
        (dict(method='platt', views=['identity'], origin=3), 'expected a dictionary'),
    ],
    ids=str,
)
def test_wrong_records_are_refused(record, said):
    with pytest.raises(CalibrationError, match=said) as caught:
        Calibration.from_record(record, 'network.pth')
    assert 'network.pth' in str(caught.value)


def test_no_list_is_refused():
    with pytest.raises(CalibrationError, match='a dict, expected a list'):
        calibrations_of({}, 'a.json')


def test_each_has_its_views():
    plain = Calibration('temperature', scale=0.5)
    turned = Calibration('temperature', views_key(['rotation_90', 'identity']), 0.7)
    both = (plain, turned)
    assert for_views(both, ['identity']) == plain
    assert for_views(both, []) == plain
    assert for_views(both, ['identity', 'rotation_90']) == turned
    assert for_views(both, ['rotation_90']) is None
    new = Calibration('platt', scale=2.0)
    assert replaced(both, new) == (turned, new)
