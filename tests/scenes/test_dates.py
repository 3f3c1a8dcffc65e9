"""Test what a file states about its values, pixels and place, and files that state it wrongly."""

import warnings

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.reader import ScenePair

rasterio = pytest.importorskip('rasterio')
from rasterio import Affine
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from rasterio.warp import transform

EAST, NORTH = 500_000, 5_000_000
RGBA = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]


def values_of(seed=0, bands=3, height=30, width=40, dtype=np.uint8):
    return np.random.default_rng(seed).integers(1, 250, (bands, height, width)).astype(dtype)


def read(*paths, **options):
    with ScenePair(*paths, **options) as pair:
        return pair.read()


def edit(path, **attributes):
    with rasterio.open(path, 'r+') as file:
        for name, value in attributes.items():
            setattr(file, name, value)
    return path


# ----------------------------------------------------------------------------- damage


@pytest.mark.parametrize('compress', ['DEFLATE', 'LZW'])
def test_damage_is_named_by_file_window_and_band(scene, compress):
    """Bytes in the middle of the file belong to the second of three planes."""
    layout = dict(tiled=True, blockxsize=16, blockysize=16, interleave='band', compress=compress)
    before = scene('before', values_of(height=400, width=400), **layout)
    after = scene('after', values_of(1, height=400, width=400))
    with rasterio.open(before) as file:
        offset = file.get_tag_item('BLOCK_OFFSET_7_7', 'TIFF', bidx=2)
    data = bytearray(before.read_bytes())
    data[int(offset) : int(offset) + 40] = bytes(40)
    before.write_bytes(data)
    with ScenePair(before, after) as pair:
        pair.read((0, 0, 16, 16))
        with pytest.raises(SceneError) as error:
            pair.read((113, 114, 10, 12))
    for word in (f'before ({before})', 'band 2', 'left 112, top 112, width 16, height 16', 'copy'):
        assert word in str(error.value)


def test_a_missing_tile_of_a_mosaic_is_named(scene, tmp_path):
    paths = [scene(name, values_of(), x=EAST + x) for name, x in (('one', 0), ('two', 400))]
    mosaic = tmp_path / 'mosaic.vrt'
    with rasterio.open(paths[0]) as file:
        place = ', '.join(map(str, file.transform.to_gdal()))
    bands = ''
    for band in (1, 2, 3):
        sources = ''
        for number, path in enumerate(paths):
            box = f'xOff="{40 * number}" yOff="0" xSize="40" ySize="30"'
            sources += (
                f'<SimpleSource><SourceFilename>{path}</SourceFilename>'
                f'<SourceBand>{band}</SourceBand>'
                f'<SrcRect xOff="0" yOff="0" xSize="40" ySize="30"/><DstRect {box}/></SimpleSource>'
            )
        bands += f'<VRTRasterBand dataType="Byte" band="{band}">{sources}</VRTRasterBand>'
    mosaic.write_text(
        '<VRTDataset rasterXSize="80" rasterYSize="30"><SRS>EPSG:32633</SRS>'
        f'<GeoTransform>{place}</GeoTransform>{bands}</VRTDataset>'
    )
    after = scene('after', values_of(1, width=80))
    assert read(mosaic, after)[1].all()
    paths[1].unlink()
    for options in ({}, dict(stretch='percentiles')):
        with pytest.raises(SceneError, match=r'before \(.*mosaic.vrt\) can not be read') as error:
            read(mosaic, after, **options)
        assert 'two.tif' in str(error.value)


# ----------------------------------------------------------------------------- types and bands


def test_complex_numbers_are_refused(scene):
    before = scene('before', values_of().astype(np.complex64))
    with pytest.raises(SceneError, match=r'before .*complex64'):
        read(before, scene('after', values_of()), stretch=(0, 255))


@pytest.mark.parametrize('bands', [['x'], [1.5, 2, 3], 3])
def test_bands_that_are_no_numbers(scene, bands):
    with pytest.raises(SceneError, match='asked for bands='):
        read(scene('before', values_of()), scene('after', values_of(1)), bands=bands)


