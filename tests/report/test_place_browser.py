"""Test the page of scenes that have a place on the earth, in headless Chromium."""

import io
import json
import math
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.errors import ReportError
from tfinet_mm.report import Basemap, PairView, Polygon, ReportData, save_report
from tfinet_mm.report.records import PairSummary

pyproj = pytest.importorskip('pyproj')
rasterio = pytest.importorskip('rasterio')
shapely = pytest.importorskip('shapely')
from rasterio import Affine
from rasterio.crs import CRS

from tfinet_mm.report.place import scene_place
from tfinet_mm.scenes.grid import SceneGrid, apply_affine

WIDTH, HEIGHT = 100, 60
TURN = 30
GREY = (90, 90, 90)
CHANGE = (230, 0, 126)
FACTS = (('Before', 'a <b>.tif · acquired 2018'), ('Software', 'tfinet_mm 0'))
# Pixels of 10 m, the rows turned clockwise on the map; the second scene lies on both sides of
# 180 degrees.
COS, SIN = 10 * math.cos(math.radians(TURN)), 10 * math.sin(math.radians(TURN))
TURNED = Affine(COS, -SIN, 500_000, -SIN, -COS, 5_000_000)
GRIDS = (
    SceneGrid(CRS.from_epsg(32633), TURNED, WIDTH, HEIGHT),
    SceneGrid(CRS.from_epsg(4326), Affine(0.001, 0, 179.95, 0, -0.001, -16), WIDTH, HEIGHT),
)


def ring(left, top, right, bottom):
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)])


def box(left, top, right, bottom):
    return (left / WIDTH, top / HEIGHT, right / WIDTH, bottom / HEIGHT)


@pytest.fixture(scope='module')
def scenes(table):
    """A large region with a hole, one of low probability, and a small one of another class."""
    before = np.zeros((HEIGHT, WIDTH), np.uint8)
    after = before.copy()
    regions = [
        (1, 3, 3.0, 0.9, (10, 6, 40, 30), [(20, 12, 30, 24)]),
        (1, 3, 2.5, 0.4, (60, 30, 75, 50), []),
        (1, 2, 1.0, 0.8, (80, 3, 90, 9), []),
    ]
    polygons = []
    for old, new, area, probability, outer, holes in regions:
        left, top, right, bottom = outer
        before[top:bottom, left:right], after[top:bottom, left:right] = old, new
        for hole in holes:
            before[hole[1] : hole[3], hole[0] : hole[2]] = 0
            after[hole[1] : hole[3], hole[0] : hole[2]] = 0
        outline = [[ring(*outer), *(ring(*hole) for hole in holes)]]
        polygons.append(Polygon(old, new, area, probability, box(*outer), outline))
    matrix = np.zeros((3, 3))
    matrix[0, 1:] = 1.0, 5.5
    images = [np.full((HEIGHT, WIDTH, 3), GREY, np.uint8) for _ in range(2)]
    crossing = [Polygon(1, 3, 3.0, 0.9, box(40, 10, 60, 20), [[ring(40, 10, 60, 20)]])]

    def view(index, *_):
        kept = crossing if index else polygons
        return PairView(
            *images, before, after, polygons=kept, polygon_count=5, place=scene_place(GRIDS[index])
        )

    summaries = [
        PairSummary(
            name, 'scene', (WIDTH, HEIGHT), matrix / (1 + place), 9.0, unit='ha', facts=facts
        )
        for place, (name, facts) in enumerate((('a/b c', FACTS), ('fiji', ())))
    ]
    return ReportData(table, summaries, view, threshold=0.5)


@pytest.fixture(scope='module')
def page(scenes, tmp_path_factory):
    return save_report(scenes, tmp_path_factory.mktemp('page') / 'report.html', title='Two scenes')


@pytest.fixture(scope='module')
def acted(page, browse):
    return browse(page, 'act_on_place.js')


