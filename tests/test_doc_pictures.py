"""Test the pictures of scenes in the docs, and the functions that draw them."""

import doctest
import importlib
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

for needed in ('cv2', 'pyogrio', 'rasterio', 'scipy', 'shapely'):
    pytest.importorskip(needed)

from tfinet_mm.datasets.synthetic.generate import SyntheticPair
from tfinet_mm.scenes.from_to import FromToAreas
from tfinet_mm.scenes.results import ChangePolygon
from tfinet_mm.scenes.zones.areas import ZoneAreas
from tfinet_mm.visualization.canvas import BACKGROUND

ROOT = Path(__file__).parents[1]
DOCS = ROOT / 'docs'
SCRIPT = DOCS / '_ext' / 'scene_pictures.py'
PAGES = {
    'registration': 'scenes.md',
    'not_seen': 'scenes.md',
    'settings': 'scene_results.md',
    'zones': 'scene_results.md',
    'series': 'series.md',
    'corrections': 'corrections.md',
}
NUMBER = re.compile(r'\d+\.\d+')


@pytest.fixture(scope='module')
def parts():
    """Return the module of the functions, imported from beside the script."""
    return load('picture_parts')


@pytest.fixture(scope='module')
def script():
    return load('scene_pictures')


def load(name):
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(SCRIPT.parent))


def comment_of(path):
    with Image.open(path) as picture:
        return picture.info['comment'].decode()


def test_every_picture_has_a_page(script):
    assert set(script.PICTURES) == set(PAGES)


@pytest.mark.parametrize('name', PAGES)
def test_a_picture_is_small_and_wide_enough(name):
    path = DOCS / 'images' / f'{name}.jpg'
    with Image.open(path) as picture:
        assert picture.format == 'JPEG'
        assert 700 <= picture.width <= 1200
    assert path.stat().st_size <= 150_000


@pytest.mark.parametrize(('name', 'page'), PAGES.items())
def test_its_page_states_figures_of_the_picture(name, page):
    """The text after a picture has figures, and each is written in the picture."""
    text = (DOCS / page).read_text(encoding='utf-8')
    shown = re.search(rf'!\[([^\]]+)\]\(images/{name}\.jpg\)\n\n(.+?)\n\n', text, re.DOTALL)
    assert shown is not None, f'{page} does not show images/{name}.jpg'
    alt, below = shown.groups()
    assert len(alt) > 30
    stated = set(NUMBER.findall(below))
    assert stated
    assert stated <= set(NUMBER.findall(comment_of(DOCS / 'images' / f'{name}.jpg')))


def test_an_unknown_picture_is_refused(script, capsys):
    assert script.parse_args(['zones', 'series']).names == ['zones', 'series']
    with pytest.raises(SystemExit):
        script.parse_args(['zone'])
    assert 'got zone' in capsys.readouterr().err


