"""One run at a time writes to a folder, and only results of the same settings and inputs."""

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from hashing import hashed_files
from read_only import read_only

from tfinet_mm.errors import FolderInUseError, ManifestError
from tfinet_mm.utils import files, folder_lock
from tfinet_mm.utils.fingerprints import (
    _contents,
    content_hash,
    fingerprints,
    remember,
)
from tfinet_mm.utils.manifest import RunManifest, read_json

HOLD = """
import sys, os
from tfinet_mm.utils.manifest import RunManifest
with RunManifest(sys.argv[1], 'run.json') as run:
    run.lock()
    print('locked', flush=True)
    sys.stdin.readline()
"""
WRITE_OFTEN = """
import sys
from tfinet_mm.utils.manifest import RunManifest
run = RunManifest(sys.argv[1], 'run.json')
for number in range(int(sys.argv[2])):
    run.write({'number': number, 'text': 'x' * 100_000})
"""


@contextmanager
def python(script, *words):
    """Start a separate process, and kill it at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, '-c', script, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def lock(folder, name='run.json'):
    with RunManifest(folder, name) as run:
        run.lock()


def test_another_process_is_kept_out_and_named(tmp_path):
    folder = tmp_path / 'new' / 'a'
    with python(HOLD, folder) as process:
        assert process.stdout.readline() == 'locked\n'
        said = rf'a is being written to by process {process.pid} on .* since 20.*another folder'
        with pytest.raises(FolderInUseError, match=said):
            lock(folder)
        # Also of another manifest, and by another spelling of the path.
        (tmp_path / 'link').symlink_to(folder)
        with pytest.raises(FolderInUseError):
            lock(tmp_path / 'link', 'other.json')
        process.communicate('\n')
        assert process.returncode == 0
    assert list(folder.iterdir()) == []
    lock(folder)


def test_a_killed_process_frees_the_folder(tmp_path):
    with python(HOLD, tmp_path) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (tmp_path / '.lock').exists()
    lock(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_at_a_time_in_a_process_too(tmp_path):
    with RunManifest(tmp_path, 'a.json') as run:
        run.lock()
        run.lock()
        with pytest.raises(FolderInUseError):
            lock(tmp_path)
        # Of another folder, it may be the second lock.
        lock(tmp_path / 'inner')
        with pytest.raises(FolderInUseError):
            lock(tmp_path)
    lock(tmp_path)
    stop = RunManifest(tmp_path, 'a.json')
    stop.lock()
    stop.__exit__(KeyError, KeyError(), None)
    lock(tmp_path)


def test_many_processes_never_hold_it_together(tmp_path):
    """Each appends a line when it has the lock, and another before it releases it."""
    script = """
import sys, time
from tfinet_mm.errors import FolderInUseError
from tfinet_mm.utils.manifest import RunManifest
done = 0
while done < 60:
    try:
        with RunManifest(sys.argv[1] + '/locked', 'run.json') as run:
            run.lock()
            for word in 'in', 'out':
                with open(sys.argv[1] + '/log', 'a') as log:
                    log.write(f'{word} {sys.argv[2]}\\n')
            done += 1
    except FolderInUseError:
        time.sleep(0.0005)
"""
    with python(script, tmp_path, 1) as one, python(script, tmp_path, 2) as two:
        assert one.wait(600) == two.wait(600) == 0
    lines = (tmp_path / 'log').read_text().split('\n')[:-1]
    assert len(lines) == 240
    for begin, end in zip(lines[::2], lines[1::2], strict=True):
        assert begin.split() == ['in', end.split()[1]]
        assert end.startswith('out')


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='processes are not forked there')
def test_a_forked_process_does_not_hold_it(tmp_path):
    """A worker that outlives a killed run must not keep the next one out."""
    script = """
import os, sys, time
from tfinet_mm.utils.manifest import RunManifest
with RunManifest(sys.argv[1], 'run.json') as run:
    run.lock()
    if os.fork() == 0:
        # Neither does its end give the folder back.
        run.__exit__(None, None, None)
        print(os.getpid(), flush=True)
        time.sleep(600)
    sys.stdin.readline()
"""
    with python(script, tmp_path) as process:
        worker = int(process.stdout.readline())
        try:
            with pytest.raises(FolderInUseError):
                lock(tmp_path)
            process.send_signal(signal.SIGKILL)
            process.wait()
            lock(tmp_path)
        finally:
            os.kill(worker, signal.SIGKILL)


def test_a_child_that_inherits_the_lock_holds_it(tmp_path):
    """As a command that outlives the process that started it."""
    script = """
