"""A second run skips, makes again or refuses the results in the folder of a scene."""

import json
import os
import shutil

import pytest
from hashing import hashed_files
from read_only import read_only

from tfinet_mm.errors import FolderInUseError, ManifestError, SceneError
from tfinet_mm.scenes.prediction import predict_scene
from tfinet_mm.scenes.reader import ScenePair, input_files
from tfinet_mm.scenes.results import SceneResults
from tfinet_mm.utils.manifest import RunManifest

rasterio = pytest.importorskip('rasterio')

FILES = ('change.tif', 'change_prob.tif', 'transition.tif', 'land_cover_to.tif')
FILES += ('areas.json', 'areas.csv', 'after.jpg')


@pytest.fixture
def pair(scene, smooth):
    return [scene(f'{i}', smooth(50, 40, seed=i)) for i in (1, 2)]


@pytest.fixture
def predict(network, tmp_path):
    """Predict into ``tmp_path/out``, and return the number of batches."""

    def run(pair, **options):
        inferencer = network()
        predict_scene(inferencer, *pair, tmp_path / 'out', polygons=False, **options)
        return len(inferencer.seen)

    return run


def content(folder):
    return {path.name: path.read_bytes() for path in folder.glob('*.[tj][ip][fg]')}


def test_a_replaced_input_is_noticed(pair, predict, scene, smooth, tmp_path):
    """A replaced file is found, although its size and time stamp are those of the old one."""
    assert predict(pair) > 0
    old = pair[1].stat()
    other = scene('other', smooth(50, 40, seed=3))
    assert other.stat().st_size == old.st_size
    os.replace(other, pair[1])
    os.utime(pair[1], ns=(old.st_atime_ns, old.st_mtime_ns))
    before = content(tmp_path / 'out')
    with pytest.raises(ManifestError, match=r'inputs\.after was .*2\.tif .*--overwrite'):
        predict(pair)
    assert content(tmp_path / 'out') == before
    assert predict(pair, overwrite=True) > 0
    assert content(tmp_path / 'out') != before
    assert predict(pair) == 0


def test_the_same_input_is_skipped_wherever_it_lies(pair, predict, tmp_path, monkeypatch):
    predict(pair)
    assert predict(pair) == 0
    (tmp_path / 'link').symlink_to(tmp_path)
    shutil.copy(pair[1], tmp_path / 'copy.tif')
    os.utime(pair[0])
    assert predict([tmp_path / 'link' / '1.tif', tmp_path / 'copy.tif']) == 0


