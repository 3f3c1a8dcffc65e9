import json
from xml.etree import ElementTree

import numpy as np
import pytest

from tfinet_mm.errors import MissingExtraError, SceneError
from tfinet_mm.scenes.cog import read_class_names, write_cog

rasterio = pytest.importorskip('rasterio')
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.shutil import copy as copy_raster

UTM = CRS.from_epsg(32633)
PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
ENVI_TYPES = {'uint8': 1, 'float32': 4, 'uint16': 12}


@pytest.fixture
def raw(tmp_path):
    """Write an array as rows with an ENVI header."""

    def write(values, name='raw'):
        path = tmp_path / f'{name}.img'
        values.astype(values.dtype.newbyteorder('<')).tofile(path)
        height, width = values.shape
        path.with_suffix('.hdr').write_text(
            f'ENVI\nsamples = {width}\nlines = {height}\nbands = 1\nheader offset = 0\n'
            f'data type = {ENVI_TYPES[values.dtype.name]}\ninterleave = bsq\nbyte order = 0\n'
        )
        return path

    return write


def copy(source, target, **options):
    values = dict(crs=UTM, transform=PLACE, description='a map', nodata=0, **{})
    write_cog(source, target, **{**values, **options})


def category_names(path, folder):
    """Return class names as GDAL reads them."""
    with rasterio.open(path) as file:
        copy_raster(file, folder / 'seen.vrt', driver='VRT')
    tree = ElementTree.parse(folder / 'seen.vrt')
    return [element.text for element in tree.iter('Category')]


def test_classes_with_names_and_colours(raw, tmp_path):
    values = np.random.default_rng(0).integers(0, 3, (1100, 1500)).astype(np.uint8)
    names, colours = ['no data', 'Wald & <Wiese>', 'Höfe'], [(0, 0, 0), (1, 2, 3), (250, 0, 9)]
    target = tmp_path / 'sub dir' / 'a.b.tif'
    copy(raw(values), target, class_names=names, colours=colours, tags={'SOFTWARE': 'us', 'N': '1'})
    with rasterio.open(target) as file:
        np.testing.assert_array_equal(file.read(1), values)
        assert file.tags(ns='IMAGE_STRUCTURE')['LAYOUT'] == 'COG'
        assert (file.crs, file.transform, file.nodata) == (UTM, PLACE, 0)
        assert file.profile['compress'] == 'deflate'
        assert file.block_shapes == [(512, 512)]
        assert file.overviews(1) == [2, 4]
        assert file.descriptions == ('a map',)
        assert [file.colormap(1)[value][:3] for value in (1, 2)] == colours[1:]
        assert file.tags()['SOFTWARE'] == 'us'
        assert json.loads(file.tags()['CLASS_NAMES']) == names
        # Nearest: a reduced pixel is one of those it stands for.
        reduced = file.read(1, out_shape=(550, 750))
    blocks = values.reshape(550, 2, 750, 2)
    assert (reduced[:, None, :, None] == blocks).any(axis=(1, 3)).all()
    assert category_names(target, tmp_path) == names
    assert read_class_names(target) == tuple(names)
    assert {path.name for path in target.parent.iterdir()} == {'a.b.tif', 'a.b.tif.aux.xml'}


def test_probabilities_are_averaged_without_nodata(raw, tmp_path):
    values = np.random.default_rng(0).random((600, 1030)).astype(np.float32)
    values[:, 400:700] = np.nan
    values[11, 13] = np.nan
    target = tmp_path / 'p.tif'
    copy(raw(values), target, nodata=float('nan'), resampling='average')
    with rasterio.open(target) as file:
        np.testing.assert_array_equal(file.read(1), values)
        assert np.isnan(file.nodata)
        assert file.overviews(1) == [2, 4]
        reduced = file.read(1, out_shape=(300, 515))
    with np.errstate(invalid='ignore'), pytest.warns(RuntimeWarning, match='empty slice'):
        expected = np.nanmean(values.reshape(300, 2, 515, 2), axis=(1, 3))
    np.testing.assert_allclose(reduced, expected, rtol=1e-5)
    assert not (tmp_path / 'p.tif.aux.xml').exists()
    assert read_class_names(target) == ()