@pytest.mark.parametrize('nodata', [-9999, 1.5, [1], float('nan'), float('inf')])
def test_nodata_that_no_pixel_can_have(scene, nodata):
    with pytest.raises(SceneError, match=r'before .*nodata'):
        read(scene('before', values_of()), scene('after', values_of(1)), nodata=nodata)


def test_a_picture_marked_as_transparency_is_no_mask(scene):
    """A fourth band of many values is infrared; only chosen bands say what it is for."""
    four = values_of(bands=4)
    four[3, 4:9, 4:9] = 0
    before = edit(scene('before', four), colorinterp=RGBA)
    after = scene('after', values_of(1))
    with pytest.raises(SceneError, match=r'before .*band 4 .*--bands'):
        read(before, after)
    values, valid = read(before, after, bands=[1, 2, 3])
    assert valid.all()
    np.testing.assert_array_equal(values[:3], four[:3])


@pytest.mark.parametrize(
    ('bands', 'alpha', 'example'), [(4, 4, '1 2 3'), (4, 1, '2 3 4'), (2, 2, '1')]
)
def test_an_example_leaves_out_a_picture_marked_as_transparency(scene, bands, alpha, example):
    roles = [ColorInterp.undefined] * bands
    roles[alpha - 1] = ColorInterp.alpha
    pair = [edit(scene(one, values_of(bands=bands)), colorinterp=roles) for one in 'ab']
    with pytest.raises(SceneError, match=rf'--bands {example} \(from Python'):
        read(*pair)
    assert read(*pair, bands=[*map(int, example.split())])[1].all()


def numbers_and_colours():
    numbers = np.random.default_rng(3).integers(0, 6, (1, 30, 40)).astype(np.uint8)
    colours = np.random.default_rng(4).integers(1, 255, (6, 4))
    colours[:, 3] = 255
    return numbers, colours


def write_colours(path, colours):
    with rasterio.open(path, 'r+') as file:
        file.write_colormap(1, {number: tuple(map(int, c)) for number, c in enumerate(colours)})
    return path


@pytest.mark.parametrize('shift', [0, 5])
def test_colour_tables_are_applied(scene, shift):
    numbers, colours = numbers_and_colours()
    before = write_colours(scene('before', numbers, nodata=4), colours)
    after = scene('after', values_of(1), x=EAST + shift)
    values, valid = read(before, after)
    hidden = numbers[0] == 4
    with ScenePair(before, after) as pair:
        assert pair.bands == 3
    _, valid_stated = read(before, after, nodata={'before': 1})
    if shift:
        # On the pixels of before, of which the first column is outside the other scene.
        hidden, numbers = hidden[:, 1:], numbers[..., 1:]
    np.testing.assert_array_equal(valid, ~hidden)
    expected = colours[numbers[0], :3].transpose(2, 0, 1)
    np.testing.assert_array_equal(values[:3, valid], expected[:, valid])
    # Stated nodata is in place of the file's own.
    np.testing.assert_array_equal(valid_stated, numbers[0] != 1)


@pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
def test_transparent_colours_are_invalid(tmp_path):
    numbers, colours = numbers_and_colours()
    path = tmp_path / 'before.png'
    image = Image.fromarray(numbers[0], 'P')
    image.putpalette(colours[:, :3].ravel().tolist())
    image.save(path, transparency=bytes([255, 0, 255, 0, 255, 255]))
    values, valid = read(path, bare(tmp_path, 'after', values_of(1)))
    np.testing.assert_array_equal(valid, ~np.isin(numbers[0], (1, 3)))
    expected = colours[numbers[0], :3].transpose(2, 0, 1)
    np.testing.assert_array_equal(values[:3, valid], expected[:, valid])


def test_numbers_of_colours_are_no_grey_values(scene):
    numbers, colours = numbers_and_colours()
    before = write_colours(scene('before', numbers), colours)
    with pytest.raises(SceneError, match=r'before .*colour table.*-expand rgb'):
        read(before, scene('after', values_of(1)), bands=[1, 1, 1])


# ----------------------------------------------------------------------------- validity


