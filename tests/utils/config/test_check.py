import contextlib
from pathlib import Path

import pytest
from mmengine.config import Config

import tfinet_mm
from tfinet_mm.errors import ConfigError
from tfinet_mm.utils.config.check import check_config
from tfinet_mm.utils.config.reading import read_config_file

CONFIGS = Path(tfinet_mm.__file__).parents[1] / 'configs'
DEMO = CONFIGS / 'demo/tfinet_r18_synthetic.py'


@pytest.fixture
def cfg():
    return read_config_file(DEMO)


NAN = float('nan')
WRONG = [
    ('modle', {}, "modle: nothing reads this key; did you mean 'model'?"),
    ('randomnes', dict(seed=1), "did you mean 'randomness'?"),
    ('load_form', 'a.pth', "did you mean 'load_from'?"),
    ('model.neck.in_chanels', 64, "FeatureInteraction has no such key; did you mean 'in_channels'"),
    ('model.backbone.base_chanels', 8, "ResNet has no such key; did you mean 'base_channels'?"),
    ('model.change_head.loss_decode.loss_wieght', 1, "did you mean 'loss_weight'?"),
    (
        'model.neck.type',
        'tfinet_mm.FeatureInteracton',
        "did you mean 'tfinet_mm.FeatureInteraction",
    ),
    ('model.neck.type', 'tfinet.FeatureInteraction', "there is no package 'tfinet'; did you mean"),
    ('model.neck.norm_cfg', dict(type='BNN'), "did you mean 'BN'?"),
    ('model.change_head.loss_decode.loss_weight', NAN, 'loss_weight must be a number from 0'),
    ('model.semantic_head.loss_decode.loss_weight', NAN, 'loss_weight must be a number from 0'),
    ('model.change_head.loss_decode.positive_weight', NAN, 'positive_weight must be a number'),
    ('model.semantic_head.loss_decode.loss_weight', '1', "from 0, got '1'"),
    ('model.test_cfg.treshold', 0.9, "did you mean 'threshold'?"),
    ('model.semantic_head.num_classes', -1, 'num_classes must be a whole number from 1 on, got -1'),
    ('train_dataloader.sampller', dict(), "a data loader has no such key; did you mean 'sampler'"),
    ('train_dataloader.batch_size', '4', 'batch_size must be a whole number from 1 on'),
    ('train_dataloader.num_workers', -1, 'num_workers must be a whole number from 0 on'),
    ('train_dataloader.num_workers', 0, 'persistent_workers=True needs num_workers above 0'),
    ('train_dataloader.dataset.data_perfix', dict(a='b'), "did you mean 'data_prefix'?"),
    ('train_dataloader.dataset.type', 'tfinet_mm.SCDDatset', "did you mean 'tfinet_mm.SCDDataset'"),
    ('train_dataloader.dataset.pipeline', [], 'pipeline is empty'),
    ('train_dataloader.dataset.pipeline.2.prob', 1, "did you mean 'probs'?"),
    ('train_cfg.max_epoch', 1, "did you mean 'max_epochs'?"),
    ('train_cfg.val_interval', 0, 'val_interval must be a whole number from 1 on, got 0'),
    ('optim_wrapper.clip_gard', {}, "did you mean 'clip_grad'?"),
    ('optim_wrapper.optimizer.lr', -1, 'lr must be a learning rate, a number above 0, got -1'),
    ('optim_wrapper.optimizer.learning', 1, 'Adam has no such key'),
    ('param_scheduler', ['LinearLR'], 'param_scheduler[0] must be a dictionary'),
    ('param_scheduler', [None], 'param_scheduler[0] must be a dictionary'),
    ('param_scheduler.eta_mn', 0, "did you mean 'eta_min'?"),
    ('default_hooks.checkpoint.save_bset', 'Score', "did you mean 'save_best'?"),
    ('default_hooks.checkpoint.save_best', 'Scroe', "no score 'Scroe'; did you mean 'Score'?"),
    ('default_hooks.checkpoint.save_best', ['Score', 'scd/Score'], "no score 'scd/Score'"),
    ('custom_hooks', [dict(type='EMAHok')], "did you mean 'EMAHook'?"),
    ('val_evaluator.metricc', 1, 'SCDMetric has no such key'),
    ('visualizer.vis_backend', [], "did you mean 'vis_backends'?"),
    ('randomness.seed', -1, 'seed must be a whole number from 0'),
    ('model', [1], 'model must be a dictionary'),
    ('param_scheduler', [5], 'param_scheduler[0] must be a dictionary with a type, got 5'),
    ('param_scheduler.eta_min', -1.0, 'eta_min must be a number from 0'),
    ('param_scheduler', dict(type='StepLR', step_size=0), 'step_size must be a whole number from'),
    ('param_scheduler', dict(type='MultiStepLR', milestones=5), 'milestones must be a list'),
    ('param_scheduler', dict(type='MultiStepLR', milestones=['a']), 'milestones must be a list'),
    ('param_scheduler', dict(type='LinearLR', start_factor=0), 'start_factor must be a number ab'),
    ('optim_wrapper.optimizer.betas', (0.9,), 'betas must be two numbers'),
    (
        'optim_wrapper.clip_grad',
        dict(max_norm=1, norm_type='x'),
        'norm_type must be a number',
    ),
    ('optim_wrapper.paramwise_cfg', dict(norm_decay_mult='x'), 'norm_decay_mult must be a number'),
    (
        'optim_wrapper.paramwise_cfg',
        dict(custom_keys={'head': dict(lr_mul=10)}),
        "custom_keys['head'].lr_mul: nothing reads this key; did you mean 'lr_mult'?",
    ),
    ('auto_scale_lr.enabel', True, "did you mean 'enable'?"),
    ('auto_scale_lr.base_batch_size', -4, 'base_batch_size must be a whole number from 1'),
    ('env_cfg.dist_cfg.backnd', 'nccl', "did you mean 'backend'?"),
    ('env_cfg.mp_cfg.mp_start_metod', 'fork', "did you mean 'mp_start_method'?"),
    ('env_cfg.cudnn_benchmark', 'x', 'cudnn_benchmark must be True or False'),
    ('train_dataloader.sampler.seed', 'x', 'sampler.seed must be a whole number'),
    ('train_dataloader.dataset.max_refetch', -1, 'max_refetch must be a whole number from 0'),
    ('train_dataloader.dataset.filter_cfg', 5, 'filter_cfg must be a dictionary or None'),
    ('val_evaluator', [], 'val_evaluator has no metric'),
    (
        'val_evaluator',
        dict(type='mmseg.IoUMetric', iou_metrics=['x']),
        'iou_metrics must be a list',
    ),
    ('default_hooks.checkpoint.out_dir', 5, 'out_dir must be the name of a folder'),
    ('log_processor.window_size', 0, 'window_size must be a whole number from 1'),
    ('log_processor.custom_cfg', [dict(data_src='loss')], 'custom_cfg[0] needs method_name'),
    ('runner_type', 5, 'runner_type must be the name of a Runner'),
    ('model.train_cfg', 5, 'train_cfg must be a dictionary or None'),
    ('model.data_preprocessor.pad_val', 'x', 'pad_val must be a number'),
    ('model.semantic_head.loss_decode', [], 'loss_decode must be a loss or a list'),
    (
        'custom_hooks',
        [dict(type='EMAHook', momentum=float('nan'))],
        'momentum must be a num',
    ),
    ('train_cfg', None, 'train_cfg is None, but the config has'),
]


