"""Test files beside a raster that place it: projections, world files, metadata of GDAL."""

import warnings

import pytest
from PIL import Image

from tfinet_mm.errors import SceneError
from tfinet_mm.scenes.reader import ScenePair, input_files

rasterio = pytest.importorskip('rasterio')
pyproj = pytest.importorskip('pyproj')

WORLD = '10\n0\n0\n-10\n{x}\n4999995\n'


@pytest.fixture
def values(smooth):
    return smooth(30, 40)


def opened(*paths, **options):
    """Return the grid of a pair and its warnings."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter('always')
        with ScenePair(*paths, **options) as pair:
            pair.read()
            return pair.grid, ' '.join(str(one.message) for one in heard)


def test_a_prj_file_states_the_crs_of_a_picture(scene, values, tmp_path):
    """As Esri's programs write it; two zones with the same numbers are two places."""
    paths = []
    for name, code in (('one', 32633), ('two', 32634)):
        paths.append(tmp_path / f'{name}.png')
        Image.fromarray(values.transpose(1, 2, 0)).save(paths[-1])
        paths[-1].with_suffix('.pgw').write_text(WORLD.format(x=500_005), encoding='utf-8')
        text = pyproj.CRS(code).to_wkt('WKT1_ESRI')
        paths[-1].with_suffix('.prj').write_text(text, encoding='utf-8')
    with pytest.raises(SceneError, match="don't overlap"):
        opened(*paths)
    grid, _ = opened(paths[0], scene('after', values))
    assert (grid.crs.to_epsg(), grid.width, grid.height) == (32633, 40, 30)
    assert str(paths[0].with_suffix('.prj')) in input_files(paths[0])


def test_two_places_of_one_file_are_told(scene, values, tmp_path):
    before, after = scene('before', values), scene('after', values)
    (tmp_path / 'before.tfw').write_text(WORLD.format(x=500_005), encoding='utf-8')
    assert opened(before, after)[1] == ''
    (tmp_path / 'before.tfw').write_text(WORLD.format(x=600_005), encoding='utf-8')
    grid, text = opened(before, after)
    assert (grid.width, grid.transform.c) == (40, 500_000)
    assert 'before.tfw states another place' in text
    (tmp_path / 'before.tfw').unlink()
    aux = tmp_path / 'before.tif.aux.xml'
    aux.write_text('<PAMDataset><Histograms/></PAMDataset>', encoding='utf-8')
    assert opened(before, after)[1] == ''
    assert input_files(before) == [str(before)]
    place = '<GeoTransform>500100, 10, 0, 5000000, 0, -10</GeoTransform>'
    aux.write_text(f'<PAMDataset>{place}</PAMDataset>', encoding='utf-8')
    grid, text = opened(before, after)
    assert (grid.width, grid.transform.c) == (30, 500_100)
    assert 'another place than' in text
    assert input_files(before) == [str(before), str(aux)]


def test_a_crs_without_a_transform_places_nothing(scene, values):
    """Its pixels would count as 1 x 1 m at the origin of the CRS."""
    alone = [scene(name, values) for name in ('one', 'two')]
    for path in alone:
        with (
            pytest.warns(rasterio.errors.NotGeoreferencedWarning),
            rasterio.open(path, 'r+') as file,
        ):
            file.transform = rasterio.Affine.identity()
    grid, text = opened(*alone)
    assert grid.crs is None
    assert 'areas are in pixels' in text
    after = scene('after', values)
    with pytest.raises(SceneError, match=r'before .*one.tif\) states the CRS EPSG:32633 and no'):
        opened(alone[0], after)
    grid, _ = opened(after, alone[0], same_grid=True)
    assert grid.transform[:3] == (10, 0, 500_000)