@pytest.mark.slow
def test_the_script_draws_what_is_stored(tmp_path):
    """Words are the same, and numbers within 10 %, since processors round differently."""
    done = subprocess.run(
        [sys.executable, SCRIPT, '--work', tmp_path / 'work', '--out', tmp_path],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    number = re.compile(r'\d+(?:\.\d+)?')
    for name in PAGES:
        made, stored = (comment_of(at / f'{name}.jpg') for at in (tmp_path, DOCS / 'images'))
        assert number.sub('N', made) == number.sub('N', stored)
        values = [[float(one) for one in number.findall(text)] for text in (made, stored)]
        assert values[0] == pytest.approx(values[1], rel=0.1, abs=0.02)


def test_examples_of_the_functions(parts):
    found = doctest.testmod(parts)
    assert found.attempted >= 5
    assert found.failed == 0


@pytest.mark.parametrize('turn', [0, 37, 90, 200])
def test_an_arrow_points_along_its_move(parts, turn):
    """Turned back, each arrow is the one to the right: foot at 20, corners 5 off the shaft."""
    angle = math.radians(turn)
    move = 30 * math.cos(angle), 30 * math.sin(angle)
    (start, foot), tip = parts.arrow((4, 7), move, head=10)
    back = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    found = (np.array([start, foot, *tip]) - (4, 7)) @ back.T
    assert found == pytest.approx(np.array([[0, 0], [20, 0], [30, 0], [20, 5], [20, -5]]), abs=1e-9)


def test_a_short_arrow_is_a_tip_and_none_a_point(parts):
    (start, foot), tip = parts.arrow((0, 0), (3, 0), head=10)
    assert start == foot == (0, 0)
    assert tip == ((3, 0), (0, 1.5), (0, -1.5))
    assert parts.arrow((5, 6), (0, 0)) == (((5, 6),) * 2, ((5, 6),) * 3)


def test_arrows_are_longer_by_the_factor(parts):
    panel = Image.new('RGB', (100, 60))
    used = np.array([True, False])
    moves = np.array([[10.0, 0.0], [0.0, 5.0]])
    starts = np.array([[20.0, 10.0], [70.0, 20.0]])
    drawn = np.asarray(parts.draw_arrows(panel, starts, moves, used, factor=4))
    assert not np.asarray(panel).any()
    for colour, box in ((parts.USED_COLOUR, (17, 60)), (parts.UNUSED_COLOUR, None)):
        rows, columns = np.nonzero((drawn == colour).all(-1))
        if box:
            # From the dot of radius 3 around 20 to the point at 20 + 4 x 10.
            assert (columns.min(), columns.max()) == box
            assert abs(rows - 10).max() <= 6
        else:
            assert (rows.min(), rows.max()) == (17, 40)


def test_changed_pixels_have_colours_and_unseen_ones_stripes(parts):
    image = np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8)
    change = np.zeros((32, 48), np.uint8)
    change[:, :16], change[:, 32:] = 1, 255
    cover = np.full((32, 48), 2, np.uint8)
    palette = ((255, 255, 255), (0, 0, 255), (128, 0, 0))
    shown = np.asarray(parts.shown_change(image, change, cover, palette))
    assert (shown[:, :16] == (128, 0, 0)).all()
    kept = shown[:, 16:32]
    assert (kept == kept[..., :1]).all()
    assert kept.min() >= 185
    assert {tuple(one) for one in shown[:, 32:].reshape(-1, 3)} == {(90,) * 3, (200,) * 3}


def test_a_label_stays_within_its_panel(parts):
    panel = Image.new('RGB', (200, 100))
    for middle in ((0, 0), (100, 50), (200, 100)):
        drawn = np.asarray(parts.labelled(panel, middle, ['a place', '1.00 ha'], 16))
        rows, columns = np.nonzero((drawn == BACKGROUND).all(-1))
        assert 3 <= columns.min() <= columns.max() < 197
        assert 3 <= rows.min() <= rows.max() < 97
        if middle == (100, 50):
            assert columns.min() + columns.max() == pytest.approx(200, abs=2)
            assert rows.min() + rows.max() == pytest.approx(100, abs=2)


def test_panels_of_other_sizes_are_filled_up(parts):
    made = np.asarray(parts.fitted(Image.new('RGB', (380, 400), (1, 2, 3))))
    assert made.shape == (384, 384, 3)
    assert (made[:, :380] == (1, 2, 3)).all()
    assert (made[:, 380:] == BACKGROUND).all()


def test_bars_have_the_length_of_their_hectares(parts):
    """0.2 and 0.1 of 0.3 ha, and 0.15 ha: of 360 pixels, 240 and 120, and half of them."""

    def zone(name, row):
        matrix = np.zeros((2, 2))
        matrix[0] = row
        pixels = np.zeros((2, 2), int)
        areas = FromToAreas(('a', 'b'), 'ha', 'planar', 0.0, matrix, pixels, 0.7, 0, 0.0, 0)
        return ZoneAreas(name, 1, 0.0, areas)

    zones = [zone('north', (0.2, 0.1)), zone('south', (0, 0.15))]
    palette = ((255, 255, 255), (0, 200, 0), (0, 0, 200))
    panel = np.asarray(parts.zone_bars(zones, palette, 17))
    for colour, columns in (((0, 200, 0), [238]), ((0, 0, 200), [118, 178])):
        # Each within an outline of a pixel on either side.
        counts = (panel == colour).all(-1).sum(1)
        assert sorted(set(counts[counts > 0].tolist())) == columns
    assert parts.zone_line(zones[0]) == 'north: 0.30 of 1.00 ha changed'


