"""Test the command on georeferenced rasters, from files to files, without any label."""

import json
import os

import cv2
import numpy as np
import pytest
from conftest import SHARED

from tfinet_mm.apis import SCDInferencer
from tfinet_mm.apis.command import main
from tfinet_mm.errors import ManifestError, SceneError
from tfinet_mm.scenes.prediction import predict_scene
from tfinet_mm.utils.command import run_command

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')
EAST, NORTH = 500_000, 5_000_000
DATES = ('before', 'after')
RASTERS = ('change_prob', 'change', 'land_cover_from', 'land_cover_to', 'transition')


def noise(seed, height=60, width=80, bands=3, low=1, high=256, dtype=np.uint8):
    """Patches of 6 pixels."""
    shape = bands, -(-height // 6), -(-width // 6)
    coarse = np.random.default_rng(seed).integers(low, high, shape)
    return coarse.repeat(6, 1).repeat(6, 2)[:, :height, :width].astype(dtype)


def read(folder, name):
    with rasterio.open(folder / f'{name}.tif') as file:
        return file.read(1)


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.suffix in ('.tif', '.jpg', '.csv') and path.name != 'results.csv'
    }


def test_two_rasters_to_maps_polygons_and_areas(member, raster, tmp_path, capsys):
    """One window holds the scene: the maps are those of the same images as a picture."""
    files = member()
    values = [noise(seed) for seed in (1, 2)]
    pair = [raster(f'{seed}.tif', one) for seed, one in enumerate(values)]
    out = tmp_path / 'out'
    call = [*map(str, files), *pair, '--out', str(out)]
    main([*call, '--min-area', '300'])
    printed = capsys.readouterr().out
    assert 'Predicted 1 pair, 0 finished before' in printed
    expected = SCDInferencer(*files)(*(one.transpose(1, 2, 0) for one in values))
    folder = out / '0'
    np.testing.assert_allclose(read(folder, 'change_prob'), expected.change_prob, atol=1e-5)
    np.testing.assert_array_equal(read(folder, 'change'), read(folder, 'change_prob') >= 0.5)
    for name in ('land_cover_from', 'land_cover_to'):
        assert (read(folder, name) == getattr(expected, name)).mean() > 0.999
    for name in ('changes.gpkg', 'areas.json', 'totals.csv', 'before.jpg', 'after.jpg'):
        assert (folder / name).is_file()
    assert cv2.imread(str(folder / 'before.jpg')).shape == (60, 80, 3)
    assert not (folder / '.staging').exists()
    scene = json.loads((folder / 'scene.json').read_text())
    assert (scene['grid']['width'], scene['grid']['height']) == (80, 60)
    assert 'UTM zone 33N' in scene['grid']['crs']
    assert scene['grid']['transform'] == [10, 0, EAST, 0, -10, NORTH]
    changed = int(read(folder, 'change').sum())
    assert 0 < changed < 4800
    assert scene['pixels'] == dict(valid=4800, changed=changed, not_seen=0)
    assert scene['settings']['min_area'] == 300
    assert scene['seconds'] >= scene['seconds_predicting'] > 0
    manifest = json.loads((out / 'manifest.json').read_text())
    assert manifest['pairs'] == [
        dict(name='0', kind='scene', before=pair[0], after=pair[1]),
    ]
    assert manifest['settings']['scene']['window'] == 512
    assert f'{changed / 100:.2f} ha' in printed
    # Again: nothing to do; other settings: refused.
    stamp = (folder / 'scene.json').stat().st_mtime_ns
    main([*call, '--min-area', '300'])
    assert 'Predicted 0 pairs, 1 finished before' in capsys.readouterr().out
    assert (folder / 'scene.json').stat().st_mtime_ns == stamp
    with pytest.raises(ValueError, match=r'scene\.min_area was 300\.0, is 0\.0.*--overwrite'):
        main(call)
    main([*call, '--overwrite', '--threshold', '0', '--no-polygons', '--report'])
    assert (out / 'report.html').stat().st_size > 1000
    assert read(folder, 'change').all()
    assert not (folder / 'changes.gpkg').exists()


