import sys

import numpy as np
import pytest

rasterio = pytest.importorskip('rasterio')
pyproj = pytest.importorskip('pyproj')

from tfinet_mm.datasets.synthetic.generate import SyntheticPair
from tfinet_mm.datasets.synthetic.geo import Site, write_scene
from tfinet_mm.errors import MissingExtraError, SceneError

SITES = {
    'neighbouring zone': Site(),
    'web mercator': Site('EPSG:32632', 'EPSG:3857', 9.0, 60.0),
    'degrees, southern': Site('EPSG:32756', 'EPSG:4326', 151.2, -33.9),
}
MARKS = ((20, 30), (75, 140), (50, 85))
"""Rows and columns of the centres of marks, 5 x 5 pixels that are white on both dates."""


@pytest.fixture
def pair():
    image = np.random.default_rng(0).integers(0, 90, (100, 160, 3)).astype(np.uint8)
    for row, column in MARKS:
        image[row - 2 : row + 3, column - 2 : column + 3] = 255
    change = np.zeros((100, 160), np.uint8)
    change[10:40, 20:60] = 1
    covers = np.full((2, 100, 160), 3, np.uint8)
    covers[1][change == 1] = 5
    return SyntheticPair(image, image, covers[0] * change, covers[1] * change, *covers)


def marks(path):
    """Return the coordinates of the centres of the white marks, by the file's transform."""
    with rasterio.open(path) as file:
        white = file.read().min(0) > 180
        rows, columns = np.nonzero(white)
        place = file.transform
    points = np.stack(
        [place.a * (columns + 0.5) + place.c, place.e * (rows + 0.5) + place.f], axis=1
    )
    # Marks are far from each other: a point within reach of a group's first point belongs to it.
    size = abs(place.a) * 12
    groups = []
    for point in points:
        for group in groups:
            if np.abs(group[0] - point).max() < size:
                group.append(point)
                break
        else:
            groups.append([point])
    return np.array([np.mean(group, axis=0) for group in groups])


@pytest.mark.parametrize('name', SITES)
def test_both_dates_show_a_feature_in_one_place(pair, tmp_path, name):
    """Compare marks by pyproj, independently of GDAL's warp."""
    site = SITES[name]
    files = write_scene(tmp_path, pair, 0.5, site)
    there = marks(files.before)
    move = pyproj.Transformer.from_crs(site.crs_after, site.crs_before, always_xy=True)
    found = np.stack(move.transform(*marks(files.after).T), axis=1)
    assert len(there) == len(found) == len(MARKS)
    for point in there:
        assert np.hypot(*(found - point).T).min() < 0.25
    with rasterio.open(files.before) as file:
        left, top = file.transform.c, file.transform.f
    for row, column in MARKS:
        expected = left + 0.5 * (column + 0.5), top - 0.5 * (row + 0.5)
        assert np.abs(there - expected).max(1).min() < 1e-6


@pytest.mark.parametrize('name', SITES)
def test_the_site_is_in_the_middle(pair, tmp_path, name):
    site = SITES[name]
    files = write_scene(tmp_path, pair, 2.0, site)
    for path, crs in ((files.before, site.crs_before), (files.after, site.crs_after)):
        with rasterio.open(path) as file:
            assert file.crs == rasterio.crs.CRS.from_user_input(crs)
            middle = file.xy(file.height / 2 - 0.5, file.width / 2 - 0.5)
        move = pyproj.Transformer.from_crs(crs, 'EPSG:4326', always_xy=True)
        geod = pyproj.Geod(ellps='WGS84')
        assert geod.inv(*move.transform(*middle), site.longitude, site.latitude)[2] < 6


def test_pixels_and_nodata(pair, tmp_path):
    files = write_scene(tmp_path, pair, 0.5)
    with rasterio.open(files.before) as file:
        assert file.res == (0.5, 0.5)
        assert file.nodata == 0
        np.testing.assert_array_equal(file.read(), np.maximum(pair.before, 1).transpose(2, 0, 1))
        outline, before = file.bounds, file.crs
    with rasterio.open(files.after) as file:
        assert file.nodata == 0
        assert file.res == (0.4, 0.4)
        values = file.read()
        rows, columns = np.mgrid[: file.height, : file.width]
        x, y = file.xy(rows.ravel(), columns.ravel())
        move = pyproj.Transformer.from_crs(file.crs, before, always_xy=True)
    x, y = move.transform(np.asarray(x), np.asarray(y))
    beyond = np.max([outline.left - x, x - outline.right, outline.bottom - y, y - outline.top], 0)
    beyond = beyond.reshape(values.shape[1:])
    assert (values[:, beyond > 0.01] == 0).all()
    assert (values[:, beyond < -0.01] > 0).all()
    # Turned by 4.5 degrees, with corners outside.
    assert 0.05 < (beyond > 0).mean() < 0.3


def test_labels_lie_on_the_pixels_of_before(pair, tmp_path):
    files = write_scene(tmp_path, pair, 0.5)
    with rasterio.open(files.before) as file:
        place = file.crs, file.transform, file.shape
    expected = dict(change=pair.label_from > 0)
    expected |= dict(land_cover_from=pair.cover_from, land_cover_to=pair.cover_to)
    assert {path.stem for path in files.labels.iterdir()} == set(expected)
    for name, values in expected.items():
        with rasterio.open(files.labels / f'{name}.tif') as file:
            assert (file.crs, file.transform, file.shape) == place
            assert file.nodata == (255 if name == 'change' else 0)
            np.testing.assert_array_equal(file.read(1), values)
            colours = file.colormap(1)
    assert colours[5] == (128, 0, 0, 255)


@pytest.mark.parametrize(
    ('site', 'message'),
    [
        (Site(crs_after='EPSG:no'), "'EPSG:no' is no CRS"),
        (Site(crs_before='EPSG:4326'), 'needs a CRS in metres'),
        # In US survey feet.
        (Site('EPSG:2263', 'EPSG:32618', -73.9, 40.7), 'needs a CRS in metres'),
        (Site(latitude=95.0), '12 E, 95 N has no place in EPSG:32632'),
        (Site('EPSG:3857', latitude=90.0), '12 E, 90 N has no place in EPSG:32633'),
    ],
)
def test_sites_that_cannot_be(pair, tmp_path, site, message):
    with pytest.raises(SceneError, match=message):
        write_scene(tmp_path, pair, 0.5, site)
    assert not list(tmp_path.iterdir())


def test_a_second_scene_replaces_the_first(pair, tmp_path):
    write_scene(tmp_path, pair, 0.5)
    files = write_scene(tmp_path, pair, 2.0)
    with rasterio.open(files.before) as file:
        assert file.res == (2.0, 2.0)
    assert {path.name for path in tmp_path.iterdir()} == {'before.tif', 'after.tif', 'labels'}


def test_a_missing_extra_is_named(pair, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rasterio', None)
    with pytest.raises(MissingExtraError, match=r'needs rasterio.*tfinet-mm\[geo\]'):
        write_scene(tmp_path, pair, 0.5)