def on_earth(grid, column, row):
    """Return the longitude and latitude of a pixel by pyproj."""
    x, y = apply_affine(grid.transform, column, row)
    return pyproj.Transformer.from_crs(grid.crs.to_wkt(), 4326, always_xy=True).transform(x, y)


def near(colour, expected, off=6):
    return np.abs(np.array(colour, int) - np.array(expected)).max() <= off


def test_facts_are_shown_as_text(acted):
    assert acted['facts'] == [list(fact) for fact in FACTS]
    assert acted['next']['facts'] is False


def test_the_pointer_reads_coordinates(acted):
    x, y = apply_affine(GRIDS[0].transform, 25, 45)
    longitude, latitude = on_earth(GRIDS[0], 25, 45)
    _, on_map, on_globe, pixel = acted['read'].split(' · ')
    # The stage may be a part of a pixel wider than the picture.
    found = [float(part.split()[1].replace(',', '')) for part in on_map.split(', ')]
    assert found == pytest.approx([x, y], abs=3)
    assert on_map.endswith('(EPSG:32633)')
    north, east = (float(part.split('°')[0]) for part in on_globe.split(', '))
    assert (north, east) == pytest.approx((latitude, longitude), abs=3e-5)
    assert pixel in ('column 25, row 45', 'column 24, row 45', 'column 25, row 44')
    # By keyboard it is the pixel in the middle.
    assert 'column 50, row 30' in acted['middle']


def test_the_scale_and_north_are_those_of_the_ground(acted):
    text, bar, stage = acted['scale']
    number, unit = text.split()
    metres = float(number) * {'m': 1, 'km': 1000}[unit]
    # UTM is 0.04 % short in its middle.
    assert bar / stage * WIDTH * 10 / 0.9996 == pytest.approx(metres, rel=2e-3)
    assert acted['closer'] != acted['scale'][:2]
    longitude, latitude = on_earth(GRIDS[0], 50, 30)
    to_map = pyproj.Transformer.from_crs(4326, 32633, always_xy=True)
    north = to_map.transform(longitude, latitude + 1e-4)
    ahead = np.subtract(apply_affine(~GRIDS[0].transform, *north), (50, 30))
    angle = math.degrees(math.atan2(ahead[0], -ahead[1]))
    assert abs(angle) == pytest.approx(TURN, abs=1)
    assert acted['north'] == [f'rotate({angle:.0f}deg)', f'North, {angle:.0f} degrees from up']


def test_changes_are_filtered_in_list_and_picture(acted):
    for name, rows in dict(all=[1, 1, 1], large=[1, 1, 0], sure=[1, 0, 1], small=[0, 0, 1]).items():
        assert acted[name]['rows'] == [bool(row) for row in rows], name
        shown = [near(acted[name]['seen'][key], CHANGE) for key in ('large', 'unsure', 'small')]
        assert shown == acted[name]['rows'], name
    assert acted['cleared']
    # The box of a class.
    assert acted['class']['rows'] == [False, False, True]
    assert acted['all']['hint'] == 'The 3 largest of 5.'
    assert acted['large']['hint'] == (
        'The 3 largest of 5. 2 of them pass the filter, 5.50 ha. The picture shows these alone.'
    )
    assert acted['sure']['button'] == 'Save 2 as GeoJSON'


def test_the_list_is_saved_as_geojson(acted):
    assert len(json.loads(acted['export']['text'])['features']) == 1
    assert acted['whole']['name'] == 'a_b_c_changes.geojson'
    assert acted['whole']['type'] == 'application/geo+json'
    features = json.loads(acted['whole']['text'])['features']
    assert features[0]['properties'] == dict(
        **{'from': 'wood', 'to': 'town', 'from_class': 1, 'to_class': 3},
        area_m2=30_000,
        mean_prob=0.9,
    )
    geometry = features[0]['geometry']
    assert [shapely.LinearRing(one).is_ccw for one in geometry['coordinates']] == [True, False]
    expected = shapely.Polygon(
        *([on_earth(GRIDS[0], *corner) for corner in ring(*one)] for one in ((10, 6, 40, 30),)),
        [[on_earth(GRIDS[0], *corner) for corner in ring(20, 12, 30, 24)]],
    )
    found = shapely.geometry.shape(geometry)
    # A hundredth of a pixel of 10 m.
    assert shapely.hausdorff_distance(found, expected) < 1e-6
    assert found.symmetric_difference(expected).area < 1e-3 * expected.area


