"""Test trainings of two or four epochs in which an averaged network labels unchanged pixels."""

import copy
import json
import logging
import re
from pathlib import Path

import pytest
import torch
from mmengine.dataset import Compose
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.utils.data import Dataset

from tfinet_mm.checkpoints.reading import load_checkpoint_file
from tfinet_mm.errors import LabelValueError
from tfinet_mm.pseudo_labels.mean_teacher import MeanTeacherHook
from tfinet_mm.registry import HOOKS
from tfinet_mm.structures import SECOND

ROOT = Path(__file__).parents[2]

# Eight channels or more: a channels-last 1x1 convolution of four with stride 2 corrupts memory in
# torch 2.13 on processors without AVX-512.
HEAD = {
    'type': 'mmseg.FCNHead',
    'in_channels': 64,
    'channels': 8,
    'num_convs': 1,
    'norm_cfg': {'type': 'BN', 'momentum': 0.7},
    'num_classes': 6,
    'dropout_ratio': 0.3,
    # Surer than networks are after a few steps.
    'init_cfg': {'type': 'Normal', 'std': 2.0, 'override': {'name': 'conv_seg'}},
    'loss_decode': {'type': 'tfinet_mm.SemanticCELoss'},
}
MODEL = {
    'type': 'tfinet_mm.SemanticChangeDetector',
    'data_preprocessor': {'type': 'tfinet_mm.PairDataPreprocessor'},
    'backbone': {
        'type': 'mmseg.ResNet',
        'depth': 18,
        'base_channels': 8,
        'stem_channels': 8,
        'norm_cfg': {'type': 'BN', 'momentum': 0.7},
        'strides': (1, 2, 1, 1),
        'dilations': (1, 1, 1, 1),
    },
    'neck': {'type': 'tfinet_mm.AbsoluteDifference'},
    'semantic_head': HEAD,
    'change_head': {
        **HEAD,
        'num_classes': 1,
        'threshold': 0.5,
        'loss_decode': {'type': 'tfinet_mm.ChangeBCELoss'},
    },
}
SIZES = ((32, 32), (32, 32), (32, 40), (24, 32))


class Pairs(Dataset):
    """Pairs that are held in memory, where a test can see whether a hook wrote to them."""

    metainfo = SECOND.metainfo()

    def __init__(self, weights=False, drop=None):
        generator = torch.Generator().manual_seed(7)
        self.pairs = []
        for index, size in enumerate(SIZES):
            sample = SegDataSample(metainfo=dict(sample_id=str(index), ori_shape=size))
            change = torch.tensor([0, 0, 1, 255])[
                torch.randint(0, 4, (1, *size), generator=generator)
            ]
            fields = {'gt_sem_seg': change}
            for date in ('from', 'to'):
                cover = torch.randint(0, 6, (1, *size), generator=generator)
                fields[f'gt_sem_seg_{date}'] = torch.where(change == 1, cover, 255)
                if weights:
                    fields[f'gt_weight_{date}'] = (change == 1).float() * 0.5
            for name, values in fields.items():
                if name != drop:
                    sample.set_field(PixelData(data=values), name)
            images = torch.randint(0, 256, (6, *size), generator=generator).to(torch.uint8)
            self.pairs.append(dict(inputs=images, data_samples=sample))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        return self.pairs[index]


class Recorder(Hook):
    """Record the pairs of each batch as the network gets them, the teacher then, and the losses."""

    priority = 'LOW'  # after MeanTeacherHook

    def __init__(self, teacher=None):
        self.batches, self.teachers, self.losses, self.filled = [], [], [], teacher

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.batches.append(data_batch['data_samples'])
        if self.filled is not None:
            self.teachers.append(copy.deepcopy(self.filled.teacher.module))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append({name: float(value) for name, value in outputs.items()})


def train(tmp_path, hook, recorder=None, epochs=2, dataset=None, name='work', **more):
    torch.manual_seed(0)
    options = dict(
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=1),
            logger=dict(type='LoggerHook', interval=1),
        ),
        model=copy.deepcopy(MODEL),
    )
    runner = Runner(
        work_dir=str(tmp_path / name),
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            dataset=dataset or Pairs(),
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate'),
        ),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9)),
        custom_hooks=[one for one in (hook, recorder) if one is not None],
        default_scope='mmseg',
        experiment_name=f'{tmp_path.name}_{name}',
        randomness=dict(seed=3),
        **{**options, **more},
    )
    runner.train()
    return runner


OPTIONS = dict(warmup=1, threshold=0.6, momentum=0.5)