def test_an_untouched_input_is_read_once(pair, predict, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with hashed_files() as names, monkeypatch.context() as patch:
        patch.setattr('tfinet_mm.scenes.prediction.write_quicklooks', stop)
        with pytest.raises(KeyboardInterrupt):
            predict(pair)
    assert sorted(names) == sorted(map(str, pair))
    for _ in range(2):
        with hashed_files() as names:
            assert predict(pair) == 0
        # Only its results, in the run that wrote them.
        assert not set(names) & set(map(str, pair))


@pytest.mark.parametrize('name', FILES)
def test_a_product_that_was_deleted_is_made_again(pair, predict, tmp_path, name):
    predict(pair)
    before = content(tmp_path / 'out')
    (tmp_path / 'out' / name).unlink()
    # The network is needed for the maps that the others are made of.
    assert (predict(pair) > 0) is (name in ('change_prob.tif', 'land_cover_to.tif'))
    assert (tmp_path / 'out' / name).is_file()
    assert content(tmp_path / 'out') == before
    assert predict(pair) == 0


def test_maps_that_are_damaged_are_predicted_again(pair, predict, tmp_path):
    predict(pair)
    before = content(tmp_path / 'out')
    (tmp_path / 'out' / 'change.tif').unlink()
    for damage in (b'', before['change_prob.tif'][:-300], before['before.jpg']):
        (tmp_path / 'out' / 'change_prob.tif').write_bytes(damage)
        (tmp_path / 'out' / 'change.tif').unlink(missing_ok=True)
        assert predict(pair) > 0
        assert content(tmp_path / 'out') == before


def test_two_runs_do_not_mix(pair, predict, tmp_path):
    with RunManifest(tmp_path / 'out', 'scene.json') as other:
        other.lock()
        for options in ({}, dict(overwrite=True)):
            with pytest.raises(FolderInUseError, match='out is being written to by process'):
                predict(pair, **options)
    assert predict(pair) > 0
    # Skipping needs no lock.
    with RunManifest(tmp_path / 'out', 'scene.json') as other:
        other.lock()
        assert predict(pair) == 0


def test_the_folder_is_locked_to_the_end(pair, network, tmp_path):
    inferencer, tried = network(), []
    plain = inferencer.predict_probabilities

    def second(pairs):
        with pytest.raises(FolderInUseError):
            predict_scene(network(), *pair, tmp_path / 'out', polygons=False, overwrite=True)
        tried.append(True)
        return plain(pairs)

    inferencer.predict_probabilities = second
    predict_scene(inferencer, *pair, tmp_path / 'out', polygons=False)
    assert tried
    assert not (tmp_path / 'out' / '.lock').exists()


@pytest.mark.parametrize('damage', [b'', b'{"settings": {"wind', b'\0\0\0', b'{"a": 1}'])
def test_a_damaged_scene_file_is_named_and_replaced(pair, predict, tmp_path, damage):
    predict(pair)
    path = tmp_path / 'out' / 'scene.json'
    path.write_bytes(damage)
    with pytest.raises(ManifestError, match=r'scene\.json is not what .*\(--overwrite\)'):
        predict(pair)
    with pytest.raises(ManifestError, match=r'scene\.json is not what .*predict the scene again'):
        SceneResults(tmp_path / 'out')
    assert predict(pair, overwrite=True) > 0
    assert json.loads(path.read_text())['files']


def test_empty_areas_of_a_run_that_was_stopped(pair, predict, tmp_path, monkeypatch):
    predict(pair)
    before = content(tmp_path / 'out')
    shutil.rmtree(tmp_path / 'out')

    def full(*_):
        raise OSError('No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr('tfinet_mm.scenes.prediction.write_quicklooks', full)
        with pytest.raises(OSError, match='No space left'):
            predict(pair)
    (tmp_path / 'out' / 'areas.json').write_text('')
    assert predict(pair) == 0
    assert SceneResults(tmp_path / 'out').areas().unit == 'ha'
    assert content(tmp_path / 'out') == before


@pytest.mark.parametrize('damage', [b'', b'{"unit": "h'])
def test_damaged_areas_are_named(pair, predict, tmp_path, damage):
    predict(pair)
    (tmp_path / 'out' / 'areas.json').write_bytes(damage)
    with pytest.raises(ManifestError, match=r'areas\.json is not what .*predict the scene again'):
        SceneResults(tmp_path / 'out').areas()


def test_a_finished_scene_may_be_read_only(pair, predict, tmp_path):
    predict(pair)
    (tmp_path / 'out' / '.staging').mkdir()
    with read_only(tmp_path / 'out'):
        assert predict(pair) == 0
        areas = SceneResults(tmp_path / 'out').areas()
        assert areas.pixels.sum() + areas.unchanged_pixels == 2000
        with pytest.raises(PermissionError, match='predictions are to be written'):
            predict(pair, overwrite=True)


def test_an_input_that_changes_meanwhile(pair, network, tmp_path):
    inferencer = network()
    plain = inferencer.predict_probabilities

    def edit(pairs):
        with pair[0].open('r+b') as file:
            file.seek(-1, os.SEEK_END)
            file.write(b'\7')
        return plain(pairs)

    inferencer.predict_probabilities = edit
    with pytest.raises(SceneError, match=r'1\.tif changed while it was predicted'):
        predict_scene(inferencer, *pair, tmp_path / 'out')
    assert not (tmp_path / 'out' / 'scene.json').exists()


def test_the_parts_of_a_mosaic_are_inputs(pair, predict, tmp_path):
    vrt = tmp_path / 'mosaic.vrt'
    with rasterio.open(pair[1]) as file:
        from rasterio.shutil import copy

        copy(file, str(vrt), driver='VRT')
    (tmp_path / '2.tif.aux.xml').write_text('<PAMDataset></PAMDataset>')
    assert input_files(vrt) == [str(vrt), str(pair[1])]
    assert input_files(pair[1]) == [str(pair[1])]
    with ScenePair(pair[0], vrt):
        pass
    predict([pair[0], vrt])
    with pair[1].open('r+b') as file:
        file.seek(-1, os.SEEK_END)
        file.write(b'\7')
    with pytest.raises(ManifestError, match=r'inputs\.after was .*mosaic\.vrt'):
        predict([pair[0], vrt])


def test_pictures_that_fail_end_the_run(pair, predict, tmp_path, monkeypatch):
    """They are drawn in a thread, beside the other files."""

    def fail(*_):
        raise OSError('no picture')

    with monkeypatch.context() as patch:
        patch.setattr('tfinet_mm.scenes.prediction.write_quicklooks', fail)
        with pytest.raises(OSError, match=r'^no picture$'):
            predict(pair)
    assert not (tmp_path / 'out/scene.json').exists()
    predict(pair)
    assert (tmp_path / 'out/before.jpg').is_file()
