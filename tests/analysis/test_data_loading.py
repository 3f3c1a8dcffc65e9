import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from tfinet_mm.analysis import data_loading
from tfinet_mm.analysis.data_loading import (
    WORKER,
    describe_workers,
    measure_data,
    workers_needed,
)
from tfinet_mm.datasets.synthetic import SyntheticConfig, write_dataset

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def test_data_loading(tmp_path):
    cfg = Config.fromfile(CONFIGS / '_base_/datasets/synthetic.py')
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False, batch_size=2)
    cfg.train_dataloader.dataset.data_root = str(tmp_path / 'train')
    with pytest.raises(FileNotFoundError):
        list(measure_data(cfg, 4))
    write_dataset(tmp_path, 4, 0, SyntheticConfig(size=32))
    threads = torch.get_num_threads()
    single, worker, batches = measure_data(cfg, pairs=8)
    assert single.pairs_per_second == pytest.approx(1000 / single.milliseconds)
    assert worker.setting == WORKER
    assert worker.pairs_per_second == pytest.approx(1000 / worker.milliseconds)
    assert batches.pairs_per_second == pytest.approx(2000 / batches.milliseconds)
    assert 'batch of 2' in batches.setting
    assert torch.get_num_threads() == threads


def test_a_worker_shares_every_tensor():
    sample = SegDataSample()
    sample.set_field(PixelData(data=torch.zeros(1, 2, 2)), 'gt_sem_seg')
    pair = dict(inputs=torch.zeros(6, 2, 2), data_samples=sample, more=[torch.ones(1)])
    data_loading._as_worker([pair], 0)
    assert all(one.is_shared() for one in (pair['inputs'], sample.gt_sem_seg.data))


def test_processor_time_is_measured_not_waiting(monkeypatch):
    def waits(*_):
        time.sleep(0.05)

    assert data_loading._seconds(time.process_time, waits) < 0.04
    assert data_loading._seconds(time.perf_counter, waits) >= 0.05


@pytest.mark.parametrize(
    ('wanted', 'milliseconds', 'workers'), [(1300, 20, 26), (100, 10, 1), (101, 10, 2)]
)
def test_workers_are_the_rate_times_the_time_of_a_pair(wanted, milliseconds, workers):
    assert workers_needed(wanted, milliseconds) == workers


def test_the_sentence(monkeypatch):
    monkeypatch.setattr(os, 'cpu_count', lambda: 9)
    said = describe_workers(200, 20)
    assert said.startswith('200 pairs a second take 4 workers, each on a core of its own')
    assert said.endswith('this machine has 9 cores')
    said = describe_workers(1300, 20)
    assert 'train_dataloader.num_workers=26' in said
    assert 'it loads about 400 pairs a second at most' in said
    monkeypatch.setattr(os, 'cpu_count', lambda: 1)
    assert 'about 50 pairs' in describe_workers(1300, 20)
    assert np.isclose(workers_needed(0.5, 10), 1)
