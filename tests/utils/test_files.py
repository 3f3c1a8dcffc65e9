"""Files appear once they are complete, under the names of their samples."""

import errno
import multiprocessing
import os
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tfinet_mm.utils import files
from tfinet_mm.utils.files import check_folder, sample_file, whole_file, write_whole


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / 'new' / 'a.txt'
    with whole_file(path) as partial:
        partial.write_text('one')
        assert not path.exists()
        assert partial.suffix == '.txt'
    assert path.read_text() == 'one'
    assert list(path.parent.iterdir()) == [path]


def test_after_an_error_the_old_file_is_still_there(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')

    def write():
        with whole_file(path) as partial:
            partial.write_text('ne')
            raise RuntimeError('half way')

    with pytest.raises(RuntimeError, match='half way'):
        write()
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_do_not_meet(tmp_path):
    path = tmp_path / 'a.txt'
    with whole_file(path) as first, whole_file(path) as second:
        first.write_text('first')
        second.write_text('second')
    assert path.read_text() == 'first'
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_as_long_as_names_can_be(tmp_path):
    path = tmp_path / ('a' * 251 + '.png')
    with whole_file(path) as partial:
        partial.write_text('x')
    assert path.exists()


def test_permissions_are_kept(tmp_path):
    new, old = tmp_path / 'new.txt', tmp_path / 'old.txt'
    old.write_text('old')
    for path in (new, old):
        for mode in (0o600, 0o640, 0o444):
            if path is old:
                path.chmod(mode)
            with whole_file(path) as partial:
                partial.write_text('x')
            if path is old:
                assert stat.S_IMODE(path.stat().st_mode) == mode
    plain = tmp_path / 'plain.txt'
    plain.write_text('as the umask has it')
    assert stat.S_IMODE(new.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_bytes_are_never_readable_for_more_people(tmp_path, monkeypatch):
    path = tmp_path / 'a.bin'
    path.write_bytes(b'old')
    path.chmod(0o600)
    seen = []
    replace = os.replace

    def look(source, target):
        seen.append(stat.S_IMODE(os.stat(source).st_mode))
        replace(source, target)

    def no_chmod(self, mode):
        raise OSError('the file system has no permissions')

    monkeypatch.setattr(os, 'replace', look)
    monkeypatch.setattr('pathlib.Path.chmod', no_chmod)
    write_whole(path, b'new')
    assert seen == [0o600]
    assert path.read_bytes() == b'new'


def test_file_and_folder_reach_the_disk_in_order(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, 'fsync', lambda fd: (done.append(os.fstat(fd).st_mode), fsync(fd)))
    monkeypatch.setattr(os, 'replace', lambda *names: (done.append('replace'), replace(*names)))
    with whole_file(tmp_path / 'a.txt') as partial:
        partial.write_text('x')
    assert stat.S_ISREG(done[0])
    assert done[1] == 'replace'
    assert stat.S_ISDIR(done[2])


def test_systems_that_can_not_sync(tmp_path, monkeypatch):
    def unable(_):
        raise OSError(errno.EINVAL, 'not on this file system')

    monkeypatch.setattr(os, 'fsync', unable)
    with whole_file(tmp_path / 'a.txt') as partial:
        partial.write_text('x')
    assert (tmp_path / 'a.txt').read_text() == 'x'


def test_a_link_may_be_written(tmp_path):
    (tmp_path / 'real').write_text('x')
    for _ in range(2):
        with whole_file(tmp_path / 'link') as partial:
            partial.symlink_to('real')
    assert (tmp_path / 'link').readlink() == Path('real')


def write_often(path, times):
    for number in range(times):
        write_whole(path, b'%d' % number * 1000)
    return times


def test_many_writers_of_one_file(tmp_path):
    path = tmp_path / 'x.bin'
    context = multiprocessing.get_context('fork')
    with context.Pool(2) as pool:
        assert pool.starmap(write_often, [(path, 100)] * 2) == [100, 100]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(write_often, [path] * 4, [50] * 4)) == [50] * 4
    assert path.read_bytes() == b'49' * 1000
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('suffix', ['.png', '.' + 'b' * 250])
def test_suffixes(tmp_path, suffix):
    path = tmp_path / f'a{suffix}'
    with whole_file(path) as partial:
        assert (partial.suffix == suffix) is (len(suffix) < 10)
        partial.write_text('x')
    assert path.exists()


def test_what_killed_processes_left_is_removed(tmp_path):
    here = files._pid_space()
    dead = subprocess.Popen([sys.executable, '-c', ''])
    dead.wait()
    mine = os.getpid()
    old = time.time() - 2 * files.ABANDONED_S
    left = {
        f'.part-{here}-{dead.pid}-01234567-0.tif': True,
        f'.part-{here}-{dead.pid}-01234567-1.gpkg-journal': True,
        # The same process id as ours, from an earlier run in a separate container.
        f'.part-{here}-{mine}-01234567-0': True,
        f'.part-{here}-{mine}-{files._process}-99999.png': False,
        f'.part-{here}-{os.getppid()}-01234567-0.png': False,
        f'.part-{"0" * 12}-{dead.pid}-01234567-0.png': False,
        f'.part-{"0" * 12}-{dead.pid}-01234567-1.png': True,
        f'.part-{here}-{"9" * 40}-01234567-0.png': False,
        '.part-of-something-else': False,
        '.hidden.png': False,
    }
    for name in left:
        (tmp_path / name).write_text('x')
    os.utime(tmp_path / f'.part-{"0" * 12}-{dead.pid}-01234567-1.png', (old, old))
    (tmp_path / f'.part-{here}-{dead.pid}-01234567-2').mkdir()
    with whole_file(tmp_path / 'a.txt') as partial:
        partial.write_text('x')
    for name, removed in left.items():
        assert (tmp_path / name).exists() is not removed, name
    # Once for each process and folder, since every look costs time.
    (tmp_path / f'.part-{here}-{dead.pid}-01234567-0.tif').write_text('x')
    with whole_file(tmp_path / 'b.txt') as partial:
        partial.write_text('x')
    assert (tmp_path / f'.part-{here}-{dead.pid}-01234567-0.tif').exists()


@pytest.mark.parametrize('name', ['a', 'a.b', 'sub dir/a.b c', 'ünï/日本', 'a.png', 'x_x0_y512'])
def test_names_are_kept(tmp_path, name):
    assert sample_file(tmp_path, name, '.png').as_posix() == f'{tmp_path.as_posix()}/{name}.png'


@pytest.mark.parametrize('name', ['', '..', '../a', 'a/../../b', '/etc/a'])
def test_names_stay_inside(tmp_path, name):
    with pytest.raises(ValueError, match='inside its folder'):
        sample_file(tmp_path, name, '.png')


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / 'made').mkdir()
    for folder in ('made', 'made/other', 'other/two'):
        check_folder(tmp_path / folder, '--out')
    (tmp_path / 'file').touch()
    for folder in ('file', 'file/a', 'file/a/b'):
        with pytest.raises(NotADirectoryError, match=r'--out: .*/file is a file, expected'):
            check_folder(tmp_path / folder, '--out')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['file', 'made']
