"""Test warnings of missing files against the accuracies that EPSG states, and a file made here."""

import os
import shutil
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from tfinet_mm.scenes.datum_shifts import coarse_shift, warn_of_datums
from tfinet_mm.scenes.grid import SceneGrid
from tfinet_mm.scenes.reader import ScenePair
from tfinet_mm.scenes.series.grid import series_grid

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyproj')
from rasterio.crs import CRS
from rasterio.warp import transform

PROJ_DATA = Path(rasterio.__file__).parent / 'proj_data'
NEW_ZEALAND = 174.5, -36.9
pytestmark = pytest.mark.skipif(
    'PROJ_NETWORK' in os.environ or 'PROJ_DATA' in os.environ, reason='PROJ may have the files'
)


def grid_at(place, crs, size=0.5, side=40):
    """Return a grid whose upper left corner is at a longitude and a latitude."""
    x, y = transform('EPSG:4326', f'EPSG:{crs}', *([value] for value in place))
    place = rasterio.Affine(size, 0, x[0], 0, -size, y[0])
    return SceneGrid(CRS.from_epsg(crs), place, side, side)


@pytest.fixture
def pair(raster, smooth):
    """A function that writes two dates of one place, in an old and in a new CRS."""

    def write(place, old, new, size):
        paths = []
        for name, crs in (('before', new), ('after', old)):
            grid = grid_at(place, crs, size)
            values = smooth(grid.height, grid.width)
            corner = grid.transform.c, grid.transform.f
            paths.append(raster(f'{name}.tif', values, *corner, size, f'EPSG:{crs}'))
        return paths

    return write


def told(make):
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter('always')
        make()
    return [str(one.message) for one in heard if 'shift of datum' in str(one.message)]


@pytest.mark.parametrize(
    ('place', 'old', 'new', 'used', 'best', 'file'),
    [
        (NEW_ZEALAND, 27200, 2193, 4, 0.2, 'nz_linz_nzgd2kgrid0005.tif'),
        ((2, 48), 27572, 2154, 3, 1, 'fr_ign_gr3df97a.tif'),
        ((9, 50.5), 31467, 25832, 1, 0.1, 'de_hvbg_hessen_HeTA2010.tif'),
        ((-1, 52), 27700, 32630, 2, 1, 'uk_os_OSTN15_NTv2_OSGBtoETRS.tif'),
    ],
)
def test_accuracies_are_those_of_the_database(place, old, new, used, best, file):
    found = coarse_shift(CRS.from_epsg(old), grid_at(place, new))
    assert (found.used, found.best) == (used, best)
    assert found.files[0] == file


def test_files_of_other_places_do_not_count():
    berlin = coarse_shift(CRS.from_epsg(31468), grid_at((13.4, 52.5), 25833))
    assert berlin is None or 'de_hvbg_hessen_HeTA2010.tif' not in berlin.files


@pytest.mark.parametrize(
    ('source', 'target', 'place'),
    [
        (32633, 25833, (15, 50)),
        (32633, 32632, (12, 50)),
        (4326, 3857, (15, 50)),
        (28992, 32631, (5, 52)),
    ],
)
def test_what_needs_no_file(source, target, place):
    assert coarse_shift(CRS.from_epsg(source), grid_at(place, target)) is None


@pytest.mark.parametrize(('size', 'is_told'), [(0.5, True), (7.9, True), (8.1, False), (10, False)])
def test_less_than_half_a_pixel_is_not_told(pair, size, is_told):
    before, after = pair(NEW_ZEALAND, 27200, 2193, size)
    heard = told(lambda: ScenePair(before, after, stretch=(0, 255)).close())
    assert bool(heard) is is_told
    assert told(lambda: series_grid([before, after])) == heard
    assert not told(lambda: ScenePair(before, before).close())
    if heard:
        (text,) = heard
        assert text.startswith(f'after ({after}) is brought')
        assert 'accurate to 4 m' in text
        assert 'nz_linz_nzgd2kgrid0005.tif' in text


