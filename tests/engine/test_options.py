"""What the tools' options do to a config."""

import pytest
import torch
from mmengine.config import Config

from tfinet_mm.engine.options import (
    existing_checkpoint,
    load_config,
    network_bands,
    set_hook,
    use_amp,
    use_split,
    write_scores,
)


@pytest.fixture
def detector():
    return Config(
        dict(
            model=dict(type='tfinet_mm.SemanticChangeDetector'),
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1)),
        )
    )


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)


def test_bfloat16_is_the_models_own_matter(detector, no_gpu):
    use_amp(detector, 'bfloat16', train=True)
    assert detector.model.autocast == 'bfloat16'
    assert detector.optim_wrapper.type == 'OptimWrapper'


def test_float16_scales_the_loss_in_training(detector, gpu):
    use_amp(detector, 'float16', train=True)
    assert detector.model.autocast == 'float16'
    wrapper = detector.optim_wrapper
    assert (wrapper.type, wrapper.loss_scale, wrapper.dtype) == (
        'AmpOptimWrapper',
        'dynamic',
        'float16',
    )


def test_float16_in_testing_scales_nothing(detector, no_gpu):
    use_amp(detector, 'float16', train=False)
    assert detector.model.autocast == 'float16'
    assert detector.optim_wrapper.type == 'OptimWrapper'


def test_float16_training_without_gpu(detector, no_gpu):
    with pytest.raises(ValueError, match='--amp bfloat16'):
        use_amp(detector, 'float16', train=True)


def test_the_model_inside_a_tta_model(detector):
    cfg = Config(dict(model=dict(type='SegTTAModel', module=detector.model)))
    use_amp(cfg, 'bfloat16', train=False)
    assert cfg.model.module.autocast == 'bfloat16'


def test_models_that_do_not_cast_themselves(gpu):
    cfg = Config(
        dict(
            model=dict(type='mmseg.EncoderDecoder'),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1)),
        )
    )
    with pytest.raises(ValueError, match='no argument "autocast"'):
        use_amp(cfg, 'bfloat16', train=False)
    use_amp(cfg, 'bfloat16', train=True)
    assert 'autocast' not in cfg.model
    assert (cfg.optim_wrapper.type, cfg.optim_wrapper.dtype) == ('AmpOptimWrapper', 'bfloat16')
    cfg.optim_wrapper.type = 'OptimWrapperDict'
    with pytest.raises(ValueError, match='OptimWrapperDict'):
        use_amp(cfg, 'bfloat16', train=True)


def test_unknown_values(detector):
    with pytest.raises(ValueError, match='int8'):
        use_amp(detector, 'int8', train=True)
    with pytest.raises(ValueError, match='train'):
        use_split(detector, 'train')
    with pytest.raises(ValueError, match='no val_dataloader'):
        use_split(detector, 'val')


def test_the_validation_part_as_test(tmp_path):
    cfg = Config(
        dict(
            val_dataloader=dict(dataset=dict(type='V')),
            val_evaluator=dict(type='tfinet_mm.SCDMetric'),
            test_dataloader=dict(dataset=dict(type='T')),
            test_evaluator=dict(type='IoUMetric'),
        )
    )
    use_split(cfg, 'val')
    assert cfg.test_dataloader.dataset.type == 'V'
    assert cfg.test_cfg.type == 'TestLoop'
    write_scores(cfg, tmp_path / 's.json')
    assert cfg.test_evaluator.out_file == str(tmp_path / 's.json')
    assert 'out_file' not in cfg.val_evaluator


def test_scores_of_several_evaluators(tmp_path):
    cfg = Config(dict(test_evaluator=[dict(type='IoUMetric'), dict(type='tfinet_mm.SCDMetric')]))
    write_scores(cfg, 's.json')
    assert [one.get('out_file') for one in cfg.test_evaluator] == [None, 's.json']
    with pytest.raises(ValueError, match='IoUMetric'):
        write_scores(Config(dict(test_evaluator=dict(type='IoUMetric'))), 's.json')


def test_hooks_are_changed_where_they_are_and_added_where_not():
    cfg = Config(
        dict(
            default_hooks=dict(a=dict(type='A', x=1), off=None),
            custom_hooks=[dict(type='B', y=1)],
        )
    )
    set_hook(cfg, 'A', x=2)
    set_hook(cfg, 'B', z=3)
    set_hook(cfg, 'C', w=4)
    assert cfg.default_hooks.a == dict(type='A', x=2)
    assert cfg.custom_hooks == [dict(type='B', y=1, z=3), dict(type='C', w=4)]
    bare = Config(dict())
    set_hook(bare, 'C', w=4)
    assert bare.custom_hooks == [dict(type='C', w=4)]


def test_configs_are_read_with_what_the_command_line_says(tmp_path):
    path = tmp_path / 'my config.py'
    path.write_text('a = dict(b=1, c=2)\n')
    cfg = load_config(path, {'a.b': 5})
    assert cfg.a == dict(b=5, c=2)
    assert cfg.work_dir == 'work_dirs/my config'
    assert load_config(path, None, tmp_path).work_dir == str(tmp_path)
    path.write_text('work_dir = "there"\n')
    assert load_config(path).work_dir == 'there'
    with pytest.raises(FileNotFoundError, match='nowhere'):
        load_config(tmp_path / 'nowhere.py')


def test_checkpoints_are_looked_for_and_addresses_are_not(tmp_path):
    path = str(tmp_path / 'x.pth')
    with pytest.raises(FileNotFoundError, match=r'x\.pth'):
        existing_checkpoint(path)
    (tmp_path / 'x.pth').touch()
    assert existing_checkpoint(path) == path
    assert existing_checkpoint('open-mmlab://x') == 'open-mmlab://x'


def test_bands_of_a_network(detector):
    assert network_bands(detector) == 3
    five = dict(type='tfinet_mm.SemanticChangeDetector', backbone=dict(in_channels=5))
    assert network_bands(Config(dict(model=five))) == 5
    assert network_bands(Config(dict(model=dict(type='tfinet_mm.SCDTTAModel', module=five)))) == 5
    member = dict(config=five, checkpoint='x.pth')
    ensemble = dict(type='tfinet_mm.SCDEnsemble', members=[member])
    assert network_bands(Config(dict(model=ensemble))) == 5
    member['cfg_options'] = {'model.backbone.in_channels': 4}
    assert network_bands(Config(dict(model=ensemble))) == 4


def test_sixteen_bits_for_all_members(no_gpu):
    cfg = Config(dict(model=dict(type='tfinet_mm.SCDEnsemble', members=[])))
    use_amp(cfg, 'float16', train=False)
    assert cfg.model.autocast == 'float16'