def test_nothing_happens_before_the_warm_up_is_over(tmp_path):
    plain, taught = Recorder(), Recorder()
    train(tmp_path, None, plain, name='plain')
    runner = train(tmp_path, MeanTeacherHook(**OPTIONS), taught, name='taught')
    first = runner.train_dataloader.dataset.pairs[0]['data_samples']
    # An epoch is two batches.
    assert taught.losses[:2] == plain.losses[:2]
    assert taught.losses[2]['semantic_from.loss_ce'] != plain.losses[2]['semantic_from.loss_ce']
    assert taught.losses[2]['change.loss_bce'] == plain.losses[2]['change.loss_bce']
    assert taught.batches[0][0] is first
    assert taught.batches[2][0] is not first


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(max_change_prob=0.5, weight='confidence'),
        dict(transforms=('identity', 'horizontal_flip'), weight=0.5),
        dict(class_thresholds={'water': 0.9, 'tree': 0.0}),
    ],
    ids=lambda options: ', '.join(options) or 'default',
)
def test_labels_are_those_of_the_teacher_where_they_may_be(tmp_path, options):
    """Compare the labels with predictions of each pair alone by the recorded teacher."""
    hook = MeanTeacherHook(**OPTIONS, **options)
    recorder = Recorder(hook)
    runner = train(tmp_path, hook, recorder)
    untouched = Pairs()
    thresholds = [0.6] * 6
    if 'class_thresholds' in options:
        thresholds[0], thresholds[3] = 0.9, 0.0
    for step in (2, 3):
        empty = filled = trust = 0
        model = recorder.teachers[step].eval()
        for position, sample in enumerate(recorder.batches[step]):
            pair = untouched.pairs[2 * (step - 2) + position]
            height, width = pair['inputs'].shape[1:]
            # The second batch has two sizes, the smaller one is padded to (32, 40).
            mean = torch.tensor([123.675, 116.28, 103.53] * 2).view(-1, 1, 1)
            std = torch.tensor([58.395, 57.12, 57.375] * 2).view(-1, 1, 1)
            raw = (pair['inputs'].float() - mean) / std
            side = 32 if step == 2 else 40
            image = torch.zeros(1, 6, 32, side)
            image[0, :, :height, :width] = raw
            with torch.no_grad():
                one = model.predict_probabilities(image)
                maps = [part.double() for part in one]
                if 'transforms' in options:
                    flipped = model.predict_probabilities(image.flip(-1))
                    maps = [
                        (a + b.double().flip(-1)) / 2 for a, b in zip(maps, flipped, strict=True)
                    ]
            both = ((maps[0] + maps[1]) / 2)[0, :, :height, :width]
            confidence, cover = both.max(0)
            sure = confidence >= torch.tensor(thresholds)[cover]
            if 'max_change_prob' in options:
                sure &= maps[2][0, 0, :height, :width] <= 0.5
            old = pair['data_samples']
            for date in ('from', 'to'):
                label = old.get(f'gt_sem_seg_{date}').data[0]
                gap = (old.gt_sem_seg.data[0] == 0) & (label == 255)
                expected = torch.where(gap & sure, cover, label)
                assert torch.equal(sample.get(f'gt_sem_seg_{date}').data[0], expected)
                if 'weight' in options:
                    value = confidence if options['weight'] == 'confidence' else 0.5
                    weight = torch.where(gap & sure, value, (label != 255).double())
                    torch.testing.assert_close(
                        sample.get(f'gt_weight_{date}').data[0], weight.float()
                    )
                empty += int(gap.sum())
                filled += int((gap & sure).sum())
                trust += float(confidence[gap].sum())
            assert torch.equal(sample.gt_sem_seg.data, old.gt_sem_seg.data)
        assert filled > 0
    assert filled < empty
    scalars = runner.message_hub.log_scalars
    assert scalars['train/pseudo_share'].current() == pytest.approx(filled / empty)
    assert scalars['train/pseudo_confidence'].current() == pytest.approx(trust / empty, rel=1e-5)
    for pair, same in zip(runner.train_dataloader.dataset.pairs, untouched.pairs, strict=True):
        assert set(pair['data_samples'].keys()) == set(same['data_samples'].keys())
        for name, field in pair['data_samples'].items():
            assert torch.equal(field.data, same['data_samples'].get(name).data)


def test_what_the_log_says(tmp_path):
    runner = train(tmp_path, MeanTeacherHook(**OPTIONS))
    lines = [
        json.loads(line)
        for line in next((tmp_path / 'work').glob('*/vis_data/scalars.json')).open()
    ]
    assert len(lines) == 4
    assert ['pseudo_share' in line for line in lines] == [False, False, True, True]
    assert 0 < lines[-1]['pseudo_share'] <= 1
    assert 1 / 6 <= lines[-1]['pseudo_confidence'] <= 1
    assert 'pseudo_share: ' in next((tmp_path / 'work').glob('*/*.log')).read_text()
    assert runner.iter == 4


