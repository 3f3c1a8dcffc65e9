"""Test the shift between the dates, against rasters that are cut from finer ground."""

import json
import math
import re
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from tfinet_mm.errors import ManifestError, SceneError
from tfinet_mm.scenes.alignment import find_correction
from tfinet_mm.scenes.prediction import predict_scene
from tfinet_mm.scenes.reader import ScenePair
from tfinet_mm.scenes.registering import SceneRegistration, tell_registration
from tfinet_mm.scenes.registration import measure_registration, patch_windows
from tfinet_mm.scenes.results import SceneResults

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyproj')

SIDE, FINER, MARGIN = 320, 4, 20
WHOLE = SIDE + 2 * MARGIN


@pytest.fixture(scope='module')
def finer():
    """Return ground of details of many sizes, four times finer than the scenes."""
    noise = np.random.default_rng(1).random((3, FINER * WHOLE, FINER * WHOLE)).astype(np.float32)
    parts = [
        cv2.GaussianBlur(one, (0, 0), scale) for one, scale in zip(noise, (2, 6, 20), strict=True)
    ]
    ground = sum((part - part.mean()) / part.std() for part in parts)
    return (ground - ground.min()) / np.ptp(ground)


@pytest.fixture
def date(scene, finer):
    """Write a date whose content lies further right and down by quarters of a pixel."""

    def write(name, right=0.0, down=0.0, change=None, gain=200, offset=30, **options):
        left, top = (round(FINER * (MARGIN - move)) for move in (right, down))
        part = finer[top : top + FINER * SIDE, left : left + FINER * SIDE]
        values = part.reshape(SIDE, FINER, SIDE, FINER).mean((1, 3)) * gain + offset
        values = values + np.random.default_rng(len(name)).normal(0, 2, (3, SIDE, SIDE))
        values = np.clip(np.round(values), 1, 255).astype(np.uint8)
        return scene(name, values if change is None else change(values), **options)

    return write


def measure(before, after, **options):
    with ScenePair(before, after, **options) as pair:
        return measure_registration(pair)


def half_changed(values):
    """Change a fifth of the ground, and leave half of the scene without data."""
    values[:, :140, -145:] = values[:, -140:, :145][:, ::-1]
    rows, columns = np.mgrid[:SIDE, :SIDE]
    values[:, rows + columns < SIDE] = 0
    return values


def test_equal_scenes_and_a_known_shift(date):
    """Another light, changed ground, noise and missing data move it by less than 0.05 px."""
    before = date('a')
    same = measure(before, before)
    assert same.describe().startswith(
        'after lies 0.00 px (0.00 m) east and 0.00 px (0.00 m) south of before, from 25 of 25'
    )
    assert not same.is_far
    after = date('bb', 1.75, -0.5, half_changed, gain=-120, offset=180, nodata=0)
    found = measure(before, after)
    assert found.shift == pytest.approx((1.75, -0.5), abs=0.05)
    assert found.is_far
    assert not found.is_affine
    assert 5 <= found.count < 25
    # Pixels of 10 m, in a projection that is true to 0.04 %.
    numbers = found.metadata()
    assert (numbers['right_m'], numbers['up_m']) == pytest.approx((17.5, 5), abs=0.5)
    assert re.search(r' px \(17\.\d\d m\) east .* north of before', found.describe())
    json.dumps(numbers)


def test_metres_of_degrees_and_no_crs(date):
    """At 60 degrees north a degree of longitude is half as long as one of latitude."""
    place = dict(x=12, y=60, size=1e-4, crs='EPSG:4326')
    numbers = measure(date('a', **place), date('b', -2, 3, **place)).metadata()
    assert (numbers['right_px'], numbers['up_px']) == pytest.approx((-2, -3), abs=0.05)
    degree = 2 * math.pi * 6_371_000 / 360
    assert numbers['right_m'] == pytest.approx(-2e-4 * degree / 2, rel=0.03)
    assert numbers['up_m'] == pytest.approx(-3e-4 * degree, rel=0.03)
    pair = date('a', crs=None), date('b', -2, 3, crs=None)
    plain = measure(*pair)
    assert plain.metadata()['right_m'] is None
    assert ' px left and ' in plain.describe()
    # Nothing of this is on Earth, and a warp works all the same.
    for options in ({}, dict(same_grid=True)):
        with ScenePair(*pair, **options) as both:
            correction = find_correction(plain, both.grid)
        with ScenePair(*pair, **options, correction=correction) as both:
            assert both.grid.crs is None
            assert measure_registration(both).largest < 0.05
            shown, valid = both.picture(80)
            assert np.abs(np.subtract(*np.split(shown[:, valid].astype(int), 2))).mean() < 5


