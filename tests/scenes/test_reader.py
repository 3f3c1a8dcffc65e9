import numpy as np
import pytest
from conftest import SHARED

from tfinet_mm.errors import ImageFormatError, SceneError
from tfinet_mm.scenes.grid import apply_affine
from tfinet_mm.scenes.reader import ScenePair

rasterio = pytest.importorskip('rasterio')
from rasterio import Affine
from rasterio.enums import ColorInterp
from rasterio.warp import transform as warp_points

UTM33, UTM34, WGS84 = 'EPSG:32633', 'EPSG:32634', 'EPSG:4326'
EAST, NORTH = 500_000, 5_000_000


@pytest.fixture
def write(tmp_path):
    """Write (B, H, W) as a GeoTIFF whose upper left corner and pixel size are given."""

    def write(name, values, x=EAST, y=NORTH, size=10.0, crs=UTM33, colours=None, **options):
        path = tmp_path / f'{name}.tif'
        transform = None if x is None else Affine(size, 0, x, 0, -size, y)
        with rasterio.open(
            path,
            'w',
            driver='GTiff',
            count=values.shape[0],
            height=values.shape[1],
            width=values.shape[2],
            dtype=values.dtype,
            crs=crs,
            transform=transform,
            **options,
        ) as file:
            if colours:
                file.colorinterp = colours
            file.write(values)
        return path

    return write


def rgb(height=30, width=40, seed=0, dtype=np.uint8, bands=3):
    generator = np.random.default_rng(seed)
    top = 255 if dtype == np.uint8 else 4000
    return generator.integers(1, top, (bands, height, width)).astype(dtype)


def plane(grid_x, grid_y):
    """A smooth field of ground coordinates in UTM 33, within 10..240 around the corner."""
    return 100 + 0.1 * (grid_x - EAST) + 0.2 * (grid_y - NORTH)


def centres(transform, width, height):
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return apply_affine(transform, columns, rows)


def corner(grid):
    return grid.transform.c, grid.transform.f


def test_one_grid_is_read_as_stored(write):
    one, two = rgb(seed=1), rgb(seed=2)
    with ScenePair(write('a', one), write('b', two)) as pair:
        values, valid = pair.read()
        assert values.dtype == np.uint8
        np.testing.assert_array_equal(values, np.concatenate([one, two]))
        assert valid.all()
        values, _ = pair.read((3, 5, 7, 11))
        np.testing.assert_array_equal(values, np.concatenate([one, two])[:, 5:16, 3:10])
        with pytest.raises(ImageFormatError, match='40 x 30'):
            pair.read((35, 0, 10, 10))
    assert pair.metadata()['before'] == {
        'file': 'a.tif',
        'bands': [1, 2, 3],
        'stretch': {'kind': 'none'},
        'resampling': None,
    }


def test_whole_shifts_are_cut_without_resampling(write):
    one, two = rgb(seed=1), rgb(20, 50, seed=2)
    after = write('b', two, x=EAST + 120, y=NORTH + 40)
    with ScenePair(write('a', one), after) as pair:
        assert corner(pair.grid) == (EAST + 120, NORTH)
        assert (pair.grid.width, pair.grid.height) == (28, 16)
        values, valid = pair.read()
        assert valid.all()
        assert pair.metadata()['after']['resampling'] is None
    np.testing.assert_array_equal(values[:3], one[:, :16, 12:])
    np.testing.assert_array_equal(values[3:], two[:, 4:, :28])


@pytest.mark.parametrize('shift', [2.5, -4.0])
def test_a_shift_by_parts_of_a_pixel_is_interpolated(write, shift):
    """Bilinear interpolation gives a plane back exactly, here of float32 values."""
    transform = Affine(10, 0, EAST + shift, 0, -10, NORTH + shift)
    values = plane(*centres(transform, 40, 30)).astype(np.float32)[None]
    one = write('a', rgb(bands=1))
    two = write('b', values, x=EAST + shift, y=NORTH + shift)
    with ScenePair(one, two, stretch={'after': (0, 255)}) as pair:
        read, valid = pair.read()
        truth = plane(*centres(pair.grid.transform, pair.grid.width, pair.grid.height))
        part = pair.read((5, 6, 7, 8))[0]
        assert pair.metadata()['after']['resampling'] == 'bilinear'
    assert (pair.grid.width, pair.grid.height) == (39, 29)
    assert valid.all()
    assert read.dtype == np.float32
    np.testing.assert_allclose(read[1, 1:-1, 1:-1], truth[1:-1, 1:-1], atol=1e-3)
    np.testing.assert_array_equal(part, read[:, 6:14, 5:12])


