"""Test a training on written pseudo labels, and one that makes them itself."""

import re

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from tfinet_mm.checkpoints.reading import load_checkpoint_file
from tfinet_mm.engine.options import use_pseudo_labels
from tfinet_mm.registry import DATASETS, MODELS
from tfinet_mm.structures import SECOND

RETRAIN = """
_base_ = {base!r}
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(
        type='tfinet_mm.LoadPseudoLabels', data_root='elsewhere', min_confidence={least},
        weight='confidence'),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='tfinet_mm.PackPairInputs'),
]))
train_cfg = dict(max_epochs=1)
"""

TEACHER = """
_base_ = {base!r}
custom_hooks = [dict(type='tfinet_mm.MeanTeacherHook', warmup=1, threshold=0.0, weight=0.5)]
"""


@pytest.fixture
def checkpoint(tiny, tmp_path):
    """Return an untrained network, surer of its classes than usual."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(Config.fromfile(tiny).model)
    torch.nn.init.normal_(model.semantic_head.conv_seg.weight, std=30)
    path = tmp_path / 'member.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=SECOND.metainfo())), path)
    return path


def test_re_training_reads_what_was_written(tools, run, tiny, checkpoint, tmp_path):
    pseudo = tmp_path / 'pseudo labels'
    options = ('--method', 'soft', '--threshold', '0.2', '--confidence', '--out', pseudo)
    run(tools / 'pseudo_label.py', tiny, checkpoint, *options)

    # A threshold leaves out about half of the written labels; annotated pixels have 255.
    stored = np.stack([np.array(Image.open(path)) for path in (pseudo / 'confidence1').iterdir()])
    least = float(np.median(stored[(stored > 0) & (stored < 255)])) / 255
    config = tmp_path / 're train.py'
    config.write_text(RETRAIN.format(base=str(tiny), least=least))
    cfg = Config.fromfile(config)
    use_pseudo_labels(cfg, pseudo)
    # Each pair without random transforms.
    pipeline = [step for step in cfg.train_dataloader.dataset.pipeline if 'Random' not in step.type]
    with DefaultScope.overwrite_default_scope('mmseg'):
        dataset = DATASETS.build({**cfg.train_dataloader.dataset, 'pipeline': pipeline})
    filled = below = 0
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        for number, date in enumerate(('from', 'to'), 1):
            name = f'{sample.sample_id}.png'
            label = np.array(Image.open(sample.get(f'seg_map_path_{date}')))
            guess = np.array(Image.open(pseudo / f'label{number}' / name))
            sure = np.array(Image.open(pseudo / f'confidence{number}' / name)) / np.float32(255)
            here = (label == 0) & (guess > 0) & (sure >= np.float32(least))
            expected = np.where(here, guess, label).astype(np.uint8) - np.uint8(1)
            assert np.array_equal(sample.get(f'gt_sem_seg_{date}').data[0].numpy(), expected)
            weight = np.where(here, sure, label > 0)
            assert np.allclose(sample.get(f'gt_weight_{date}').data[0].numpy(), weight, atol=1e-6)
            filled += int(here.sum())
            below += int(((label == 0) & (guess > 0) & ~here).sum())
    assert min(filled, below) > 100
    options = ('--work-dir', tmp_path / 'work', '--pseudo-labels', pseudo)
    output = run(tools / 'train.py', config, *options)
    assert 'Epoch(train) [1][2/2]' in output
    assert 'semantic_to.loss_ce' in output


@pytest.mark.slow
def test_a_mean_teacher_on_two_ranks_and_resumed_on_one(tools, run, tiny, tmp_path):
    config = tmp_path / 'teacher.py'
    config.write_text(TEACHER.format(base=str(tiny)))
    work = tmp_path / 'work'
    output = run(tools / 'dist_train.sh', config, 2, '--work-dir', work)
    shares = re.findall(r'Epoch\(train\) \[(\d)\].*pseudo_share: (\d\.\d+)', output)
    assert [epoch for epoch, _ in shares] == ['2']
    assert float(shares[0][1]) == 1
    assert int(load_checkpoint_file(work / 'epoch_2.pth')['mean_teacher']['steps']) == 2
    options = ('--cfg-options', 'train_cfg.max_epochs=3')
    output = run(tools / 'train.py', config, '--work-dir', work, '--resume', *options)
    assert 'mean teacher' not in output
    assert int(load_checkpoint_file(work / 'epoch_3.pth')['mean_teacher']['steps']) == 4
