"""Change configs by the options of the tools."""

import pytest
from mmengine.config import Config

from tfinet_mm.engine.options import set_hook, use_pseudo_labels, use_split, write_scores
from tfinet_mm.errors import ConfigError


@pytest.fixture
def detector():
    return Config(
        dict(
            model=dict(type='tfinet_mm.SemanticChangeDetector'),
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1)),
        )
    )


def test_unknown_values(detector):
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


@pytest.mark.parametrize('kind', ['LoadPseudoLabels', 'tfinet_mm.LoadPseudoLabels'])
def test_pseudo_labels_of_another_folder(kind):
    """Also within wrappers of a data set; other keys stay."""
    loader = dict(type=kind, data_root='elsewhere', weight=0.5)
    parts = [dict(pipeline=[dict(type='A')]), dict(pipeline=[dict(type='B'), loader])]
    cfg = Config(dict(train_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=parts))))
    use_pseudo_labels(cfg, "it's, (here")
    found = cfg.train_dataloader.dataset.datasets[1].pipeline[1]
    assert found == dict(type=kind, data_root="it's, (here", weight=0.5)


@pytest.mark.parametrize('number', [0, 2])
def test_pseudo_labels_that_a_config_does_not_read(number):
    pipeline = [dict(type='tfinet_mm.LoadPseudoLabels', data_root='a')] * number
    cfg = Config(dict(train_dataloader=dict(dataset=dict(pipeline=pipeline))))
    with pytest.raises(ConfigError, match=f'has {number} tfinet_mm.LoadPseudoLabels'):
        use_pseudo_labels(cfg, 'b')