def mask_of(seed):
    return np.random.default_rng(seed).random((30, 40)) > 0.2


@pytest.mark.parametrize('shift', [0, 5])
@pytest.mark.parametrize('nodata', [0, -9999, np.nan])
def test_nodata_of_any_band_of_more_than_8_bit(scene, nodata, shift):
    dtype = np.float32 if nodata else np.uint16
    one = values_of(dtype=dtype)
    one[1, 7, 9] = one[2, 20, 30] = nodata
    before = scene('before', one, nodata=nodata)
    after = scene('after', values_of(1), x=EAST + shift)
    values, valid = read(before, after, grid='before', stretch=(0, 255))
    expected = np.ones((30, 40), bool)
    expected[7, 9] = expected[20, 30] = False
    np.testing.assert_array_equal(valid, expected[:, 1:] if shift else expected)
    # Warped, neighbours of nodata are interpolated from the others alone.
    values, valid = read(after, before, grid='before', stretch=(0, 255))
    assert valid.sum() >= (0.99 if shift else 1) * valid.size - 2 - 40 * bool(shift)
    assert values[3:, valid].min() >= 1 - 1e-3


@pytest.mark.parametrize('shift', [0, 1e-6])
def test_mask_and_nodata_both_count(scene, shift):
    """A lattice that is shifted by nothing, but in another CRS, is warped pixel by pixel."""
    one, mask = values_of(dtype=np.uint16), mask_of(5)
    one[0, 3, 4] = 0
    before = scene('before', one, nodata=0)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(before, 'r+') as file:
        file.write_mask(mask)
    mask[3, 4] = False
    crs = '+proj=utm +zone=33 +datum=WGS84 +units=m' if shift else 'EPSG:32633'
    after = scene('after', values_of(1), crs=crs)
    with ScenePair(before, after, grid='after', stretch=(0, 255)) as pair:
        values, valid = pair.read()
    np.testing.assert_array_equal(valid, mask)
    np.testing.assert_allclose(values[:3, valid], one[:, valid], atol=0.1)


@pytest.mark.parametrize('crs', ['EPSG:32633', '+proj=utm +zone=33 +datum=WGS84 +units=m'])
def test_alpha_and_nodata_both_count(scene, crs):
    """8 bit: all bands have to be nodata."""
    one, alpha = values_of(bands=4), mask_of(6)
    one[3] = alpha * 255
    one[:3, 3, 4] = 0
    one[0, 8, 8] = 0
    before = edit(scene('before', one, nodata=0), colorinterp=RGBA)
    alpha[3, 4] = False
    after = scene('after', values_of(1), crs=crs)
    values, valid = read(before, after, grid='after')
    np.testing.assert_array_equal(valid, alpha)
    np.testing.assert_array_equal(values[:3, valid], one[:3, valid])


@pytest.mark.parametrize('crs', ['EPSG:32633', '+proj=utm +zone=33 +datum=WGS84 +units=m'])
def test_nodata_that_differs_between_bands(scene, tmp_path, crs):
    one = values_of(dtype=np.int16)
    one[0, 3, 4], one[1, 5, 6], one[2, 7, 8] = -1, -2, -3
    # No nodata of these bands.
    one[0, 10, 10], one[2, 11, 11] = -2, -1
    scene('stored', one)
    bands = ''.join(
        f'<VRTRasterBand dataType="Int16" band="{band}"><NoDataValue>-{band}</NoDataValue>'
        '<SimpleSource><SourceFilename relativeToVRT="1">stored.tif</SourceFilename>'
        f'<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>'
        for band in (1, 2, 3)
    )
    before = tmp_path / 'before.vrt'
    before.write_text(
        '<VRTDataset rasterXSize="40" rasterYSize="30"><SRS>EPSG:32633</SRS><GeoTransform>'
        f'{EAST}, 10, 0, {NORTH}, 0, -10</GeoTransform>{bands}</VRTDataset>'
    )
    after = scene('after', values_of(1), crs=crs)
    _, valid = read(before, after, grid='after', stretch=(-10, 245))
    expected = np.ones((30, 40), bool)
    expected[3, 4] = expected[5, 6] = expected[7, 8] = False
    np.testing.assert_array_equal(valid, expected)


