"""Train, test and predict with change masks and no land cover, and with a mix of both."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from tfinet_mm.checkpoints.reading import load_checkpoint_file

ROOT = Path(__file__).parents[2]
TINY = """
_base_ = {base!r}
norm = dict(type='SyncBN', requires_grad=True)
model = dict(
    backbone=dict(base_channels=8, stem_channels=8, norm_cfg=norm, init_cfg=None),
    neck=dict(in_channels=64),
    semantic_head=dict(
        in_channels=64, blocks=((16,), (8,)), num_classes=1, threshold=0.5,
        loss_decode=dict(class_weight=None)),
    change_head=dict(in_channels=128, blocks=((16,), (8,))),
)
pairs = dict(data_root={data!r})
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(**loader, batch_size=2, dataset=dict(**pairs, window=(64, 64)))
val_dataloader = dict(**loader, batch_size=1, dataset=pairs)
test_dataloader = dict(**loader, batch_size=1, dataset=pairs)
train_cfg = dict(max_epochs=2)
randomness = dict(seed=1)
custom_hooks = [dict(type='tfinet_mm.MeanTeacherHook', warmup=1, by_epoch=False, threshold=0.2)]
"""
# Training pairs with land cover beside those of the base, whose classes they share.
MIXED = """
_base_ = {base!r}
classes = dict(
    semantic_classes=['unchanged', 'water', 'ground', 'low vegetation', 'tree', 'building',
                      'sports field'],
    semantic_palette=[[255, 255, 255], [0, 0, 255], [128, 128, 128], [0, 128, 0], [0, 255, 0],
                      [128, 0, 0], [255, 0, 0]])
model = dict(semantic_head=dict(num_classes=6))
covered = dict(
    type='tfinet_mm.SCDDataset', data_root={data!r}, pipeline={{{{_base_.train_pipeline}}}},
    **classes)
masked = dict(
    type='tfinet_mm.SCDDataset', data_root={masks!r}, ann_file='list/train.txt',
    data_prefix=dict(
        img_path_from='A', img_path_to='B', seg_map_path_from=None, seg_map_path_to=None,
        seg_map_path='label'),
    pipeline={{{{_base_.train_pipeline}}}}, **classes)
train_dataloader = dict(
    dataset=dict(_delete_=True, type='mmengine.ConcatDataset', datasets=[masked, covered]))
held_out = dict(dataset=dict(
    _delete_=True, type='mmengine.ConcatDataset', datasets=[
        {{**covered, 'pipeline': {{{{_base_.test_pipeline}}}}, 'test_mode': True}},
        {{**masked, 'pipeline': {{{{_base_.test_pipeline}}}}, 'test_mode': True}}]))
