"""Test that the weights of the package are complete, small and ready to predict."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from tfinet_mm.apis import SCDInferencer
from tfinet_mm.apis.command import main as predict
from tfinet_mm.calibration import for_views
from tfinet_mm.checkpoints.addresses import read_checkpoint
from tfinet_mm.checkpoints.calibrated import checkpoint_calibrations
from tfinet_mm.checkpoints.shipped import DEFAULT, FOLDER, shipped_names
from tfinet_mm.models.detectors.augmentation import view_names
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import ClassTable
from tfinet_mm.visualization import write_png

FILE = FOLDER / f'{DEFAULT}.safetensors'

if not FILE.is_file():
    pytest.skip(f'{FILE} is not in this checkout', allow_module_level=True)


@pytest.fixture(scope='module')
def head():
    with safetensors.safe_open(FILE, 'pt') as file:
        return file.metadata()


def test_every_file_has_a_card():
    assert DEFAULT in shipped_names()
    for name in shipped_names():
        assert (FOLDER / f'{name}.safetensors').stat().st_size < 10_000_000
        assert (FOLDER / f'{name}.md').read_text(encoding='utf-8').startswith('# ')


def test_they_are_stored_in_half_precision():
    with safetensors.safe_open(FILE, 'pt') as file:
        kinds = {key: file.get_tensor(key).dtype for key in file.keys()}  # noqa: SIM118
    for key, kind in kinds.items():
        assert kind == (torch.int64 if 'num_batches_tracked' in key else torch.float16), key
    assert not any(key.startswith('auxiliary') for key in kinds)


def test_the_head_is_complete(head):
    assert head['license'] == 'Apache-2.0'
    assert head['tfinet_mm_format'] == '1'
    assert set(head) >= {'tfinet_mm_version', 'config', 'dataset_meta', 'training', 'sha256'}
    table = ClassTable.from_metainfo(json.loads(head['dataset_meta']))
    config = json.loads(head['config'])
    assert config['model']['semantic_head']['num_classes'] == table.num_classes
    assert config['window'] >= 128
    assert {'mean', 'std'} <= set(config['model']['data_preprocessor'])


def test_the_network_is_filled_strictly(head):
    cfg = Config(json.loads(head['config']))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    model.load_state_dict(read_checkpoint(DEFAULT)['state_dict'], strict=True)


def test_two_pictures_are_enough(tmp_path, monkeypatch, capsys):
    """Predict in an empty folder, without configs."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ('before.png', 'after.png'):
        write_png(tmp_path / name, rng.integers(0, 256, (96, 128, 3)).astype(np.uint8))
    predict(['before.png', 'after.png', '--out', 'maps'])
    assert f'using the weights {DEFAULT}' in capsys.readouterr().out
    found = SCDInferencer()('before.png', 'after.png')
    assert found.change_prob.shape == (96, 128)
    assert (tmp_path / 'maps' / 'label1' / 'before.png').is_file()


def test_the_command_says_what_it_uses_and_little_else(tmp_path):
    rng = np.random.default_rng(0)
    for name in ('before.png', 'after.png'):
        write_png(tmp_path / name, rng.integers(0, 256, (64, 64, 3)).astype(np.uint8))
    tool = Path(__file__).parents[1] / 'tools' / 'predict.py'
    command = [sys.executable, tool, 'before.png', 'after.png', '--out', 'maps']
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = [line for line in printed.stdout.splitlines() if line]
    assert lines[0] == f'No config or checkpoint was given: using the weights {DEFAULT}'
    assert 'the mean of 3 views (identity x 0.5, identity, identity x 2)' in lines[2]
    assert len(lines) == 4


@pytest.fixture(scope='module')
def calibrations():
    return checkpoint_calibrations(DEFAULT)


@pytest.mark.parametrize('tta', [False, None, True])
def test_each_way_to_predict_is_calibrated(calibrations, tta):
    """Without views, with those of the weights, and with all."""
    made = SCDInferencer(DEFAULT, tta=tta)
    found = for_views(calibrations, view_names(*made.views))
    assert found is not None
    # A temperature, so that maps at the threshold of 0.5 stay the same.
    assert (found.method, found.bias) == ('temperature', 0)
    assert found.origin['pairs'] == 96


def test_the_calibration_moves_no_map(calibrations):
    pair = np.random.default_rng(0).integers(0, 256, (2, 96, 128, 3)).astype(np.uint8)
    made, plain = SCDInferencer()(*pair), SCDInferencer(calibration=False)(*pair)
    (scale,) = {one.scale for one in calibrations if len(one.views) == 3}
    assert scale > 1.2
    odds, right = (np.log(one.change_prob / (1 - one.change_prob)) for one in (made, plain))
    np.testing.assert_allclose(odds, scale * right, atol=1e-4)
    np.testing.assert_array_equal(made.change, plain.change)
    np.testing.assert_array_equal(made.land_cover_from, plain.land_cover_from)


def test_p_changed_of_real_pairs_is_near_the_share_that_changed(second_samples):
    """No pair of this kind was trained on, or calibrated on."""
    errors = []
    for calibration in (False, True):
        network = SCDInferencer(calibration=calibration)
        found, right = [], []
        for path in sorted((second_samples / 'im1').iterdir()):
            images = [second_samples / part / path.name for part in ('im1', 'im2')]
            label = np.array(Image.open(second_samples / 'label1' / path.name).convert('RGB'))
            found.append(network(*map(str, images)).change_prob.ravel())
            right.append((label != 255).any(-1).ravel())
        found, right = np.concatenate(found), np.concatenate(right)
        place = np.minimum((found * 15).astype(int), 14)
        pixels = np.bincount(place, minlength=15)
        gaps = np.bincount(place, found, 15) - np.bincount(place, right, 15)
        errors.append(100 * np.abs(gaps).sum() / pixels.sum())
    assert errors[0] > 6
    assert errors[1] < 4
