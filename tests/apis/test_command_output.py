"""Test the manifest: results that may be added to a folder, and those refused."""

import hashlib
import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hashing import hashed_files
from PIL import Image
from read_only import read_only

from tfinet_mm.apis.command_output import (
    Pair,
    claim_folder,
    folder_manifest,
    is_georeferenced,
    list_pairs,
)
from tfinet_mm.errors import (
    FolderInUseError,
    ManifestError,
    MissingExtraError,
    UnmatchedPairError,
)
from tfinet_mm.structures import SECOND

SETTINGS = dict(
    model=[dict(name='a', config='a.py', checkpoint='a.pth', weights='123')],
    threshold=0.5,
    picture=dict(window=None),
)


@pytest.fixture
def make_pair(tmp_path):
    """Files that differ, in place of images of a pair."""

    def make(name, kind='picture', folder='in', content=''):
        suffix = dict(picture='png', scene='tif')[kind]
        paths = [tmp_path / folder / date / f'{name}.{suffix}' for date in ('1', '2')]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'{name} {path.parent.name} {content}')
        return Pair(name, kind, *map(str, paths))

    return make


@pytest.fixture
def a(make_pair):
    return make_pair('a')


@pytest.fixture
def b(make_pair):
    return make_pair('sub dir/b', 'scene')


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


def finish(out, *pairs):
    for pair in pairs:
        if pair.kind == 'picture':
            paths = [
                out / folder / f'{pair.name}.png' for folder in ('label1', 'label2', 'change_prob')
            ]
        else:
            paths = [out / pair.name / 'change.tif', out / pair.name / 'scene.json']
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        if pair.kind == 'scene':
            paths[1].write_text(json.dumps(dict(files=['change.tif'])))


def claim(out, pairs, overwrite=False, **settings):
    with folder_manifest(out) as run:
        return claim_folder(run, pairs, SECOND, SETTINGS | settings, overwrite)


def manifest(out):
    return json.loads((out / 'manifest.json').read_text())


def test_the_manifest_tells_all(out, a, b):
    assert claim(out, [a, b]) == [a, b]
    found = manifest(out)
    keys = ['version', 'class_names', 'palette', 'threshold', 'settings', 'pairs', 'inputs']
    assert list(found) == keys
    assert found['version'] == 1
    assert found['class_names'] == list(SECOND.names)
    assert found['palette'][1] == list(SECOND.palette[1])
    assert found['threshold'] == 0.5
    assert found['pairs'][1] == dict(name='sub dir/b', kind='scene', before=b.before, after=b.after)
    hashes = {one['file']: one['sha256'] for one in found['inputs']}
    assert list(hashes) == [a.before, a.after, b.before, b.after]
    assert hashes[a.after] == hashlib.sha256(b'a 2 ').hexdigest()


def test_a_longer_list_goes_on(out, a, b, make_pair):
    claim(out, [a])
    finish(out, a)
    # The path of the checkpoint doesn't matter; a section of scenes is new.
    moved = [SETTINGS['model'][0] | dict(checkpoint='b.pth')]
    assert claim(out, [a, b], model=moved, scene=dict(grid=10)) == [b]
    finish(out, b)
    other = make_pair('c')
    assert claim(out, [other]) == [other]
    assert [pair['name'] for pair in manifest(out)['pairs']] == ['a', 'sub dir/b', 'c']
    assert len(manifest(out)['inputs']) == 6
    assert manifest(out)['settings']['scene'] == dict(grid=10)
    # A pair that was never finished is forgotten once it isn't asked for.
    claim(out, [a, b])
    assert [pair['name'] for pair in manifest(out)['pairs']] == ['a', 'sub dir/b']
    assert len(manifest(out)['inputs']) == 4


