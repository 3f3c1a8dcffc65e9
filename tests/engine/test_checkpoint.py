"""Reading and writing checkpoints, with a real Runner and with hostile files."""

import collections
import os
import signal
import subprocess
import sys
import textwrap
import time
import zipfile

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel, BaseModule
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint, save_checkpoint
from torch import nn
from torch.utils.data import Dataset

import tfinet_mm.registry  # noqa: F401  (what every config that names a part of ours imports)
from tfinet_mm.engine.checkpoint import (
    TRUST_VARIABLE,
    checkpoints_trusted,
    load_checkpoint_file,
    trust_checkpoints,
)
from tfinet_mm.errors import DamagedCheckpointError, UntrustedCheckpointError


class Touch:
    """What a hostile file does: pickled as a call of os.system."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


class Method:
    """A bound method fetched by getattr, which reaches code through allowed classes."""

    def __init__(self, owner, name):
        self.args = owner, name

    def __reduce__(self):
        return getattr, self.args


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


def hostile(path, kind):
    victim = path.parent / 'ran'
    value = {
        'global': {'state_dict': {}, 'extra': Touch(victim)},
        'getattr of a foreign class': {'x': Method(subprocess.Popen, '__init__')},
        'getattr of an allowed class': {'x': Method(HistoryBuffer, '__init__')},
        'object array': {'x': np.array([Touch(victim)], dtype=object)},
        'record': {'x': np.zeros(2, dtype=[('a', 'i4')])},
        'method called': {'x': HistoryBuffer()},
    }[kind]
    if kind == 'method called':
        # REDUCE on the method that getattr gave: HistoryBuffer.min(...) while reading.
        payload = (
            b'\x80\x02c__builtin__\ngetattr\ncmmengine.logging.history_buffer\nHistoryBuffer\n'
            b'X\x03\x00\x00\x00min\x86RN\x85R.'
        )
        torch.save({}, path)
        with zipfile.ZipFile(path) as archive:
            names = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:
            for name, content in names.items():
                archive.writestr(name, payload if name.endswith('data.pkl') else content)
    else:
        torch.save(value, path)
    return victim


@pytest.mark.parametrize(
    ('kind', 'named'),
    [
        ('global', f'{os.system.__module__}.system'),
        ('getattr of a foreign class', 'Popen'),
        ('getattr of an allowed class', r"getattr.*'__init__'"),
        ('object array', f'{os.system.__module__}.system|O8'),
        ('record', 'V4'),
        ('method called', 'HistoryBuffer.min'),
    ],
)
@pytest.mark.parametrize('legacy', [False, True])
def test_hostile_files_are_refused_with_the_reason(tmp_path, kind, named, legacy, monkeypatch):
    if legacy and kind == 'method called':
        pytest.skip('made by hand in the new format only')
    if legacy:
        save = torch.save
        monkeypatch.setattr(
            torch, 'save', lambda *args: save(*args, _use_new_zipfile_serialization=False)
        )
    path = tmp_path / 'a file.pth'
    victim = hostile(path, kind)
    with pytest.raises(UntrustedCheckpointError, match=named) as caught:
        load_checkpoint(Line(), str(path))
    assert str(path) in str(caught.value)
    assert '--trust-checkpoint' in str(caught.value)
    assert TRUST_VARIABLE in str(caught.value)
    assert not victim.exists()


def test_every_way_into_mmengine_is_guarded(tmp_path):
    path = tmp_path / 'x.pth'
    victim = hostile(path, 'global')

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
    victim = hostile(cache / 'bad.pth', 'global')
    torch.save({'state_dict': {'w': torch.ones(2)}}, cache / 'good.pth')
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path / 'home'))
    (tmp_path / 'home').mkdir()
    (tmp_path / 'home' / 'open_mmlab.json').write_text(
        '{"test/bad": "https://example.org/bad.pth", "test/good": "https://example.org/good.pth",'
        ' "test/local": "local.pth"}'
    )
    hostile(tmp_path / 'home' / 'local.pth', 'global')
    for name in ('https://example.org/bad.pth', 'open-mmlab://test/bad', 'openmmlab://test/local'):
        with pytest.raises(UntrustedCheckpointError):
            CheckpointLoader.load_checkpoint(name)
    for name in ('https://example.org/good.pth', 'open-mmlab://test/good'):
        weights = CheckpointLoader.load_checkpoint(name, map_location='cpu')['state_dict']
        assert weights['w'].tolist() == [1, 1]
    with pytest.raises(KeyError, match='no pretrained model'):
        CheckpointLoader.load_checkpoint('open-mmlab://msra/hrnetv2_w19')
    assert not victim.exists()


def test_trusting_reads_what_else_would_be_refused(tmp_path, monkeypatch):
    path = tmp_path / 'x.pth'
    victim = hostile(path, 'global')
    monkeypatch.setenv(TRUST_VARIABLE, '0')
    assert not checkpoints_trusted()
    trust_checkpoints()
    load_checkpoint_file(path)
    assert victim.exists()


def test_other_plain_contents(tmp_path):
    path = tmp_path / 'x.pth'
    value = {
        'counter': collections.Counter(a=2),
        'order': collections.OrderedDict(a=1),
        'device': torch.device('cpu'),
        'shape': torch.Size([1, 2]),
        'slice': slice(1, 3),
    }
    torch.save(value, path)
    assert load_checkpoint_file(path) == value


def test_checkpoints_written_under_numpy_1_are_read(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save({'a': np.arange(3.0), 'b': np.float64(2)}, path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content.replace(b'numpy._core.', b'numpy.core.'))
    loaded = load_checkpoint_file(path)
    assert loaded['a'].tolist() == [0, 1, 2]
    assert loaded['b'] == 2


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('share', [0, 0.01, 0.3, 0.6, 0.95, 0.999])
def test_a_file_cut_off_says_so(tmp_path, share, legacy):
    path = tmp_path / 'x.pth'
    torch.save(
        {'w': torch.zeros(100, 100), 'v': torch.zeros(50)},
        path,
        _use_new_zipfile_serialization=not legacy,
    )
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DamagedCheckpointError, match=r'x\.pth'):
        load_checkpoint_file(path)


@pytest.mark.parametrize(
    'content', [b'<html>not found</html>', b'\x00' * 500, b'version 1\n', b'{}']
)
def test_something_else_is_no_checkpoint(tmp_path, content):
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    with pytest.raises(DamagedCheckpointError, match='no checkpoint'):
        load_checkpoint_file(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        load_checkpoint_file(tmp_path / 'nowhere.pth')


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