@pytest.mark.parametrize(('key', 'value', 'message'), WRONG, ids=[f'{k}={v}' for k, v, _ in WRONG])
def test_what_cannot_be_meant(cfg, key, value, message):
    cfg.merge_from_dict({key: value}) if '.' in key else cfg.update({key: value})
    with pytest.raises(ConfigError) as caught:
        check_config(cfg)
    assert message in str(caught.value)
    assert str(DEMO) in str(caught.value)
    assert key.split('.')[0] in str(caught.value)


@pytest.mark.parametrize(
    ('evaluator', 'wanted'),
    [
        (dict(type='tfinet_mm.SCDMetric', prefix='scd'), 'scd/Score'),
        ([dict(type='tfinet_mm.SCDMetric', prefix=name) for name in ('a', 'b')], '[ab]/Score'),
    ],
)
def test_scores_have_the_prefix_of_their_metric(cfg, evaluator, wanted):
    cfg.val_evaluator = evaluator
    with pytest.raises(ConfigError, match=f"no score 'Score'; did you mean '{wanted}'"):
        check_config(cfg)


def test_scores_that_only_a_run_shows_are_left_alone(cfg):
    cfg.default_hooks.checkpoint.save_best = 'IoU.water'
    cfg.val_evaluator.per_class = True
    check_config(cfg)


def test_all_problems_are_listed(cfg):
    cfg.merge_from_dict({'model.neck.in_chanels': 1, 'train_cfg.max_epoch': 1})
    with pytest.raises(ConfigError, match=r'2 problems:\n  model\.neck.*\n  train_cfg\.max_epoch'):
        check_config(cfg)


