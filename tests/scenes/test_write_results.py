import json
import os
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from tfinet_mm.errors import SceneError
from tfinet_mm.io.rasters import raw_writer
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.write_results import write_results
from tfinet_mm.structures import ClassTable

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyproj')
pyogrio = pytest.importorskip('pyogrio')
pytest.importorskip('shapely')
from rasterio import Affine
from rasterio.crs import CRS

HEIGHT, WIDTH = 50, 64
CLASSES = ClassTable(('same', 'water', 'tree'), ((255, 255, 255), (0, 0, 200), (0, 100, 0)))
GRID = SceneGrid(CRS.from_epsg(32633), Affine(10, 0, 500_000, 0, -10, 5e6), WIDTH, HEIGHT)
RASTERS = 'change_prob', 'change', 'land_cover_from', 'land_cover_to', 'transition', 'valid'


@pytest.fixture
def maps():
    """Probabilities in steps, so that the threshold itself is met, a wedge without data."""
    generator = np.random.default_rng(0)
    prob = (generator.integers(0, 5, (HEIGHT, WIDTH)) / 4).astype(np.float32)
    covers = [generator.integers(1, 3, (HEIGHT, WIDTH)).astype(np.uint8) for _ in range(2)]
    unknown = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) < 20
    prob[unknown] = np.nan
    for cover in covers:
        cover[unknown] = 0
    return dict(change_prob=prob, land_cover_from=covers[0], land_cover_to=covers[1])


@pytest.fixture
def staged(tmp_path, maps):
    (tmp_path / 'staging').mkdir()
    paths = {name: tmp_path / 'staging' / f'{name}.img' for name in maps}
    for name, path in paths.items():
        with raw_writer(path, maps[name].dtype.name, HEIGHT, WIDTH) as write:
            write(maps[name])
    return paths


def read(out):
    values = {}
    for name in RASTERS:
        with rasterio.open(out / f'{name}.tif') as file:
            values[name] = file.read(1)
            assert (file.crs, file.transform) == (GRID.crs, GRID.transform)
    return values


def test_all_files(staged, maps, tmp_path):
    out = tmp_path / 'a b' / 'scene'
    found = write_results(out, staged, GRID, CLASSES, tags={'STRETCH': 'none'})
    rasters = read(out)
    prob, old, new = maps.values()
    unknown = np.isnan(prob)
    changed = np.where(unknown, False, prob >= 0.5)
    for name, values in maps.items():
        np.testing.assert_array_equal(rasters[name], values)
    np.testing.assert_array_equal(rasters['change'], np.where(unknown, 255, changed))
    codes = np.where(unknown, 255, np.where(changed, (old - 1) * 2 + new, 0))
    np.testing.assert_array_equal(rasters['transition'], codes)
    # Without a staged map of validity the reasons are unknown.
    np.testing.assert_array_equal(rasters['valid'], ~unknown)
    with rasterio.open(out / 'transition.tif') as file:
        assert json.loads(file.tags()['CLASS_NAMES'])[2] == 'water to tree'
        assert (file.tags()['THRESHOLD'], file.tags()['STRETCH']) == ('0.5', 'none')
        assert file.nodata == 255
        assert file.colormap(1)[4][:3] == (0, 100, 0)
    areas = json.loads((out / 'areas.json').read_text())
    assert areas['from_to_pixels'] == [
        [int((codes == 1).sum()), int((codes == 2).sum())],
        [int((codes == 3).sum()), int((codes == 4).sum())],
    ]
    # Unchanged pixels count by their class before.
    assert [one['before_pixels'] for one in areas['by_class']] == [
        int((~unknown & (old == one)).sum()) for one in (1, 2)
    ]
    polygons = pyogrio.read_info(out / 'changes.gpkg', layer='changes')
    assert polygons['layer_metadata']['STRETCH'] == 'none'
    assert polygons['features'] == found['polygons']['polygons'] > 100
    assert found['polygons']['area'] == changed.sum() * 100
    assert found['pixels'] == {
        'valid': int((~unknown).sum()),
        'changed': int(changed.sum()),
        'not_seen': int(unknown.sum()),
    }
    assert found['class_names'] == ['same', 'water', 'tree']
    assert found['area_method'] == 'planar'
    assert {path.name for path in out.iterdir()} == {
        *(f'{name}.tif' for name in RASTERS),
        *(f'{name}.tif.aux.xml' for name in RASTERS[1:]),
        *(f'{name}.qml' for name in RASTERS),
        *('areas.json', 'areas.csv', 'totals.csv', 'changes.gpkg'),
    }
    json.dumps(found)


def test_what_is_there_is_not_made_again(staged, tmp_path, monkeypatch):
    out = tmp_path / 'out'
    first = write_results(out, staged, GRID, CLASSES)
    ages = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    with monkeypatch.context() as patch:
        # Its sources aren't needed either.
        patch.setattr('tfinet_mm.scenes.write_results._derive', None)
        assert write_results(out, staged, GRID, CLASSES) == first
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == ages
    for name in ('change.tif', 'areas.json'):
        (out / name).unlink()
    write_results(out, staged, GRID, CLASSES)
    renewed = {path.name for path in out.iterdir() if path.stat().st_mtime_ns != ages[path.name]}
    areas = {'areas.json', 'areas.csv', 'totals.csv'}
    assert renewed == {'change.tif', 'change.tif.aux.xml', 'change.qml', *areas}


