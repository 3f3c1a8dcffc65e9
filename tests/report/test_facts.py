"""Test the facts of a scene and the places of its pixels."""

import math

import numpy as np
import pytest

from tfinet_mm.report.facts import scene_facts
from tfinet_mm.report.records import PairSummary

pyproj = pytest.importorskip('pyproj')
pytest.importorskip('rasterio')
from rasterio import Affine
from rasterio.crs import CRS

from tfinet_mm.report.place import scene_place
from tfinet_mm.scenes.grid import SceneGrid, apply_affine

UTM = SceneGrid(CRS.from_epsg(32633), Affine(2, 0, 500_000, 0, -2, 5_000_000), 1200, 50)
DATE = dict(file='/data/a b.tif', bands=[3, 2], resampling=None)
SCENE = dict(
    threshold=0.25,
    before=DATE | dict(stretch=dict(kind='none')),
    after=DATE
    | dict(
        resampling='cubic',
        stretch=dict(kind='percentiles', percentiles=[2, 98], low=[10, 20.5], high=[3000, 4000]),
    ),
    polygons=dict(unit='m2', min_area=25.0, polygons=1300, dropped=4),
    settings=dict(
        model=[dict(name='n', checkpoint='/x/best.pth', weights='0123456789abcdef')],
        window=512,
        overlap=128,
        tta=False,
    ),
    software='tfinet_mm 0.1.0',
    provenance=dict(before=dict(acquired='2018-06-01'), after=dict(datetime='2023:01:02 03:04')),
)


def facts(scene=SCENE, grid=UTM, **more):
    numbers = PairSummary('a', 'scene', (1, 1), np.eye(2), 26.5, 1.5, unit='ha', **more)
    return dict(scene_facts(scene, grid, numbers))


def test_facts_of_a_scene():
    found = facts(not_seen='Not seen: 1.50 ha (5.0 %)')
    assert found['Before'] == 'a b.tif · acquired 2018-06-01 · bands 3, 2'
    assert found['Stretch before'] == 'values as stored (8 bit)'
    after = 'a b.tif · file of 2023:01:02 03:04 · bands 3, 2 · resampled (cubic)'
    assert found['After'] == after
    assert found['Stretch after'] == (
        'percentiles 2 and 98 of all dates become 0 and 255: band 3 10 to 3000, band 2 20.5 to 4000'
    )
    assert found['Coordinate system'] == 'WGS 84 / UTM zone 33N (EPSG:32633)'
    # UTM is 0.04 % short in its middle.
    assert found['Pixels'].endswith('of 2.001 \N{MULTIPLICATION SIGN} 2.001 m on the ground')
    assert found['Registration'] == 'not measured'
    assert found['Not seen'] == '1.50 ha (5.0 %)'
    assert found['Accuracy'] == 'not assessed'
    assert found['Changed'] == 'from P(changed) of 0.25'
    assert found['Polygons'] == '1,300 from 25 m², 4 smaller ones left out'
    assert found['Weights'].startswith('best.pth, SHA-256 0123456789ab')
    assert found['Windows'] == '512 pixels, 128 of them shared'
    assert found['Software'] == 'tfinet_mm 0.1.0'
    assert 'Augmentation' not in found
    assert 'Calibration of P(changed)' not in found
    fitted = dict(method='platt', views=['identity'], scale=0.5, bias=0.1)
    calibrated = SCENE | dict(settings=SCENE['settings'] | dict(calibration=fitted))
    assert facts(calibrated)['Calibration of P(changed)'] == 'platt'


def test_facts_of_an_assessed_scene_without_crs():
    assessment = dict(points=1200, overall_accuracy=dict(value=0.9, error=0.01))
    plain = SceneGrid(None, UTM.transform, 7, 8)
    found = facts({}, plain, assessment=assessment, registration='Registration: 0 px')
    assert found['Accuracy'].replace('\u202f', '') == (
        '90.0% ± 2.0% overall, from 1,200 labelled points'
    )
    assert found['Registration'] == '0 px'
    assert found['Not seen'] == 'nothing'
    assert found['Coordinate system'] == 'none'
    assert set(found) == {'Coordinate system', 'Pixels', 'Registration', 'Not seen', 'Accuracy'}
    assert scene_place(plain) is None


def interpolated(mesh, x, y):
    """Return the longitude and latitude at shares of the scene, as a reader of the mesh does."""
    cells = mesh['cells']
    nodes = np.array(mesh['nodes']).reshape(cells + 1, cells + 1, -1)
    left, top = (min(int(one * cells), cells - 1) for one in (x, y))
    right, down = x * cells - left, y * cells - top
    upper, lower = (
        nodes[row, left] * (1 - right) + nodes[row, left + 1] * right for row in (top, top + 1)
    )
    value = upper * (1 - down) + lower * down
    if mesh['kind'] == 'degrees':
        return value
    return np.degrees([np.arctan2(value[1], value[0]), np.arcsin(value[2] / np.linalg.norm(value))])


@pytest.mark.parametrize(
    ('code', 'transform', 'side'),
    [
        # A Sentinel-2 tile, one at 180 degrees, the north pole, and degrees.
        (32633, Affine(10, 0, 300_000, 0, -10, 5_000_000), 10_980),
        (32660, Affine(10, 0, 700_000, 0, -10, 1_000_000), 10_980),
        (3413, Affine(80, 30, -5e5, 30, -80, 5e5), 10_000),
        (4326, Affine(1e-5, 0, 12, 0, -1e-5, 60), 4000),
    ],
)
def test_places_are_right_within_a_part_of_a_pixel(code, transform, side):
    grid = SceneGrid(CRS.from_epsg(code), transform, side, side)
    place = scene_place(grid)
    assert place['code'] == f'EPSG:{code}'
    to_globe = pyproj.Transformer.from_crs(code, 4326, always_xy=True)
    globe = pyproj.Geod(ellps='WGS84')
    pixel = math.hypot(transform.a, transform.d) * (111_320 if code == 4326 else 1)
    for x, y in np.random.default_rng(0).random((40, 2)):
        expected = to_globe.transform(*apply_affine(transform, x * side, y * side))
        *_, metres = globe.inv(*interpolated(place['mesh'], x, y), *expected)
        assert metres < 0.05 * pixel


def test_a_plane_of_its_own_has_no_degrees():
    local = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]')
    place = scene_place(SceneGrid(local, UTM.transform, 5, 5))
    assert place['mesh'] is None
    assert place['system'] == 'site'
