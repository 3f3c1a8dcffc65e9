"""Reading and writing checkpoints through MMEngine: with real Runners, URLs, kills."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from importlib import import_module

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel, BaseModule
from mmengine.runner import CheckpointLoader, Runner, save_checkpoint
from torch import nn
from torch.utils.data import Dataset

from tfinet_mm.engine.checkpoint import TRUST_VARIABLE, load_checkpoint_file
from tfinet_mm.errors import UntrustedCheckpointError

# MMEngine does this when a config names a part of the package.
import_module('tfinet_mm.registry')


class Touch:
    """What a hostile file does: pickled as a call of os.system."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


def hostile(path):
    """Write a checkpoint that makes a file when its code runs; returns that file."""
    victim = path.parent / 'ran'
    torch.save({'state_dict': {}, 'extra': Touch(victim)}, path)
    return victim


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


def make_runner(work_dir, name, epochs, **kwargs):
    return Runner(
        model=Line(),
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
    # The history goes on where it was: four iterations of the first run, two of the second.
    assert len(resumed.message_hub.get_scalar('train/loss').data[0]) == 6
    assert resumed.message_hub.get_scalar('train/loss').statistics('mean') > 0


def test_every_way_into_mmengine_is_guarded(tmp_path):
    path = tmp_path / 'x.pth'
    victim = hostile(path)

    class Backbone(BaseModule):
        def __init__(self):
            super().__init__(init_cfg=dict(type='Pretrained', checkpoint=str(path)))
            self.conv = nn.Conv2d(1, 1, 1)

    with pytest.raises(UntrustedCheckpointError):
        Backbone().init_weights()
    with pytest.raises(UntrustedCheckpointError):
        make_runner(tmp_path / 'a', 'load_from', 1, load_from=str(path)).train()
    with pytest.raises(UntrustedCheckpointError):
        make_runner(tmp_path / 'b', 'resume', 1, load_from=str(path), resume=True).train()
    assert not victim.exists()


def test_downloads_are_guarded(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    # Where MMEngine asks torch to download, the file is already in the cache.
    cache = tmp_path / 'hub' / 'checkpoints'
    cache.mkdir(parents=True)
    victim = hostile(cache / 'bad.pth')
    torch.save({'state_dict': {'w': torch.ones(2)}}, cache / 'good.pth')
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path / 'home'))
    (tmp_path / 'home').mkdir()
    (tmp_path / 'home' / 'open_mmlab.json').write_text(
        '{"test/bad": "https://example.org/bad.pth", "test/good": "https://example.org/good.pth",'
        ' "test/local": "local.pth"}'
    )
    hostile(tmp_path / 'home' / 'local.pth')
    for name in ('https://example.org/bad.pth', 'open-mmlab://test/bad', 'openmmlab://test/local'):
        with pytest.raises(UntrustedCheckpointError):
            CheckpointLoader.load_checkpoint(name)
    for name in ('https://example.org/good.pth', 'open-mmlab://test/good'):
        weights = CheckpointLoader.load_checkpoint(name, map_location='cpu')['state_dict']
        assert weights['w'].tolist() == [1, 1]
    with pytest.raises(KeyError, match='no pretrained model'):
        CheckpointLoader.load_checkpoint('open-mmlab://msra/hrnetv2_w19')
    assert not victim.exists()


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'sub' / 'x.pth'
    save_checkpoint({'state_dict': {}, 'n': 1}, str(path))

    def full(_):
        raise OSError('disk full')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='disk full'):
        save_checkpoint({'state_dict': {}, 'n': 2}, str(path))
    assert load_checkpoint_file(path)['n'] == 1
    assert [p.name for p in path.parent.iterdir()] == ['x.pth']


def test_a_process_killed_while_saving_leaves_a_whole_file(tmp_path):
    code = textwrap.dedent(
        f"""
        import torch, tfinet_mm.registry
        from mmengine.runner import save_checkpoint
        weights = torch.zeros(4_000_000)
        n = 0
        while True:
            save_checkpoint(dict(state_dict=dict(w=weights), n=n), {str(tmp_path / 'x.pth')!r})
            n += 1
        """
    )
    for delay in (0.0, 0.013):
        process = subprocess.Popen([sys.executable, '-c', code])
        (tmp_path / 'x.pth').unlink(missing_ok=True)
        deadline = time.monotonic() + 60
        while not (tmp_path / 'x.pth').exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert load_checkpoint_file(tmp_path / 'x.pth')['state_dict']['w'].shape == (4_000_000,)


def test_a_link_is_written_through(tmp_path):
    (tmp_path / 'real.pth').write_bytes(b'')
    (tmp_path / 'link.pth').symlink_to(tmp_path / 'real.pth')
    save_checkpoint({'state_dict': {}}, str(tmp_path / 'link.pth'))
    assert (tmp_path / 'link.pth').is_symlink()
    assert load_checkpoint_file(tmp_path / 'real.pth') == {'state_dict': {}}


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