val_dataloader = held_out
test_dataloader = held_out
train_cfg = dict(max_epochs=1)
val_evaluator = dict(resamples=10)
"""


@pytest.fixture(scope='session')
def masks(tiny, tmp_path_factory):
    """Return a folder of change masks in the layout of WHU-CD, from the tiny data set."""
    folder, source = tmp_path_factory.mktemp('masks'), tiny.parent / 'data/train'
    for name, out in (('im1', 'A'), ('im2', 'B')):
        shutil.copytree(source / name, folder / out)
    (folder / 'label').mkdir()
    names = sorted(path.stem for path in (folder / 'A').iterdir())
    for name in names:
        changed = cv2.imread(str(source / 'label1' / f'{name}.png')) != 255
        mask = changed.any(axis=2).astype(np.uint8) * 255
        cv2.imwrite(str(folder / 'label' / f'{name}.png'), mask)
    (folder / 'list').mkdir()
    for split, listed in (('train', names), ('val', names[:3]), ('test', names[1:])):
        (folder / f'list/{split}.txt').write_text('\n'.join(listed))
    return folder


@pytest.fixture(scope='session')
def change_config(masks):
    """Return a config like that for change masks, with a tiny network."""
    bases = ('models/tfinet_r18', 'datasets/change_masks', 'schedules/schedule_50e')
    base = [str(ROOT / f'configs/_base_/{one}.py') for one in (*bases, 'default_runtime')]
    path = masks / 'change.py'
    path.write_text(TINY.format(base=base, data=str(masks)))
    return path


@pytest.fixture(scope='session')
def mixed_config(masks, change_config, tiny):
    """Return a config of pairs with land cover and pairs without, and a mean teacher."""
    path = masks / 'mixed.py'
    data = str(tiny.parent / 'data/train')
    path.write_text(MIXED.format(base=str(change_config), data=data, masks=str(masks)))
    return path


def weights(folder, epoch, part):
    """Return the weights of a part of the network after an epoch, without statistics."""
    state = load_checkpoint_file(folder / f'epoch_{epoch}.pth')['state_dict']
    return {key: v for key, v in state.items() if key.startswith(part) and 'running' not in key}


def same(one, other):
    return all(torch.equal(value, other[key]) for key, value in one.items())


def change_iou(maps, masks, names):
    """Return the IoU of change of written maps, in percent."""
    found, true = (
        np.stack([cv2.imread(str(root / f'{name}.png'), cv2.IMREAD_UNCHANGED) for name in names])
        for root in (maps / 'label1', masks / 'label')
    )
    found = found.any(axis=-1) if found.ndim == 4 else found > 0
    return 100 * (found & (true > 0)).sum() / (found | (true > 0)).sum()


def test_change_is_trained_scored_and_predicted_from_masks_alone(
    change_config, masks, run, tools, tmp_path
):
    out = run(tools / 'train.py', change_config, '--work-dir', tmp_path / 'work')
    assert 'Land cover is not annotated in any training pair: only change is trained' in out
    assert 'save_best=Score: no validation pair has annotated land cover' in out
    assert 'MeanTeacherHook labels land cover, which no training pair has' in out
    assert 'semantic_from' not in out
    assert 'pseudo_share' not in out
    assert 'change.loss_bce' in out
    (best,) = (tmp_path / 'work').glob('best_change_IoU_epoch_*.pth')
    assert load_checkpoint_file(best)['meta']['trained_roles'] == ['change']
    for part, equal in (('semantic_head', True), ('change_head', False), ('backbone', False)):
        first, second = (weights(tmp_path / 'work', epoch, part) for epoch in (1, 2))
        assert first
        assert same(first, second) == equal

    options = ('--json', tmp_path / 'scores.json', '--out', tmp_path / 'maps')
    # A threshold at which change is certainly found.
    options += ('--report', tmp_path / 'r.html', '--show-dir', tmp_path / 'pictures')
    options += ('--cfg-options', 'model.test_cfg.threshold=0.3')
    out = run(tools / 'test.py', change_config, best, *options)
    assert 'Only change is scored: no pair has annotated land cover' in out
    report = json.loads((tmp_path / 'scores.json').read_text())
    names = (masks / 'list/test.txt').read_text().split()
    iou = change_iou(tmp_path / 'maps', masks, names)
    assert report['scores']['change/IoU'] == pytest.approx(iou)
    assert report['num_samples'] == len(names) == 3
    assert 'IoU of change' in (tmp_path / 'r.html').read_text()


def test_networks_of_several_classes_predict_one(change_config, masks, run, tools, tmp_path):
    options = ['train_cfg.max_epochs=1', 'model.semantic_head.num_classes=6']
    # As a user has it who starts from the config of another data set.
    table = (
        "semantic_classes=['none','a','b','c','d','e','f']",
        'semantic_palette=[[0,0,0],[1,0,0],[2,0,0],[3,0,0],[4,0,0],[5,0,0],[6,0,0]]',
    )
    for part in ('train', 'val', 'test'):
        options += [f'{part}_dataloader.dataset.{one}' for one in table]
    work = tmp_path / 'work'
    run(tools / 'train.py', change_config, '--work-dir', work, '--cfg-options', *options)
    checkpoint = work / 'epoch_1.pth'
    # A threshold at which some pixels change.
    options += ['model.test_cfg.threshold=0.3']
    tested = ('--out', tmp_path / 'tested', '--cfg-options', *options)
    out = run(tools / 'test.py', change_config, checkpoint, *tested)
    assert 'trained on change alone: its land cover is untrained' in out
    written = sorted((tmp_path / 'tested/label1').iterdir())
    assert len(written) == 3
    for path in written:
        change = cv2.imread(str(tmp_path / 'tested/change' / path.name), cv2.IMREAD_GRAYSCALE)
        for date in ('label1', 'label2'):
            with Image.open(tmp_path / 'tested' / date / path.name) as image:
                np.testing.assert_array_equal(np.asarray(image), change // 255)
                assert image.getpalette()[:6] == [0, 0, 0, 255, 255, 255]
    run(tools / 'export_weights.py', checkpoint, tmp_path / 'w.safetensors')
    for number, network in enumerate((checkpoint, tmp_path / 'w.safetensors')):
        out = run(
            *(tools / 'predict.py', network, masks / 'A', masks / 'B', '--threshold', 0.3),
            *('--out', tmp_path / f'maps{number}'),
        )
        assert "what changed is the one class 'changed'" in out
    both = [sorted((tmp_path / f'maps{number}/label1').iterdir()) for number in (0, 1)]
    assert len(both[0]) == 4
    for one, other in zip(*both, strict=True):
        assert set(np.unique(cv2.imread(str(one)))) <= {0, 255}
        assert one.name == other.name


def test_pairs_with_land_cover_and_without_train_together(mixed_config, run, tools, tmp_path):
    out = run(tools / 'train.py', mixed_config, '--work-dir', tmp_path / 'work')
    assert 'Land cover is annotated in 4 of 8 training pairs' in out
    assert '4 of 8 pairs have annotated land cover' in out
    assert 'semantic_from.loss_ce' in out
    assert 'pseudo_share' in out  # the teacher labels unchanged pixels of both
    assert 'nan' not in out.lower().replace('nanosecond', '')
    assert list((tmp_path / 'work').glob('best_Score_*.pth'))
    assert 'trained_roles' not in load_checkpoint_file(tmp_path / 'work/epoch_1.pth')['meta']


@pytest.mark.slow
@pytest.mark.parametrize('mixed', [False, True])
def test_two_ranks(mixed, change_config, mixed_config, run, tools, tmp_path):
    """Neither rank waits for the head without gradients, or for a batch with land cover."""
    config = mixed_config if mixed else change_config
    # Batches of one pair, so that some have no land cover at all.
    options = ['train_cfg.max_epochs=2', 'train_dataloader.batch_size=1']
    options += ['train_dataloader.sampler.shuffle=False'] if mixed else []
    words = ('--work-dir', tmp_path / 'work', '--cfg-options', *options)
    out = run(tools / 'dist_train.sh', config, 2, *words)
    assert ('semantic_from.loss_ce' in out) == mixed
    checkpoint = tmp_path / 'work/epoch_2.pth'
    one = run(tools / 'test.py', config, checkpoint, '--json', tmp_path / 'one.json')
    run(tools / 'dist_test.sh', config, checkpoint, 2, '--json', tmp_path / 'two.json')
    scores = [json.loads((tmp_path / f'{name}.json').read_text()) for name in ('one', 'two')]
    assert scores[0] == scores[1]
    assert ('SeK' in scores[0]['scores']) == mixed
    assert one
    first, second = (weights(tmp_path / 'work', epoch, 'semantic_head') for epoch in (1, 2))
    assert same(first, second) != mixed


CASE = ROOT.parent / 'shared/cases/06-change-mask-only'


@pytest.mark.slow
@pytest.mark.skipif(not CASE.exists(), reason='needs the collected cases')
def test_the_case_of_masks_in_a_config_with_land_cover(run, tools, load_tool, tmp_path):
    environment = {'CASE_DIR': str(tmp_path), 'PWD': str(ROOT)}
    data = tmp_path / CASE.name
    run(CASE / 'make_input.py', data)
    run(
        *(tools / 'train.py', CASE / 'config.py', '--work-dir', tmp_path / 'work', '--cfg-options'),
        *('train_cfg.max_epochs=1', 'train_cfg.val_interval=1'),
        env=environment,
    )
    out = run(
        *(tools / 'test.py', CASE / 'config.py', tmp_path / 'work/epoch_1.pth'), env=environment
    )
    assert 'Only change is scored' in out
    out = run(*(tools / 'check_dataset.py', CASE / 'config.py', '--split', 'test'), env=environment)
    assert 'scores change alone' in out