def test_a_warning_about_the_files_is_one_line(member, raster, tmp_path, capsys, monkeypatch):
    files = member()
    days = '2023-06-01', '2018-06-01'
    pair = [raster(f'{day}.tif', noise(seed)) for seed, day in enumerate(days)]
    call = [*map(str, files), *pair, '--out', str(tmp_path / 'out'), '--no-registration']
    monkeypatch.setattr('sys.argv', ['tfinet-predict', *call])
    run_command(main)
    lines = capsys.readouterr().err.splitlines()
    (told,) = [line for line in lines if 'losses and gains are swapped' in line]
    assert told.startswith(f'warning: before ({pair[0]}) is of 2023-06-01 and after')
    assert not any('UserWarning' in line for line in lines)


def test_a_scene_that_lost_a_file_and_a_replaced_one(member, raster, tmp_path, capsys):
    pair = [raster(f'{seed}.tif', noise(seed)) for seed in (1, 2)]
    call = [*map(str, member()), *pair, '--out', str(tmp_path / 'out')]
    main(call)
    made = files_of(tmp_path / 'out')
    for name in ('change.tif', 'areas.csv', 'changes.gpkg', 'registration.gpkg', 'before.jpg'):
        (tmp_path / 'out' / '1' / name).unlink()
        main(call)
        assert 'Predicted 1 pair, 0 finished before' in capsys.readouterr().out
        assert files_of(tmp_path / 'out') == made
        assert (tmp_path / 'out' / '1' / name).is_file()
    old = os.stat(pair[1])
    other = raster('3.tif', noise(3))
    os.replace(other, pair[1])
    os.utime(pair[1], ns=(old.st_atime_ns, old.st_mtime_ns))
    assert os.stat(pair[1]).st_size == old.st_size
    with pytest.raises(ValueError, match=r'pairs\.1\.after was .*2\.tif.*--overwrite'):
        main(call)
    assert files_of(tmp_path / 'out') == made


def test_two_crss_and_sizes_of_pixels(member, raster, tmp_path):
    """The second date lies in the neighbouring zone; the result has the grid asked for."""
    from rasterio.warp import transform

    (x,), (y,) = transform('EPSG:32633', 'EPSG:32634', [EAST + 150.0], [NORTH - 100.0])
    before = raster('a.tif', noise(1))
    after = raster('b.tif', noise(2, 50, 90), x, y, 8.0, crs='EPSG:32634', nodata=0)
    call = [*map(str, member()), before, after, '--window', '32', '--batch-size', '3']
    main([*call, '--out', str(tmp_path / 'one')])
    folder = tmp_path / 'one' / 'a'
    with rasterio.open(folder / 'transition.tif') as file:
        assert file.crs.to_epsg() == 32633
        assert file.transform.a == 10
        x0, y0 = file.transform.c, file.transform.f
        assert (x0 - EAST) % 10 == 0
        # 150 and 100 are the corner's; turned against the grid, the box is a little larger.
        assert 90 <= x0 - EAST <= 160
        assert 40 <= NORTH - y0 <= 110
        shape = file.shape
    invalid = np.isnan(read(folder, 'change_prob'))
    assert invalid.shape == shape
    assert 0 < invalid.mean() < 0.35
    scene = json.loads((folder / 'scene.json').read_text())
    assert scene['pixels']['valid'] == (~invalid).sum()
    assert scene['pixels']['not_seen'] == invalid.sum()
    np.testing.assert_array_equal(read(folder, 'change') == 255, invalid)
    for name in ('land_cover_from', 'land_cover_to'):
        np.testing.assert_array_equal(read(folder, name) == 0, invalid)
    main([*call, '--grid', 'after', '--out', str(tmp_path / 'two')])
    with rasterio.open(tmp_path / 'two' / 'a' / 'change.tif') as file:
        assert file.crs.to_epsg() == 32634
        assert file.transform.a == 8
    # Without the CRS the message says how to state it.
    nowhere = raster('c.tif', noise(2), crs=None)
    call = [*map(str, member()), before, nowhere, '--out', str(tmp_path / 'three')]
    with pytest.raises(SceneError, match='after_crs'):
        main(call)
    main([*call, '--after-crs', 'EPSG:32633'])
    assert (tmp_path / 'three' / 'a' / 'scene.json').is_file()


