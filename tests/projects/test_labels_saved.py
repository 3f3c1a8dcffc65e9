"""Test the study of labelled pairs that the weights of the package save."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from tfinet_mm.utils.config.check import check_config

SCRIPT = Path(__file__).parents[2] / 'projects' / 'labels_saved' / 'run.py'


@pytest.fixture(scope='module')
def study():
    spec = importlib.util.spec_from_file_location('labels_saved_run', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ('start', 'backbone', 'weights'),
    [
        ('scratch', None, None),
        ('imagenet', 'efficientnet_lite0', None),
        ('generated', 'efficientnet_lite0', 'tfinet_lite0_fpn_generated'),
    ],
)
def test_a_training_begins_with_the_weights_of_its_name(study, start, backbone, weights):
    cfg = study.setting(start, 'tfinet_mm.SyntheticSCDDataset', 'a/train', 'a/val')
    check_config(cfg)
    init = cfg.model.backbone.init_cfg
    assert (init and init.checkpoint) == backbone
    assert cfg.load_from == weights
    assert cfg.val_dataloader.dataset.data_root == 'a/val'


def test_each_real_pair_is_left_out_once(study, tmp_path):
    (tmp_path / 'im1').mkdir()
    for name in 'abc':
        (tmp_path / 'im1' / f'{name}.png').touch()
    args = study.parse_args(['second', '--data', str(tmp_path), '--starts', 'imagenet'])
    runs = dict(study.second(args))
    assert list(runs) == ['0_imagenet', '1_imagenet', '2_imagenet']
    middle = runs['1_imagenet']
    assert middle.train_dataloader.dataset.indices == [0, 2]
    assert middle.val_dataloader.dataset.indices == [1]
    assert middle.train_cfg.max_iters == 60


def test_scores_are_those_of_the_summed_counts(study, tmp_path, capsys):
    # 3 of 4 changed pixels are found, and one too many: F1 is 6 / 8, unlike the mean of the pairs.
    for name, change in (('0', [[5, 1], [0, 3]]), ('1', [[4, 0], [1, 0]])):
        scd = np.diag([4, 0, 0, 0, 0, 0, 0]).tolist()
        path = tmp_path / f'{name}_imagenet.json'
        path.write_text(json.dumps(dict(confusion=dict(scd=scd, change=change))))
    study.table(tmp_path)
    assert 'change F1 75.0' in capsys.readouterr().out