def test_degrees_and_feet_are_metres():
    for crs, size, is_told in ((4167, 3e-5, True), (4167, 1e-4, False)):
        grid = grid_at(NEW_ZEALAND, crs, size)
        date = type('Date', (), dict(name='after', grid=grid_at(NEW_ZEALAND, 27200, 1)))
        assert bool(told(lambda grid=grid, date=date: warn_of_datums([date], grid))) is is_told


def ntv2(path, south=-50, north=-30, west=160, east=180):
    """Write a grid of no shift at all."""

    def record(name, value):
        form = {int: '<i4x', float: '<d'}.get(type(value))
        return name.ljust(8).encode() + (
            struct.pack(form, value) if form else value.ljust(8).encode()
        )

    rows, columns = north - south + 1, east - west + 1
    head = dict(NUM_OREC=11, NUM_SREC=11, NUM_FILE=1, GS_TYPE='SECONDS', VERSION='NTv2.0')
    head |= dict(SYSTEM_F='A', SYSTEM_T='B', MAJOR_F=6378137.0, MINOR_F=6356752.3)
    head |= dict(MAJOR_T=6378137.0, MINOR_T=6356752.3)
    sub = dict(SUB_NAME='X', PARENT='NONE', CREATED='1', UPDATED='1')
    sub |= dict(S_LAT=south * 3600.0, N_LAT=north * 3600.0)
    sub |= dict(E_LONG=-east * 3600.0, W_LONG=-west * 3600.0, LAT_INC=3600.0, LONG_INC=3600.0)
    sub |= dict(GS_COUNT=rows * columns)
    values = np.tile(np.float32([0, 0, 0.1, 0.1]), rows * columns).astype('<f4').tobytes()
    records = b''.join(record(*one) for one in [*head.items(), *sub.items()])
    path.write_bytes(records + values + b'END     ' + bytes(8))


@pytest.mark.skipif(not PROJ_DATA.is_dir(), reason='rasterio is not of a wheel')
@pytest.mark.parametrize('of_rasterio', [True, False])
def test_the_files_that_rasterio_has_decide(tmp_path, of_rasterio):
    """Files that pyproj alone has change no pixel."""
    folder = tmp_path / 'proj'
    if of_rasterio:
        shutil.copytree(PROJ_DATA, folder)
    folder.mkdir(exist_ok=True)
    ntv2(folder / 'nzgd2kgrid0005.gsb')
    code = (
        'import sys; from tfinet_mm.scenes import datum_shifts; import rasterio;'
        'grid = datum_shifts.SceneGrid(*eval(sys.argv[1], vars(rasterio)));'
        'print(datum_shifts.coarse_shift(rasterio.crs.CRS.from_epsg(27200), grid))'
    )
    grid = grid_at(NEW_ZEALAND, 2193)
    text = f'(crs.CRS.from_epsg(2193), Affine{tuple(grid.transform)[:6]}, 40, 40)'
    name = 'PROJ_DATA' if of_rasterio else 'PROJ_USER_WRITABLE_DIRECTORY'
    found = subprocess.run(
        [sys.executable, '-c', code, text],
        env=os.environ | {name: str(folder)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert found.startswith('None' if of_rasterio else 'CoarseShift(used=4.0, best=0.2')


def test_a_server_without_an_answer_is_named(pair):
    before, after = pair(NEW_ZEALAND, 27200, 2193, 100)
    code = 'import sys; from tfinet_mm.scenes.reader import ScenePair; ScenePair(*sys.argv[1:])'
    nowhere = dict(PROJ_NETWORK='ON', PROJ_NETWORK_ENDPOINT='http://127.0.0.1:9')
    found = subprocess.run(
        [sys.executable, '-c', code, before, after],
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
    )
    assert 'looks for a file on a server' in found.stderr
    assert 'http://127.0.0.1:9/nz_linz_nzgd2kgrid0005.tif' in found.stderr
