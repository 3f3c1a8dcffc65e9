"""Test the parts of the benchmark against known results."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

import tfinet_mm
from tfinet_mm.analysis.benchmark import (
    Measurement,
    build_model,
    format_measurements,
    measure_model,
    synthetic_batch,
)

CONFIGS = Path(tfinet_mm.__file__).parents[1] / 'configs'


@pytest.fixture
def small():
    cfg = Config.fromfile(CONFIGS / 'tfinet_r18.py')
    cfg.model.backbone.update(
        base_channels=8, stem_channels=8, init_cfg=None, norm_cfg=dict(type='SyncBN')
    )
    cfg.model.neck.in_channels = 64
    cfg.model.semantic_head.update(in_channels=64, blocks=((8,),))
    cfg.model.change_head.update(in_channels=128, blocks=((8,),))
    return cfg


def test_a_random_batch_is_what_a_pipeline_packs():
    batch = synthetic_batch(2, (8, 10), bands=4, num_classes=3)
    assert [(x.shape, x.dtype) for x in batch['inputs']] == [((8, 8, 10), torch.uint8)] * 2
    sample = batch['data_samples'][1]
    assert set(sample.gt_sem_seg.data.unique().tolist()) == {0, 1}
    assert set(sample.gt_sem_seg_to.data.unique().tolist()) == {0, 1, 2}
    assert sample.gt_sem_seg_from.data.shape == (1, 8, 10)
    again = synthetic_batch(2, (8, 10), bands=4, num_classes=3)
    assert torch.equal(again['inputs'][1], batch['inputs'][1])


def test_a_row_of_inference_and_of_training(small):
    rows = [
        measure_model(small, mode, dtype, shape=(32, 64), batch_size=2, repeats=1)
        for mode, dtype in (('inference', 'float32'), ('train', 'bfloat16'))
    ]
    assert [(row.mode, row.setting) for row in rows] == [
        ('inference', 'float32, channels last'),
        ('train', 'bfloat16, channels last'),
    ]
    for row in rows:
        assert row.pairs_per_second == pytest.approx(2 / (row.milliseconds / 1000))
        assert row.peak_mib > 0
    # Three times: forward, gradients of inputs (but not of the first layer) and of weights.
    assert 2.8 < rows[1].gflop / rows[0].gflop < 3
    with pytest.raises(ValueError, match='validate'):
        measure_model(small, 'validate')


def test_auto_is_named_by_what_it_is(small, made_up_cpu, no_gpu):
    for units, dtype in ((True, 'bfloat16'), (False, 'float32')):
        made_up_cpu(units)
        row = measure_model(small, 'inference', 'auto', shape=(32, 32), repeats=1)
        assert row.setting == f'{dtype}, channels last'


def test_float16_trains_with_a_scaled_loss_only(small, no_gpu):
    with pytest.raises(ValueError, match='on GPUs only'):
        measure_model(small, 'train', 'float16', shape=(32, 32), repeats=1)


def test_models_are_built_as_asked(small):
    small.model.autocast = 'float16'
    assert build_model(small).autocast is None
    assert build_model(small, 'bfloat16', channels_last=False).autocast == 'bfloat16'
    assert build_model(small, channels_last=False).channels_last is False
    # The config itself stays as it was.
    assert small.model.autocast == 'float16'
    assert 'channels_last' not in small.model


def test_the_table():
    rows = [
        Measurement('inference', 'float32', 1234.56, 0.81, 100.4, 362.68),
        Measurement('data', 'one process', 7.0, 142.857),
    ]
    assert format_measurements(rows).splitlines() == [
        '| mode      | setting     | ms a step | pairs a second | peak MiB | GFLOP a pair |',
        '| --------- | ----------- | --------: | -------------: | -------: | -----------: |',
        '| inference | float32     |    1234.6 |           0.81 |      100 |        362.7 |',
        '| data      | one process |       7.0 |         142.86 |          |              |',
    ]