def test_weights_that_pairs_have_already(tmp_path):
    recorder = Recorder()
    train(tmp_path, MeanTeacherHook(**OPTIONS), recorder, dataset=Pairs(weights=True))
    for sample in (s for batch in recorder.batches[2:] for s in batch):
        weight, label = sample.gt_weight_to.data, sample.gt_sem_seg_to.data
        changed, unchanged = sample.gt_sem_seg.data == 1, sample.gt_sem_seg.data == 0
        assert (weight[changed] == 0.5).all()
        assert torch.equal(weight[unchanged], (label[unchanged] != 255).float())


def test_the_teacher_follows_every_step(tmp_path):
    """Apply the formula of the average to the weights in the checkpoints."""
    hook = MeanTeacherHook(warmup=3, momentum=0.3)
    train(tmp_path, hook, epochs=4, dataset=Small())
    name = 'semantic_head.conv_seg.weight'
    expected = None
    for t in range(4):
        new = load_checkpoint_file(tmp_path / 'work' / f'epoch_{t + 1}.pth')['state_dict'][name]
        kept = 0.0 if t == 0 else min(0.3, (1 + t) / (10 + t))
        expected = new if expected is None else kept * expected + (1 - kept) * new
    torch.testing.assert_close(hook.teacher.module.state_dict()[name], expected)


class Small(Pairs):
    """Two pairs, one batch an epoch."""

    def __len__(self):
        return 2


@pytest.fixture
def whole(tmp_path):
    """Return the hook and the runner of an uninterrupted training of four epochs."""
    hook = MeanTeacherHook(**OPTIONS)
    return hook, train(tmp_path, hook, epochs=4, name='whole', model=deterministic())


def deterministic():
    """Return a model without dropout, whose random numbers a resumed training draws again."""
    model = copy.deepcopy(MODEL)
    for head in ('semantic_head', 'change_head'):
        model[head]['dropout_ratio'] = 0
    return model


def resume(tmp_path, checkpoint, hook=None, **options):
    hook = hook or MeanTeacherHook(**OPTIONS)
    runner = train(
        tmp_path,
        hook,
        epochs=4,
        name='resumed',
        load_from=str(checkpoint),
        model=deterministic(),
        **{'resume': True, **options},
    )
    return hook, runner


def test_resumed_as_if_never_stopped(whole, tmp_path):
    hook, runner = whole
    again, resumed = resume(tmp_path, tmp_path / 'whole' / 'epoch_2.pth')
    for one, other in (
        (runner.model.state_dict(), resumed.model.state_dict()),
        (hook.teacher.state_dict(), again.teacher.state_dict()),
    ):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert torch.equal(value, other[name]), name
    assert int(again.teacher.steps) == 8


def test_the_teacher_is_no_part_of_the_network(whole, tmp_path):
    hook, runner = whole
    stored = load_checkpoint_file(tmp_path / 'whole' / 'epoch_4.pth')
    assert stored['state_dict'].keys() == runner.model.state_dict().keys()
    assert not any('teacher' in name for name in stored['state_dict'])
    for name, value in hook.teacher.state_dict().items():
        assert torch.equal(stored['mean_teacher'][name], value)
    # Checkpoints without an optimizer, such as the best one, need no teacher.
    runner.save_checkpoint(
        str(tmp_path), 'best.pth', save_optimizer=False, save_param_scheduler=False
    )
    assert 'mean_teacher' not in load_checkpoint_file(tmp_path / 'best.pth')


def test_a_checkpoint_without_a_teacher(whole, tmp_path, caplog):
    path = tmp_path / 'whole' / 'epoch_2.pth'
    checkpoint = load_checkpoint_file(path)
    del checkpoint['mean_teacher']
    torch.save(checkpoint, path)
    seen = []

    class First(Hook):
        priority = 'LOW'

        def before_train(self, runner):
            seen.append(copy.deepcopy(hook.teacher.module.state_dict()))
            seen.append(copy.deepcopy(runner.model.state_dict()))

    hook = MeanTeacherHook(**OPTIONS)
    logger = MMLogger.get_current_instance()
    with caplog.at_level(logging.WARNING, logger=logger.name):
        train_options = dict(load_from=str(path), resume=True, model=deterministic())
        logger.addHandler(caplog.handler)
        train(tmp_path, hook, First(), epochs=4, name='resumed', **train_options)
        logger.removeHandler(caplog.handler)
    for name, value in seen[1].items():
        assert torch.equal(value, seen[0][name])
        assert torch.equal(value, checkpoint['state_dict'][name])
    assert int(hook.teacher.steps) == 4


