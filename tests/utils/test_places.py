"""Paths into zip files and to servers: what they lead to, and what GDAL opens."""

import zipfile

import pytest

from tfinet_mm.utils import places


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / 'a b.ZIP'
    with zipfile.ZipFile(path, 'w') as file:
        for name in ('x/one.tif', 'x/one.txt', '__MACOSX/x/._one.tif'):
            file.writestr(name, name)
    return path


def test_zip_files(archive, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inside = f'{archive}/x/one.tif'
    assert places.archived('a b.ZIP/x/one.tif') == (str(archive), 'x/one.tif')
    assert places.gdal_path(inside) == f'/vsizip/{{{archive}}}/x/one.tif'
    assert places.archived(places.gdal_path(inside)) == (str(archive), 'x/one.tif')
    assert places.one_file(archive, ('.tif',)) == inside
    with pytest.raises(ValueError, match=r'holds 0 rasters \(none\), expected one'):
        places.one_file(archive, ('.png',))
    with zipfile.ZipFile(archive, 'a') as file:
        file.writestr('two.tif', '')
    with pytest.raises(ValueError, match=r'holds 2 rasters \(x/one\.tif, two\.tif\).*ZIP/x/one'):
        places.one_file(archive, ('.tif',))
    # A folder may have such a name, and so may nothing at all.
    (tmp_path / 'f.zip').mkdir()
    for path in ('f.zip/a.tif', 'no.zip/a.tif', 'a.zipped/b.tif'):
        assert places.archived(path) is None
        assert places.gdal_path(path) == path
        assert not places.is_virtual(path)


def test_addresses(tmp_path, monkeypatch):
    for name in places.CURL_OPTIONS:
        monkeypatch.delenv(name, raising=False)
    address = 'https://host/x/a.tif?key=1&b=2'
    opened = places.gdal_path(address)
    assert opened.startswith('/vsicurl?max_retry=3&')
    assert opened.endswith('&empty_dir=yes&url=https%3A%2F%2Fhost%2Fx%2Fa.tif%3Fkey%3D1%26b%3D2')
    # A path of pathlib has lost a slash; GDAL's own names lead to the address too.
    for path in ('https:/host/x/a.tif?key=1&b=2', f'/vsicurl/{address}', opened):
        assert places.absolute(path) == address
    monkeypatch.setenv('GDAL_HTTP_MAX_RETRY', '9')
    assert 'max_retry' not in places.gdal_path(address)
    zipped = places.gdal_path('http://host/a.zip/b.tif')
    assert zipped.startswith('/vsizip/{/vsicurl?')
    assert zipped.endswith('url=http%3A%2F%2Fhost%2Fa.zip}/b.tif')
    with pytest.raises(ValueError, match='name the raster in it'):
        places.one_file('http://host/a.zip', ('.tif',))
    assert places.gdal_path('/vsis3/b/a.tif') == places.gdal_path('s3://b/a.tif')
    for remote in (address, '/vsis3/b/a.tif', 'gs://b/a.tif', opened, zipped):
        assert places.is_remote(remote)
        assert places.is_virtual(remote)
    assert not places.is_remote('/vsizip/a.zip/b.tif')