def test_other_settings_or_maps_make_all_anew(staged, maps, tmp_path):
    out = tmp_path / 'out'
    write_results(out, staged, GRID, CLASSES)
    found = write_results(out, staged, GRID, CLASSES, threshold=0.8, min_area=200)
    changed = np.nan_to_num(maps['change_prob']) >= 0.8
    assert (read(out)['change'] == 1).sum() == changed.sum()
    assert found['polygons']['dropped'] > 0
    assert found['polygons']['area'] + found['polygons']['dropped_area'] == changed.sum() * 100
    with raw_writer(staged['land_cover_to'], 'uint8', HEIGHT, WIDTH) as write:
        write(np.full((HEIGHT, WIDTH), 2, np.uint8))
    # As much later as the clock of any file system tells.
    later = (out / 'change.tif').stat().st_mtime + 10
    os.utime(staged['land_cover_to'], (later, later))
    write_results(out, staged, GRID, CLASSES, threshold=0.8, min_area=200)
    assert (read(out)['land_cover_to'] == 2).all()
    assert json.loads((out / 'areas.json').read_text())['from_to_pixels'][0][0] == 0


def test_without_polygons(staged, tmp_path):
    write_results(tmp_path / 'out', staged, GRID, CLASSES)
    found = write_results(tmp_path / 'out', staged, GRID, CLASSES, polygons=False)
    assert found['polygons'] is None
    assert not (tmp_path / 'out' / 'changes.gpkg').exists()


def test_maps_of_another_size(staged, tmp_path):
    grid = SceneGrid(GRID.crs, GRID.transform, WIDTH + 1, HEIGHT)
    with pytest.raises(SceneError, match=r"64 x 50 pixels, the scene's grid 65 x 50"):
        write_results(tmp_path / 'out', staged, grid, CLASSES)


@pytest.mark.parametrize('name', ['write_cog', 'write_polygons', '_write_areas'])
def test_an_error_of_any_file_is_raised_and_the_others_are_whole(
    name, staged, tmp_path, monkeypatch
):
    out = tmp_path / 'out'
    module = 'tfinet_mm.scenes.write_results'
    with monkeypatch.context() as patch:

        def fail(*_, **__):
            raise OSError(f'{name} failed')

        patch.setattr(f'{module}.{name}', fail)
        with pytest.raises(OSError, match=f'^{name} failed$'):
            write_results(out, staged, GRID, CLASSES)
    assert not list(out.glob('.part-*'))
    for path in out.glob('*.tif'):
        with rasterio.open(path) as file:
            file.read()
    write_results(out, staged, GRID, CLASSES)
    read(out)
    assert (out / 'areas.json').is_file()
    assert (out / 'changes.gpkg').is_file()


KILLED = """
import os, signal, sys
from pathlib import Path
from rasterio import Affine
from rasterio.crs import CRS
from tfinet_mm.scenes import cog
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.write_results import write_results
from tfinet_mm.structures import ClassTable

def kill(path, *_):
    # All pixels are written, to a file that has no name yet, while polygons are traced.
    if len(list(out.glob('[!.]*.tif'))) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

cog._check = kill
staging, out = map(Path, sys.argv[1:])
grid = SceneGrid(CRS.from_epsg(32633), Affine(10, 0, 500_000, 0, -10, 5e6), 64, 50)
table = ClassTable(('same', 'water', 'tree'), ((255, 255, 255), (0, 0, 200), (0, 100, 0)))
write_results(out, {path.stem: path for path in staging.glob('*.img')}, grid, table)
"""


@pytest.mark.skipif(os.name != 'posix', reason='there is no SIGKILL')
def test_a_killed_run_leaves_whole_files_alone(staged, maps, tmp_path):
    out = tmp_path / 'out'
    folders = [str(staged['change_prob'].parent), str(out)]
    run = subprocess.run([sys.executable, '-c', KILLED, *folders], check=False)
    assert run.returncode == -9
    written = list(out.glob('[!.]*.tif'))
    assert len(written) == 2
    for path in written:
        with rasterio.open(path) as file:
            assert file.read(1).shape == (HEIGHT, WIDTH)
    write_results(out, staged, GRID, CLASSES)
    np.testing.assert_array_equal(read(out)['change_prob'], maps['change_prob'])
    assert not list(out.glob('.part-*'))


def test_polygons_end_where_a_geotiff_fails(staged, tmp_path, monkeypatch):
    """A scene of many blocks doesn't wait for all of its polygons."""
    seen = []

    def polygons(*_, progress, **__):
        for number in range(1000):
            seen.append(number)
            progress(1)
            time.sleep(0.01)

    def fail(*_, **__):
        raise OSError('no GeoTIFF')

    monkeypatch.setattr('tfinet_mm.scenes.write_results.write_polygons', polygons)
    monkeypatch.setattr('tfinet_mm.scenes.write_results.write_cog', fail)
    with pytest.raises(OSError, match='no GeoTIFF'):
        write_results(tmp_path / 'out', staged, GRID, CLASSES)
    assert len(seen) < 1000


def test_filters_of_warnings_stay_as_they_are(staged, tmp_path, recwarn):
    """Threads that ignore warnings at the same time must not leave their filters behind."""
    before = list(warnings.filters)
    for number in range(3):
        write_results(tmp_path / str(number), staged, GRID, CLASSES)
    assert warnings.filters == before
    assert not list(recwarn)