def test_clouds_cover_their_share_and_are_in_the_quality_band(parts):
    dense = parts.clouds(5, 0.1)
    assert (dense > 0).mean() == pytest.approx(0.1, abs=0.001)
    assert dense.max() == 1
    image = np.full((384, 384, 3), 90, np.uint8)
    clouded, quality = parts.under_clouds(image, 5, 0.1)
    assert quality.shape == (96, 96)
    assert set(np.unique(quality).tolist()) == {3, 4, 9}
    cells = quality.repeat(4, 0).repeat(4, 1)
    brighter, darker = (clouded > 110).any(-1), (clouded < 75).any(-1)
    assert (cells[brighter] == 9).mean() > 0.95
    assert np.isin(cells[darker], (3, 9)).all()
    assert (np.abs(clouded[cells == 4].astype(int) - 90) <= 25).all()


def test_the_quality_band_lies_on_its_image(parts, tmp_path):
    rasterio = __import__('rasterio')
    place = rasterio.Affine(0.5, 0, 100, 0, -0.5, 900)
    form = dict(driver='GTiff', width=384, height=384, count=1, dtype='uint8', crs='EPSG:32632')
    with rasterio.open(tmp_path / 'image.tif', 'w', transform=place, **form):
        pass
    band = np.zeros((96, 96), np.uint8)
    path = parts.write_quality(tmp_path / 'scl.tif', band, tmp_path / 'image.tif')
    with rasterio.open(path) as made, rasterio.open(tmp_path / 'image.tif') as image:
        assert made.bounds == image.bounds
        assert made.res == (2, 2)
        assert made.crs == image.crs


def test_parts_switch_from_north_to_south(parts):
    """Of three intervals: a part in the first rows, one in the middle, and one below."""
    changed = np.zeros((31, 20), bool)
    changed[2:6, 2:6] = changed[14:17, 10:14] = changed[26:30, 2:6] = True
    when = parts.switched(changed, 3)
    assert when.shape == changed.shape
    for rows, columns, number in ((2, 2, 1), (14, 10, 2), (26, 2, 3)):
        assert (when[rows : rows + 3, columns : columns + 4] == number).all()
    # Around each as in it.
    assert (when[0, 0], when[12, 19], when[30, 0]) == (1, 2, 3)


def test_a_person_deletes_what_is_no_change_and_mends_classes(script):
    """The first polygon is right, the second no change, the third of class 4, not 3."""
    truth = np.zeros((2, 40, 40), np.uint8)
    truth[0, 2:8, 2:8], truth[1, 2:8, 2:8] = 3, 5
    truth[0, 30:36, 2:8], truth[1, 30:36, 2:8] = 2, 4

    def polygon(number, left, top, to_class):
        right, below = left + 6, top + 6
        ring = np.array([[left, top], [right, top], [right, below], [left, below], [left, top]])
        box = left, top, right, below
        return ChangePolygon(number, 'x', 'y', 3, to_class, 9.0, 'm2', 0.9, box, outline=((ring,),))

    polygons = [polygon(1, 2, 2, 5), polygon(2, 20, 20, 3), polygon(3, 2, 30, 3)]
    polygons.append(polygon(4, 10, 20, 3))
    image = np.zeros((40, 40, 3), np.uint8)
    pair = SyntheticPair(image, image, *truth, *truth)
    assert script.choose_corrections(polygons, pair, 1) == {1: (0, 0), 2: (2, 4)}
    assert script.choose_corrections(polygons, pair, 2) == {1: (0, 0), 2: (2, 4), 3: (0, 0)}