def test_sixteen_bits_and_five_bands(member, raster, tmp_path, capsys):
    """The same scene as 8-bit RGB, and hidden in five bands of 16 bits."""
    files = member()
    values = [noise(seed) for seed in (1, 2)]
    plain = [raster(f'p{i}.tif', one) for i, one in enumerate(values)]
    main([*map(str, files), *plain, '--out', str(tmp_path / 'plain')])
    for i, one in enumerate(values):
        order = [4, 2, 1] if i else [3, 2, 1]
        many = np.full((5, 60, 80), 9, np.uint16)
        for number, band in zip(order, one, strict=True):
            many[number - 1] = 100 + 10 * band.astype(np.uint16)
        raster(f'm{i}.tif', many)
    pair = [str(tmp_path / f'm{i}.tif') for i in (0, 1)]
    call = [*map(str, files), *pair, '--out', str(tmp_path / 'many')]
    bands = ['--bands', 'before=3,2,1', 'after=4,2,1']
    with pytest.raises(SceneError, match=r'takes 3 bands.*gives 5'):
        main([*call, '--stretch', '100', '2650'])
    main([*call, *bands, '--stretch', '100', '2650'])
    one, two = tmp_path / 'plain' / 'p0', tmp_path / 'many' / 'm0'
    np.testing.assert_allclose(read(one, 'change_prob'), read(two, 'change_prob'), atol=1e-4)
    scene = json.loads((two / 'scene.json').read_text())
    assert scene['before']['bands'] == [3, 2, 1]
    assert scene['after']['stretch'] == dict(kind='stated', low=[100] * 3, high=[2650] * 3)
    # Percentiles of each date or, by default, of both, as logged and written down.
    stored = 100 + 10 * np.stack(values).astype(int)
    for name, words, counted in (
        ('each', ['--stretch', 'each-date'], stored[0]),
        ('both', [], np.concatenate(stored, axis=1)),
    ):
        capsys.readouterr()
        main([*call[:-1], str(tmp_path / name), *bands, *words])
        low, high = np.percentile(counted, [2, 98], axis=(1, 2))
        scene = json.loads((tmp_path / name / 'm0/scene.json').read_text())
        for part in (scene, scene['provenance']):
            np.testing.assert_allclose(part['before']['stretch']['low'], low)
            np.testing.assert_allclose(part['before']['stretch']['high'], high)
        assert f'band 3 {low[0]:.6g} to {high[0]:.6g}, band 2' in capsys.readouterr().out
    assert scene['after']['stretch'] == scene['before']['stretch'] | dict(kind='percentiles')


def test_a_single_band(member, raster, tmp_path):
    pair = [raster(f'{seed}.tif', noise(seed, bands=1)) for seed in (1, 2)]
    call = [*map(str, member()), *pair, '--out', str(tmp_path / 'out')]
    with pytest.raises(SceneError, match='takes 3 bands'):
        main(call)
    main([*call, '--bands', '1', '1', '1'])
    assert (tmp_path / 'out' / '1' / 'scene.json').is_file()
    # Values of the network's own pipeline need no option.
    single = member('single', bands=2, load=dict(bands=[1, 1], value_range=(0, 510)))
    wide = [raster(f'w{i}.tif', noise(i, bands=1).astype(np.uint16)) for i in (1, 2)]
    main([*map(str, single), *wide, '--out', str(tmp_path / 'own')])
    scene = json.loads((tmp_path / 'own/w1/scene.json').read_text())
    assert scene['before']['bands'] == [1, 1]
    assert scene['before']['stretch']['high'] == [510, 510]


def test_a_folder_of_scenes_and_pictures(member, raster, image, saved, tmp_path, capsys):
    for date in (1, 2):
        raster(f'{date}/north/a.tif', noise(date))
        raster(f'{date}/north/b.c.tif', noise(date + 5, 40, 40))
        saved(f'{date}/chip.png', image(date))
    out = tmp_path / 'out'
    call = [*map(str, member()), str(tmp_path / '1'), str(tmp_path / '2'), '--out', str(out)]
    main([*call, '--window', '32', '--workers', '0'])
    assert 'Predicted 3 pairs' in capsys.readouterr().out
    assert (out / 'label1' / 'chip.png').is_file()
    for name in ('north/a', 'north/b.c'):
        assert (out / name / 'scene.json').is_file()
    kinds = [pair['kind'] for pair in json.loads((out / 'manifest.json').read_text())['pairs']]
    assert sorted(kinds) == ['picture', 'scene', 'scene']
    other = tmp_path / 'other'
    main([*call[:-1], str(other), '--window', '32', '--workers', '3'])
    assert files_of(other) == files_of(out)
    assert len(files_of(out)) == 2 * 11


