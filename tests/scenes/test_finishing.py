"""Test that finishing a scene again equals predicting it so, and what it changes."""

import hashlib
import json
import warnings

import numpy as np
import pytest

from tfinet_mm.errors import ManifestError, SceneError
from tfinet_mm.scenes import write_results as writing
from tfinet_mm.scenes.finishing import finish_scene
from tfinet_mm.scenes.prediction import predict_scene
from tfinet_mm.scenes.results import SceneResults

rasterio = pytest.importorskip('rasterio')
pyogrio = pytest.importorskip('pyogrio')
pytest.importorskip('shapely')
pytest.importorskip('pyproj')

HEIGHT, WIDTH = 70, 90


@pytest.fixture(scope='module')
def predict(tmp_path_factory, network, smooth):
    """Predict one pair, with a wedge without data, by a threshold."""
    from rasterio import Affine

    folder = tmp_path_factory.mktemp('scenes')
    pair = []
    for number in (1, 2):
        values = smooth(HEIGHT, WIDTH, seed=number)
        values[:, : 10 * number, :20] = 0
        pair.append(folder / f'{number}.tif')
        place = Affine(10, 0, 5e5, 0, -10, 5e6)
        options = dict(driver='GTiff', count=3, dtype='uint8', crs='EPSG:32633', transform=place)
        with rasterio.open(pair[-1], 'w', height=HEIGHT, width=WIDTH, nodata=0, **options) as file:
            file.write(values)

    def run(threshold, **options):
        name = '_'.join(map(str, [threshold, *options.values()]))
        return predict_scene(network(threshold=threshold), *pair, folder / name, **options)

    return run


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of seven rows."""
    from tfinet_mm.io.rasters import row_blocks

    monkeypatch.setattr(writing, 'row_blocks', lambda h, w: row_blocks(h, w, 7 * w))


def pixels(folder):
    found = {}
    for path in folder.glob('*.tif'):
        with rasterio.open(path) as file:
            found[path.stem] = file.read()
    return found


def table(folder):
    info, _, shapes, columns = pyogrio.raw.read(folder / 'changes.gpkg', layer='changes')
    return info['fields'].tolist(), shapes.tolist(), [column.tolist() for column in columns]


@pytest.mark.usefixtures('small_blocks')
def test_equals_a_prediction_of_the_same_threshold_bit_for_bit(predict, tmp_path):
    first, expected = predict(0.5), predict(0.3, min_area=500.0)
    out = finish_scene(first, tmp_path / 'out', threshold=0.3, min_area=500)
    files = {path.name for path in expected.iterdir()} - {'probabilities.tif'}
    assert {path.name for path in out.iterdir()} == files
    for path in expected.iterdir():
        if path.suffix in ('.tif', '.csv', '.jpg', '.xml') and path.name in files:
            assert (out / path.name).read_bytes() == path.read_bytes(), path.name
    assert table(out) == table(expected)
    assert (pixels(first)['change'] != pixels(out)['change']).sum() > 100
    told, wanted = (json.loads((one / 'scene.json').read_text()) for one in (out, expected))
    for key in ('threshold', 'pixels', 'polygons', 'class_names', 'before', 'grid', 'registration'):
        assert told[key] == wanted[key], key
    assert told['finished_from'] == str(first)
    assert told['settings']['finishing']['threshold'] == 0.3
    assert SceneResults(out).scene['files'] == sorted(told['files'])
    # A second run finds them.
    age = (out / 'scene.json').stat().st_mtime_ns
    finish_scene(first, out, threshold=0.3, min_area=500)
    assert (out / 'scene.json').stat().st_mtime_ns == age
    with pytest.raises(ManifestError, match=r'threshold was 0\.3, is 0\.5'):
        finish_scene(first, out, min_area=500)
    finish_scene(first, out, overwrite=True)
    np.testing.assert_array_equal(pixels(out)['change'], pixels(first)['change'])


def test_what_is_left_of_replaced_results_is_named(predict, tmp_path):
    first = predict(0.5)
    out = finish_scene(first, tmp_path / 'out')
    (out / 'report.html').touch()
    (out / 'zones').mkdir()
    with pytest.warns(UserWarning, match=r'are replaced, and report\.html, zones beside them'):
        finish_scene(first, out, polygons=False, overwrite=True)
    assert {'report.html', 'zones'} < {path.name for path in out.iterdir()}
    # Of damaged results, as little is known as of none.
    (out / 'scene.json').write_text('{')
    with pytest.warns(UserWarning, match=r'report\.html, zones beside'):
        finish_scene(first, out, overwrite=True)
    (out / 'report.html').unlink()
    (out / 'zones').rmdir()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        finish_scene(first, out, polygons=False, overwrite=True)


def test_blocks_do_not_matter(predict, tmp_path, monkeypatch):
    from tfinet_mm.io.rasters import row_blocks

    options = dict(hysteresis=(0.25, 0.6), smooth=5, merges={'wood': 'town'})
    whole = finish_scene(predict(0.5), tmp_path / 'whole', **options)
    for rows in (1, 16):
        with monkeypatch.context() as patch:
            patch.setattr(writing, 'row_blocks', lambda h, w, rows=rows: row_blocks(h, w, rows * w))
            out = finish_scene(predict(0.5), tmp_path / f'{rows}', **options)
        np.testing.assert_equal(pixels(out), pixels(whole))
        assert (out / 'areas.json').read_bytes() == (whole / 'areas.json').read_bytes()
    found, plain = pixels(whole), pixels(predict(0.5))
    np.testing.assert_array_equal(found['change_prob'], plain['change_prob'])
    assert (found['change'] != plain['change']).any()
    assert (found['land_cover_from'] != plain['land_cover_from']).any()


@pytest.mark.usefixtures('small_blocks')
def test_merged_and_renamed_classes(predict, tmp_path):
    """Three classes are kept whole, so the sums are complete but for their rounding."""
    first = predict(0.5)
    options = dict(merges={'wood': 'town'}, names={'water': 'Wasser'}, palette={'town': (9, 9, 9)})
    out = finish_scene(first, tmp_path / 'out', **options)
    scene, before, after = SceneResults(out), pixels(first), pixels(out)
    assert scene.classes.names == ('unchanged', 'Wasser', 'town')
    assert scene.classes.palette[2] == (9, 9, 9)
    assert scene.areas().classes == ('Wasser', 'town')
    assert not (out / 'probabilities.tif').exists()
    kept = before['probabilities'].astype(int)
    for number, name in enumerate(('land_cover_from', 'land_cover_to')):
        bands, cover = kept[5 * number :][:5], before[name][0]
        water = sum(
            np.where(which == 1, level, 0)
            for which, level in zip((cover, bands[1], bands[3]), bands[::2], strict=True)
        )
        # Water wins a tie if it was the likeliest class.
        total = bands[::2].sum(0)
        is_water = (2 * water > total) | ((2 * water == total) & (cover == 1))
        np.testing.assert_array_equal(after[name][0], np.where(cover == 0, 0, 2 - is_water))
        assert ((cover == 1) & (after[name][0] == 2)).any()
    codes = (after['land_cover_from'].astype(int) - 1) * 2 + after['land_cover_to']
    changed = before['change'] == 1
    np.testing.assert_array_equal(after['transition'][changed], codes[changed])
    assert set(table(out)[2][0]) <= {'Wasser', 'town'}


def test_a_prediction_without_probabilities(predict, tmp_path):
    first = predict(0.5, probabilities=False)
    assert not (first / 'probabilities.tif').exists()
    with pytest.warns(UserWarning, match=r'holds no probabilities\.tif'):
        out = finish_scene(first, tmp_path / 'out', merges={'wood': 'town'})
    cover = pixels(first)['land_cover_to']
    np.testing.assert_array_equal(pixels(out)['land_cover_to'], np.minimum(cover, 2))


def test_lost_files_are_made_again_with_their_probabilities(predict):
    first = predict(0.4)
    expected = pixels(first)
    (first / 'change.tif').unlink()
    predict(0.4)
    assert json.loads((first / 'scene.json').read_text())['resumed_rows'] > 0
    np.testing.assert_equal(pixels(first), expected)


def test_what_can_not_be_finished(predict, tmp_path):
    first = predict(0.5)
    out = finish_scene(first, tmp_path / 'out')
    with pytest.raises(SceneError, match='was itself finished from'):
        finish_scene(out, tmp_path / 'again')
    with pytest.raises(SceneError, match='choose another --out'):
        finish_scene(first, first, overwrite=True)
    with pytest.raises(SceneError, match='leave out threshold'):
        finish_scene(first, tmp_path / 'x', threshold=0.4, hysteresis=(0.3, 0.5))
    with pytest.raises(SceneError, match='min_area must be 0'):
        finish_scene(first, tmp_path / 'x', min_area=-1)
    with pytest.raises(SceneError, match='no finished scene'):
        finish_scene(tmp_path, tmp_path / 'x')
    assert not (tmp_path / 'x').exists()


@pytest.mark.parametrize('name', ['change_prob', 'land_cover_to', 'probabilities', 'transition'])
def test_maps_of_another_scene_are_refused(predict, tmp_path, name):
    """Files of another prediction have its size and its pixels without data."""
    from shutil import copyfile, copytree

    first, other = predict(0.5), predict(0.5, window=24)
    mixed = copytree(first, tmp_path / 'mixed')
    copyfile(other / f'{name}.tif', mixed / f'{name}.tif')
    with pytest.raises(SceneError, match=rf'{name}\.tif is of another scene.*TFINET_SETTINGS'):
        finish_scene(mixed, tmp_path / 'out', threshold=0.4, merges={'water': 'wood'})
    assert not (tmp_path / 'out').exists()
    copyfile(first / f'{name}.tif', mixed / f'{name}.tif')
    assert finish_scene(mixed, tmp_path / 'out', threshold=0.4, merges={'water': 'wood'}).is_dir()


def test_an_edited_map_is_told(predict, tmp_path, recwarn):
    """Areas, polygons and the page would be of the map before."""
    from shutil import copytree

    edited = copytree(predict(0.5), tmp_path / 'edited')
    stored = json.loads((edited / 'scene.json').read_text())['rasters']
    assert {name: entry['sha256'] for name, entry in stored.items()} == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in edited.glob('*.tif')
    }
    finished = finish_scene(edited, tmp_path / 'finished')
    SceneResults(finished)
    assert not recwarn
    for name in ('change_prob', 'transition'):
        with rasterio.open(edited / f'{name}.tif', 'r+', IGNORE_COG_LAYOUT_BREAK='YES') as file:
            values = file.read()
            values[:, 40:50, 30:60] = 1
            file.write(values)
        with pytest.warns(UserWarning, match=rf'{name}\.tif was edited since it was written'):
            finish_scene(edited, tmp_path / name)


@pytest.mark.parametrize('value', [0, 9])
def test_seen_pixels_need_a_class(predict, tmp_path, value):
    """The code of a transition to 0 is that of another transition."""
    from shutil import copytree

    edited = copytree(predict(0.5), tmp_path / 'edited')
    with rasterio.open(edited / 'land_cover_to.tif', 'r+', IGNORE_COG_LAYOUT_BREAK='YES') as file:
        values = file.read()
        values[:, 40:43, 30:35] = value
        file.write(values)
    with (
        pytest.warns(UserWarning, match='edited'),
        pytest.raises(SceneError, match=r'land_cover_to\.tif has no class from 1 to 3 at 15 pix'),
    ):
        finish_scene(edited, tmp_path / 'out', threshold=0.4)