@pytest.mark.parametrize(('crs', 'size'), [(UTM34, 5.0), (WGS84, 5e-5)])
@pytest.mark.parametrize('grid', ['before', 'after', 20])
def test_another_crs_lands_on_the_same_ground(write, crs, size, grid):
    x, y = warp_points(UTM33, crs, [EAST + 100], [NORTH - 50])
    transform = Affine(size, 0, x[0], 0, -size, y[0])
    width, height = 70, 60
    ground = warp_points(crs, UTM33, *(v.ravel() for v in centres(transform, width, height)))
    values = plane(*np.array(ground).reshape(2, height, width)).astype(np.float32)[None]
    first = plane(*centres(Affine(10, 0, EAST, 0, -10, NORTH), 60, 50)).astype(np.float32)[None]
    with ScenePair(
        write('a', first),
        write('b', values, x=x[0], y=y[0], size=size, crs=crs),
        grid=grid,
        stretch=(0, 255),
    ) as pair:
        read, valid = pair.read()
        crs_found = pair.grid.crs.to_string()
        part, part_valid = pair.read((3, 4, 6, 5))
    np.testing.assert_array_equal(part, read[:, 4:9, 3:9])
    np.testing.assert_array_equal(part_valid, valid[4:9, 3:9])
    assert crs_found == (crs if grid == 'after' else UTM33)
    inner = np.pad(np.ones((read.shape[1] - 4, read.shape[2] - 4), bool), 2) & valid
    assert inner.sum() > 0.5 * valid.size
    truth = np.array(centres(pair.grid.transform, pair.grid.width, pair.grid.height))
    if grid == 'after':
        truth = np.array(warp_points(crs, UTM33, *(v.ravel() for v in truth)))
    truth = plane(*truth.reshape(2, *valid.shape))
    # 0.2 units a metre; a tenth of a pixel of 10 m would be 0.2. The kernel's cut edge is wider.
    error = np.abs(read - truth)[:, inner]
    assert np.median(error) < 0.02
    assert np.percentile(error, 90) < 0.1


def wedge(height, width):
    rows, columns = np.mgrid[:height, :width]
    return columns + rows < 15


def test_nodata_of_either_date_is_invalid_and_does_not_bleed(write):
    one, two = np.full((3, 30, 40), 200, np.uint8), np.full((3, 30, 40), 180, np.uint8)
    one[:, wedge(30, 40)] = 0
    two[:, 20:, 30:] = 7
    # One dark band alone is a dark pixel, no nodata.
    one[0, 25, 20] = 0
    before = write('a', one, nodata=0)
    with ScenePair(before, write('b', two, nodata=7)) as pair:
        values, valid = pair.read()
    expected = ~wedge(30, 40)
    expected[20:, 30:] = False
    np.testing.assert_array_equal(valid, expected)
    assert (values[:, ~valid] == 0).all()
    moved = write('c', np.full((3, 30, 40), 90, np.uint8), x=EAST + 5, y=NORTH - 5)
    with ScenePair(before, moved, grid='after') as pair:
        values, valid = pair.read()
    assert 0 < (~valid).sum() < 130
    # Nothing between 0 and 200 but around the dark pixel of band 1.
    assert set(np.unique(values[1:3, valid])) == {200}
    assert set(np.unique(values[3:, valid])) == {90}


@pytest.mark.parametrize('shift', [0, 5])
def test_transparency_nan_and_infinity_are_invalid(write, shift):
    one, two = rgb(bands=4), rgb(seed=2).astype(np.float32)
    one[3] = 255
    one[3, :, :10] = 0
    two[1, 4, 30], two[2, 20, 35] = np.nan, np.inf
    colours = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    with ScenePair(
        write('a', one, colours=colours),
        write('b', two, x=EAST + shift),
        stretch={'after': (0, 255)},
    ) as pair:
        values, valid = pair.read()
        assert pair.bands == 3
    assert not valid[:, : 10 - (shift > 0)].any()
    assert not valid[4, 30 - (shift > 0)]
    assert not valid[20, 35 - (shift > 0)]
    assert np.isfinite(values).all()
    assert valid.sum() >= 29 * 30 - 12


@pytest.mark.parametrize('shift', [0, 2.5])
def test_infrared_marked_as_transparency_can_be_chosen(write, shift):
    """Pixels of 0 are then valid, and have full weight in interpolation."""
    one = np.full((4, 30, 40), 100, np.uint8)
    one[3, :, 20:] = 0
    one[:3, :, 20:] = 50
    colours = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    path = write('a', one, colours=colours)
    other = write('b', rgb(bands=4, seed=3), x=EAST + shift, colours=colours)
    with ScenePair(path, other, grid='after', bands=[4, 1, 2, 3]) as pair:
        values, valid = pair.read()
    assert valid.all()
    edge = 20
    if shift:
        # A quarter of a pixel to the right: three parts of 100 and one of the next.
        assert values[0, 5, edge - 1] == 75
        assert values[1, 5, edge - 1] in (87, 88)
    assert (values[0, :, edge + 1 :] == 0).all()
    assert (values[1, :, edge + 1 :] == 50).all()


