"""Test the script that measures networks on a GPU, here on the CPU."""

import json

import pytest
import torch
from study import load_study


@pytest.fixture
def gpu(monkeypatch):
    module = load_study('speed/gpu.py')
    monkeypatch.setattr(module, 'SECONDS_A_ROW', 0)
    return module


SMALL = ['--batch-size', '2', '--size', '64', '--peak-side', '32']
LITE = 'pyramid on Lite0'


def test_rows_of_a_network(gpu, tmp_path, capsys):
    out = tmp_path / 'found.json'
    settings = ['float32 strict, channels first', 'training']
    gpu.main(['--networks', LITE, '--settings', *settings, *SMALL, '--out', str(out)])
    found = json.loads(out.read_text())
    inference, training = found['rows']
    # configs/README.md has 21.2 for 512 x 512; a step of training takes three times that.
    assert inference['gflop'] * 64 == pytest.approx(21.2, rel=0.02)
    assert training['gflop'] == 3 * inference['gflop']
    peak = found['peaks']['strict']
    assert inference['limit'] == pytest.approx(1000 * peak / inference['gflop'])
    assert inference['pairs_per_second'] > 0
    assert inference['waits'] is None
    printed = capsys.readouterr().out
    assert f'| {LITE} | training |' in printed
    assert 'No time was left' not in printed


def test_without_time_rows_are_named(gpu, capsys):
    gpu.main(['--networks', LITE, '--settings', 'float32', *SMALL, '--seconds', '0'])
    assert f'No time was left for: {LITE}, float32' in capsys.readouterr().out


def test_a_row_by_hand(gpu):
    row = gpu.Row('net', 'bf16', 500.0, 2000.0, 1.25, 16.0, 0.0, 362.7)
    line = gpu.table([row]).splitlines()[-1]
    assert line == '| net | bf16 | 500 | 2000 | 25% | 1.2 | 16.0 | 0.0 |'


def test_tf32_is_as_before_afterwards(gpu):
    before = torch.backends.cudnn.allow_tf32
    with gpu.tf32(False):
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == before


def test_every_network_has_a_config(gpu):
    assert all((gpu.ROOT / config).is_file() for config in gpu.NETWORKS.values())