def test_a_new_training_from_old_weights_takes_no_old_teacher(whole, tmp_path):
    hook, _ = resume(tmp_path, tmp_path / 'whole' / 'epoch_2.pth', resume=False)
    assert int(hook.teacher.steps) == 8  # four epochs of this training, none of the first


def test_a_distributed_training(tmp_path, monkeypatch):
    """The teacher follows the network inside the wrapper."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1
    )
    try:
        alone = MeanTeacherHook(**OPTIONS)
        recorder = Recorder()
        train(tmp_path, alone, recorder, name='alone', model=deterministic())
        hook, other = MeanTeacherHook(**OPTIONS), Recorder()
        wrapper = dict(
            type='MMDistributedDataParallel', device_ids=None, find_unused_parameters=True
        )
        train(
            tmp_path,
            hook,
            other,
            name='wrapped',
            model=deterministic(),
            launcher='pytorch',
            cfg=dict(model_wrapper_cfg=wrapper),
        )
    finally:
        torch.distributed.destroy_process_group()
    assert other.losses == recorder.losses
    assert hook.teacher.state_dict().keys() == alone.teacher.state_dict().keys()
    for name, value in alone.teacher.state_dict().items():
        assert torch.equal(value, hook.teacher.state_dict()[name]), name


def test_by_iterations(tmp_path):
    recorder = Recorder()
    hook = MeanTeacherHook(**{**OPTIONS, 'warmup': 3}, by_epoch=False)
    runner = train(tmp_path, hook, recorder)
    dataset = runner.train_dataloader.dataset
    same = [
        batch[0] is dataset.pairs[2 * (i % 2)]['data_samples']
        for i, batch in enumerate(recorder.batches)
    ]
    assert same == [True, True, True, False]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(warmup=2), 'ends after 2 epochs, before the warm-up of 2'),
        (dict(warmup=4, by_epoch=False), 'ends after 4 iterations'),
        (dict(class_thresholds=[0.5]), '6 classes'),
        (dict(class_thresholds={'lava': 0.5}), 'lava'),
    ],
)
def test_trainings_it_is_not_made_for(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        train(tmp_path, MeanTeacherHook(**{**OPTIONS, **options}))


@pytest.mark.parametrize('field', ['gt_sem_seg', 'gt_sem_seg_from', 'gt_sem_seg_to'])
def test_pairs_without_labels(tmp_path, field):
    hook = MeanTeacherHook(**{**OPTIONS, 'warmup': 0})
    with pytest.raises(ValueError, match=f'no {field}; put .*LoadPairAnnotations'):
        train(tmp_path, hook, dataset=Pairs(drop=field))


def test_labels_of_another_size(tmp_path):
    dataset = Pairs()
    small = torch.zeros(1, 8, 8, dtype=torch.int64)
    dataset.pairs[0]['data_samples'].set_field(PixelData(data=small), 'gt_sem_seg_to')
    with pytest.raises(ValueError, match=r'gt_sem_seg_to is \(8, 8\).*seg_fields'):
        train(tmp_path, MeanTeacherHook(**{**OPTIONS, 'warmup': 0}), dataset=dataset)


def test_a_model_without_probabilities(new_runner):
    runner = new_runner([MeanTeacherHook(warmup=1)], train=True)
    with pytest.raises(ValueError, match=r'SemanticChangeDetector, got Oracle'):
        runner.train()


def test_nothing_to_do_in_a_test(new_runner):
    hook = MeanTeacherHook()
    new_runner([hook]).test()
    assert hook.teacher is None


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(momentum=1), ValueError, 'momentum'),
        (dict(momentum=-0.1), ValueError, 'momentum'),
        (dict(warmup=-1), ValueError, 'warmup'),
        (dict(weight=0), ValueError, 'weight'),
        (dict(transforms=('turn',)), ValueError, 'transforms'),
        (dict(threshold=1.5), LabelValueError, 'threshold'),
        (dict(max_change_prob=-1), LabelValueError, 'max_change_prob'),
    ],
)
def test_options_out_of_range(options, error, message):
    with pytest.raises(error, match=message):
        MeanTeacherHook(**options)


def test_the_docs_show_options_that_there_are():
    page = (ROOT / 'docs' / 'pseudo_labels.md').read_text(encoding='utf-8')
    snippets = re.findall(r'```python\n(_base_.*?)```', page, re.DOTALL)
    assert len(snippets) == 2
    for snippet in snippets:
        values = {}
        exec(snippet, values)
        assert (ROOT / values['_base_']).is_file()
        for config in values.get('custom_hooks', ()):
            hook = HOOKS.build(config)
            assert hook.selection.class_thresholds.keys() <= set(SECOND.names)
        if 'train_pipeline' in values:
            Compose(values['train_pipeline'])
