"""Test tiles, read back by other programs, against the GeoTIFFs at known places."""

import io
import json
import math
import sqlite3
import sys

import numpy as np
import pytest
from finished_scene import CLASSES, finished_scene
from PIL import Image

from tfinet_mm.errors import MissingExtraError, SceneError
from tfinet_mm.scenes.series.maps import write_series
from tfinet_mm.scenes.tiles.layers import ProbabilityLayer, raster_layer
from tfinet_mm.scenes.tiles.writing import write_tiles

rasterio = pytest.importorskip('rasterio')
pyproj = pytest.importorskip('pyproj')
pytest.importorskip('pyogrio')
pytest.importorskip('shapely')
reader = pytest.importorskip('pmtiles.reader')

HEIGHT, WIDTH = 220, 300
WATER, TREE = CLASSES.palette[1:]
# 0.35 of water and 0.65 of tree.
WATER_TO_TREE = (0, 65, 70)
CHANGED = (230, 0, 126)
CLEAR = (0, 0, 0, 0)


def maps():
    """A river in the east, trees that came in the north-west, no data in the south."""
    prob = np.full((HEIGHT, WIDTH), 0.1, np.float32)
    covers = np.full((2, HEIGHT, WIDTH), 2, np.uint8)
    covers[:, :, 200:] = 1
    prob[20:100, 30:110] = 0.9
    covers[0, 20:100, 30:110] = 1
    prob[-20:] = np.nan
    covers[:, -20:] = 0
    return prob, *covers


@pytest.fixture(scope='module')
def scene(tmp_path_factory):
    """300 x 220 pixels of 10 m in UTM's zone 33, at 45 degrees north."""
    return finished_scene(tmp_path_factory.mktemp('tiles'), *maps()).folder


