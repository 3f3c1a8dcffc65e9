"""Reading checkpoints: plain ones, hostile ones, damaged ones."""

import collections
import os
import subprocess
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from tfinet_mm.checkpoints.reading import load_checkpoint_file
from tfinet_mm.checkpoints.trust import TRUST_VARIABLE, checkpoints_trusted, trust_checkpoints
from tfinet_mm.errors import DamagedCheckpointError, UntrustedCheckpointError


class Method:
    """A bound method fetched by getattr, which reaches code through allowed classes."""

    def __init__(self, owner, name):
        self.args = owner, name

    def __reduce__(self):
        return getattr, self.args


@pytest.fixture(autouse=True)
def distrust(monkeypatch):
    monkeypatch.delenv(TRUST_VARIABLE, raising=False)


@pytest.fixture
def hostile_of(touch):
    """Write a hostile file of a kind; returns the file that its code would make."""
    return lambda path, kind: _hostile(path, kind, touch)


def _hostile(path, kind, touch):
    victim = path.parent / 'ran'
    value = {
        'global': {'state_dict': {}, 'extra': touch(victim)},
        'getattr of a foreign class': {'x': Method(subprocess.Popen, '__init__')},
        'getattr of an allowed class': {'x': Method(HistoryBuffer, '__init__')},
        'object array': {'x': np.array([touch(victim)], dtype=object)},
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
def test_hostile_files_are_refused_with_the_reason(
    tmp_path, hostile_of, kind, named, legacy, monkeypatch
):
    if legacy and kind == 'method called':
        pytest.skip('made by hand in the new format only')
    if legacy:
        save = torch.save
        monkeypatch.setattr(
            torch, 'save', lambda *args: save(*args, _use_new_zipfile_serialization=False)
        )
    path = tmp_path / 'a file.pth'
    victim = hostile_of(path, kind)
    with pytest.raises(UntrustedCheckpointError, match=named) as caught:
        load_checkpoint_file(path)
    assert str(path) in str(caught.value)
    assert '--trust-checkpoint' in str(caught.value)
    assert TRUST_VARIABLE in str(caught.value)
    assert not victim.exists()


def test_trusting_reads_what_else_would_be_refused(tmp_path, hostile_of, monkeypatch):
    path = tmp_path / 'x.pth'
    victim = hostile_of(path, 'global')
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