def test_what_can_not_be_measured(date, scene):
    """Nothing is made up where nothing agrees."""
    flat = scene('flat', np.full((3, SIDE, SIDE), 9, np.uint8))
    other = date('other', change=lambda values: values[:, ::-1].transpose(0, 2, 1).copy())
    small = scene('small', np.full((3, 40, 90), 9, np.uint8))
    for pair, reason in (
        ((flat, flat), 'can not be measured: none of 25 places .* texture'),
        ((date('a'), other), r'can not be measured: \d of 25 patches agree'),
        ((small, small), '90 x 40 pixels, a patch takes 64'),
    ):
        found = measure(*pair)
        assert found.shift is None
        assert not found.is_far
        assert set(found.metadata()) == {'text', 'patches', 'used'}
        assert re.search(reason, found.describe())


def test_patches_are_few_in_any_scene():
    for size in ((10_000, 10_000), (200_000, 1000), (300, 9000), (768, 768), (130, 64)):
        windows = [places[0] for places in patch_windows(*size)]
        assert 1 <= len(set(windows)) == len(windows) <= 81
        for left, top, width, height in windows:
            assert 0 <= left <= size[0] - width
            assert 0 <= top <= size[1] - height
    # Each lies in one tile of 512 pixels.
    assert all(one.left % 256 == one.top % 256 == 0 for (one, *_) in patch_windows(10_240, 10_240))


@pytest.mark.parametrize('crs', ['EPSG:32633', 'EPSG:4326'])
@pytest.mark.parametrize('grid', ['before', 'after', 15.0])
def test_a_correction_moves_after_onto_before(date, scene, crs, grid):
    """The second date may have its own CRS, and the grid may be that of either."""
    before, after = date('a'), date('b', 3.25, -1.5)
    if crs != 'EPSG:32633':
        after = warped(after, scene, crs)
    with ScenePair(before, after, grid=grid) as pair:
        found = measure_registration(pair)
        correction = find_correction(found, pair.grid)
    # The file was written with pixels of 10 m, and lies too far east and north.
    assert not found.is_affine
    if crs == 'EPSG:32633':
        np.testing.assert_allclose(correction, (1, 0, -32.5, 0, 1, -15), atol=0.6)
    with ScenePair(before, after, grid=grid, correction=correction) as pair:
        assert pair.metadata()['after']['correction'] == list(correction)
        left = measure_registration(pair)
    assert left.largest < 0.05
    with pytest.raises(SceneError, match='six finite numbers'):
        ScenePair(before, after, correction=(1, 2))


def warped(path, scene, crs):
    """Write a raster in another CRS, on finer pixels."""
    from rasterio.warp import Resampling, calculate_default_transform, reproject

    with rasterio.open(path) as file:
        place, width, height = calculate_default_transform(
            file.crs, crs, file.width, file.height, *file.bounds
        )
        values = np.zeros((3, height, width), np.uint8)
        reproject(
            rasterio.band(file, [1, 2, 3]),
            values,
            dst_transform=place,
            dst_crs=crs,
            resampling=Resampling.cubic,
        )
    return scene('warped', values, place.c, place.f, place.a, crs=crs, nodata=0)


def test_a_shift_that_varies_over_the_scene(scene, finer):
    """Half a degree of rotation and another scale are followed by an affine model."""
    size = FINER * SIDE
    middle = FINER * WHOLE / 2 - 0.5
    turn = cv2.getRotationMatrix2D((middle, middle), 0.5, 1.004)
    parts = [finer, cv2.warpAffine(finer, turn, finer.shape[::-1], flags=cv2.INTER_CUBIC)]
    start = FINER * MARGIN
    dates = []
    for name, part in zip('ab', parts, strict=True):
        inner = part[start : start + size, start : start + size]
        values = inner.reshape(SIDE, FINER, SIDE, FINER).mean((1, 3)) * 200 + 30
        dates.append(scene(name, np.repeat(values[None], 3, axis=0).round().astype(np.uint8)))
    with ScenePair(*dates) as pair:
        found = measure_registration(pair)
        correction = find_correction(found, pair.grid)
    assert found.is_affine
    assert 'varies over the scene' in found.describe()
    # A corner is 226 px from the middle.
    assert found.largest == pytest.approx(226 * math.hypot(math.radians(0.5), 0.004), rel=0.1)
    with ScenePair(*dates, correction=correction) as pair:
        left = measure_registration(pair)
    assert left.largest < 0.1
    assert left.spread < 0.1