def test_a_region_across_180_degrees_is_cut(acted):
    (feature,) = json.loads(acted['next']['text'])['features']
    assert feature['geometry']['type'] == 'MultiPolygon'
    west, east = (
        shapely.box(*one.bounds) for one in shapely.geometry.shape(feature['geometry']).geoms
    )
    assert west.bounds == pytest.approx((179.99, -16.02, 180, -16.01))
    assert east.bounds == pytest.approx((-180, -16.02, -179.99, -16.01))


def test_a_list_is_one_stop_of_the_keyboard(acted):
    assert acted['stops'] == [1, 1, 1]
    names = [f'Show change {number}' for number in (2, 3, 3, 1, 3, 2)]
    assert [one.split(',')[0] for one in acted['keys']] == names
    assert acted['flown']
    assert acted['escaped'] == [False, 0, acted['keys'][-1]]
    assert acted['boxes'] == ['wood before', 'wood after', 'a<b> & "c" after', 'a<b> & "c" before']


def test_nothing_is_requested(acted):
    assert acted['requests'] == []


def test_a_scene_fits_a_telephone(page, browse):
    said = browse(page, 'act_on_narrow.js', frame=375)
    assert said['page'] <= 375
    assert said['over'] == []
    # On one line, where letters could stand below each other.
    assert max(said['buttons']) < 40


class Tiles(BaseHTTPRequestHandler):
    """A server of tiles of one colour, which keeps what was asked for."""

    asked: ClassVar[list[str]] = []

    def do_GET(self):
        self.asked.append(self.path)
        stored = io.BytesIO()
        Image.new('RGB', (256, 256), (10, 200, 30)).save(stored, 'PNG')
        self.send_response(200)
        self.send_header('Content-Type', 'image/png')
        self.end_headers()
        self.wfile.write(stored.getvalue())

    def log_message(self, *_):
        pass


def test_a_basemap_is_loaded_when_it_is_asked_for(scenes, browse, tmp_path):
    with ThreadingHTTPServer(('127.0.0.1', 0), Tiles) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        tiles = Basemap(f'http://127.0.0.1:{server.server_port}/{{z}}/{{x}}/{{y}}.png', '(c) maps')
        page = save_report(scenes, tmp_path / 'report.html', title='Scenes', basemap=tiles)
        said = browse(page, 'act_on_basemap.js')
        server.shutdown()
    assert said['before'] == []
    assert said['credit'] == '(c) maps'
    assert sorted(said['drawn']) == sorted(set(Tiles.asked))
    # The tiles reach over the scene, and each is drawn where it belongs.
    grid = GRIDS[0]
    for path, (start, end) in said['drawn'].items():
        zoom, x, y = (int(part.split('.')[0]) for part in path.strip('/').split('/'))
        for (i, j), found in (((0, 0), start), ((1, 0), end)):
            longitude = (x + i) / 2**zoom * 360 - 180
            latitude = math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * (y + j) / 2**zoom))))
            on_map = pyproj.Transformer.from_crs(4326, 32633, always_xy=True)
            place = apply_affine(~grid.transform, *on_map.transform(longitude, latitude))
            assert found == pytest.approx(place, abs=0.5)
    assert said['off'] == said['images']


@pytest.mark.parametrize(
    'address', ['ftp://a/{z}/{x}/{y}', "https://a; script-src 'x'/{z}/{x}/{y}", 'https://a/{z}/{x}']
)
def test_other_addresses_are_refused(address):
    with pytest.raises(ReportError, match='not an address of tiles'):
        Basemap(address)