def test_clouds_are_not_seen(member, raster, tmp_path, capsys):
    """A cloud of 6 x 4 pixels of 20 m on one date, in the second band of its file."""
    pair = [raster(f'{seed}.tif', noise(seed)) for seed in (1, 2)]
    classes = np.full((2, 30, 40), 5, np.uint8)
    classes[1, 10:14, 20:26] = 9
    quality = raster('scl.tif', classes, size=20.0)
    out = tmp_path / 'out'
    call = [*map(str, member()), *pair, '--out', str(out), '--no-registration']
    clouds = ['--quality', f'after={quality}:2', '--bad-values', 'scl']
    main([*call, *clouds, '--report'])
    # 24 pixels of 0.04 ha.
    said = 'not seen: 0.96 ha (2.0 %): bad quality after 0.96'
    assert said in capsys.readouterr().out
    assert said.replace('not', 'Not') in (out / 'report.html').read_text(encoding='utf-8')
    expected = np.zeros((60, 80), bool)
    expected[20:28, 40:52] = True
    np.testing.assert_array_equal(read(out / '1', 'valid'), np.where(expected, 7, 1))
    np.testing.assert_array_equal(read(out / '1', 'change') == 255, expected)
    main([*call, *clouds])
    assert 'Predicted 0 pairs, 1 finished before' in capsys.readouterr().out
    raster('scl.tif', classes[::-1], size=20.0)
    with pytest.raises(ManifestError, match='quality'):
        main([*call, *clouds])
    with pytest.raises(FileNotFoundError, match=r'--quality: there is no file .*none\.tif'):
        main([*call, '--quality', str(tmp_path / 'none.tif'), '--bad-values', 'scl'])


def test_the_stretch_of_pictures(member, raster, tmp_path):
    """16-bit pictures stretched by the option are the 8-bit ones, here 10 times and 5 more."""
    deep = [raster(f'deep/{i}.tif', noise(i) * np.uint16(10) + np.uint16(5)) for i in (1, 2)]
    plain = [raster(f'plain/{i}.tif', noise(i)) for i in (1, 2)]
    call = [*map(str, member()), '--input-type', 'picture']
    main([*call, *deep, '--out', str(tmp_path / 'a'), '--stretch', '5', '2555'])
    main([*call, *plain, '--out', str(tmp_path / 'b')])
    written = [path.relative_to(tmp_path / 'b') for path in (tmp_path / 'b').rglob('*.png')]
    assert len(written) == 3
    for path in written:
        assert (tmp_path / 'a' / path).read_bytes() == (tmp_path / 'b' / path).read_bytes()


def test_options_that_have_no_meaning(member, image, saved, tmp_path):
    pair = [str(saved(f'{i}.png', image(i))) for i in (1, 2)]
    call = [*map(str, member()), *pair, '--out', str(tmp_path / 'out')]
    with pytest.raises(ValueError, match=r'--grid, --min-area is for scenes.*--input-type scene'):
        main([*call, '--grid', 'after', '--min-area', '9'])
    with pytest.raises(ValueError, match='--no-registration is for scenes'):
        main([*call, '--no-registration'])
    with pytest.raises(ValueError, match='give one of the two'):
        main([*call, '--align', '--no-registration', '--input-type', 'scene'])
    with pytest.raises(ValueError, match='--bands 3 2 1'):
        main([*call, '--bands', 'before=1', 'after=2'])
    for stretch in (['percentiles'], ['0,1', '0,2', '0,3'], ['9', '0'], ['before=0,9']):
        with pytest.raises(ValueError, match='of pictures --stretch takes LOW HIGH'):
            main([*call, '--stretch', *stretch])
    main([*call, '--input-type', 'scene', '--grid', 'after'])
    with rasterio.open(tmp_path / 'out' / '1' / 'change.tif') as file:
        assert file.crs is None
        assert file.shape == (40, 56)