def test_sixteen_bits_and_no_georeference(raw, tmp_path):
    values = np.arange(70 * 90, dtype=np.uint16).reshape(70, 90)
    copy(raw(values), tmp_path / 'a.tif', nodata=65535, crs=None, transform=Affine.identity())
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        file = rasterio.open(tmp_path / 'a.tif')
    with file:
        np.testing.assert_array_equal(file.read(1), values)
        assert (file.crs, file.nodata, file.overviews(1)) == (None, 65535, [])


@pytest.mark.parametrize('code', [4326, 3857, 2263])
def test_georeference_is_kept(raw, tmp_path, code):
    place = Affine(1e-5, 2e-6, 13.123456789012345, 3e-6, -1e-5, 52.1)
    copy(
        raw(np.ones((5, 4), np.uint8)), tmp_path / 'a.tif', crs=CRS.from_epsg(code), transform=place
    )
    with rasterio.open(tmp_path / 'a.tif') as file:
        assert file.crs == CRS.from_epsg(code)
        assert file.transform.almost_equals(place, 1e-14)


def test_a_new_file_takes_the_old_names_away(raw, tmp_path):
    target = tmp_path / 'a.tif'
    source = raw(np.ones((5, 4), np.uint8))
    copy(source, target, class_names=['x', 'y'])
    assert category_names(target, tmp_path) == ['x', 'y']
    copy(source, target)
    assert category_names(target, tmp_path) == []


def test_a_cut_off_source_leaves_nothing(raw, tmp_path):
    source = raw(np.ones((600, 40), np.uint8), 'cut')
    source.write_bytes(source.read_bytes()[:1000])
    target = tmp_path / 'out' / 'a.tif'
    with pytest.raises(OSError, match=r'cut\.img'):
        copy(source, target, class_names=['x'])
    assert not target.exists()


def test_a_file_without_its_end_is_none(raw, tmp_path, monkeypatch):
    """A writer fails as on a full disk."""
    source = raw(np.random.default_rng(0).integers(0, 255, (900, 700)).astype(np.uint8))
    target = tmp_path / 'out' / 'a.tif'

    def cut(text, path, **options):
        copy_raster(text, path, **options)
        path.write_bytes(path.read_bytes()[:-1000])

    monkeypatch.setattr(rasterio.shutil, 'copy', cut)
    with pytest.raises(OSError, match=r'a\.tif could not be written'):
        copy(source, target, class_names=['x'])
    assert list(target.parent.iterdir()) == []


def test_wrong_options(raw, tmp_path, monkeypatch):
    one = raw(np.ones((5, 4), np.uint8), 'one')
    wide = raw(np.ones((5, 4), np.uint16), 'wide')
    target = tmp_path / 'a.tif'
    with pytest.raises(SceneError, match="'nearest' or 'average', got 'cubic'"):
        copy(one, target, resampling='cubic')
    with pytest.raises(SceneError, match='uint16 and there are 1 colours'):
        copy(wide, target, colours=[(0, 0, 0)])
    with rasterio.open(
        tmp_path / 'two.tif', 'w', driver='GTiff', count=2, height=3, width=3, dtype='int16',
        transform=PLACE,
    ) as file:  # fmt: skip
        file.write(np.ones((2, 3, 3), np.int16))
    with pytest.raises(SceneError, match='to have one band, got 2'):
        copy(tmp_path / 'two.tif', target)
    assert not target.exists()
    monkeypatch.setitem(__import__('sys').modules, 'rasterio', None)
    with pytest.raises(MissingExtraError, match=r'tfinet-mm\[geo\]'):
        copy(one, target)
