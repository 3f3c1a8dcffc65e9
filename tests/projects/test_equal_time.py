import json

import pytest
from mmengine import Config

from tfinet_mm.analysis.equal_time import (
    Speed,
    combine,
    format_comparison,
    keep_speed,
    measured_speed,
    measurements,
    read_scores,
    with_steps,
)
from tfinet_mm.errors import ManifestError


def _setting(**changes):
    return Config(
        dict(
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=1000),
            param_scheduler=[
                dict(type='LinearLR', begin=0, end=50, by_epoch=False),
                dict(type='PolyLR', begin=50, end=1000, by_epoch=False),
            ],
            optim_wrapper=dict(optimizer=dict(lr=1e-3)),
            model=dict(autocast='bfloat16'),
            **changes,
        )
    )


def _network():
    return Config(
        dict(
            model=dict(type='Net', backbone=dict(type='ResNet', init_cfg=dict(type='Pretrained'))),
            optim_wrapper=dict(optimizer=dict(lr=5.0)),
        )
    )


def test_only_the_model_comes_from_the_network():
    network = _network()
    cfg = combine(network, _setting())
    assert cfg.optim_wrapper.optimizer.lr == 1e-3
    assert cfg.model.type == 'Net'
    assert cfg.model.autocast == 'bfloat16'
    assert cfg.model.backbone.init_cfg is None
    # The config that was read is not changed.
    assert network.model.backbone.init_cfg == dict(type='Pretrained')


def test_pretrained_weights_stay_where_asked_for():
    cfg = combine(_network(), _setting(), pretrained=True)
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained')


def test_a_setting_by_epochs_is_refused():
    setting = Config(dict(train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=3)))
    with pytest.raises(ValueError, match='IterBasedTrainLoop'):
        combine(_network(), setting)


def test_the_schedule_ends_with_the_training_and_the_warm_up_keeps_its_length():
    cfg = with_steps(combine(_network(), _setting()), 333)
    assert cfg.train_cfg.max_iters == 333
    assert [scheduler.end for scheduler in cfg.param_scheduler] == [50, 333]


def test_steps_fill_the_time():
    assert Speed(seconds=0.1, pairs=8, parameters=1, gflop=1.0).steps(0.3) == 3
    assert Speed(seconds=0.4, pairs=8, parameters=1, gflop=1.0).steps(1.0) == 2
    assert Speed(seconds=4.0, pairs=8, parameters=1, gflop=1.0).steps(1.0) == 1


SPEED = Speed(seconds=0.25, pairs=8, parameters=10, gflop=1.5)


def test_speeds_are_read_as_written(tmp_path):
    manifest = measurements(tmp_path / 'deeper')
    cfg = combine(_network(), _setting())
    assert measured_speed(manifest, 'net', cfg, 1) is None
    keep_speed(manifest, 'net', cfg, SPEED)
    keep_speed(manifest, 'other', cfg, SPEED)
    assert measured_speed(manifest, 'net', cfg, 1) == SPEED
    found = json.loads((tmp_path / 'deeper' / 'speeds.json').read_text())
    assert list(found) == ['net', 'other']
    assert found['net']['seconds'] == 0.25
    assert found['net']['config']['optim_wrapper']['optimizer'] == dict(lr=1e-3)


def test_a_speed_may_be_written_by_hand(tmp_path):
    manifest = measurements(tmp_path)
    cfg = combine(_network(), _setting())
    manifest.write(dict(net=dict(seconds=0.25, pairs=8, parameters=10, gflop=1.5)))
    assert measured_speed(manifest, 'net', cfg, 1) == SPEED
    # An earlier version kept the config in a file of its own.
    (tmp_path / 'net.py').touch()
    with pytest.raises(ManifestError, match=r'earlier version.*another --work-dir'):
        measured_speed(manifest, 'net', cfg, 1)


def test_the_table_shows_mean_and_spread():
    runs = [dict(Score=s, SeK=10.0, mIoU=50.0, Fscd=40.0) for s in (30.0, 32.0, 34.0)]
    speed = Speed(seconds=0.5, pairs=8, parameters=12_345_678, gflop=63.58)
    lines = format_comparison({'net': speed}, 60, {'net': runs}).splitlines()
    assert lines[0].startswith('| network | parameters (M) | GFLOP |')
    assert lines[2] == (
        '| net | 12.35 | 63.6 | 16.0 | 120 | 32.00 ± 2.00 | 10.00 ± 0.00 | 50.00 ± 0.00 '
        '| 40.00 ± 0.00 |'
    )


def test_measurements_belong_to_one_setting(tmp_path):
    manifest = measurements(tmp_path)
    keep_speed(manifest, 'net', combine(_network(), _setting()), SPEED)
    faster = _setting()
    faster.optim_wrapper.optimizer.lr = 0.25
    said = r'net\.config\.optim_wrapper\.optimizer\.lr was 0\.001, is 0\.25\. Choose .*--work-dir'
    with pytest.raises(ManifestError, match=said):
        measured_speed(manifest, 'net', combine(_network(), faster), 1)
    with pytest.raises(ManifestError, match=r'net\.threads was 1, is 2'):
        measured_speed(manifest, 'net', combine(_network(), _setting()), 2)
    # Another network of the same folder.
    assert measured_speed(manifest, 'other', combine(_network(), faster), 2) is None


@pytest.mark.parametrize('content', ['', '{"net": {"sec', '[]'])
def test_files_that_a_full_disk_cut_off(tmp_path, content):
    path = tmp_path / 'speeds.json'
    path.write_text(content)
    with pytest.raises(ManifestError, match=r'speeds\.json is not what .*another --work-dir'):
        measured_speed(measurements(tmp_path), 'net', combine(_network(), _setting()), 1)
    assert read_scores(path) is None
    assert read_scores(tmp_path / 'none.json') is None
    path.write_text('{"scores": {"SeK": 1.5}, "confusion": []}')
    assert read_scores(path) == dict(SeK=1.5)