def test_other_settings_are_refused_and_replaced(out, a, b):
    claim(out, [a, b])
    # Nothing is finished.
    assert claim(out, [a, b], threshold=0.4) == [a, b]
    finish(out, a)
    with pytest.raises(ManifestError, match=r'threshold was 0\.4, is 0\.5.*--overwrite'):
        claim(out, [a, b])
    with pytest.raises(ManifestError, match=r'picture\.window was None, is 64'):
        claim(out, [b], threshold=0.4, picture=dict(window=64))
    assert manifest(out)['threshold'] == 0.4
    assert claim(out, [a, b], overwrite=True) == [a, b]
    assert manifest(out)['threshold'] == 0.5
    # Stopped before anything was made: the second run without the option makes all.
    assert claim(out, [a, b]) == [a, b]
    finish(out, a, b)
    assert claim(out, [a], overwrite=True, threshold=0.3) == [a]
    assert [pair['name'] for pair in manifest(out)['pairs']] == ['a']
    # Results of the former settings are still there, and are not used.
    assert claim(out, [a, b], threshold=0.3) == [a, b]


def test_another_pair_of_the_same_name_is_refused(out, a, make_pair):
    claim(out, [a])
    moved = make_pair('a', folder='elsewhere', content='other')
    assert claim(out, [moved]) == [moved]
    finish(out, a)
    with pytest.raises(ManifestError) as error:
        claim(out, [a])
    lines = str(error.value).splitlines()
    for line, role in zip(lines[1:3], ('after', 'before'), strict=True):
        place = f'/{"12"[role == "after"]}/a.png (sha256 '
        assert line.startswith(f'  pairs.a.{role} was ')
        assert f'elsewhere{place}' in line
        assert f'in{place}' in line
    assert '--overwrite' in lines[3]
    with pytest.raises(ManifestError, match=r"pairs\.a\.kind was 'picture', is 'scene'"):
        claim(out, [moved._replace(kind='scene')])
    assert claim(out, [a], overwrite=True) == [a]