import subprocess, sys
from tfinet_mm.utils.manifest import RunManifest
run = RunManifest(sys.argv[1], 'run.json')
run.lock()
child = subprocess.Popen(['sleep', '600'], pass_fds=run.held, stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
sys.stdin.readline()
"""
    with python(script, tmp_path) as process:
        child = int(process.stdout.readline())
    try:
        with pytest.raises(FolderInUseError, match='is being written to by process'):
            lock(tmp_path)
    finally:
        os.kill(child, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while True:
        try:
            lock(tmp_path)
            break
        except FolderInUseError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_file_systems_without_locks(tmp_path, monkeypatch):
    def unable(*_):
        raise OSError(errno.ENOLCK, 'no locks available')

    monkeypatch.setattr(folder_lock.fcntl, 'flock', unable)
    with pytest.warns(UserWarning, match='has no locks; let no other run write'):
        lock(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_finished_folder_may_be_read_only(tmp_path):
    folder = tmp_path / 'out'
    with RunManifest(folder, 'run.json', 'maps') as run:
        run.lock()
        run.write({'a': 1})
    with read_only(folder), RunManifest(folder, 'run.json', 'maps') as run:
        found = run.read()
        run.check(found, {'a': 1})
        # A finished folder needs no writing.
        run.write({'a': 1})
        for write in (run.lock, lambda: run.write({'a': 2})):
            with pytest.raises(
                PermissionError, match=r'where maps are to be .* another folder.*out'
            ):
                write()
    assert run.read() == {'a': 1}


def test_no_lock_where_all_is_finished(tmp_path):
    looks = []

    def finished(answers):
        def look():
            looks.append((tmp_path / '.lock').exists())
            return answers.pop(0)

        return look

    with RunManifest(tmp_path, 'run.json') as run:
        assert run.lock_unless(finished(['report'])) == 'report'
        assert looks == [False]
        lock(tmp_path)
        # Another run was faster than this one's lock.
        assert run.lock_unless(finished([None, 'report'])) == 'report'
        assert looks == [False, False, True]
        with pytest.raises(FolderInUseError):
            lock(tmp_path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'it is empty'),
        (b'\n', 'it is empty'),
        (b'{"settings": {"a"', r'it is cut off or no JSON \(Expecting'),
        (b'\x00\xff\xfe' * 9, 'it is cut off or no JSON'),
        (b'\0' * 4096, 'it is cut off or no JSON'),
        (b'[' * 100_000, 'it is cut off or no JSON'),
        (b'[]', 'holds no JSON object'),
        (b'null', 'holds no JSON object'),
        (b'{"settings": {}}', r'lacks inputs; choose another folder \(--out\)'),
    ],
)
def test_damaged_files_are_named(tmp_path, content, message):
    run = RunManifest(tmp_path, 'run.json')
    run.path.write_bytes(content)
    run.recall()
    with pytest.raises(ManifestError, match=rf'run\.json is not what this package .*{message}'):
        run.read(['inputs', 'settings'])
    # Errors that a caller would expect of such a function.
    for kind in (ValueError, FileExistsError):
        with pytest.raises(kind):
            run.read(['inputs', 'settings'])


def test_no_file_is_no_manifest(tmp_path):
    RunManifest(tmp_path / 'none', 'run.json').recall()
    assert RunManifest(tmp_path / 'none', 'run.json').read(['a']) is None
    assert read_json(tmp_path / 'none.json') is None


def test_what_is_written_is_read(tmp_path):
    run = RunManifest(tmp_path / 'new', 'run.json')
    content = {'name': 'a\udce9 ü', 'numbers': [0.1, None, True], 'more': {}}
    run.write(content)
    assert run.read() == content
    assert list(run.folder.iterdir()) == [run.path]
    stamp = run.path.stat().st_mtime_ns
    run.write(content)
    assert run.path.stat().st_mtime_ns == stamp


def test_readers_never_meet_half_a_file(tmp_path):
    """It works on any file system that can rename, without locks and links."""
    run = RunManifest(tmp_path, 'run.json')
    seen = set()
    with python(WRITE_OFTEN, tmp_path, 60) as one, python(WRITE_OFTEN, tmp_path, 60) as two:
        while one.poll() is None or two.poll() is None:
            found = run.read(['number', 'text'])
            seen.add(found and found['number'])
    assert one.returncode == two.returncode == 0
    assert len(seen) > 5
    assert run.read()['number'] == 59
    assert list(tmp_path.iterdir()) == [run.path]


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    run = RunManifest(tmp_path, 'run.json')
    run.write({'a': 1})

    def full(_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='no space is left'):
        run.write({'a': 2})
    assert run.read() == {'a': 1}
    assert list(tmp_path.iterdir()) == [run.path]


def test_what_a_killed_run_left_half_written_is_removed(tmp_path):
    with python('', 0) as dead:
        dead.wait()
    # Also where this process has written before.
    for number in range(2):
        for folder in (tmp_path, tmp_path / 'a'):
            folder.mkdir(exist_ok=True)
            left = f'.part-{files._pid_space()}-{dead.pid}-01234567-{number}.tif'
            (folder / left).write_bytes(b'half')
        with RunManifest(tmp_path, 'run.json') as run:
            run.lock()
            run.write(dict(number=number))
            with files.whole_file(tmp_path / 'a' / 'b.txt') as partial:
                partial.write_text('x')
        found = {path.name for path in tmp_path.rglob('*')}
        assert found == {'a', 'b.txt', 'run.json'}


def test_differences_field_by_field(tmp_path):
    run = RunManifest(tmp_path, 'run.json', 'maps', informative=('checkpoint', 'name'))
    found = dict(a=[1, 2], b=dict(c='x', name='n'), e=None, n=float('nan'), t=[1, 2])
    wanted = dict(a=[1, 3], b=dict(c='y', name='m'), d=0.5, e=[1], n=float('nan'), t=(1, 2))
    assert run.differences(found, wanted) == [
        ('a[1]', 2, 3),
        ('b.c', 'x', 'y'),
        ('d', None, 0.5),
        ('e', None, [1]),
    ]
    with pytest.raises(ManifestError) as error:
        run.check(found, wanted)
    assert str(error.value).splitlines() == [
        f'{tmp_path} holds maps that were made in another way:',
        '  a[1] was 2, is 3',
        "  b.c was 'x', is 'y'",
        '  d was None, is 0.5',
        '  e was None, is [1]',
        'Choose another folder (--out), or replace them (--overwrite)',
    ]
    run.check(found, {**found, 'b': dict(c='x', name='another')})
    with pytest.raises(ManifestError, match=r'way: a was 1, is 2\. Choose another folder'):
        run.check(dict(a=1), dict(a=2))
    with pytest.raises(ManifestError, match=r'f5 was 5, is 6\n  and 4 more\n'):
        run.check(*({f'f{i}': i + add for i in range(10)} for add in (0, 1)))
    members = [[dict(checkpoint=name)] * number for name, number in (('a.pth', 2), ('b.pth', 1))]
    with pytest.raises(ManifestError, match=r'm was 2 \(a\.pth, a\.pth\), is 1 \(b\.pth\)'):
        run.check(*(dict(m=one) for one in members))
    with pytest.raises(ManifestError, match=r'm was None, is 9 \((b\.pth, ){6}\.\.\.\)'):
        run.check({}, dict(m=members[1] * 9))
    with pytest.raises(ManifestError, match=r'm\[0\] \(b\.pth\)\.w was None, is 1'):
        run.check(dict(m=members[1]), dict(m=[dict(checkpoint='b.pth', w=1)]))
    with pytest.raises(ManifestError) as error:
        run.check(dict(hash='f' * 64), dict(hash='0' * 64))
    assert len(str(error.value)) < len(str(tmp_path)) + 190


def test_a_renamed_key_is_a_difference(tmp_path):
    run = RunManifest(tmp_path, 'run.json')
    assert run.differences(dict(level=0.5), dict(threshold=0.5)) == [
        ('level', 0.5, None),
        ('threshold', None, 0.5),
    ]


def same_time(path, like):
    os.utime(path, ns=(like.st_atime_ns, like.st_mtime_ns))


def test_a_hash_is_that_of_sha256sum(tmp_path):
    paths = [tmp_path / 'a b', tmp_path / 'c']
    for path in paths:
        path.write_bytes(os.urandom(300_000))
    printed = subprocess.run(['sha256sum', *paths], capture_output=True, text=True, check=True)
    expected = [line.split()[0] for line in printed.stdout.splitlines()]
    assert [entry['sha256'] for entry in fingerprints(paths)] == expected
    with pytest.raises(FileNotFoundError):
        fingerprints([tmp_path / 'none'])


@pytest.mark.parametrize('how', ['rewritten', 'replaced', 'swapped links'])
def test_other_content_of_the_same_name_size_and_time_is_noticed(tmp_path, how):
    path = tmp_path / 'a.tif'
    path.write_bytes(b'x' * 1000)
    old = path.stat()
    (first,) = fingerprints([path])
    if how == 'rewritten':
        with path.open('r+b') as file:
            file.seek(500)
            file.write(b'y')
    else:
        other = tmp_path / 'b'
        other.write_bytes(b'x' * 500 + b'y' + b'x' * 499)
        if how == 'replaced':
            same_time(other, old)
            os.replace(other, path)
        else:
            path.rename(tmp_path / 'c')
            path.symlink_to(other)
    same_time(path, old)
    new = path.stat()
    assert (new.st_size, new.st_mtime_ns) == (old.st_size, old.st_mtime_ns)
    (second,) = fingerprints([path])
    run = RunManifest(tmp_path, 'run.json')
    with pytest.raises(ManifestError, match=r'before was .*a\.tif \(sha256 44f8.*, is .*a\.tif'):
        run.check(dict(before=first), dict(before=second))


def test_a_change_right_after_the_hash_is_noticed(tmp_path):
    """Within a tick of the clock that gives files their time stamps."""
    path = tmp_path / 'a'
    for number in range(20):
        path.write_bytes(b'%09d' % number)
        (first,) = fingerprints([path])
        with path.open('r+b') as file:
            file.write(b'x')
        os.utime(path, ns=(0, int(first['stat'].split()[2])))
        (second,) = fingerprints([path])
        assert first['sha256'] != second['sha256']
        path.unlink()


def test_another_spelling_or_place_is_the_same_input(tmp_path, monkeypatch):
    path = tmp_path / 'in' / 'a.tif'
    path.parent.mkdir()
    path.write_bytes(b'x' * 1000)
    (tmp_path / 'link').symlink_to(path.parent)
    shutil.copy(path, tmp_path / 'copy.tif')
    monkeypatch.chdir(tmp_path)
    spelled = ['in/a.tif', 'link/a.tif', './in/../in/a.tif', str(path), 'copy.tif']
    run = RunManifest(tmp_path, 'run.json')
    (first,) = fingerprints([path])
    for entry in fingerprints(spelled):
        run.check(dict(before=first), dict(before=entry))


def test_an_untouched_file_is_read_once(tmp_path):
    path = tmp_path / 'a'
    path.write_bytes(b'x' * 1000)
    run = RunManifest(tmp_path / 'out', 'run.json')
    with hashed_files() as names:
        (first,) = fingerprints([path])
        run.write(dict(pairs=[dict(before=first)]))
        assert fingerprints([path]) == [first]
    assert names == [str(path)]
    # A later process knows it from the manifest.
    with hashed_files() as names:
        run.recall()
        assert fingerprints([path]) == [first]
        assert names == []
        path.chmod(0o600)
        assert fingerprints([path])[0]['sha256'] == first['sha256']
    assert names == [str(path)]


@pytest.mark.parametrize('stat', [None, 5, [1, 2, 3, 4], '1 2 3 4000000000'])
def test_entries_that_tell_nothing_are_not_trusted(stat):
    """Also where a file system counts whole seconds."""
    before = dict(_contents)
    remember(dict(a=[dict(sha256='0' * 64, stat=stat)]))
    assert _contents == before


def test_a_file_that_is_being_written_is_refused(tmp_path, monkeypatch):
    path = tmp_path / 'a'
    path.write_bytes(b'x')
    time.sleep(0.06)
    digest = hashlib.file_digest

    def grows(file, kind):
        path.write_bytes(b'xy')
        return digest(file, kind)

    monkeypatch.setattr(hashlib, 'file_digest', grows)
    with pytest.raises(ManifestError, match='changed while it was read; start again'):
        fingerprints([path])


def test_the_order_of_keys_does_not_count():
    assert content_hash(dict(a=1, b=(1, 2))) == content_hash(dict(b=[1, 2], a=1))
    assert content_hash([1, 2]) != content_hash([2, 1])
    colours = {(255, 0, 0): 'a', 'b': [{(0, 0, 1): 2}]}
    assert content_hash(colours) == content_hash(dict(reversed(colours.items())))
    assert content_hash(colours) != content_hash({**colours, (255, 0, 0): 'c'})