def test_a_misplaced_date_is_told_and_aligned(member, raster, tmp_path, capsys):
    """The second file has the ground of the first, and a place 20 m too far east."""
    ground = noise(1, 200, 200)
    pair = [raster('a.tif', ground), raster('b.tif', ground, x=EAST + 20)]
    call = [*map(str, member()), *pair, '--no-polygons', '--window', '64', '--out']
    told = r'after \(.*b\.tif\) lies up to 2\.0\d px from before \(.*a\.tif\)'
    with pytest.warns(UserWarning, match=told):
        main([*call, str(tmp_path / 'out')])
    line = 'Registration: after lies 2.00 px (20.01 m) east and 0.00 px (0.00 m) '
    assert line in capsys.readouterr().out
    with pytest.raises(ValueError, match=r'scene\.align was False, is True'):
        main([*call, str(tmp_path / 'out'), '--align'])
    main([*call, str(tmp_path / 'aligned'), '--align', '--report'])
    said = 'Aligned by one shift: after lies 0.00 px (0.00 m) '
    assert said in capsys.readouterr().out
    # The same pixels on both dates, and those of before in the result.
    shown = [cv2.imread(str(tmp_path / 'aligned' / 'a' / f'{name}.jpg')) for name in DATES]
    assert shown[0].shape == (200, 200, 3)
    np.testing.assert_array_equal(*shown)
    assert 'Aligned: after lies 0.00 px' in (tmp_path / 'aligned' / 'report.html').read_text()


def test_going_on_after_a_stop_while_results_are_written(member, raster, tmp_path, monkeypatch):
    pair = [raster(f'{seed}.tif', noise(seed)) for seed in (1, 2)]
    inferencer = SCDInferencer(*member(), window=32)
    predict_scene(inferencer, *pair, tmp_path / 'whole')

    def stop(*_, **__):
        raise OSError('no space left')

    with monkeypatch.context() as patch:
        patch.setattr('tfinet_mm.scenes.prediction.write_quicklooks', stop)
        with pytest.raises(OSError, match='no space left'):
            predict_scene(inferencer, *pair, tmp_path / 'out')
    assert not (tmp_path / 'out' / 'scene.json').exists()
    with monkeypatch.context() as patch:
        patch.setattr(SCDInferencer, 'predict_probabilities', stop)
        predict_scene(inferencer, *pair, tmp_path / 'out')
    assert files_of(tmp_path / 'out') == files_of(tmp_path / 'whole')
    # Left over where a run was stopped after the last file.
    (tmp_path / 'out' / '.staging').mkdir()
    predict_scene(inferencer, *pair, tmp_path / 'out')
    assert not (tmp_path / 'out' / '.staging').exists()


def test_a_satellite_scene(member, tmp_path):
    """Two dates of five bands of 16 bits, of pixels that aren't quite square."""
    folder = SHARED / 'data' / 'multiband_scene'
    if not folder.is_dir():
        pytest.skip('no satellite scene on this machine')
    pair = [str(folder / name) for name in ('before.tif', 'after.tif')]
    options = ['--bands', '3', '2', '1', '--stretch', 'percentiles', '--window', '128']
    main([*map(str, member()), *pair, '--out', str(tmp_path), *options])
    assert read(tmp_path / 'before', 'change_prob').shape == (166, 272)
    shown = cv2.imread(str(tmp_path / 'before' / 'before.jpg'))
    assert shown.shape == (166, 272, 3)
    assert shown.std() > 20


def test_real_pictures_as_a_scene(member, tmp_path):
    folder = SHARED / 'data' / 'levir_samples'
    if not folder.is_dir():
        pytest.skip('no samples of LEVIR-CD on this machine')
    pair = [str(folder / date / 'test_7.png') for date in 'AB']
    options = ['--input-type', 'scene', '--no-polygons', '--window', '256', '--batch-size', '2']
    main([*map(str, member()), *pair, '--out', str(tmp_path), *options])
    probability = read(tmp_path / 'test_7', 'change_prob')
    assert np.isfinite(probability).all()


@pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
@pytest.mark.parametrize('ending', ['.pgw', '.PGW', '.wld', '.png.aux.xml'])
def test_pictures_with_a_world_file_are_scenes(member, tmp_path, ending, capsys):
    """They lie 12 pixels apart, and are compared where they overlap."""
    ground = noise(1, width=92)
    for name, left in (('before', 0), ('after', 12)):
        picture = ground[:, :, left : left + 80].transpose(1, 2, 0)
        cv2.imwrite(str(tmp_path / f'{name}.png'), picture[..., ::-1])
        x, y = EAST + 10 * left, NORTH
        text = f'10\n0\n0\n-10\n{x + 5}\n{y - 5}\n'
        if ending.endswith('xml'):
            text = f'<PAMDataset><GeoTransform>{x}, 10, 0, {y}, 0, -10</GeoTransform></PAMDataset>'
        (tmp_path / f'{name}{ending}').write_text(text)
    out = tmp_path / 'out'
    pair = [str(tmp_path / f'{name}.png') for name in ('before', 'after')]
    crs = ['--before-crs', 'EPSG:32633', '--after-crs', 'EPSG:32633']
    main([*map(str, member()), *pair, '--out', str(out), *crs, '--no-polygons'])
    folder = out / 'before'
    assert read(folder, 'change').shape == (60, 68)
    before, after = (cv2.imread(str(folder / f'{name}.jpg')) for name in ('before', 'after'))
    assert np.abs(before.astype(int) - after).mean() < 1
    # Without a CRS they are refused, and stated as pictures they are compared as they are.
    with pytest.raises((SceneError, SystemExit)):
        main([*map(str, member()), *pair, '--out', str(tmp_path / 'other')])
    picture = ['--input-type', 'picture', '--out', str(tmp_path / 'pictures')]
    main([*map(str, member()), *pair, *picture])
    assert (tmp_path / 'pictures' / 'change_prob' / 'before.png').is_file()


@pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
def test_files_placed_by_control_points_are_no_pictures(member, tmp_path):
    points = [
        rasterio.control.GroundControlPoint(row, column, EAST + 10 * column, NORTH - 10 * row)
        for row, column in ((0, 0), (0, 80), (60, 0), (60, 80))
    ]
    for name in ('before', 'after'):
        size = dict(count=3, height=60, width=80, dtype='uint8')
        with rasterio.open(tmp_path / f'{name}.tif', 'w', driver='GTiff', **size) as file:
            file.write(noise(1))
            file.gcps = (points, rasterio.crs.CRS.from_epsg(32633))
    pair = [str(tmp_path / f'{name}.tif') for name in ('before', 'after')]
    call = [*map(str, member()), *pair, '--out', str(tmp_path / 'out'), '--no-polygons']
    with pytest.raises((SceneError, SystemExit)) as error:
        main(call)
    assert '4 ground control points' in str(error.value)
    main([*call, '--same-grid'])
    assert read(tmp_path / 'out' / 'before', 'change').shape == (60, 80)


@pytest.mark.parametrize('shape', [(1, 1), (1, 70), (70, 1)])
def test_a_scene_of_one_pixel_row_or_column(member, raster, tmp_path, shape):
    pair = [raster(f'{seed}.tif', noise(seed, *shape)) for seed in (1, 2)]
    main([*map(str, member()), *pair, '--out', str(tmp_path / 'out'), '--window', '32'])
    for name in RASTERS:
        assert read(tmp_path / 'out' / '1', name).shape == shape
    areas = json.loads((tmp_path / 'out/1/areas.json').read_text())
    assert sum(areas[key]['pixels'] for key in ('changed', 'unchanged')) == max(shape)
    assert np.isfinite(read(tmp_path / 'out' / '1', 'change_prob')).all()


def test_scale_and_offset_may_be_ignored(member, raster, tmp_path):
    """Numbers of the second date are 20 higher, and its offset takes that back."""
    values = noise(1, low=1, high=200)
    pair = [raster('one.tif', values), raster('two.tif', values + np.uint8(20))]
    with rasterio.open(pair[1], 'r+') as file:
        file.offsets = (-20.0,) * 3
    call = [*map(str, member()), *pair, '--no-polygons', '--out']
    differences = []
    for name, options in (('tags', []), ('stored', ['--ignore-scale'])):
        main([*call, str(tmp_path / name), *options])
        folder = tmp_path / name / 'one'
        before, after = (cv2.imread(str(folder / f'{date}.jpg')) for date in ('before', 'after'))
        differences.append(np.abs(before.astype(int) - after).mean())
    assert differences[0] < 1
    assert differences[1] > 15
