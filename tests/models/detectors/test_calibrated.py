"""Test that models calibrate P(changed) last, for the views that they average."""

import json
import logging

import pytest
import torch
from mmengine import Config

from tfinet_mm.calibration import Calibration, logits, views_key
from tfinet_mm.errors import CalibrationError
from tfinet_mm.models import SCDTTAModel
from tfinet_mm.models.members import load_member
from tfinet_mm.registry import MODELS
from tfinet_mm.utils import device

HALF = Calibration('platt', scale=0.5, bias=0.3)
FLIPS = ('identity', 'horizontal_flip')


@pytest.fixture
def calibrated(save_member):
    """A function that loads a member whose checkpoint has calibrations."""

    def load(*calibrations, **options):
        member = save_member('one', 'fcn', **options)
        stored = torch.load(member['checkpoint'], weights_only=True)
        if calibrations:
            stored['meta']['change_calibrations'] = [one.record() for one in calibrations]
        torch.save(stored, member['checkpoint'])
        return load_member(member['config'], member['checkpoint']).model

    return load


def change(model, batch, field='pred_change_prob'):
    with torch.no_grad():
        samples = model.test_step({'inputs': [one.clone() for one in batch['inputs']]})
    return torch.stack([sample.get(field).data for sample in samples])


def by_hand(probability, scale=0.5, bias=0.3):
    return torch.sigmoid(scale * logits(probability) + bias)


def test_a_checkpoint_calibrates_its_detector(calibrated, raw_batch):
    plain = calibrated()
    model = calibrated(HALF)
    before, after = change(plain, raw_batch), change(model, raw_batch)
    torch.testing.assert_close(after, by_hand(before))
    assert not torch.allclose(after, before, atol=0.01)
    # The threshold applies to the calibrated probability.
    assert torch.equal(change(model, raw_batch, 'pred_sem_seg'), (after >= 0.5).to(torch.uint8))
    assert not torch.equal(after >= 0.5, before >= 0.5)
    for field in ('pred_land_cover_from', 'pred_prob_to'):
        assert torch.equal(change(model, raw_batch, field), change(plain, raw_batch, field))
    model.test_cfg['calibration'] = False
    assert torch.equal(change(model, raw_batch), before)


def test_the_option_of_the_config(calibrated, raw_batch):
    off = calibrated(HALF, test_cfg=dict(calibration=False))
    assert torch.equal(change(off, raw_batch), change(calibrated(), raw_batch))
    with pytest.raises(ValueError, match=r'test_cfg\.calibration is True.* for ensembles'):
        calibrated(test_cfg=dict(calibration='file.json'))


def test_a_mean_over_views_is_calibrated_once(calibrated, raw_batch):
    turned = Calibration('temperature', views_key(FLIPS), 2.0)
    plain, model = calibrated(), calibrated(HALF, turned)
    mean = change(SCDTTAModel(plain, FLIPS), raw_batch)
    found = change(SCDTTAModel(model, FLIPS), raw_batch)
    torch.testing.assert_close(found, by_hand(mean, 2.0, 0.0))
    tested = SCDTTAModel(model, FLIPS)
    tested.active = False
    assert torch.equal(change(tested, raw_batch), change(model, raw_batch))


def test_other_views_are_not_calibrated_and_the_log_says_so(
    calibrated, raw_batch, monkeypatch, caplog
):
    monkeypatch.setattr(device, '_said', set())
    told = []
    monkeypatch.setattr(device, 'print_log', lambda text, **more: told.append((text, more)))
    found = change(SCDTTAModel(calibrated(HALF), FLIPS), raw_batch)
    assert torch.equal(found, change(SCDTTAModel(calibrated(), FLIPS), raw_batch))
    ((text, more),) = told
    assert 'fitted for the views identity, these are identity + horizontal_flip' in text
    assert more['level'] == logging.WARNING


def test_probabilities_to_be_averaged_are_as_predicted(calibrated, raw_batch):
    inputs = torch.stack(raw_batch['inputs']).float() / 100
    with torch.no_grad():
        raw = [one.predict_probabilities(inputs).change for one in (calibrated(), calibrated(HALF))]
    assert torch.equal(*raw)


def test_an_ensemble_has_a_calibration_of_its_own(save_member, raw_batch, tmp_path):
    members = [save_member('a', 'fcn', seed=1), save_member('b', 'psp', seed=2)]
    stored = torch.load(members[0]['checkpoint'], weights_only=True)
    own = Calibration('temperature', scale=9.0)
    stored['meta']['change_calibrations'] = [own.record()]
    torch.save(stored, members[0]['checkpoint'])
    file = tmp_path / 'mean.json'
    file.write_text(json.dumps([HALF.record()]))

    def build(**more):
        model = dict(type='tfinet_mm.SCDEnsemble', members=members, **more)
        return MODELS.build(Config(dict(model=model)).model)

    plain, calibrated = build(), build(test_cfg=dict(calibration=str(file)))
    torch.testing.assert_close(change(calibrated, raw_batch), by_hand(change(plain, raw_batch)))
    off = build(test_cfg=dict(calibration=False))
    assert torch.equal(change(off, raw_batch), change(plain, raw_batch))
    with pytest.raises(FileNotFoundError, match=r'--calibrated FILE\.json'):
        build(test_cfg=dict(calibration='nowhere.json'))
    file.write_text('{')
    with pytest.raises(CalibrationError, match='no JSON'):
        build(test_cfg=dict(calibration=str(file)))


def test_a_wrong_calibration_names_the_checkpoint(save_member):
    member = save_member('one')
    stored = torch.load(member['checkpoint'], weights_only=True)
    stored['meta']['change_calibrations'] = [
        dict(method='temperature', views=['identity'], scale=-1)
    ]
    torch.save(stored, member['checkpoint'])
    with pytest.raises(CalibrationError, match=r'one\.pth holds a calibration'):
        load_member(member['config'], member['checkpoint'])
