"""Every config of the repository builds and trains a step, and says what its comments say."""

from pathlib import Path

import pytest
import torch
from mmengine import Config
from mmengine.optim import OptimWrapper, PolyLR, build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from tfinet_mm.registry import DATASETS, MODELS

ROOT = Path(__file__).parents[1] / 'configs'
CONFIGS = sorted(
    str(path.relative_to(ROOT)) for path in ROOT.rglob('*.py') if '_base_' not in path.parts
)
NUM_CLASSES = {'landsat': 4, 'hrscd': 5}


@pytest.fixture(autouse=True)
def mmseg_scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def _load(name):
    cfg = Config.fromfile(ROOT / name)
    # Pretrained weights come from the network; the tests of the backbone load them.
    cfg.model.backbone.init_cfg = None
    return cfg


def make_sample(num_classes, size):
    sample = SegDataSample()
    changed = torch.randint(0, 2, (1, *size))
    sample.gt_sem_seg = PixelData(data=changed)
    for field in ('gt_sem_seg_from', 'gt_sem_seg_to'):
        cover = torch.where(changed == 1, torch.randint(0, num_classes, (1, *size)), 255)
        sample.set_data({field: PixelData(data=cover)})
    return sample


def test_the_configs_a_user_expects_are_there():
    expected = {'tfinet_r18.py', 'published/tfinet_r18.py', 'demo/tfinet_r18_synthetic.py'}
    expected |= {f'tfinet_hrnet{width}.py' for width in (18, 30, 32, 40, 44, 48, 64)}
    expected |= {f'tfinet_hrnet18_{data}.py' for data in ('landsat-scd', 'hrscd')}
    assert expected <= set(CONFIGS)


@pytest.mark.parametrize('name', CONFIGS)
def test_forward_and_backward(name):
    torch.manual_seed(0)
    cfg = _load(name)
    expected = next((k for part, k in NUM_CLASSES.items() if part in name), 6)
    model = MODELS.build(cfg.model)
    model.init_weights()
    assert model.num_classes == expected
    size = (64, 64)
    raw = {
        'inputs': [torch.randint(0, 256, (6, *size), dtype=torch.uint8) for _ in range(2)],
        'data_samples': [make_sample(expected, size) for _ in range(2)],
    }
    data = model.data_preprocessor(raw, training=True)
    total, log = model.parse_losses(model(**data, mode='loss'))
    assert {'semantic_from.loss_ce', 'semantic_to.loss_ce', 'change.loss_bce'} <= set(log)
    total.backward()
    assert torch.isfinite(total)
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize('name', CONFIGS)
def test_data_sets_build_and_name_their_classes(name):
    cfg = _load(name)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        dataset = DATASETS.build({**loader.dataset, 'lazy_init': True})
        names = dataset.metainfo['semantic_classes']
        assert len(names) - 1 == cfg.model.semantic_head.num_classes


OTHER_SCHEDULES = ('demo', 'hrscd', 'senseearth')


@pytest.mark.parametrize('name', [n for n in CONFIGS if not any(o in n for o in OTHER_SCHEDULES)])
def test_the_published_schedule(name):
    """Adam at 2e-4; the rate of epoch e is 2e-4 * (1 - e / 51)."""
    cfg = _load(name)
    assert cfg.optim_wrapper.optimizer.type == 'Adam'
    assert cfg.optim_wrapper.optimizer.weight_decay == 1e-4
    assert cfg.train_dataloader.batch_size == 8
    assert cfg.train_cfg.max_epochs == 50
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([parameter], lr=cfg.optim_wrapper.optimizer.lr)
    wrapper = OptimWrapper(optimizer)
    scheduler = PARAM_SCHEDULERS.build({**cfg.param_scheduler, 'optimizer': wrapper})
    for epoch in range(50):
        assert optimizer.param_groups[0]['lr'] == pytest.approx(2e-4 * (1 - epoch / 51))
        wrapper.step()
        scheduler.step()


@pytest.mark.parametrize('name', [n for n in CONFIGS if 'senseearth' in n])
def test_the_schedule_of_senseearth(name):
    """1.5e-4 for the backbone, ten times that for the heads, (1 - iteration / total) ** 0.9."""
    cfg = _load(name)
    assert cfg.train_cfg.max_epochs == 30
    model = torch.nn.ModuleDict(
        {part: torch.nn.Conv2d(1, 1, 1) for part in ('backbone', 'semantic_head', 'change_head')}
    )
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    groups = wrapper.optimizer.param_groups
    assert [group['lr'] for group in groups] == pytest.approx([1.5e-4] * 2 + [1.5e-3] * 4)
    scheduler_cfg = {**cfg.param_scheduler, 'optimizer': wrapper}
    assert scheduler_cfg.pop('convert_to_iter_based')
    scheduler_cfg.pop('type')
    epoch_length = 20
    scheduler = PolyLR.build_iter_from_epoch(epoch_length=epoch_length, **scheduler_cfg)
    for iteration in range(30 * epoch_length):
        # MMEngine's polynomial reaches 0 with the last iteration, one step early.
        expected = 1.5e-4 * (1 - iteration / (30 * epoch_length - 1)) ** 0.9
        assert groups[0]['lr'] == pytest.approx(expected, abs=1e-12)
        wrapper.step()
        scheduler.step()


@pytest.mark.parametrize('name', CONFIGS)
def test_hooks_of_every_run(name):
    """The best checkpoint is by Score, and classes are compared before a run starts."""
    cfg = _load(name)
    types = [hook.type for hook in cfg.default_hooks.values()]
    assert {'tfinet_mm.ClassCheckHook', 'tfinet_mm.LabelCheckHook'} <= set(types)
    assert cfg.default_hooks.checkpoint.save_best == 'Score'
    assert cfg.default_hooks.checkpoint.rule == 'greater'