# ----------------------------------------------------------------------------- tags and constants


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_scale_and_offset_make_both_dates_alike(scene, dtype):
    """The same ground; numbers of after are 20 higher, and its offset says so."""
    one = values_of(dtype=dtype) // 2
    before = edit(scene('before', one), scales=(0.1,) * 3, offsets=(0.0,) * 3)
    after = edit(scene('after', one + 20), scales=(0.1,) * 3, offsets=(-2.0,) * 3)
    stretch = None if dtype is np.uint8 else (0, 200)
    values, _ = read(before, after, stretch=stretch)
    np.testing.assert_allclose(values[3:], values[:3], atol=1e-3)
    assert values[:3].max() > 100
    ignored, _ = read(before, after, stretch=stretch, ignore_scale=True)
    assert (ignored[3:] > ignored[:3]).all()
    # What is stated for each date is followed.
    own, _ = read(before, after, stretch={'before': (0, 200), 'after': (0, 200)})
    assert (own[3:] > own[:3]).all()


@pytest.mark.parametrize(
    ('scale', 'offset'), [(0.0001, 0.0), (0.0, 0.0), (-1.0, 0.0), (float('nan'), 0.0)]
)
def test_tags_that_settle_nothing_are_refused(scene, scale, offset):
    before = scene('before', values_of(dtype=np.uint16))
    after = scene('after', values_of(1, dtype=np.uint16))
    edit(after, scales=(scale,) * 3, offsets=(offset,) * 3)
    with pytest.raises(SceneError, match=r'after .*scale.*--ignore-scale'):
        read(before, after, stretch=(0, 255))
    with pytest.raises(SceneError, match=r'after .*scale.*--stretch each-date'):
        read(before, after, stretch='percentiles')
    read(before, after, stretch='each-date')


def test_equal_tags_change_nothing(scene):
    paths = [scene(name, values_of(dtype=np.uint16)) for name in ('before', 'after')]
    plain, _ = read(*paths, stretch=(0, 300))
    for path in paths:
        edit(path, scales=(1e-4,) * 3, offsets=(-0.1,) * 3)
    np.testing.assert_array_equal(read(*paths, stretch=(0, 300))[0], plain)


def test_a_band_that_is_constant_on_one_date_is_named(scene):
    one = values_of(height=200, width=300)
    one[1] = 7
    before, after = scene('before', one), scene('after', values_of(1, height=200, width=300))
    with pytest.warns(UserWarning, match=r'band 2 of before \(.*before.tif\) is 7 '):
        read(before, after)
    # On both dates, or in the windows that are sampled alone, it is no sign of a fault.
    other = values_of(1, height=200, width=300)
    other[1] = 9
    one[1, 70:130:2, 70:230] = 8
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        read(before, scene('constant', other))
        read(scene('some', one), after)


# ----------------------------------------------------------------------------- places


def place_by_points(path, x):
    corners = [(0, 0), (0, 40), (30, 0), (30, 40)]
    points = [
        GroundControlPoint(row, column, x + 10 * column, NORTH - 10 * row)
        for row, column in corners
    ]
    with rasterio.open(path, 'r+') as file:
        file.gcps = (points, rasterio.crs.CRS.from_epsg(32633))


