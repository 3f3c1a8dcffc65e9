"""The manifest: what may be added to a folder, and what is refused."""

import json
import os

import numpy as np
import pytest

from tfinet_mm.apis.command_output import Pair, claim_folder, is_georeferenced, list_pairs
from tfinet_mm.structures import SECOND

SETTINGS = dict(
    model=[dict(name='a', config='a.py', checkpoint='a.pth', weights='123')],
    threshold=0.5,
    picture=dict(window=None),
)
A = Pair('a', 'picture', '/1/a.png', '/2/a.png')
B = Pair('sub dir/b', 'scene', '/1/b.tif', '/2/b.tif')


def finish(out, *pairs):
    for pair in pairs:
        path = (
            out / 'change_prob' / f'{pair.name}.png'
            if pair.kind == 'picture'
            else out / pair.name / 'scene.json'
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def claim(out, pairs, overwrite=False, **settings):
    return claim_folder(out, pairs, SECOND, SETTINGS | settings, overwrite)


def manifest(out):
    return json.loads((out / 'manifest.json').read_text())


def test_the_manifest_tells_all(tmp_path):
    out = tmp_path / 'out'
    assert claim(out, [A, B]) == [A, B]
    found = manifest(out)
    assert list(found) == ['version', 'class_names', 'palette', 'threshold', 'settings', 'pairs']
    assert found['version'] == 1
    assert found['class_names'] == list(SECOND.names)
    assert found['palette'][1] == list(SECOND.palette[1])
    assert found['threshold'] == 0.5
    assert found['pairs'][1] == dict(
        name='sub dir/b', kind='scene', before='/1/b.tif', after='/2/b.tif'
    )


def test_a_longer_list_goes_on(tmp_path):
    claim(tmp_path, [A])
    finish(tmp_path, A)
    # Where the checkpoint lies is no matter; a section of scenes is new.
    moved = [SETTINGS['model'][0] | dict(checkpoint='b.pth')]
    assert claim(tmp_path, [A, B], model=moved, scene=dict(grid=10)) == [B]
    finish(tmp_path, B)
    other = A._replace(name='c')
    assert claim(tmp_path, [other]) == [other]
    assert [pair['name'] for pair in manifest(tmp_path)['pairs']] == ['a', 'sub dir/b', 'c']
    assert manifest(tmp_path)['settings']['scene'] == dict(grid=10)
    # A pair that was never finished is forgotten once it isn't asked for.
    claim(tmp_path, [A, B])
    assert [pair['name'] for pair in manifest(tmp_path)['pairs']] == ['a', 'sub dir/b']


def test_other_settings_are_refused_and_replaced(tmp_path):
    claim(tmp_path, [A, B])
    # Nothing is finished.
    assert claim(tmp_path, [A, B], threshold=0.4) == [A, B]
    finish(tmp_path, A)
    with pytest.raises(ValueError, match=r'threshold was 0\.4, is 0\.5.*--overwrite'):
        claim(tmp_path, [A, B])
    with pytest.raises(ValueError, match=r'picture\.window was None, is 64'):
        claim(tmp_path, [B], threshold=0.4, picture=dict(window=64))
    assert manifest(tmp_path)['threshold'] == 0.4
    assert claim(tmp_path, [A, B], overwrite=True) == [A, B]
    assert manifest(tmp_path)['threshold'] == 0.5
    # Stopped before anything was made: the second run without the option makes all.
    assert claim(tmp_path, [A, B]) == [A, B]
    finish(tmp_path, A, B)
    assert claim(tmp_path, [A], overwrite=True, threshold=0.3) == [A]
    assert [pair['name'] for pair in manifest(tmp_path)['pairs']] == ['a']


def test_another_pair_of_the_same_name_is_refused(tmp_path):
    claim(tmp_path, [A])
    moved = A._replace(before='/3/a.png')
    assert claim(tmp_path, [moved]) == [moved]
    finish(tmp_path, A)
    for other in (A, moved._replace(kind='scene')):
        with pytest.raises(ValueError, match=r'/3/a\.png and /2/a\.png, now it is.*--overwrite'):
            claim(tmp_path, [other])
    assert claim(tmp_path, [A], overwrite=True) == [A]


def test_results_without_a_manifest_are_refused(tmp_path):
    finish(tmp_path, A)
    with pytest.raises(ValueError, match=r'no manifest\.json says'):
        claim(tmp_path, [A])
    assert claim(tmp_path, [A], overwrite=True) == [A]
    (tmp_path / 'manifest.json').write_text('{"version": 7}')
    with pytest.raises(ValueError, match='not what this tool writes'):
        claim(tmp_path, [A])


def test_rasters_on_the_ground_are_scenes(tmp_path):
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
    assert found == pairs[0]._asdict()
    # The second run finds the first one's.
    finish(tmp_path / 'out', *pairs)
    assert claim(tmp_path / 'out', pairs) == []