def test_alignment_takes_back_false_change(date, network, tmp_path):
    """A shift of 3 px makes change of edges; --align gives the map of the dates in place."""

    def built(values):
        values[:, 60:120, 80:150] = 255 - values[:, 60:120, 80:150]
        return values

    def moved(values):
        values[:, 60:120, 83:153] = 255 - values[:, 60:120, 83:153]
        return values

    before = date('a')
    runs = dict(
        right=(date('bb', change=built), {}),
        wrong=(date('cc', 3, 0, moved), {}),
        aligned=(date('cc', 3, 0, moved), dict(align=True)),
    )
    maps, scenes = {}, {}
    for name, (after, options) in runs.items():
        out = tmp_path / name
        if name == 'wrong':
            with pytest.warns(UserWarning, match=r'up to 3\.0\d px from before.*--align'):
                predict_scene(network(window=128), before, after, out, **options)
        else:
            predict_scene(network(window=128), before, after, out, **options)
        found = SceneResults(out)
        maps[name], scenes[name] = found.read('change_prob'), found.scene
        with rasterio.open(before) as file, found.open('change') as change:
            assert (change.crs, change.transform) == (file.crs, file.transform)
    right = maps['right'][:, : maps['aligned'].shape[1]]
    # Three columns of after lie outside before.
    assert maps['aligned'].shape == (SIDE, SIDE - 3)
    assert np.abs(maps['aligned'] - right)[4:-4, 4:-4].max() < 0.06
    assert np.abs(maps['wrong'] - maps['right'])[4:-4, 4:-4].max() > 0.3
    assert scenes['right']['registration']['found']['right_px'] == pytest.approx(0, abs=0.05)
    told = scenes['aligned']['registration']
    assert told['found']['right_px'] == pytest.approx(3, abs=0.05)
    assert told['aligned']['right_px'] == pytest.approx(0, abs=0.05)
    assert scenes['wrong']['registration']['aligned'] is None
    with pytest.raises(ManifestError, match=r"reading\.align was 'True', is None"):
        predict_scene(network(window=128), before, runs['aligned'][0], tmp_path / 'aligned')
    check_layers(tmp_path / 'aligned' / 'registration.gpkg')


def check_layers(path):
    pyogrio = pytest.importorskip('pyogrio')
    shapely = pytest.importorskip('shapely')
    assert [name for name, _ in pyogrio.list_layers(path)] == [
        'registration',
        'registration_aligned',
    ]
    info, _, points, columns = pyogrio.raw.read(path, layer='registration')
    fields = dict(zip(info['fields'], columns, strict=True))
    used = fields['used'] == 1
    assert used.sum() >= 20
    assert np.median(fields['right_px'][used]) == pytest.approx(3, abs=0.05)
    np.testing.assert_allclose(fields['dx'], 10 * fields['right_px'], atol=1e-6)
    np.testing.assert_allclose(fields['dy'], 10 * fields['up_px'], atol=1e-6)
    assert (fields['quality'][used] > 6).all()
    assert '32633' in info['crs']
    x, y = shapely.get_coordinates(shapely.from_wkb(points)).T
    assert 500_000 < x.min() < x.max() < 500_000 + 10 * SIDE
    assert 5_000_000 - 10 * SIDE < y.min() < y.max() < 5_000_000


def test_left_out_or_not_possible(date, scene, network, tmp_path):
    before, after = date('a'), date('b', 3, 0)
    predict_scene(network(), before, after, tmp_path / 'out', registration=False)
    assert not (tmp_path / 'out' / 'registration.gpkg').exists()
    assert SceneResults(tmp_path / 'out').scene['registration'] is None
    with pytest.raises(SceneError, match='give one of the two'):
        predict_scene(network(), before, after, tmp_path / 'no', registration=False, align=True)
    flat = [scene(f'f{grey}', np.full((3, 80, 80), grey, np.uint8)) for grey in (9, 12)]
    with pytest.warns(
        UserWarning, match=r'f12\.tif\) is not aligned \(--align\).*none of \d places'
    ):
        predict_scene(network(), *flat, tmp_path / 'flat', align=True)
    assert SceneResults(tmp_path / 'flat').scene['registration']['aligned'] is None


def test_the_log_names_one_of_several_scenes(capsys):
    found = SimpleNamespace(describe=lambda: 'FOUND', is_affine=False, is_far=False, model='')
    for name in ('', 'north/a'):
        for aligned in (None, found):
            tell_registration(SceneRegistration(found, aligned), True, 'a.tif', 'b.tif', name)
    lines = [line.partition('INFO - ')[2] or line for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        'Registration: FOUND',
        'Not aligned: the dates lie within 0.1 px of each other',
        'Registration: FOUND',
        'Aligned by one shift: FOUND',
        'Registration of north/a: FOUND',
        'north/a is not aligned: the dates lie within 0.1 px of each other',
        'Registration of north/a: FOUND',
        'Aligned north/a by one shift: FOUND',
    ]


def test_a_damaged_tile_is_named_before_the_network_runs(date, network, tmp_path):
    """No window is predicted for nothing, and another call meets it again."""
    before = date('a', tiled=True, blockxsize=64, blockysize=64, compress='DEFLATE')
    with rasterio.open(before) as file:
        offset = int(file.get_tag_item('BLOCK_OFFSET_2_1', 'TIFF', bidx=1))
    data = bytearray(before.read_bytes())
    data[offset : offset + 500] = bytes(500)
    before.write_bytes(data)
    idle = network()
    named = r'before \(.*a\.tif\) can not be read: band 1 in the window left 128, top 64, width 64'
    for align in (False, True):
        with pytest.raises(SceneError, match=named):
            predict_scene(idle, before, date('b'), tmp_path / 'out', align=align, overwrite=True)
    assert idle.seen == []
    assert not (tmp_path / 'out' / 'scene.json').exists()
