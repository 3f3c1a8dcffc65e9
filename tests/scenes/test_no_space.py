"""A disk that gets full at any step ends in a sentence, and the next run resumes.

The limit on the size of files (RLIMIT_FSIZE) stands for the full disk; as root, small disks do.
"""

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from tfinet_mm.errors import NoSpaceError
from tfinet_mm.scenes.prediction import predict_scene
from tfinet_mm.utils.files import whole_file

resource = pytest.importorskip('resource')
pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')


@contextmanager
def largest_file(size):
    """Let no file grow beyond a size in bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def small_disk(folder, size):
    """Mount a disk of so many KiB, and return a function that changes that."""
    folder.mkdir()
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}k', 'tmpfs', folder])
    if mounted.returncode:
        pytest.skip('no right to mount a disk')
    try:
        yield lambda size: subprocess.run(
            ['mount', '-o', f'remount,size={size}k', folder], check=True
        )
    finally:
        subprocess.run(['umount', folder], check=True)


@pytest.fixture
def predict(scene, smooth, network):
    pair = [scene(str(i), smooth(150, 150, seed=i)) for i in (1, 2)]
    return lambda out: predict_scene(network(), *pair, out)


def contents(folder):
    # A GeoPackage holds the time at which it was written, scene.json how long all took.
    names = sorted(path.name for path in folder.iterdir())
    plain = [folder / name for name in names if not name.endswith(('.gpkg', 'scene.json'))]
    return names, [path.read_bytes() for path in plain]


@pytest.mark.skipif(os.name != 'posix' or os.geteuid() != 0, reason='mounts need root')
def test_a_disk_that_gets_full_at_every_step(predict, tmp_path):
    """While rows are staged, maps made of them, GeoTIFFs, areas and polygons written."""
    predict(tmp_path / 'whole')
    stopped = set()
    for number, size in enumerate((8, 60, 160, 240, 300, 400, 560)):
        with small_disk(tmp_path / f'disk{number}', size) as resize:
            out = tmp_path / f'disk{number}' / 'out'
            with pytest.raises(NoSpaceError, match=r'no space is left on the disk \(\d+ KiB') as at:
                predict(out)
            stopped.add(Path(at.value.filename).name)
            assert not (out / 'scene.json').exists()
            assert not list(out.rglob('.part-*'))
            resize(20_000)
            predict(out)
            assert contents(out) == contents(tmp_path / 'whole')
    assert {'change_prob.img', 'change_prob.tif', 'changes.gpkg'} <= stopped


def test_files_that_may_not_grow(predict, tmp_path):
    """The GeoPackage is the largest file; SQLite says 'no such table' of such a disk."""
    predict(tmp_path / 'whole')
    sizes = {path.name: path.stat().st_size for path in (tmp_path / 'whole').iterdir()}
    rest = max(size for name, size in sizes.items() if name != 'changes.gpkg')
    limit = max(150 * 150 * 4, rest) + 4096
    assert limit < sizes['changes.gpkg']
    with largest_file(limit), pytest.raises(OSError, match=r'changes\.gpkg'):
        predict(tmp_path / 'out')
    assert not (tmp_path / 'out/changes.gpkg').exists()
    assert not (tmp_path / 'out/scene.json').exists()
    predict(tmp_path / 'out')
    assert contents(tmp_path / 'out') == contents(tmp_path / 'whole')
    larger = pytest.raises(NoSpaceError, match=r"larger than .*: '.*a\.txt'")
    with largest_file(100), larger, whole_file(tmp_path / 'a.txt') as partial:
        partial.write_bytes(bytes(1000))
    assert not (tmp_path / 'a.txt').exists()
