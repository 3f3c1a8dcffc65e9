import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from read_only import read_only

from tfinet_mm.datasets.synthetic import SyntheticConfig, files, generate_pair, write_dataset
from tfinet_mm.errors import ManifestError
from tfinet_mm.structures import SECOND
from tfinet_mm.utils.files import _pid_space

CONFIG = SyntheticConfig(size=(48, 40), seed=2)
PARTS = {'im1', 'im2', 'label1', 'label2', 'cover1', 'cover2'}


def contents(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file()
    }


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp('synthetic') / 'data'
    assert write_dataset(root, 4, 2, CONFIG) == 6
    return root


def test_files_and_folders(written):
    expected = {
        f'{split}/{part}/{number:05d}.png'
        for split, count in (('train', 4), ('val', 2))
        for part in PARTS
        for number in range(count)
    }
    assert set(contents(written)) == expected | {'meta.json'}


def test_files_hold_the_pairs(written):
    for split, index, name in (('train', 3, '00003'), ('val', 1_000_001, '00001')):
        pair = generate_pair(index, CONFIG)
        for part, array in (
            ('im1', pair.before),
            ('im2', pair.after),
            ('label1', pair.label_from),
            ('label2', pair.label_to),
            ('cover1', pair.cover_from),
            ('cover2', pair.cover_to),
        ):
            with Image.open(written / split / part / f'{name}.png') as image:
                assert image.mode == ('RGB' if part.startswith('im') else 'P')
                np.testing.assert_array_equal(np.asarray(image), array)


def test_labels_carry_the_colours_of_second(written):
    with Image.open(written / 'train' / 'label1' / '00000.png') as image:
        indices, colours = np.asarray(image), np.asarray(image.convert('RGB'))
        palette = image.getpalette()
    assert palette[:21] == [value for colour in SECOND.palette for value in colour]
    np.testing.assert_array_equal(colours, np.array(SECOND.palette, np.uint8)[indices])


def test_same_bytes_on_every_run_and_with_two_workers(written, tmp_path):
    for workers in (1, 2):
        write_dataset(tmp_path / str(workers), 4, 2, CONFIG, workers)
        assert contents(tmp_path / str(workers)) == contents(written)


def test_splits_do_not_depend_on_each_other(written, tmp_path):
    write_dataset(tmp_path, 1, 2, CONFIG)
    found, expected = contents(tmp_path), contents(written)
    assert all(found[name] == expected[name] for name in found if name != 'meta.json')


def test_meta_says_how_it_was_made(written):
    meta = json.loads((written / 'meta.json').read_text())
    assert meta['num_train'] == 4
    assert meta['num_val'] == 2
    assert meta['config'] == CONFIG.to_dict()
    assert meta['classes'] == list(SECOND.names)
    assert meta['version'] == files.GENERATOR_VERSION


def test_second_call_reuses_what_is_there(written):
    stamps = {path: path.stat().st_mtime_ns for path in written.rglob('*.png')}
    assert write_dataset(written, 4, 2, CONFIG, workers=2) == 0
    assert stamps == {path: path.stat().st_mtime_ns for path in written.rglob('*.png')}


@pytest.mark.parametrize(
    ('counts', 'config', 'message'),
    [
        ((4, 2), SyntheticConfig(size=(48, 40), seed=3), r'config\.seed was 2, is 3'),
        ((4, 2), SyntheticConfig(size=40, seed=2), r'config\.size\[0\] was 48, is 40'),
        ((5, 2), CONFIG, 'num_train was 4, is 5'),
    ],
)
def test_refuses_a_folder_made_with_other_settings(written, counts, config, message):
    before = contents(written)
    with pytest.raises(FileExistsError, match=message):
        write_dataset(written, *counts, config)
    assert contents(written) == before


def test_refuses_folders_of_unknown_origin(tmp_path):
    (tmp_path / 'train').mkdir()
    with pytest.raises(FileExistsError, match=r'has train but no meta\.json'):
        write_dataset(tmp_path, 1, 1, CONFIG)


@pytest.mark.parametrize('name', ['meta.json', 'meta.json.part'])
@pytest.mark.parametrize('content', [b'', b'{', b'\xff\0', b'[]'])
def test_refuses_a_damaged_meta_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=rf'{name} is not what .* choose another folder, rem'):
        write_dataset(tmp_path, 1, 1, CONFIG)
    assert (tmp_path / name).read_bytes() == content


def test_one_run_at_a_time(tmp_path, monkeypatch):
    """Two runs of different settings began, and one finished the pairs of the other."""
    real, tried = files.generate_pair, []

    def meanwhile(index, config):
        if not tried:
            tried.append(True)
            with pytest.raises(BlockingIOError, match='being written to by process'):
                write_dataset(tmp_path, 2, 1, CONFIG)
        return real(index, config)

    monkeypatch.setattr(files, 'generate_pair', meanwhile)
    assert write_dataset(tmp_path, 2, 1, CONFIG) == 3
    assert tried
    assert not (tmp_path / '.lock').exists()


def test_a_finished_data_set_may_be_read_only(tmp_path):
    root = tmp_path / 'data'
    write_dataset(root, 1, 1, CONFIG)
    with read_only(root):
        assert write_dataset(root, 1, 1, CONFIG) == 0
        # The pictures are there, but not all that are asked for.
        with pytest.raises(ManifestError, match='num_train was 1, is 2'):
            write_dataset(root, 2, 1, CONFIG)
    (root / 'val' / 'im1' / '00000.png').unlink()
    with read_only(root), pytest.raises(PermissionError, match='generated pairs are to be written'):
        write_dataset(root, 1, 1, CONFIG)


def test_goes_on_where_it_stopped(written, tmp_path, monkeypatch):
    real, made = files.generate_pair, []

    def stop_at_third(index, config):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(index)
        return real(index, config)

    monkeypatch.setattr(files, 'generate_pair', stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path, 4, 2, CONFIG)
    assert not (tmp_path / 'meta.json').exists()
    # The file that a process leaves behind when it is killed while writing.
    process = subprocess.Popen([sys.executable, '-c', ''])
    process.wait()
    half = f'.part-{_pid_space()}-{process.pid}-01234567-0.png'
    (tmp_path / 'train' / 'im2' / half).write_bytes(b'half')
    (tmp_path / 'train' / 'label2' / '00001.png').unlink()
    monkeypatch.undo()
    with pytest.raises(FileExistsError, match=r'config\.seed was 2, is 9'):
        write_dataset(tmp_path, 4, 2, SyntheticConfig(size=(48, 40), seed=9))
    assert write_dataset(tmp_path, 4, 2, CONFIG) == 5
    assert contents(tmp_path) == contents(written)


@pytest.mark.parametrize('arguments', [(-1, 2, CONFIG), (1, -2, CONFIG), (1, 1, CONFIG, 0)])
def test_numbers_out_of_range(tmp_path, arguments):
    with pytest.raises(ValueError, match=r'expected (num_train|num_val|workers) in'):
        write_dataset(tmp_path / 'new', *arguments)
    assert not (tmp_path / 'new').exists()


def test_empty_data_set(tmp_path):
    assert write_dataset(tmp_path / 'new', 0, 0, CONFIG) == 0
    assert (tmp_path / 'new' / 'meta.json').exists()
