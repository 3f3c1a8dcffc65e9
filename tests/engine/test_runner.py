"""Test checkpoints of SCDRunner: read safely, checked, complete, with MMEngine's hooks."""

import stat

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel, BaseModule
from mmengine.runner import Runner, load_checkpoint
from torch import nn
from torch.utils.data import Dataset

from tfinet_mm.checkpoints.reading import load_checkpoint_file
from tfinet_mm.checkpoints.trust import TRUST_VARIABLE
from tfinet_mm.checkpoints.weight_files import write_weight_file
from tfinet_mm.engine.runner import SCDRunner, check_for_other_runners
from tfinet_mm.errors import (
    CheckpointMismatchError,
    ConfigError,
    DamagedCheckpointError,
    NotFiniteWeightsError,
    UntrustedCheckpointError,
)
from tfinet_mm.structures import SECOND


class Line(BaseModel):
    """y = w x, the smallest thing a Runner trains."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, inputs, targets, mode='tensor'):
        output = self.linear(inputs)
        return {'loss': (output - targets).square().mean()} if mode == 'loss' else output


class Pairs(Dataset):
    """Four points, with metainfo of the kinds that data sets have."""

    metainfo = dict(
        classes=('a', 'b'),
        nested=ConfigDict(palette=[(0, 0, 0)]),
        mean=np.array([1.5, 2.5]),
        names=np.array(['x', 'yz']),
        size=np.int64(4),
        share=np.float32(0.5),
        flags=np.array([True, False]),
    )

    def __len__(self):
        return 4

    def __getitem__(self, index):
        x = torch.tensor([float(index)])
        return dict(inputs=x, targets=2 * x)


def make_runner(work_dir, name, epochs, model=None, kind=SCDRunner, **kwargs):
    return kind(
        model=Line() if model is None else model,
        work_dir=str(work_dir),
        experiment_name=name,
        train_dataloader=dict(
            dataset=Pairs(),
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
        param_scheduler=[
            dict(type='LinearLR', begin=0, end=1),
            dict(type='MultiStepLR', milestones=[1, 2]),
        ],
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=1), logger=dict(type='LoggerHook')
        ),
        randomness=dict(seed=3),
        cfg=Config(dict(work_dir=str(work_dir))),
        **kwargs,
    )


@pytest.fixture(autouse=True)
def distrust(monkeypatch):
    monkeypatch.delenv(TRUST_VARIABLE, raising=False)


def test_parts_that_cannot_be_built_are_named(tmp_path):
    runner = make_runner(tmp_path, 'schedule', 1)
    runner.param_schedulers = dict(type='OneCycleLR', eta_max=0.1, total_steps=0)
    with pytest.raises(ConfigError, match=r"^param_scheduler can't be built: .*'total_steps': 0"):
        runner.train()
    hooks = [dict(type='EMAHook', momentum=2)]
    runner = make_runner(tmp_path, 'hooks', 1, custom_hooks=hooks)
    with pytest.raises(ConfigError, match=r'a part that a hook needs .*momentum must be in range'):
        runner.train()
    with pytest.raises(ConfigError, match=r"a hook can't be built: .*'monitor': 'Nix'"):
        runner.register_hook(dict(type='EarlyStoppingHook', monitor='Nix'))


def test_learning_rates_of_parts_that_are_not_there_are_named(tmp_path):
    runner = make_runner(tmp_path, 'rates', 1)
    keys = dict(linear=dict(lr_mult=10), liner=dict(lr_mult=10))
    cfg = dict(optimizer=dict(type='SGD', lr=0.1), paramwise_cfg=dict(custom_keys=keys))
    warned = []
    runner.logger.warning = warned.append
    wrapper = runner.build_optim_wrapper(cfg)
    assert [group['lr'] for group in wrapper.param_groups[:2]] == [1.0, 1.0]
    assert len(warned) == 1
    assert "'liner'" in warned[0]


@pytest.mark.parametrize(('kind', 'key'), [('SGD', 'momentum'), ('RMSprop', 'alpha')])
def test_the_state_of_another_optimizer_is_named(tmp_path, kind, key):
    make_runner(tmp_path, f'first{kind}', 1).train()
    runner = make_runner(tmp_path, f'then{kind}', 2, resume=True)
    runner.optim_wrapper = dict(optimizer=dict(type=kind, lr=0.01))
    with pytest.raises(CheckpointMismatchError, match=rf'optimizer than {kind}: .*{key}'):
        runner.train()


def test_a_schedule_that_the_config_has_no_more_does_not_go_on(tmp_path):
    runner = make_runner(tmp_path, 'scheduled', 2)
    runner.train()
    assert runner.optim_wrapper.get_lr()['lr'][0] < 0.001
    runner = make_runner(tmp_path, 'unscheduled', 4, resume=True)
    runner.param_schedulers = None
    runner.train()
    assert runner.optim_wrapper.get_lr()['lr'] == [0.01]


def test_none_leaves_any_hook_out(tmp_path):
    runner = make_runner(tmp_path, 'none', 1)
    runner._hooks = []
    runner.register_hooks(dict(logger=None, visualization=None, more=dict(type='EmptyCacheHook')))
    names = [type(hook).__name__ for hook in runner.hooks]
    assert 'LoggerHook' not in names
    assert {'EmptyCacheHook', 'CheckpointHook', 'FiniteLossHook'} <= set(names)


def test_what_a_runner_saves_is_read_and_resumed(tmp_path):
    runner = make_runner(tmp_path, 'saved', 2)
    runner.message_hub.update_info('best_score', np.float64(36.5))
    runner.train()

    loaded = load_checkpoint_file(tmp_path / 'epoch_2.pth')
    assert type(loaded['message_hub']['log_scalars']['train/loss']) is HistoryBuffer
    assert loaded['message_hub']['runtime_info']['best_score'] == 36.5
    meta = loaded['meta']['dataset_meta']
    assert isinstance(meta['nested'], ConfigDict)
    assert meta['nested'].palette == [(0, 0, 0)]
    np.testing.assert_array_equal(meta['mean'], [1.5, 2.5])
    assert (meta['names'].tolist(), meta['flags'].tolist()) == (['x', 'yz'], [True, False])
    # Independent of this package: Python's own pickle by way of torch, trusting the file.
    trusted = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)
    torch.testing.assert_close(loaded['state_dict'], trusted['state_dict'], rtol=0, atol=0)
    torch.testing.assert_close(loaded['optimizer'], trusted['optimizer'], rtol=0, atol=0)
    assert loaded['param_schedulers'] == trusted['param_schedulers']
    ours, theirs = (c['message_hub']['log_scalars'] for c in (loaded, trusted))
    assert ours.keys() == theirs.keys()
    for key in ours:
        np.testing.assert_array_equal(ours[key].data[0], theirs[key].data[0])

    resumed = make_runner(tmp_path, 'resumed', 3, resume=True)
    resumed.train()
    assert resumed.epoch == 3
    assert resumed.iter == 6
    assert resumed.message_hub.get_info('best_score') == 36.5
    # The history continues: four iterations of the first run, two of the second.
    assert len(resumed.message_hub.get_scalar('train/loss').data[0]) == 6
    assert resumed.message_hub.get_scalar('train/loss').statistics('mean') > 0


class Started(BaseModel):
    """A line whose weights ``init_cfg`` of a part names."""

    def __init__(self, checkpoint):
        super().__init__()
        self.part = BaseModule(dict(type='Pretrained', checkpoint=str(checkpoint)))
        self.part.linear = nn.Linear(1, 1)

    def forward(self, inputs, targets, mode='tensor'):
        loss = (self.part.linear(inputs) - targets).square().mean()
        return {'loss': loss}


def test_every_way_to_a_checkpoint_is_guarded(tmp_path, hostile):
    path = tmp_path / 'x.pth'
    victim = hostile(path)
    with pytest.raises(UntrustedCheckpointError):
        make_runner(tmp_path / 'a', 'load_from', 1, load_from=str(path)).train()
    with pytest.raises(UntrustedCheckpointError):
        make_runner(tmp_path / 'b', 'resume', 1, load_from=str(path), resume=True).train()
    with pytest.raises(UntrustedCheckpointError):
        make_runner(tmp_path / 'c', 'init', 1, model=Started(path)).train()
    assert not victim.exists()
    torch.save({'linear.weight': torch.ones(1, 1), 'linear.bias': torch.ones(1)}, path)
    runner = make_runner(tmp_path / 'd', 'init', 1, model=Started(path))
    runner._init_model_weights()
    assert runner.model.part.linear.weight.item() == 1


def test_hooks_see_what_was_loaded(tmp_path):
    seen = []

    class See(Hook):
        def after_load_checkpoint(self, runner, checkpoint):
            seen.append(sorted(checkpoint))

    torch.save({'state_dict': Line().state_dict(), 'meta': {}}, tmp_path / 'x.pth')
    runner = make_runner(
        tmp_path, 'hooks', 1, load_from=str(tmp_path / 'x.pth'), custom_hooks=[See()]
    )
    runner.load_or_resume()
    assert seen == [['meta', 'state_dict']]


@pytest.mark.parametrize(
    ('content', 'error', 'message'),
    [
        ([1], DamagedCheckpointError, r'x\.pth holds a list'),
        ({'state_dict': None}, DamagedCheckpointError, r'x\.pth, "state_dict": found a None'),
        (
            {'state_dict': {'linear.weight': torch.tensor([[float('nan')]])}},
            NotFiniteWeightsError,
            r'x\.pth: the weights linear\.weight hold NaN',
        ),
        (
            {'state_dict': {'module.linear.weight': torch.ones(1, 1).to(torch.int8)}},
            CheckpointMismatchError,
            r'x\.pth: .*linear\.weight is torch\.int8, expected torch\.float32',
        ),
        ({'state_dict': {}, 'meta': 'x'}, DamagedCheckpointError, r'x\.pth: "meta"'),
    ],
)
def test_what_is_no_checkpoint_of_the_network(tmp_path, content, error, message):
    torch.save(content, tmp_path / 'x.pth')
    runner = make_runner(tmp_path, 'load', 1, load_from=str(tmp_path / 'x.pth'))
    with pytest.raises(error, match=message):
        runner.load_or_resume()


def test_weights_alone_can_not_be_resumed_from(tmp_path):
    torch.save({'state_dict': Line().state_dict(), 'meta': {}}, tmp_path / 'x.pth')
    options = dict(load_from=str(tmp_path / 'x.pth'), resume=True)
    with pytest.raises(DamagedCheckpointError, match=r'x\.pth holds no message_hub, optimizer'):
        make_runner(tmp_path, 'resume', 1, **options).load_or_resume()


@pytest.mark.parametrize('strict', [False, True])
def test_it_loads_what_mmengine_loads(tmp_path, strict):
    stored = {f'module.{key}': value + 1 for key, value in Line().state_dict().items()}
    torch.save({'state_dict': stored}, tmp_path / 'x.pth')
    runner = make_runner(tmp_path, f'load {strict}', 1)
    returned = runner.load_checkpoint(str(tmp_path / 'x.pth'), strict=strict)
    theirs = Line()
    load_checkpoint(theirs, str(tmp_path / 'x.pth'), strict=strict)
    torch.testing.assert_close(runner.model.state_dict(), theirs.state_dict(), rtol=0, atol=0)
    assert list(returned['state_dict']) == list(stored)
    torch.save({'state_dict': stored | {'more': torch.ones(1)}}, tmp_path / 'y.pth')
    if strict:
        with pytest.raises(RuntimeError, match='more'):
            runner.load_checkpoint(str(tmp_path / 'y.pth'), strict=True)
    runner.load_checkpoint(str(tmp_path / 'y.pth'), revise_keys=[('^module.', ''), ('more', 'm')])


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    runner = make_runner(tmp_path, 'diverged', 1)
    runner.train()
    path = tmp_path / 'epoch_1.pth'
    before = path.read_bytes()
    with torch.no_grad():
        runner.model.linear.weight.fill_(float('inf'))
    with pytest.raises(
        NotFiniteWeightsError, match=r'at iteration 2 the weights linear\.weight .* epoch_1\.pth'
    ):
        runner.save_checkpoint(str(tmp_path), 'epoch_1.pth')
    assert path.read_bytes() == before


def test_a_save_keeps_permissions_and_leaves_nothing_beside(tmp_path):
    runner = make_runner(tmp_path, 'private', 1)
    runner.train()
    path = tmp_path / 'epoch_1.pth'
    path.chmod(0o600)
    runner.save_checkpoint(str(tmp_path), 'epoch_1.pth')
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(tmp_path.glob('.*'))
    runner.save_checkpoint(str(tmp_path), 'own.pth', backend_args=dict(backend='local'))
    assert load_checkpoint_file(tmp_path / 'own.pth').keys() == load_checkpoint_file(path).keys()
    # Others' Runners stay as they were.
    assert Runner.save_checkpoint is not SCDRunner.save_checkpoint


def test_without_a_name_the_newest_usable_checkpoint_is_resumed(tmp_path):
    make_runner(tmp_path, 'first', 2).train()
    (tmp_path / 'epoch_3.pth').write_bytes(b'torn')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
    runner = make_runner(tmp_path, 'second', 3, resume=True)
    runner.load_or_resume()
    assert runner.epoch == 2
    runner = make_runner(tmp_path / 'empty', 'third', 3, resume=True)
    runner.load_or_resume()
    assert runner.epoch == 0


def test_other_runners_get_no_checkpoint_with_code(tmp_path, hostile):
    path = tmp_path / 'x.pth'
    victim = hostile(path)
    for kind in ('Runner', 'tfinet_mm.SCDRunner'):
        check_for_other_runners(Config(dict(runner_type=kind)))
    check_for_other_runners(Config(dict(load_from=str(path))))
    check_for_other_runners(Config(dict(runner_type='tfinet_mm.SCDRunner', load_from=str(path))))
    with pytest.raises(UntrustedCheckpointError, match=r'x\.pth'):
        check_for_other_runners(Config(dict(runner_type='FlexibleRunner', load_from=str(path))))
    assert not victim.exists()


def test_a_file_of_weights_starts_other_runners_too(tmp_path):
    path = tmp_path / 'w.safetensors'
    weights = {'linear.weight': torch.full((1, 1), 3.0), 'linear.bias': torch.full((1,), 0.5)}
    write_weight_file(path, weights, dict(model=dict(type='Line')), SECOND, {})
    cfg = Config(dict(runner_type='Runner', load_from=str(path)))
    check_for_other_runners(cfg)
    model = Line()
    runner = make_runner(tmp_path, 'other', 1, model, Runner, load_from=cfg.load_from)
    runner._hooks.clear()
    runner.load_or_resume()
    assert model.linear.weight.item() == 3
    with pytest.raises(DamagedCheckpointError, match='holds no message_hub, optimizer'):
        make_runner(tmp_path, 'resume', 1, load_from=str(path), resume=True).train()
