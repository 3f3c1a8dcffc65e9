"""Test that a file which a virtual raster names and that can't be opened is found."""

import zipfile

import numpy as np
import pytest

from tfinet_mm.errors import ImageFormatError, SceneError
from tfinet_mm.io.images import read_image
from tfinet_mm.io.vrt_sources import missing_source

rasterio = pytest.importorskip('rasterio')
from tfinet_mm.scenes.sources import open_source

PLACE = '<SRS>EPSG:32633</SRS><GeoTransform>500000, 10, 0, 5000000, 0, -10</GeoTransform>'


def vrt(path, name, relative=1):
    """Write a VRT of one band that names another raster."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f'<VRTDataset rasterXSize="8" rasterYSize="8">{PLACE}<VRTRasterBand dataType="Byte" '
        f'band="1"><SimpleSource><SourceFilename relativeToVRT="{relative}">{name}'
        '</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>',
        encoding='utf-8',
    )
    return path


def tile(path):
    path.parent.mkdir(exist_ok=True)
    place = dict(crs='EPSG:32633', transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5e6))
    size = dict(width=8, height=8, count=1, dtype='uint8')
    with rasterio.open(path, 'w', driver='GTiff', **size, **place) as file:
        file.write(np.full((1, 8, 8), 7, np.uint8))
    return path


def found(path):
    with rasterio.open(path) as raster:
        return missing_source(raster)


@pytest.fixture
def cases(tmp_path):
    """Return VRTs by the file that they name, and that file."""
    tiles = tmp_path / 'tiles'
    made = {}
    for kind in ('relative', 'absolute', 'nested', 'zipped', 'spaced: ü'):
        source = tile(tiles / f'{kind}.tif')
        name, relative = f'tiles/{kind}.tif', 1
        if kind == 'absolute':
            name, relative = source, 0
        if kind == 'nested':
            vrt(tiles / 'inner.vrt', 'nested.tif')
            name = 'tiles/inner.vrt'
        if kind == 'zipped':
            packed = tmp_path / 'tiles.zip'
            with zipfile.ZipFile(packed, 'w') as archive:
                archive.write(source, 'a.tif')
            name, relative, source = f'/vsizip/{packed}/a.tif', 0, packed
        made[kind] = vrt(tmp_path / f'{kind}.vrt', name, relative), source
    return made


def test_missing_sources_are_named(cases):
    for kind, (mosaic, source) in cases.items():
        assert found(mosaic) is None, kind
        with open_source('before', mosaic) as raster:
            assert (raster.read() == 7).all()
        source.unlink()
        # Twice: GDAL gives an error once and zeros from then on.
        for _ in range(2):
            assert source.name in (found(mosaic) or ''), kind
            with pytest.raises(SceneError, match=r'before \(.*\) can not be read: it names .*'):
                open_source('before', mosaic)
            with pytest.raises(ImageFormatError, match='it names'):
                read_image(mosaic, [1])


def test_a_source_of_no_bytes_is_refused(cases):
    mosaic, source = cases['nested']
    assert found(mosaic) is None
    source.write_bytes(b'')
    assert 'which can not be opened' in found(mosaic)


def test_warped_sources_and_other_machines(tmp_path, cases):
    """A warped VRT names its source in another element; addresses aren't asked."""
    from rasterio.shutil import copy
    from rasterio.vrt import WarpedVRT

    source = cases['relative'][1]
    with rasterio.open(source) as raster, WarpedVRT(raster, crs='EPSG:32632') as warped:
        copy(warped, tmp_path / 'warped.vrt', driver='VRT')
    assert found(tmp_path / 'warped.vrt') is None
    # Its text stays readable without the file: a VRT around it opens.
    outer = vrt(tmp_path / 'outer.vrt', 'warped.vrt')
    source.unlink()
    assert 'warped.vrt' in found(outer)
    assert found(vrt(tmp_path / 'web.vrt', '/vsicurl/http://127.0.0.1:9/a.tif', 0)) is None
    assert found(vrt(tmp_path / 'inside.vrt', 'NETCDF:a.nc:band')) is None
    assert found(cases['absolute'][1]) is None