REPEATED = dict(
    _delete_=True,
    type='RepeatDataset',
    times=2,
    dataset=dict(
        type='tfinet_mm.SCDDataset',
        pipeline=[
            dict(
                type='RandomApply', prob=0.5, transforms=[dict(type='tfinet_mm.RandomFlipOrRotate')]
            )
        ],
    ),
)


@pytest.mark.parametrize(
    'options',
    [
        {'my_variable': 1, 'learning': dict(rate=3)},
        {'custom_hooks': [dict(type='EMAHook', momentum=0.01, priority='HIGH')]},
        {'model.neck.norm_cfg': dict(type='BN', requires_grad=True, eps=1e-3)},
        {'optim_wrapper.type': 'AmpOptimWrapper', 'optim_wrapper.loss_scale': 'dynamic'},
        {'optim_wrapper.paramwise_cfg': dict(custom_keys=dict(head=dict(lr_mult=10)))},
        {'param_scheduler': [dict(type='LinearLR', start_factor=0.1, convert_to_iter_based=True)]},
        {'train_cfg': dict(by_epoch=False, max_iters=4)},
        {'val_evaluator': [dict(type='tfinet_mm.SCDMetric', prefix='a')],
         'default_hooks.checkpoint.save_best': 'a/Score'},
        {'default_hooks.checkpoint.save_best': 'auto'},
        {'default_hooks.checkpoint.save_best': ['Score', 'mIoU', 'SeK']},
        {'train_dataloader.dataset': REPEATED},
    ],
    ids=lambda options: next(iter(options)),
)  # fmt: skip
def test_what_is_right(cfg, options):
    for key, value in options.items():
        if '.' in key:
            cfg.merge_from_dict({key: value})
        else:
            cfg[key] = value
    check_config(cfg)


@pytest.mark.parametrize(('kind', 'right'), [('Pretrained_Part', True), ('Pretraind', False)])
def test_initial_weights_that_mmseg_reads_itself(cfg, kind, right):
    cfg.model.backbone.init_cfg = dict(type=kind, checkpoint='a.pth')
    with contextlib.nullcontext() if right else pytest.raises(ConfigError, match="'Pretrained'"):
        check_config(cfg)


def test_a_variable_that_is_used_is_no_typo(tmp_path):
    text = f'_base_ = {str(DEMO)!r}\nmodle = dict(autocast=None)\n'
    (tmp_path / 'a.py').write_text(text)
    with pytest.raises(ConfigError, match='modle'):
        check_config(read_config_file(tmp_path / 'a.py'))
    (tmp_path / 'a.py').write_text(text + 'model = modle\n')
    check_config(read_config_file(tmp_path / 'a.py'))


def test_data_sets_need_no_model():
    cfg = Config(dict(model=dict(semantic_head=dict(num_classes=3))))
    check_config(cfg, only=('train_dataloader',))
    with pytest.raises(ConfigError, match='model needs a type'):
        check_config(cfg)


def test_all_our_configs_are_right():
    paths = [path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts]
    studies = [*CONFIGS.parent.glob('projects/*/configs/*.py')]
    assert len(paths) > 25
    assert len(studies) > 15
    for path in [*paths, *studies]:
        check_config(read_config_file(path))


def test_the_configs_of_mmseg_are_right():
    mmseg = pytest.importorskip('mmseg')
    folder = Path(mmseg.__file__).parent / '.mim/configs'
    names = ('pspnet', 'segformer', 'upernet', 'ocrnet', 'mae', 'mask2former')
    paths = [path for name in names for path in sorted(folder.glob(f'{name}/*.py'))[:2]]
    if not paths:
        pytest.skip('mmseg comes without its configs')
    for path in paths:
        cfg = readable(path)
        if cfg is not None:
            check_config(cfg)


def readable(path):
    """A config; None if it imports a package that isn't installed."""
    try:
        return read_config_file(path)
    except ConfigError as error:
        if 'ImportError' not in str(error):
            raise
    return None


def test_mmsegs_variable_for_the_size_of_crops(tmp_path):
    path = tmp_path / 'cfg.py'
    path.write_text(
        f'_base_ = {str(DEMO)!r}\ndata_preprocessor = dict(size=(64, 64))\n'
        'model = dict(data_preprocessor=data_preprocessor)\n'
    )
    check_config(read_config_file(path))


def test_values_of_pixels_without_data_may_be_nan(cfg):
    cfg.merge_from_dict({'train_dataloader.dataset.metainfo': dict(nodata=float('nan'))})
    check_config(cfg)