class Archive:
    """A PMTiles file, by the reader of its inventors."""

    def __init__(self, path):
        self._file = path.open('rb')
        self.reader = reader.Reader(reader.MmapSource(self._file))
        self.header, self.metadata = self.reader.header(), self.reader.metadata()

    def rgba(self, zoom, x, y):
        data = self.reader.get(zoom, x, y)
        if data is None:
            return None
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (256, 256)
            return np.asarray(image.convert('RGBA'))

    def tiles(self):
        return {place for place, _ in reader.all_tiles(self.reader.get_bytes)}

    def at(self, longitude, latitude, zoom):
        """Return the colour at a place, by the formula of the OpenStreetMap wiki."""
        x, y = pixel(longitude, latitude, zoom)
        tile = self.rgba(zoom, x // 256, y // 256)
        return CLEAR if tile is None else tuple(tile[y % 256, x % 256].tolist())


def pixel(longitude, latitude, zoom):
    radians = math.radians(latitude)
    x = (longitude + 180) / 360
    y = (1 - math.log(math.tan(radians) + 1 / math.cos(radians)) / math.pi) / 2
    return int(x * 2**zoom * 256), int(y * 2**zoom * 256)


def place_of(row, column):
    """Return longitude and latitude of the middle of a pixel."""
    turn = pyproj.Transformer.from_crs(32633, 4326, always_xy=True).transform
    return turn(500_000 + 10 * (column + 0.5), 5e6 - 10 * (row + 0.5))


def test_colours_at_places(scene, tmp_path):
    path = tmp_path / 'a.pmtiles'
    made = write_tiles(scene, path, attribution='mine')
    archive = Archive(path)
    assert made.zooms == (archive.header['min_zoom'], archive.header['max_zoom']) == (13, 14)
    assert (archive.header['tile_type'].name, archive.header['clustered']) == ('PNG', True)
    with rasterio.open(scene / 'transition.tif') as file:
        codes = file.read(1)
    # Away from edges, on which pixels of two projections meet.
    for row in range(2, HEIGHT, 9):
        for column in range(4, WIDTH, 13):
            around = codes[row - 2 : row + 3, column - 2 : column + 3]
            if (around != codes[row, column]).any():
                continue
            expected = (*WATER_TO_TREE, 255) if codes[row, column] == 2 else CLEAR
            for zoom in made.zooms:
                found = archive.at(*place_of(row, column), zoom)
                # The colour of a transparent pixel is of no meaning.
                assert (found if found[3] else CLEAR) == expected, (row, column, zoom)
    assert (codes == 2).sum() == 6400
    assert archive.metadata['legend'] == [dict(name='water to tree', colour='#004146')]
    assert archive.metadata['attribution'] == 'mine'
    west, north = place_of(-0.5, -0.5)
    assert archive.header['min_lon_e7'] / 1e7 == pytest.approx(west, abs=1e-4)
    assert archive.header['max_lat_e7'] / 1e7 == pytest.approx(north, abs=1e-4)


def test_number_of_tiles(scene, tmp_path):
    """Land cover has a tile wherever the scene with data has one, by the corners of the scene."""
    path = tmp_path / 'after.pmtiles'
    made = write_tiles(scene, path, shown='after', zooms=(9, 15))
    archive = Archive(path)
    corners = [place_of(r - 0.5, c - 0.5) for r in (0, HEIGHT - 20) for c in (0, WIDTH)]
    expected = set()
    for zoom in range(9, 16):
        # 45 degrees north and near the middle of the zone, the scene is almost a rectangle.
        columns, rows = zip(*(pixel(*corner, zoom) for corner in corners), strict=True)
        expected |= {
            (zoom, x, y)
            for x in range(min(columns) // 256, max(columns) // 256 + 1)
            for y in range(min(rows) // 256, max(rows) // 256 + 1)
        }
    assert archive.tiles() == expected
    assert made.tiles == len(expected) == archive.header['addressed_tiles_count']
    for zoom in (13, 15):
        assert archive.at(*place_of(50, 250), zoom) == (*WATER, 255)
        assert archive.at(*place_of(50, 50), zoom) == (*TREE, 255)
        assert archive.at(*place_of(HEIGHT - 5, 50), zoom)[3] == 0


def test_mbtiles_and_folders_have_the_same_tiles(scene, tmp_path):
    write_tiles(scene, tmp_path / 'a.pmtiles', shown='change')
    write_tiles(scene, tmp_path / 'a.mbtiles', shown='change', title='Trees')
    write_tiles(scene, tmp_path / 'folder', shown='change')
    archive = Archive(tmp_path / 'a.pmtiles')
    assert archive.at(*place_of(60, 60), 14) == (*CHANGED, 255)
    with sqlite3.connect(tmp_path / 'a.mbtiles') as database:
        rows = database.execute('SELECT * FROM tiles').fetchall()
        metadata = dict(database.execute('SELECT * FROM metadata'))
    # MBTiles counts rows from the south.
    stored = {(zoom, x, 2**zoom - 1 - row): data for zoom, x, row, data in rows}
    assert stored.keys() == archive.tiles()
    folder = tmp_path / 'folder'
    for (zoom, x, y), data in stored.items():
        assert archive.reader.get(zoom, x, y) == data
        assert (folder / f'{zoom}/{x}/{y}.png').read_bytes() == data
    assert len(list(folder.rglob('*.png'))) == len(stored)
    assert (metadata['name'], metadata['format']) == ('Trees', 'png')
    assert (metadata['minzoom'], metadata['maxzoom']) == ('13', '14')
    described = json.loads((folder / 'tiles.json').read_text(encoding='utf-8'))
    assert [float(one) for one in metadata['bounds'].split(',')] == described['bounds']
    assert json.loads(metadata['legend']) == described['legend']
    # Again, with fewer zooms: nothing of before is left.
    write_tiles(scene, folder, shown='change', zooms=(13, 13))
    assert {path.name for path in folder.iterdir()} == {'13', 'tiles.json'}


def test_probabilities_and_pictures(scene, tmp_path):
    write_tiles(scene, tmp_path / 'p.pmtiles', shown='probability')
    archive = Archive(tmp_path / 'p.pmtiles')
    # 0.8 of the way from (253, 141, 60) to (189, 0, 38); no data is clear.
    found = archive.at(*place_of(60, 60), 14)
    assert np.abs(np.array(found) - (202, 28, 42, 255)).max() <= 1
    assert archive.at(*place_of(HEIGHT - 5, 60), 14)[3] == 0
    place = dict(crs='EPSG:32633', transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6))
    for name, value in (('before', 60), ('after', 200)):
        size = dict(width=WIDTH, height=HEIGHT, count=3, dtype='uint8')
        with rasterio.open(tmp_path / f'{name}.tif', 'w', **size, **place) as file:
            image = np.full((3, HEIGHT, WIDTH), value, np.uint8)
            image[0, :, 150:] = 10
            file.write(image)
    images = {date: tmp_path / f'{date}.tif' for date in ('before', 'after')}
    write_tiles(scene, tmp_path / 'i.pmtiles', shown='picture_after', **images)
    archive = Archive(tmp_path / 'i.pmtiles')
    for zoom in (13, 14):
        assert archive.at(*place_of(60, 60), zoom) == (200, 200, 200, 255)
        assert archive.at(*place_of(60, 250), zoom) == (10, 200, 200, 255)
    assert archive.at(*place_of(-30, 60), 14)[3] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'after.tif', 'before.tif', 'i.pmtiles', 'p.pmtiles'
    ]  # fmt: skip


def test_reduction_keeps_the_most_frequent_class():
    layer = raster_layer_of('transition')
    # Unchanged 0, no data 255; of two of each, what is seen stays.
    values = np.array([[0, 2, 2, 2, 255, 255], [0, 0, 2, 3, 255, 0],
                       [0, 2, 3, 1, 255, 2], [0, 2, 3, 1, 0, 2]], np.uint8)  # fmt: skip
    assert layer.reduce(values[None])[0].tolist() == [[0, 2, 255], [2, 3, 2]]
    prob = np.array([[0.2, 0.4, np.nan, np.nan], [np.nan, 0.6, np.nan, np.nan]], np.float32)
    found = ProbabilityLayer('p', 'p', None).reduce(prob[None])[0, 0]
    np.testing.assert_allclose(found, [0.4, np.nan], rtol=1e-6)


def raster_layer_of(name):
    from tfinet_mm.scenes.result_rasters import scene_rasters

    return raster_layer(scene_rasters(CLASSES)[name], None, CLASSES)


def test_a_scene_across_the_antimeridian(tmp_path):
    """UTM's zone 60 ends at 180 degrees, and the grid extends beyond."""
    prob, *covers = maps()
    there = rasterio.Affine(100, 0, 815_000, 0, -100, 500_000)
    folder = finished_scene(tmp_path / 'a', prob, *covers, crs='EPSG:32660', place=there).folder
    write_tiles(folder, tmp_path / 'a.pmtiles', shown='after')
    archive = Archive(tmp_path / 'a.pmtiles')
    turn = pyproj.Transformer.from_crs(32660, 4326, always_xy=True).transform
    west, east = (turn(815_000 + 100 * column, 500_000 - 100 * 50) for column in (60, 250))
    assert west[0] > 179.5
    assert east[0] < -179.5
    zoom = archive.header['max_zoom']
    assert archive.at(*west, zoom) == (*TREE, 255)
    assert archive.at(*east, zoom) == (*WATER, 255)


def test_a_series(tmp_path):
    prob, *covers = maps()
    for name in ('a', 'b'):
        finished_scene(tmp_path / name, prob, *covers)
        prob[20:100, 150:180] = 0.9
    write_series(tmp_path, ['a/scene', 'b/scene'], ['2015', '2018', '2023'])
    write_tiles(tmp_path, tmp_path / 'when.pmtiles')
    archive = Archive(tmp_path / 'when.pmtiles')
    assert [one['name'] for one in archive.metadata['legend']] == ['2015 to 2018', '2018 to 2023']
    for column, entry in ((60, 0), (165, 1)):
        red, green, blue, alpha = archive.at(*place_of(60, column), 14)
        assert f'#{red:02x}{green:02x}{blue:02x}' == archive.metadata['legend'][entry]['colour']
        assert alpha == 255
    assert archive.at(*place_of(60, 130), 14)[3] == 0
    with pytest.raises(SceneError, match='expected one of the maps when, times_changed'):
        write_tiles(tmp_path, tmp_path / 'b.pmtiles', shown='from_to')


def test_no_change_is_one_clear_tile(tmp_path):
    prob, *covers = maps()
    folder = finished_scene(tmp_path / 'a', np.minimum(prob, 0.1), *covers).folder
    assert write_tiles(folder, tmp_path / 'a.pmtiles').tiles == 1
    archive = Archive(tmp_path / 'a.pmtiles')
    ((zoom, x, y),) = archive.tiles()
    assert (archive.rgba(zoom, x, y) == 0).all()
    assert archive.metadata['legend'] == []


def test_a_damaged_raster_is_named(tmp_path):
    folder = finished_scene(tmp_path / 'a', *maps()).folder
    path = folder / 'land_cover_to.tif'
    with rasterio.open(path) as file:
        place = int(file.get_tag_item('BLOCK_OFFSET_0_0', 'TIFF', bidx=1))
    content = bytearray(path.read_bytes())
    content[place : place + 100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(OSError, match=r'land_cover_to\.tif could not be read, is it damaged'):
        write_tiles(folder, tmp_path / 'a.mbtiles', shown='after')
    assert not (tmp_path / 'a.mbtiles').exists()


def test_errors(scene, tmp_path, monkeypatch):
    with pytest.raises(SceneError, match=r'0 <= MIN <= MAX <= 16, got 3 20; zoom 14 shows every'):
        write_tiles(scene, tmp_path / 'a.pmtiles', zooms=(3, 20))
    with pytest.raises(SceneError, match=r'NAME\.pmtiles, NAME\.mbtiles or a folder'):
        write_tiles(scene, tmp_path / 'a.zip')
    with pytest.raises(SceneError, match=r'holds other files and no tiles\.json'):
        write_tiles(scene, scene)
    with pytest.raises(SceneError, match='does not record its image before'):
        write_tiles(scene, tmp_path / 'a.pmtiles', shown='picture_before')
    monkeypatch.setitem(sys.modules, 'pmtiles.writer', None)
    with pytest.raises(MissingExtraError, match=r'tfinet-mm\[tiles\]'):
        write_tiles(scene, tmp_path / 'a.pmtiles')
    assert list(tmp_path.iterdir()) == []
