"""Test the example beside torchgeo's task, where torchgeo is installed."""

import json
import runpy
from pathlib import Path

import pytest

from tfinet_mm.datasets.synthetic import SyntheticConfig, write_dataset

pytest.importorskip('torchgeo.trainers')

RUN = Path(__file__).parents[2] / 'projects' / 'torchgeo' / 'run.py'


def test_each_network_trains_and_is_scored(tmp_path, capsys):
    data, out = tmp_path / 'data', tmp_path / 'found.json'
    write_dataset(data, 8, 2, SyntheticConfig(size=64))
    example = runpy.run_path(str(RUN))
    example['main']([str(data), '--steps', '2', '--batch-size', '4', '--json', str(out)])
    found = json.loads(out.read_text())
    assert len(found) == 3
    assert all(0 <= row['f1'] <= 1 for row in found.values())
    # Weights that were trained on such pairs find most of the change after two steps.
    assert found['pyramid on Lite0, weights of the package']['iou'] > 0.3
    assert capsys.readouterr().out.count('\n|') >= 4