def test_band_orders_of_the_dates(write):
    one, two = rgb(bands=3), rgb(bands=5, seed=4)
    paths = write('a', one), write('b', two)
    with pytest.raises(SceneError, match=r'\[1, 2, 3\] and after .* \[1, 2, 3, 4, 5\].*bands='):
        ScenePair(*paths)
    with ScenePair(*paths, bands={'before': [3, 1], 'after': [5, 2]}) as pair:
        values, _ = pair.read()
    np.testing.assert_array_equal(values, np.stack([one[2], one[0], two[4], two[1]]))
    with pytest.raises(SceneError, match='bands 1 to 3, asked for'):
        ScenePair(*paths, bands=[1, 4])
    with pytest.raises(SceneError, match="got \\['later'\\]"):
        ScenePair(*paths, bands={'later': [1]})


@pytest.mark.parametrize(
    ('counts', 'example'), [((3, 5), '1 2 3'), ((5, 3), '1 2 3'), ((1, 3), '1'), ((2, 3), '1 2')]
)
def test_an_example_of_bands_can_be_read(write, counts, example):
    paths = [write(name, rgb(bands=one)) for name, one in zip('ab', counts, strict=True)]
    with pytest.raises(SceneError, match=f'example --bands {example} ') as error:
        ScenePair(*paths)
    assert ('One may be repeated' in str(error.value)) is (len(example) < 5)
    with ScenePair(*paths, bands=[*map(int, example.split())]) as pair:
        assert pair.bands == len(example.split())


def test_five_bands_of_16_bit_need_a_stretch(write):
    one, two = rgb(dtype=np.uint16, bands=5), rgb(dtype=np.uint16, bands=5, seed=1)
    one[:, 0, 0] = 9
    paths = write('a', one, nodata=9), write('b', two)
    with pytest.raises(SceneError, match=r'uint16 .*--stretch LOW HIGH.*stretch=\(low, high\)'):
        ScenePair(*paths)
    with ScenePair(*paths, stretch=(100, 3100)) as pair:
        values, _ = pair.read()
    expected = np.clip((np.concatenate([one, two]) - 100.0) / 3000, 0, 1) * 255
    expected[:, 0, 0] = 0
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    with ScenePair(*paths, stretch='each-date', percentiles=(5, 90)) as pair:
        read, _ = pair.read()
        stated = pair.metadata()['before']['stretch']
    counted = one[:, (one != 9).any(axis=0)]
    low, high = np.percentile(counted, [5, 90], axis=1)
    np.testing.assert_allclose(stated['low'], low)
    np.testing.assert_allclose(stated['high'], high)
    assert stated['percentiles'] == (5.0, 90.0)
    expected = np.clip((one.transpose(1, 2, 0) - low) / (high - low), 0, 1) * 255
    np.testing.assert_allclose(read[:5, 1:], expected.transpose(2, 0, 1)[:, 1:], rtol=1e-5)


@pytest.mark.parametrize('stretch', [(5, 5), (9, 2), [(0, 1)] * 2, 'minmax', ('a', 'b'), 7])
def test_stretches_that_are_none(write, stretch):
    path = write('a', rgb(dtype=np.uint16))
    with pytest.raises(SceneError, match='expected'):
        ScenePair(path, path, stretch=stretch)


def test_percentiles_of_large_scenes_come_from_a_small_picture(write):
    """The picture has nearest neighbours, at most 1024 pixels a side, the same each time."""
    columns = np.arange(3000, dtype=np.uint16)
    path = write('a', np.broadcast_to(columns, (1, 8, 3000)), tiled=True, blockysize=16)
    stretches = []
    for _ in range(2):
        with ScenePair(path, path, stretch='percentiles', percentiles=(10, 90)) as pair:
            stretches.append(pair.stretches)
    assert stretches[0] == stretches[1]
    assert stretches[0][0].low[0] == pytest.approx(300, abs=4)
    assert stretches[0][0].high[0] == pytest.approx(2700, abs=4)