def bare(tmp_path, name, values):
    path = tmp_path / f'{name}.tif'
    count, height, width = values.shape
    size = dict(count=count, height=height, width=width, dtype=values.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with rasterio.open(path, 'w', driver='GTiff', **size) as file:
            file.write(values)
    return path


@pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
@pytest.mark.parametrize('kind', ['GCPs', 'RPCs'])
def test_places_without_a_transform_are_refused(tmp_path, kind):
    paths = [bare(tmp_path, name, values_of(seed)) for seed, name in enumerate(('one', 'two'))]
    for path in paths:
        if kind == 'GCPs':
            place_by_points(path, EAST)
        else:
            zeros = [0.0] * 19
            terms = [1.0, *zeros]
            numbers = dict(
                **dict(height_off=0.0, height_scale=100.0, lat_off=45.0, lat_scale=0.1),
                **dict(line_off=15.0, line_scale=15.0, long_off=15.0, long_scale=0.1),
                **dict(samp_off=20.0, samp_scale=20.0, err_bias=None, err_rand=None),
                **dict(line_den_coeff=terms, samp_den_coeff=terms),
                **dict(line_num_coeff=[0.0, 0.0, 1.0, *zeros[2:]]),
                **dict(samp_num_coeff=[0.0, 1.0, *zeros[1:]]),
            )
            edit(path, rpcs=RPC(**numbers))
    with pytest.raises(SceneError, match=rf'before .*{kind}.*gdalwarp.*--same-grid'):
        read(*paths)
    assert read(*paths, same_grid=True)[1].all()


PLACES = {
    'zero': (0, 0, 0, 0, 0, 0),
    'parallel': (10, 10, EAST, 10, 10, NORTH),
    'NaN': (np.nan, 0, EAST, 0, -10, NORTH),
    'tiny': (1e-30, 0, EAST, 0, -1e-30, NORTH),
}


@pytest.mark.parametrize('date', ['before', 'after'])
@pytest.mark.parametrize('place', PLACES)
def test_transforms_that_place_no_pixel(scene, tmp_path, place, date):
    a, b, c, d, e, f = PLACES[place]
    stored = scene('stored', values_of())
    bands = ''.join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource><SourceFilename>{stored}'
        f'</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>'
        for band in (1, 2, 3)
    )
    path = tmp_path / 'place.vrt'
    path.write_text(
        '<VRTDataset rasterXSize="40" rasterYSize="30"><SRS>EPSG:32633</SRS>'
        f'<GeoTransform>{c}, {a}, {b}, {f}, {d}, {e}</GeoTransform>{bands}</VRTDataset>'
    )
    pair = [path, stored] if date == 'before' else [stored, path]
    with pytest.raises(SceneError, match=rf'{date} \(.*place.vrt\) has the transform'):
        read(*pair)


def test_systems_of_another_planet_are_named(scene):
    moon = scene('moon', values_of(), x=10, y=10, size=0.01, crs='IAU_2015:30100')
    with pytest.raises(
        SceneError, match=r'before \(.*earth.tif\) and after \(.*moon.tif\) have CRS'
    ):
        read(scene('earth', values_of(1)), moon)


def test_latitudes_beyond_the_pole_are_refused(scene):
    beyond = scene('beyond', values_of(), x=0, y=120, size=1, crs='EPSG:4326')
    with pytest.raises(SceneError, match=r'before \(.*beyond.tif\) covers .*latitudes'):
        read(beyond, beyond)
    # Pixel centres on the pole reach half a pixel over it.
    centred = scene('centred', values_of(), x=0, y=90.5, size=1, crs='EPSG:4326')
    assert read(centred, centred)[1].all()


def test_the_same_ground_across_180_degrees(scene):
    one, two = values_of(), values_of(1)
    place = dict(y=-17, size=1e-4, crs='EPSG:4326')
    east = scene('east', one, x=180 - 20e-4, **place)
    west = scene('west', two, x=-180 - 20e-4, **place)
    for grid in ('before', 'after'):
        with ScenePair(east, west, grid=grid) as pair:
            values, valid = pair.read()
            assert pair.metadata()['after']['resampling'] is None
        assert valid.all()
        np.testing.assert_array_equal(values, np.concatenate([one, two]))