def test_an_image_counts_by_its_content(out, a, make_pair):
    claim(out, [a])
    finish(out, a)
    with hashed_files() as names:
        assert claim(out, [a]) == []
    assert names == []
    copied = make_pair('a', folder='copied')
    assert claim(out, [copied]) == []
    os.utime(a.before, (0, 0))
    assert claim(out, [a]) == []
    stat = os.stat(a.before)
    with open(a.before, 'r+') as file:
        file.write('b')
    os.utime(a.before, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(ManifestError, match=r'way: pairs\.a\.before was .*a\.png \(sha256'):
        claim(out, [a])
    assert claim(out, [a], overwrite=True) == [a]


@pytest.mark.parametrize('lost', ['label1', 'label2', 'change_prob'])
def test_a_map_that_is_lost_is_made_again(out, a, lost):
    claim(out, [a])
    finish(out, a)
    (out / lost / 'a.png').unlink()
    assert claim(out, [a]) == [a]
    # Stopped once that map is there: it may be of another content than the others.
    (out / lost / 'a.png').touch()
    if lost != 'change_prob':
        assert claim(out, [a]) == [a]


def test_a_scene_that_lost_a_file_is_made_again(out, b):
    claim(out, [b])
    finish(out, b)
    assert claim(out, [b]) == []
    (out / b.name / 'change.tif').unlink()
    assert claim(out, [b]) == [b]
    finish(out, b)
    assert claim(out, [b]) == []
    (out / b.name / 'scene.json').write_text('{"files"')
    assert claim(out, [b]) == [b]


def test_results_without_a_manifest_are_refused(out, a):
    finish(out, a)
    with pytest.raises(ManifestError, match=r'no manifest\.json says'):
        claim(out, [a])
    assert claim(out, [a], overwrite=True) == [a]
    (out / 'manifest.json').write_text('{"version": 7}')
    with pytest.raises(ManifestError, match=r'not what this package writes: it lacks pairs, set'):
        claim(out, [a])
    (out / 'manifest.json').write_text('{"version": 7, "pairs": [], "settings": {}}')
    with pytest.raises(ManifestError, match=r'manifest\.json is of version 7, expected 1'):
        claim(out, [a])


@pytest.mark.parametrize('content', ['', '{"version": 1, "class_na', '\0' * 100])
def test_a_damaged_manifest_is_named_and_replaced(out, a, content):
    claim(out, [a])
    finish(out, a)
    (out / 'manifest.json').write_text(content)
    with pytest.raises(ManifestError, match=r'manifest\.json is not what .*\(--overwrite\)'):
        claim(out, [a])
    assert claim(out, [a], overwrite=True) == [a]
    assert manifest(out)['pairs'][0]['name'] == 'a'


def test_one_run_at_a_time(out, a, make_pair):
    other = make_pair('c')
    with folder_manifest(out) as run:
        claim_folder(run, [a], SECOND, SETTINGS)
        for options in ({}, dict(overwrite=True), dict(threshold=0.3)):
            with pytest.raises(FolderInUseError, match='written to by process'):
                claim(out, [other], **options)
        assert [pair['name'] for pair in manifest(out)['pairs']] == ['a']
        finish(out, a)
        # Skipping writes nothing.
        assert claim(out, [a]) == []
    assert claim(out, [a, other]) == [other]


def test_a_finished_folder_may_be_read_only(out, a, make_pair):
    claim(out, [a])
    finish(out, a)
    other = make_pair('c')
    with read_only(out):
        assert claim(out, [a]) == []
        # It would note the present path of the checkpoint.
        moved = [SETTINGS['model'][0] | dict(checkpoint='b.pth')]
        assert claim(out, [a], model=moved) == []
        with pytest.raises(PermissionError, match='results are to be written; choose another'):
            claim(out, [a, other])


def test_rasters_on_the_ground_are_scenes(tmp_path, monkeypatch):
    rasterio = pytest.importorskip('rasterio')
    transform = rasterio.Affine(10, 0, 5, 0, -10, 9)
    for name, driver, options in (
        ('1/plain.tif', 'GTiff', {}),
        ('2/plain.tif', 'GTiff', {}),
        ('1/crs.tif', 'GTiff', dict(crs='EPSG:4326', transform=transform)),
        ('2/crs.tif', 'GTiff', {}),
        ('1/placed.TIFF', 'GTiff', dict(transform=transform)),
        ('2/placed.tif', 'GTiff', dict(transform=transform)),
        ('1/sub/erdas.img', 'HFA', dict(crs='EPSG:4326', transform=transform)),
        ('2/sub/erdas.img', 'HFA', dict(crs='EPSG:4326', transform=transform)),
        ('1/a.png', 'PNG', {}),
        ('2/a.png', 'PNG', {}),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(
            path, 'w', driver=driver, count=1, height=4, width=4, dtype='uint8', **options
        ) as file:
            file.write(np.zeros((1, 4, 4), np.uint8))
    one, two = str(tmp_path / '1'), str(tmp_path / '2')
    kinds = {pair.name: pair.kind for pair in list_pairs(one, two)}
    assert kinds == {
        'a': 'picture',
        'crs': 'scene',
        'placed': 'scene',
        'plain': 'picture',
        'sub/erdas': 'scene',
    }
    for kind in ('scene', 'picture'):
        assert {pair.kind for pair in list_pairs(one, two, kind)} == {kind}
    (pair,) = list_pairs(f'{one}/crs.tif', f'{two}/crs.tif')
    assert pair == Pair('crs', 'scene', f'{one}/crs.tif', f'{two}/crs.tif')
    damaged = tmp_path / 'damaged.tif'
    damaged.write_bytes(b'II*\0')
    assert not is_georeferenced(str(damaged))
    # A world file can't be left out of account, even where nothing can read it.
    picture = tmp_path / 'picture.png'
    cv2.imwrite(str(picture), np.zeros((4, 4, 3), np.uint8))
    monkeypatch.setitem(sys.modules, 'rasterio', None)
    assert not is_georeferenced(str(picture))
    (tmp_path / 'picture.pgw').write_text('10\n0\n0\n-10\n5\n5\n')
    with pytest.raises(MissingExtraError, match=r'picture\.pgw places .*--input-type picture'):
        is_georeferenced(str(picture))
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError, match=r'none\.tif'):
        list_pairs(f'{one}/crs.tif', f'{one}/none.tif')
    (tmp_path / '1/crs.tif').rename(tmp_path / 'label1.tif')
    with pytest.raises(ValueError, match='into the folder label1'):
        list_pairs(str(tmp_path / 'label1.tif'), f'{two}/crs.tif')


def test_one_input_for_both_dates_is_refused(tmp_path):
    folder, link = tmp_path / 'd', tmp_path / 'link'
    folder.mkdir()
    link.symlink_to(folder)
    for name in ('a.png', 'b.png'):
        (folder / name).touch()
    (folder / 'c.png').symlink_to('a.png')
    for after in (folder, link):
        with pytest.raises(ValueError, match='before and after are the same folder'):
            list_pairs(str(folder), str(after))
    for after in (folder / 'a.png', link / 'a.png', folder / 'c.png'):
        with pytest.raises(ValueError, match=r'before and after are the same file, .*a\.png'):
            list_pairs(str(folder / 'a.png'), str(after))
    (tmp_path / 'e').mkdir()
    (tmp_path / 'e' / 'a.png').touch()
    for name in ('b.png', 'c.png'):
        (tmp_path / 'e' / name).symlink_to(folder / name)
    with pytest.raises(ValueError, match=r'the same file, .*b\.png'):
        list_pairs(str(folder), str(tmp_path / 'e'))
    (pair,) = list_pairs(str(folder / 'a.png'), str(folder / 'b.png'))
    assert (pair.before, pair.after) == (str(folder / 'a.png'), str(folder / 'b.png'))


def test_results_among_the_images_are_no_images(tmp_path):
    for folder in ('before', 'after', 'before/out'):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'a.png').touch()
    folders = str(tmp_path / 'before'), str(tmp_path / 'after')
    with pytest.raises(UnmatchedPairError, match='out/a'):
        list_pairs(*folders)
    (pair,) = list_pairs(*folders, out=tmp_path / 'after' / '..' / 'before' / 'out')
    assert pair.name == 'a'
    for folder in folders:
        with pytest.raises(ValueError, match=r'--out is .*choose another folder'):
            list_pairs(*folders, out=Path(folder))


