"""Test what two files state about bands, bits, pages, dates and overlap, one fault at a time."""

import warnings

import numpy as np
import pytest

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.mosaic import write_mosaic
from tfinet_mm.scenes.reader import ScenePair
from tfinet_mm.scenes.series.grid import series_grid

rasterio = pytest.importorskip('rasterio')
from rasterio.enums import ColorInterp

BGR = [ColorInterp.blue, ColorInterp.green, ColorInterp.red]


def edit(path, tags=None, **attributes):
    with rasterio.open(path, 'r+') as file:
        file.update_tags(**tags or {})
        for name, value in attributes.items():
            setattr(file, name, value)
    return path


@pytest.fixture
def values(smooth):
    return smooth(30, 40)


@pytest.fixture
def after(scene, values):
    return scene('after', values)


def read(before, after, **options):
    with ScenePair(before, after, **options) as pair:
        return pair.read()[0]


def told(before, after, **options):
    """Return the warnings."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter('always')
        read(before, after, **options)
    return ' '.join(str(one.message) for one in heard)


@pytest.mark.parametrize(
    ('first', 'second'),
    [
        (dict(colorinterp=BGR), {}),
        (dict(descriptions=['B02', 'B03', 'B04']), dict(descriptions=['b04', 'B03', 'B02 '])),
    ],
)
def test_bands_in_another_order_are_refused(scene, values, after, first, second):
    before = edit(scene('before', values[::-1].copy()), **first)
    edit(after, **second)
    with pytest.raises(SceneError, match=r'before=3,2,1 after=1,2,3') as error:
        read(before, after)
    assert str(before) in str(error.value)
    found = read(before, after, bands={'before': [3, 2, 1], 'after': [1, 2, 3]})
    np.testing.assert_array_equal(found[:3], found[3:])


NAMES = ['blue', 'green', 'red']
PADDED = ['B02', 'B03', 'B04']
BARE = ['B2', 'B3', 'B4']
GREY = dict(photometric='MINISBLACK')


@pytest.fixture
def named(scene):
    """A function that writes a file with names of bands, marked as red, green and blue or not."""
    return lambda name, values, names=None, **options: edit(
        scene(name, values, **options), descriptions=names or [None] * len(values)
    )


@pytest.mark.parametrize('options', [{}, GREY])
@pytest.mark.parametrize(
    ('names', 'others'),
    [
        (NAMES, None),
        (['Band 2 (Blue)', 'G', 'red'], None),
        (PADDED, None),
        (NAMES, ['B04', 'B03', 'B02']),
        (BARE, ['B04', 'B03', 'B02']),
        (BARE, BARE[::-1]),
    ],
)
def test_names_are_compared_with_colours(named, values, names, others, options):
    """Names tell the order also where GDAL marks the bands of bytes, as it does by default."""
    before = named('before', values[::-1].copy(), names, **options)
    after = named('after', values, others, **options if others else {})
    for pair, bands in (
        ((before, after), 'before=3,2,1 after=1,2,3'),
        ((after, before), 'before=1,2,3 after=3,2,1'),
    ):
        with pytest.raises(SceneError, match=bands) as error:
            read(*pair)
        assert str(pair[0]) in str(error.value)
    found = read(before, after, bands={'before': [3, 2, 1], 'after': [1, 2, 3]})
    np.testing.assert_array_equal(found[:3], found[3:])
    assert not told(before, after, bands=[1, 2, 3])


def test_four_bands_in_another_order_are_refused(named, smooth):
    values = smooth(30, 40, bands=4)
    before = named('before', values, [*NAMES, 'nir'], **GREY)
    after = named('after', values[[2, 1, 0, 3]], photometric='RGB', alpha='NO')
    with pytest.raises(SceneError, match=r'blue, green, red, nir and .* before=3,2,1,4 after=1,2'):
        read(before, after)


def test_names_that_differ_between_sensors_are_told(named, values, after):
    """B2, B3 and B4 are blue, green and red, or green, red and infrared of Landsat 7."""
    before = named('before', values, BARE, **GREY)
    heard = told(before, after)
    assert 'B2 (probably blue)' in heard
    assert 'state --bands before=3,2,1 after=1,2,3. If the order is right' in heard
    assert not told(before, after, bands=[1, 2, 3])
    assert not told(named('right', values, BARE[::-1], **GREY), after)
    # Numbers that only count bands.
    assert not told(named('count', values, ['B1', 'B2', 'B3'], **GREY), after)


def test_other_colours_are_told(named, values, after):
    before = named('before', values, ['NIR', 'Red', 'Green'], **GREY)
    assert 'band 1 of before and band 1 of after show different colours' in told(before, after)


@pytest.mark.parametrize('names', [NAMES, PADDED, BARE])
def test_blue_first_by_names_on_both_dates_is_told(named, values, names):
    before, after = (named(name, values, names) for name in ('before', 'after'))
    assert ('for these state' if names is not BARE else 'if so, state') in told(before, after)
    with pytest.warns(UserWarning, match='state --bands 3 2 1'):
        series_grid([before, after])
    # A pair that is opened again for the same scene says nothing.
    with ScenePair(before, after) as pair:
        made = dict(zip(('before', 'after'), pair.stretches, strict=True))
    assert not told(before, after, stretch=made)
    assert not told(before, after, bands=[1, 2, 3])
    assert not told(*(named(name, values, names[::-1]) for name in ('one', 'two')))


def test_blue_first_on_both_dates_is_told(scene, values, after):
    before = edit(scene('before', values), colorinterp=BGR)
    edit(after, colorinterp=BGR)
    assert '--bands 3 2 1' in told(before, after)
    assert not told(before, after, bands=[1, 2, 3])


def test_zero_as_white_is_refused(scene, values, tmp_path):
    before = scene('before', 255 - values[:1], photometric='MINISWHITE')
    after = scene('after', 255 - values[:1], x=500_400, photometric='MINISWHITE')
    for read_it in (
        lambda: read(before, scene('grey', values[:1])),
        lambda: write_mosaic(tmp_path / 'both.vrt', [before, after]),
    ):
        with pytest.raises(SceneError, match='MINISWHITE') as error:
            read_it()
        assert str(before) in str(error.value)


def test_bytes_of_fewer_bits_are_no_8_bit_values(scene, values, after, tmp_path):
    """Values 0 to 15 would be black in the range 0 to 255."""
    few = [scene(name, values >> 4, nbits=4) for name in ('one', 'two')]
    with pytest.raises(SceneError, match=r'one.tif\) stores 4-bit \(NBITS\) values'):
        read(*few)
    with pytest.raises(SceneError, match=r'after.*8-bit values and before.*others'):
        read(few[0], after, stretch='auto')
    np.testing.assert_array_equal(read(*few, stretch=(0, 15))[:3], (values >> 4) * 17)
    beside = scene('beside', values >> 4, nbits=4, x=500_400)
    write_mosaic(tmp_path / 'wide.vrt', [few[0], beside])
    with pytest.raises(SceneError, match='4-bit'):
        read(tmp_path / 'wide.vrt', few[1])


def test_a_container_of_several_rasters_is_refused(values, after, tmp_path):
    path = tmp_path / 'two.gpkg'
    profile = dict(driver='GPKG', width=40, height=30, count=3, dtype='uint8', crs='EPSG:32633')
    profile['transform'] = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
    for name, more in (('one', {}), ('two', dict(APPEND_SUBDATASET='YES'))):
        with rasterio.open(path, 'w', RASTER_TABLE=name, **profile, **more) as file:
            file.write(values)
    with pytest.raises(SceneError, match=r'two.gpkg\) holds 2 rasters .*gdal_translate GPKG:'):
        read(path, after)


def test_pages_of_a_tiff_are_told(scene, values, after):
    before = scene('before', values)
    assert not told(before, after)
    with rasterio.open(before) as file:
        profile = file.profile
    with rasterio.open(before, 'w', APPEND_SUBDATASET='YES', **profile) as file:
        file.write(values)
    assert '2 pages, of which the first is read' in told(before, after)


@pytest.mark.parametrize(
    ('first', 'second', 'is_told'),
    [
        ('2023-06-01T10:00:00Z', '2018-06-01T10:00:00Z', True),
        ('2018-06-01T10:00:00Z', '2023-06-01T10:00:00Z', False),
        ('2018', '2018-06-01', False),
    ],
)
def test_dates_in_the_wrong_order_are_told(scene, values, after, first, second, is_told):
    before = edit(scene('before', values), tags=dict(ACQUISITIONDATETIME=first))
    edit(after, tags=dict(ACQUISITIONDATETIME=second))
    assert ('losses and gains are swapped' in told(before, after)) is is_told
    named = [scene(f'town_{date[:10]}', values) for date in (first, second)]
    assert ('losses and gains are swapped' in told(*named)) is is_told


def test_little_overlap_is_told(scene, smooth, values, after):
    before = scene('before', smooth(300, 400), x=500_380)
    assert '2 x 30 pixels, 0.05 % of before' in told(before, after)
    assert not told(scene('wide', smooth(300, 400)), after)


@pytest.mark.parametrize(('size', 'is_told'), [(20, False), (40, True)])
def test_less_detail_is_told(scene, smooth, after, size, is_told):
    rough = scene('rough', smooth(30, 40), size=size)
    assert ('4 times as long' in told(after, rough)) is is_told
    assert not told(after, rough, grid='after')


def test_a_mosaic_of_bands_in_another_order_is_refused(scene, values, after, tmp_path):
    edit(after, descriptions=['B04', 'B03', 'B02'])
    beside = edit(scene('beside', values, x=500_400), descriptions=['B02', 'B03', 'B04'])
    with pytest.raises(SceneError, match=r'beside.tif has other names of bands'):
        write_mosaic(tmp_path / 'both.vrt', [after, beside])


def test_a_mosaic_of_files_without_a_place_is_refused(scene, values, after, tmp_path):
    """They would lie on each other."""
    bare = [scene(f'bare{number}', values, crs=None) for number in (1, 2)]
    for path in bare:
        with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
            edit(path, transform=rasterio.Affine.identity())
    with pytest.raises(SceneError, match=r'bare1.tif has no transform'):
        write_mosaic(tmp_path / 'both.vrt', bare)
    with pytest.raises(SceneError, match=r'after.tif is given twice'):
        write_mosaic(tmp_path / 'both.vrt', [after, after])


def test_bands_of_several_types_are_refused(scene, values, after, tmp_path):
    paths = [scene('bytes', values[:1]), scene('floats', values[:1].astype(np.float32))]
    bands = ''.join(
        f'<VRTRasterBand dataType="{kind}" band="{number}"><SimpleSource><SourceFilename>{path}'
        '</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>'
        for number, (kind, path) in enumerate(zip(('Byte', 'Float32'), paths, strict=True), 1)
    )
    before = tmp_path / 'before.vrt'
    before.write_text(
        '<VRTDataset rasterXSize="40" rasterYSize="30"><SRS>EPSG:32633</SRS><GeoTransform>500000, '
        f'10, 0, 5000000, 0, -10</GeoTransform>{bands}</VRTDataset>',
        encoding='utf-8',
    )
    with pytest.raises(SceneError, match=r'before.vrt\) has bands of the types float32, uint8'):
        read(before, before, stretch='each-date')
    found = read(before, after, bands={'before': [1, 1, 1], 'after': [1, 1, 1]})
    np.testing.assert_array_equal(found[:3], found[3:])


def test_local_systems_of_two_names_are_told(scene, values):
    system = 'LOCAL_CS["{}",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
    one, two, again = (
        scene(str(number), values, crs=system.format(name)) for number, name in enumerate('aba')
    )
    assert "'a' and after" in told(one, two)
    assert not told(one, again)