def test_files_without_crs(write):
    one, two = rgb(), rgb(seed=1)
    bare = write('a', one, x=None, crs=None), write('b', two, x=None, crs=None)
    with ScenePair(*bare) as pair:
        np.testing.assert_array_equal(pair.read()[0], np.concatenate([one, two]))
    known = write('c', one)
    with pytest.raises(SceneError, match=r'after .*b.tif\) has no CRS.*after_crs.*same_grid=True'):
        ScenePair(known, bare[1])
    with ScenePair(known, bare[1], same_grid=True) as pair:
        np.testing.assert_array_equal(pair.read()[0], np.concatenate([one, two]))
        assert pair.grid.crs.to_string() == UTM33
    unnamed = write('d', two, crs=None)
    with ScenePair(known, unnamed, after_crs=UTM33) as pair:
        np.testing.assert_array_equal(pair.read()[0], np.concatenate([one, two]))
    smaller = write('e', rgb(20, 20), x=None, crs=None)
    with pytest.raises(SceneError, match=r'before .* and after .* has no CRS'):
        ScenePair(bare[0], smaller)
    with pytest.raises(SceneError, match='before is 40 x 30 pixels, after 20 x 20'):
        ScenePair(bare[0], smaller, same_grid=True)
    with pytest.raises(SceneError, match='is no CRS'):
        ScenePair(known, unnamed, after_crs='EPSG:0')


def test_files_that_are_none(write, tmp_path):
    known = write('a', rgb())
    with pytest.raises(FileNotFoundError, match='after: there is no file'):
        ScenePair(known, tmp_path / 'missing.tif')
    text = tmp_path / 'text.tif'
    text.write_text('no raster')
    with pytest.raises(SceneError, match='can not be read as a raster'):
        ScenePair(known, text)
    with pytest.raises(SceneError, match='expected resampling as one of'):
        ScenePair(known, known, resampling='best')


def test_same_grid_holds_for_other_pixel_sizes(write):
    """The georeference of before counts for both when they are warped to coarser pixels."""
    one = rgb(seed=1)
    bare = write('b', one, x=None, crs=None)
    with ScenePair(write('a', one), bare, same_grid=True, grid=25, resampling='average') as pair:
        values, valid = pair.read()
    assert valid.all()
    assert values.shape == (6, 12, 16)
    np.testing.assert_array_equal(values[:3], values[3:])


def test_a_real_scene_of_16_bit():
    folder = SHARED / 'data' / 'multiband_scene'
    if not folder.is_dir():
        pytest.skip('the samples are not here')
    paths = folder / 'before.tif', folder / 'after.tif'
    with ScenePair(*paths, stretch='each-date') as pair:
        values, valid = pair.read((100, 50, 64, 32))
    # The fifth band is marked as transparency, and opaque.
    assert pair.bands == 4
    assert valid.all()
    assert values.shape == (8, 32, 64)
    with rasterio.open(paths[1]) as file:
        band = file.read(2).astype(float)
    low, high = np.percentile(band, [2, 98])
    expected = np.clip((band - low) / (high - low), 0, 1)[50:82, 100:164] * 255
    np.testing.assert_allclose(values[5], expected, atol=1e-3)


def test_nodata_that_the_files_do_not_state(write):
    """The option works as if the files stated it: read, warped, and without transparency."""
    one, two = rgb(seed=1), rgb(seed=2)
    one[:, :10, :12] = two[:, 20:, 30:] = 7
    said = [write(f's{i}', values, nodata=7) for i, values in enumerate((one, two))]
    unsaid = [write(f'u{i}', values) for i, values in enumerate((one, two))]
    for options in ({}, dict(grid=7.0), dict(after_crs=UTM33)):
        with ScenePair(*said, **options) as pair, ScenePair(*unsaid, nodata=7, **options) as other:
            (expected, valid), (found, other_valid) = pair.read(), other.read()
            assert 0 < (~valid).sum() < valid.size
            np.testing.assert_array_equal(other_valid, valid)
            np.testing.assert_array_equal(found, expected)
    with ScenePair(*unsaid, nodata={'after': 7}) as pair:
        _, valid = pair.read()
    expected = np.ones((30, 40), bool)
    expected[20:, 30:] = False
    np.testing.assert_array_equal(valid, expected)
    alpha = np.concatenate([two, np.zeros((1, 30, 40), np.uint8)])
    colours = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    pair = write('b', two), write('a', alpha, colours=colours)
    with ScenePair(*pair, nodata={'after': 7}) as both:
        values, valid = both.read()
        np.testing.assert_array_equal(valid, expected)
        np.testing.assert_array_equal(values[3:, valid], two[:, valid])
    first = write('f', alpha[[3, 0, 1, 2]], colours=colours[-1:] + colours[:3])
    with pytest.raises(SceneError, match='transparency in band 1'):
        ScenePair(pair[0], first, nodata={'after': 7})


def test_percentiles_are_checked_even_if_nothing_needs_them(write):
    path = write('a.tif', np.zeros((3, 4, 5), np.uint8))
    with pytest.raises(SceneError, match='two percentiles in rising order'):
        ScenePair(path, path, percentiles=(98, 2))
