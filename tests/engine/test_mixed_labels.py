"""Train a small network on pairs of every kind of labels in one batch."""

import json

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from tfinet_mm.engine.runner import build_runner
from tfinet_mm.errors import ConfigError

SIDE = 32
NAMES = ('a', 'b')
TABLE = dict(
    semantic_classes=['unchanged', 'water', 'forest', 'built'],
    semantic_palette=[[255, 255, 255], [0, 0, 255], [0, 128, 0], [128, 0, 0]],
    label_storage='index',
)
NONE = dict(seg_map_path_from=None, seg_map_path_to=None)
COVERS = dict(seg_map_path_from='cover1', seg_map_path_to='cover2')
LAND = dict(label_semantics='land_cover')
KINDS = {
    'from-to': dict(),
    'land cover': dict(data_prefix=COVERS, change_storage='difference', **LAND),
    'masks': dict(data_prefix=NONE | dict(seg_map_path='mask')),
    'one date': dict(
        data_prefix=COVERS | dict(seg_map_path_to=None), change_storage='unknown', **LAND
    ),
    'nothing': dict(data_prefix=NONE, change_storage='unknown'),
}
HEAD = dict(type='mmseg.FCNHead', in_channels=64, in_index=3, channels=8, num_convs=1)
MODEL = dict(
    type='tfinet_mm.SemanticChangeDetector',
    data_preprocessor=dict(type='tfinet_mm.PairDataPreprocessor', mean=[99] * 3, std=[50] * 3),
    backbone=dict(type='mmseg.ResNet', depth=18, base_channels=8, norm_cfg=dict(type='BN')),
    neck=dict(type='tfinet_mm.AbsoluteDifference'),
    semantic_head=dict(**HEAD, num_classes=3, loss_decode=dict(type='tfinet_mm.SemanticCELoss')),
    change_head=dict(
        **HEAD, num_classes=1, threshold=0.5, loss_decode=dict(type='tfinet_mm.ChangeBCELoss')
    ),
    check_normalisation=False,
)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('mixed')
    rng = np.random.default_rng(0)
    for name in NAMES:
        covers = [
            np.kron(rng.integers(1, 4, (4, 4)), np.ones((8, 8))).astype(np.uint8) for _ in range(2)
        ]
        changed = covers[0] != covers[1]
        written = dict(cover1=covers[0], cover2=covers[1], mask=changed.astype(np.uint8) * 255)
        for date in (1, 2):
            written[f'im{date}'] = rng.integers(0, 255, (SIDE, SIDE, 3)).astype(np.uint8)
            written[f'label{date}'] = covers[date - 1] * changed
        for folder, array in written.items():
            (root / folder).mkdir(exist_ok=True)
            Image.fromarray(array).save(root / folder / f'{name}.png')
    return root


def config(root, work, kinds, hooks=()):
    load = [dict(type='tfinet_mm.LoadImagePair'), dict(type='tfinet_mm.LoadPairAnnotations')]
    pack = [dict(type='tfinet_mm.RandomFlipOrRotate'), dict(type='tfinet_mm.PackPairInputs')]
    parts = [
        dict(type='tfinet_mm.SCDDataset', **TABLE, **KINDS[kind], pipeline=load + pack)
        for kind in kinds
    ]
    parts.append(
        dict(
            type='tfinet_mm.SingleDateDataset',
            data_prefix=dict(img_path='im1', seg_map_path='cover1'),
            redraw=True,
            pipeline=[dict(type='tfinet_mm.LoadMadePair', area=(0.01, 0.5)), *pack],
            **TABLE,
        )
    )
    for one in parts:
        one['data_root'] = str(root)
    return Config(
        dict(
            model=MODEL,
            work_dir=str(work),
            default_scope='mmseg',
            train_dataloader=dict(
                batch_size=6,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=True),
                dataset=dict(type='ConcatDataset', datasets=parts),
            ),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            train_cfg=dict(by_epoch=True, max_epochs=2),
            default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
            custom_hooks=list(hooks),
            log_level='ERROR',
            randomness=dict(seed=0),
            experiment_name=work.name,
        )
    )


TEACHER = dict(type='tfinet_mm.MeanTeacherHook', warmup=1, threshold=0.0, change_threshold=0.5001)


def test_every_kind_of_labels_trains_in_one_batch(root, tmp_path):
    runner = build_runner(config(root, tmp_path, KINDS, [TEACHER]))
    before = {name: one.clone() for name, one in runner.model.named_parameters()}
    runner.train()
    assert runner.model.trained_roles == ('land_cover', 'change')
    moved = [name for name, one in runner.model.named_parameters() if (one != before[name]).any()]
    assert {name.split('.')[0] for name in moved} == {'backbone', 'semantic_head', 'change_head'}
    (path,) = tmp_path.glob('*/vis_data/scalars.json')
    logged = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(logged) == 4
    assert all(np.isfinite(one['loss']) for one in logged)
    pixels = SIDE * SIDE
    # Before the teacher labels, twelve pairs have two of each kind; two batches make an epoch.
    first = logged[:2]
    assert sum(one['labelled.change'] for one in first) <= 8 * pixels
    assert sum(one['labelled.from'] for one in first) > sum(one['labelled.to'] for one in first)
    later = sum(one['labelled.change'] for one in logged[2:])
    assert later > sum(one['labelled.change'] for one in first)


def test_the_teacher_labels_change_beside_change_masks_alone(root, tmp_path):
    made = config(root, tmp_path, ['masks', 'nothing'], [TEACHER])
    made.train_dataloader.dataset.datasets.pop()
    runner = build_runner(made)
    runner.train()
    assert runner.model.trained_roles == ('change',)
    (path,) = tmp_path.glob('*/vis_data/scalars.json')
    first, later = (json.loads(line) for line in path.read_text().splitlines())
    # Two of four pairs have masks; after the warm-up, nearly every pixel of the others is labelled.
    assert first['labelled.change'] == 2 * SIDE * SIDE
    assert later['labelled.change'] > 2.5 * SIDE * SIDE
    assert set(first) & {'labelled.from', 'labelled.to'} == set()


def test_pairs_without_labels_are_refused_without_a_teacher(root, tmp_path):
    with pytest.raises(ConfigError, match='nothing makes any'):
        build_runner(config(root, tmp_path, ['from-to', 'nothing'])).train()
