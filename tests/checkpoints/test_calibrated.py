"""Test that calibrations are written into checkpoints that otherwise stay as they are."""

import json

import pytest
import safetensors.torch
import torch

from tfinet_mm.calibration import Calibration
from tfinet_mm.checkpoints.calibrated import (
    check_calibrated_file,
    checkpoint_calibrations,
    write_calibrated,
)
from tfinet_mm.checkpoints.reading import load_checkpoint_file
from tfinet_mm.checkpoints.weight_files import write_weight_file
from tfinet_mm.errors import CalibrationError
from tfinet_mm.structures import SECOND

HALF = Calibration('temperature', scale=0.5, origin=dict(pairs=3, keys=[7]))
WEIGHTS = {'a.weight': torch.arange(4.0), 'a.count': torch.tensor(3)}


def test_a_checkpoint_keeps_everything(tmp_path):
    stored = dict(
        meta=dict(epoch=3, cfg='model = 1'),
        state_dict=WEIGHTS,
        optimizer=dict(state={0: dict(step=torch.tensor(5.0))}),
        message_hub=dict(log_scalars={}),
    )
    torch.save(stored, tmp_path / 'a.pth')
    out = tmp_path / 'b.pth'
    check_calibrated_file(out, tmp_path / 'a.pth')
    write_calibrated(out, tmp_path / 'a.pth', [HALF])
    found = load_checkpoint_file(out)
    assert found['meta'].pop('change_calibrations') == [HALF.record()]
    assert found['meta'] == stored['meta']
    assert found.keys() == stored.keys()
    assert torch.equal(found['state_dict']['a.weight'], WEIGHTS['a.weight'])
    assert found['optimizer']['state'][0]['step'] == 5
    assert checkpoint_calibrations(out) == (HALF,)
    assert checkpoint_calibrations(tmp_path / 'a.pth') == ()


def test_a_plain_state_dict_gets_a_meta(tmp_path):
    torch.save(WEIGHTS, tmp_path / 'a.pth')
    write_calibrated(tmp_path / 'b.pth', tmp_path / 'a.pth', [HALF])
    assert checkpoint_calibrations(tmp_path / 'b.pth') == (HALF,)
    assert load_checkpoint_file(tmp_path / 'b.pth')['state_dict'].keys() == WEIGHTS.keys()


def test_a_file_of_weights_keeps_its_tensors_and_facts(tmp_path):
    source, out = tmp_path / 'a.safetensors', tmp_path / 'b.safetensors'
    config = dict(model=dict(type='x'), window=64)
    write_weight_file(source, WEIGHTS, config, SECOND, dict(epoch=2), 'float16', 'Apache-2.0')
    check_calibrated_file(out, source)
    write_calibrated(out, source, [HALF])
    assert checkpoint_calibrations(out) == (HALF,)
    before, after = load_checkpoint_file(source), load_checkpoint_file(out)
    del after['meta']['change_calibrations']
    assert after['meta'] == before['meta']
    first, second = (safetensors.torch.load_file(path) for path in (source, out))
    assert {k: (v.dtype, v.tolist()) for k, v in first.items()} == {
        k: (v.dtype, v.tolist()) for k, v in second.items()
    }
    # Later calibrations replace those of the file.
    write_calibrated(tmp_path / 'c.safetensors', out, [])
    assert checkpoint_calibrations(tmp_path / 'c.safetensors') == ()


def test_json_holds_the_calibrations_alone(tmp_path):
    for checkpoint in (None, tmp_path / 'a.pth'):
        out = tmp_path / f'{checkpoint is None}.json'
        check_calibrated_file(out, checkpoint)
        write_calibrated(out, checkpoint, [HALF])
        assert json.loads(out.read_text()) == [HALF.record()]
    assert checkpoint_calibrations(None) == ()


@pytest.mark.parametrize(
    ('out', 'checkpoint', 'said'),
    [
        ('b.safetensors', 'a.pth', r'ends in \.json or \.pth, got b\.safetensors'),
        ('b.pth', 'a.safetensors', r'ends in \.json or \.safetensors, got b\.pth'),
        ('b.pth', None, r'of an ensemble ends in \.json, got b\.pth'),
    ],
)
def test_another_suffix_is_refused(out, checkpoint, said):
    with pytest.raises(CalibrationError, match=said):
        check_calibrated_file(out, checkpoint)


def test_a_file_that_is_there_is_refused(tmp_path):
    (tmp_path / 'b.pth').touch()
    with pytest.raises(FileExistsError, match='choose another name'):
        check_calibrated_file(tmp_path / 'b.pth', 'a.pth')