@pytest.mark.skipif(os.name != 'posix', reason='names of files are text there')
def test_names_that_are_no_text_in_utf_8(tmp_path):
    name = os.fsdecode(b'caf\xe9')
    for date in '12':
        (tmp_path / date).mkdir()
        try:
            (tmp_path / date / f'{name}.png').touch()
        except OSError:
            pytest.skip('the file system takes UTF-8 alone')
    pairs = list_pairs(str(tmp_path / '1'), str(tmp_path / '2'))
    assert [pair.name for pair in pairs] == [name]
    assert claim(tmp_path / 'out', pairs) == pairs
    (found,) = json.loads((tmp_path / 'out' / 'manifest.json').read_bytes().decode())['pairs']
    assert found == pairs[0].entry()
    # The second run finds the first one's.
    finish(tmp_path / 'out', *pairs)
    assert claim(tmp_path / 'out', pairs) == []


def test_folders_whose_names_differ_by_a_pattern(tmp_path):
    for date in ('pre', 'post'):
        for name in ('x_1', 'x_2'):
            path = tmp_path / date / f'{name}_{date}_disaster.png'
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    folders = str(tmp_path / 'pre'), str(tmp_path / 'post')
    with pytest.raises(UnmatchedPairError, match='--key-pattern'):
        list_pairs(*folders)
    pairs = list_pairs(*folders, key_pattern='_(pre|post)_disaster')
    assert [(Path(pair.before).name, Path(pair.after).name) for pair in pairs] == [
        (f'x_{number}_pre_disaster.png', f'x_{number}_post_disaster.png') for number in (1, 2)
    ]


def test_rasters_of_any_ending_are_scenes(tmp_path):
    """They were predicted as plain pictures, without their place."""
    rasterio = pytest.importorskip('rasterio')
    profile = dict(width=40, height=30, count=1, dtype='uint8', crs='EPSG:32633')
    profile['transform'] = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
    values = np.random.default_rng(0).integers(0, 255, (30, 40), np.uint8)
    for driver, name in (('ENVI', 'a.dat'), ('GPKG', 'a.gpkg'), ('GTiff', 'a.cog')):
        path = tmp_path / name
        with rasterio.open(path, 'w', driver=driver, **profile) as file:
            file.write(values, 1)
        assert is_georeferenced(str(path))
    (tmp_path / 'notes.txt').write_text('no raster')
    assert not is_georeferenced(str(tmp_path / 'notes.txt'))
