"""MMEngine replaces checkpoints by complete files only, where it is asked to."""

import multiprocessing
import os
import signal
import stat
import time

import pytest
import torch
from mmengine.fileio import LocalBackend, get_file_backend, put_text
from mmengine.fileio.backends import prefix_to_backends
from mmengine.runner import save_checkpoint

from tfinet_mm.checkpoints.backend import WholeFileBackend, whole_file_backend
from tfinet_mm.checkpoints.reading import load_checkpoint_file


def save(path, **content):
    save_checkpoint({'state_dict': {}} | content, str(path), backend_args=whole_file_backend())


def test_it_is_used_only_where_it_is_named(tmp_path):
    arguments = whole_file_backend()
    assert type(get_file_backend(tmp_path, backend_args=arguments)) is WholeFileBackend
    assert arguments == whole_file_backend()
    assert type(get_file_backend(tmp_path)) is LocalBackend
    assert prefix_to_backends[''] is LocalBackend


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'sub' / 'x.pth'
    save(path, n=1)

    def full(_):
        raise OSError('disk full')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='disk full'):
        save(path, n=2)
    assert load_checkpoint_file(path)['n'] == 1
    assert [p.name for p in path.parent.iterdir()] == ['x.pth']


def test_a_link_is_written_through(tmp_path):
    (tmp_path / 'real.pth').write_bytes(b'')
    (tmp_path / 'real.pth').chmod(0o600)
    (tmp_path / 'link.pth').symlink_to(tmp_path / 'real.pth')
    save(tmp_path / 'link.pth')
    assert (tmp_path / 'link.pth').is_symlink()
    assert load_checkpoint_file(tmp_path / 'real.pth') == {'state_dict': {}}
    assert stat.S_IMODE((tmp_path / 'real.pth').stat().st_mode) == 0o600


def test_texts(tmp_path):
    put_text('ü\n', tmp_path / 'a.txt', backend_args=whole_file_backend())
    assert (tmp_path / 'a.txt').read_bytes() == 'ü\n'.encode()


def save_for_ever(path):
    weights = torch.zeros(1_000_000)
    n = 0
    while True:
        save(path, w=weights, n=n)
        n += 1


def test_a_process_killed_while_saving_leaves_a_whole_file(tmp_path):
    path = tmp_path / 'x.pth'
    context = multiprocessing.get_context('fork')
    for delay in (0.0, 0.013, 0.02, 0.03):
        process = context.Process(target=save_for_ever, args=(path,))
        path.unlink(missing_ok=True)
        process.start()
        deadline = time.monotonic() + 60
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert load_checkpoint_file(path)['w'].shape == (1_000_000,)
    # The next process that writes there removes what the killed ones left.
    other = tmp_path / f'.part-{"0" * 12}-1-00000000-0.pth'
    other.write_bytes(b'of another machine')
    save(path)
    assert sorted(tmp_path.iterdir()) == [other, path]