@pytest.mark.parametrize('grid', ['before', 'after'])
@pytest.mark.parametrize('west', [-180.0, 180.0])
def test_degrees_and_metres_across_180_degrees(scene, grid, west):
    """A ramp of 2 a pixel of 0.0001 degrees, found where the longitudes of both scenes say."""
    x, y = transform('EPSG:4326', 'EPSG:32760', [179.998], [-17.0])
    metres = scene('metres', values_of(height=50, width=60), x=x[0], y=y[0], crs='EPSG:32760')
    ramp = np.broadcast_to(2 * np.arange(60) + 20, (3, 50, 60)).astype(np.uint8)
    degrees = scene('degrees', ramp, x=west - 20e-4, y=-17, size=1e-4, crs='EPSG:4326')
    with ScenePair(metres, degrees, grid=grid) as pair:
        values, valid = pair.read()
        found = pair.grid
    assert valid.mean() > 0.95
    assert values.shape[2] > 50
    if grid == 'before':
        columns = np.arange(found.width) + 0.5
        there = transform(
            found.crs,
            'EPSG:4326',
            (found.transform.c + 10 * columns).tolist(),
            [found.transform.f - 10 * 25.5] * found.width,
        )[0]
        expected = 2 * ((np.array(there) % 360 - (180 - 20e-4)) / 1e-4 - 0.5) + 20
        inside = valid[25] & (expected > 20) & (expected < 138)
        assert inside.sum() > 45
        np.testing.assert_allclose(values[3, 25, inside], expected[inside], atol=1.1)
    else:
        np.testing.assert_array_equal(
            values[3, valid],
            np.broadcast_to(
                ramp[0, 0, round((found.transform.c - (west - 20e-4)) / 1e-4) :][: found.width],
                valid.shape,
            )[valid],
        )


def test_a_scene_around_the_pole_is_compared_whole(scene):
    """Degrees up to the pole, against polar metres around it."""
    values = values_of(height=50, width=360)
    degrees = scene('degrees', values, x=-180, y=90, size=1, crs='EPSG:4326')
    polar = scene(
        'polar', values_of(1, height=80, width=80), x=-2e6, y=2e6, size=5e4, crs='EPSG:3413'
    )
    with ScenePair(polar, degrees) as pair:
        assert (pair.grid.width, pair.grid.height) == (80, 80)
        assert pair.read()[1].mean() > 0.99
    with ScenePair(degrees, polar) as pair:
        # All longitudes, and all latitudes from the corners of the square to the pole.
        assert pair.grid.width == 360
        assert pair.grid.transform.f == 90
        assert pair.read()[1][:17].mean() > 0.97


def test_a_warp_that_would_lose_ground_is_refused(scene):
    """Metres of Mercator beyond 180 degrees have no way back from longitudes."""
    edge = 20037508.342789244
    mercator = scene('mercator', values_of(), x=edge - 200, y=0, crs='EPSG:3857')
    x = 180 - 200 / edge * 180
    degrees = scene('degrees', values_of(1), x=x, y=0, size=9e-5, crs='EPSG:4326')
    with pytest.raises(SceneError, match=r'before \(.*mercator.tif\) can not be warped.*180th'):
        read(mercator, degrees, grid='after')


def test_local_coordinates_match_themselves_only(scene):
    local = 'LOCAL_CS["site",UNIT["metre",1]]'
    one, two = (scene(name, values_of(i), crs=local) for i, name in enumerate(('one', 'two')))
    assert read(one, two)[1].all()
    with pytest.raises(SceneError, match=r'one.tif.* and .*utm.tif.* have CRS'):
        read(one, scene('utm', values_of()))


def test_stored_south_up_and_turned(scene):
    one, two = values_of(), values_of(1)
    with rasterio.open(scene('plain', one)) as file:
        profile, place = file.profile, file.transform
    folder = scene('plain', one).parent
    flipped, turned = folder / 'flipped.tif', folder / 'turned.tif'
    up = Affine(10, 0, EAST, 0, 10, NORTH - 300)
    with rasterio.open(flipped, 'w', **profile | dict(transform=up)) as file:
        file.write(two[:, ::-1])
    size = dict(height=40, width=30, transform=Affine(0, -10, EAST + 400, -10, 0, NORTH))
    with rasterio.open(turned, 'w', **profile | size) as file:
        file.write(np.rot90(two, 1, (1, 2)))
    assert place.e == -10
    for path in (flipped, turned):
        values, valid = read(folder / 'plain.tif', path, resampling='nearest')
        assert valid.all()
        np.testing.assert_array_equal(values, np.concatenate([one, two]))
