"""Read scenes in zip files and from a server, against the same files on the disk."""

import json
import os
import warnings
import zipfile

import numpy as np
import pytest
from file_server import serve

from tfinet_mm.errors import ManifestError, RemoteFileError, SceneError
from tfinet_mm.scenes.prediction import predict_scene
from tfinet_mm.scenes.reader import ScenePair, input_files
from tfinet_mm.utils.fingerprints import fingerprints

rasterio = pytest.importorskip('rasterio')
SIDE = 1024
RESULTS = ('change_prob.tif', 'transition.tif', 'areas.csv', 'before.jpg')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Two cloud-optimised scenes of noise, which no compression makes smaller than 3 MB."""
    from rasterio.shutil import copy

    made = tmp_path_factory.mktemp('served')
    for seed, name in ((1, 'before'), (2, 'after')):
        values = np.random.default_rng(seed).integers(1, 256, (3, SIDE, SIDE)).astype(np.uint8)
        place = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
        size = dict(count=3, height=SIDE, width=SIDE, dtype='uint8', crs='EPSG:32633')
        with rasterio.MemoryFile() as memory:
            with memory.open(driver='GTiff', transform=place, **size) as raster:
                raster.write(values)
            with memory.open() as raster:
                copy(raster, made / f'{name}.tif', driver='COG', compress='DEFLATE', blocksize=128)
    with zipfile.ZipFile(made / 'scene.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.write(made / 'before.tif', 'in/a b.tif')
        archive.write(made / 'after.tif', 'after.tif')
    with zipfile.ZipFile(made / 'one.zip', 'w') as archive:
        archive.write(made / 'after.tif', 'x/after.tif')
        archive.writestr('read me.txt', 'text')
    return made


@pytest.fixture(scope='module')
def server(folder, tmp_path_factory):
    with serve(folder, tmp_path_factory.mktemp('log') / 'requests') as running:
        yield running


def small(folder, name, at=0):
    """A path of a window of 64 pixels of a scene, so that a prediction is quick."""
    path = folder / f'small_{name}.tif'
    if not path.exists():
        with rasterio.open(folder / f'{name}.tif') as raster:
            values = raster.read(window=((at, at + 64), (at, at + 64)))
            profile = dict(driver='GTiff', count=3, height=64, width=64, dtype='uint8')
            with rasterio.open(
                path, 'w', crs=raster.crs, transform=raster.transform, **profile
            ) as file:
                file.write(values)
    return path


def results(out):
    return [(out / name).read_bytes() for name in RESULTS]


def test_files_in_a_zip_file_are_those_on_the_disk(folder, network, tmp_path):
    plain = small(folder, 'before'), small(folder, 'after')
    packed = tmp_path / 'Both.ZIP'
    with zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as archive:
        for path in plain:
            archive.write(path, f'd 1/{path.name}')
    inside = [f'{packed}/d 1/{path.name}' for path in plain]
    predict_scene(network(), *inside, tmp_path / 'zip', polygons=False)
    predict_scene(network(), *plain, tmp_path / 'plain', polygons=False)
    assert results(tmp_path / 'zip') == results(tmp_path / 'plain')
    scene = json.loads((tmp_path / 'zip' / 'scene.json').read_text())
    assert scene['settings']['before']['file'] == inside[0]
    # An unpacked file is the same file, and so is one that GDAL names.
    again = network()
    for before in (plain[0], f'/vsizip/{packed}/d 1/{plain[0].name}'):
        predict_scene(again, before, inside[1], tmp_path / 'zip', polygons=False)
    assert again.seen == []
    with pytest.raises(ManifestError, match=r'inputs\.before was .*small_before\.tif'):
        predict_scene(again, inside[1], inside[1], tmp_path / 'zip', polygons=False)


def test_zip_files_that_cannot_be_read(folder, tmp_path):
    known = folder / 'after.tif'
    with pytest.raises(SceneError, match=r'before .*/no\.tif\) is not in the zip file, .*in/a b'):
        ScenePair(f'{folder}/scene.zip/no.tif', known)
    with pytest.raises(FileNotFoundError, match=r'no no\.tif in the zip file .*after\.tif'):
        fingerprints([f'{folder}/scene.zip/no.tif'])
    cut = tmp_path / 'cut.zip'
    cut.write_bytes((folder / 'scene.zip').read_bytes()[:-3000])
    with pytest.raises(ValueError, match=r'cut\.zip can not be read as a zip file'):
        ScenePair(f'{cut}/after.tif', known)
    data = bytearray((folder / 'scene.zip').read_bytes())
    data[len(data) // 4 : len(data) // 4 + 500] = bytes(500)
    cut.write_bytes(data)
    with pytest.raises(ValueError, match=r'cut\.zip/in/a b\.tif can not be read from its zip'):
        fingerprints([f'{cut}/in/a b.tif'])
    # A folder may be called so too.
    (tmp_path / 'folder.zip').mkdir()
    with pytest.raises(FileNotFoundError, match='there is no file'):
        ScenePair(tmp_path / 'folder.zip' / 'a.tif', known)


def test_a_window_of_a_remote_scene_is_read_alone(folder, server):
    """The window has 1/64 of the pixels; the requests ask for a few times as many bytes."""
    paths = [f'{server.url}/{name}.tif' for name in ('before', 'after')]
    window = (300, 500, 128, 128)
    with ScenePair(folder / 'before.tif', folder / 'after.tif') as pair:
        expected = pair.read(window)[0]
    server.requests()
    with ScenePair(*paths, stretch={'before': None, 'after': (0, 255)}) as pair:
        server.requests()
        values, valid = pair.read(window)
    np.testing.assert_array_equal(values, expected)
    assert valid.all()
    asked = server.requests()
    assert all(method == 'GET' and ranges for method, _, ranges in asked)
    total = 0
    for _, _, ranges in asked:
        first, last = map(int, ranges.removeprefix('bytes=').split('-'))
        total += last - first + 1
    whole = sum((folder / f'{name}.tif').stat().st_size for name in ('before', 'after'))
    assert 0 < total < whole / 8
    # Nothing beside the files is looked for.
    with ScenePair(*paths, bands=[1, 2, 3]):
        pass
    assert {path for _, path, _ in server.requests()} <= {'/before.tif', '/after.tif'}


def test_a_remote_scene_is_predicted_and_recognised(folder, server, network, tmp_path):
    plain = [small(folder, 'before'), small(folder, 'after')]
    paths = [f'{server.url}/{path.name}' for path in plain]
    predict_scene(network(), *plain, tmp_path / 'plain', polygons=False)
    predict_scene(network(), *paths, tmp_path / 'remote', polygons=False)
    assert results(tmp_path / 'remote') == results(tmp_path / 'plain')
    inputs = json.loads((tmp_path / 'remote/scene.json').read_text())['settings']['inputs']
    stamp = plain[0].stat()
    assert inputs['before'] == dict(
        file=paths[0], version=f'{stamp.st_size} bytes, "{stamp.st_mtime_ns:x}"'
    )
    again = network()
    predict_scene(again, *paths, tmp_path / 'remote', polygons=False)
    predict_scene(again, f'/vsicurl/{paths[0]}', paths[1], tmp_path / 'remote', polygons=False)
    assert again.seen == []
    os.utime(plain[0], ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 10**9))
    with pytest.raises(ManifestError, match=r'inputs\.before\.version was'):
        predict_scene(again, *paths, tmp_path / 'remote', polygons=False)


def test_a_scene_in_a_zip_file_and_on_a_server_is_aligned(
    folder, server, network, raster, smooth, tmp_path
):
    """The second file has the ground of the first, and a place 3 pixels too far east."""
    ground = smooth(160, 160)
    plain = raster('a.tif', ground), raster('b.tif', ground, x=500_030)
    packed = folder / 'apart.zip'
    with zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as archive:
        for path in plain:
            archive.write(path, os.path.basename(path))
    places = dict(
        plain=plain,
        zip=[f'{packed}/a.tif', f'{packed}/b.tif'],
        http=[f'{server.url}/apart.zip/a.tif', f'{server.url}/apart.zip/b.tif'],
    )
    told = {}
    for name, paths in places.items():
        predict_scene(network(window=128), *paths, tmp_path / name, polygons=False, align=True)
        assert results(tmp_path / name) == results(tmp_path / 'plain')
        told[name] = json.loads((tmp_path / name / 'scene.json').read_text())['registration']
        assert told[name] == told['plain']
    assert told['plain']['found']['right_px'] == pytest.approx(3, abs=0.05)
    assert told['plain']['aligned']['right_px'] == pytest.approx(0, abs=0.05)


def test_a_remote_file_that_nothing_identifies_is_said(server):
    path = f'{server.url}/after.tif?noetag'
    with pytest.warns(UserWarning, match=r'after\.tif\?noetag is compared by its address alone'):
        assert fingerprints([path])[0]['version'] == f'not verified: {path}'
    with pytest.warns(UserWarning, match=r'its storage is read by GDAL alone'):
        assert fingerprints(['s3://bucket/a.tif'])[0]['version'].endswith('s3://bucket/a.tif')
    # A signed address may allow GET alone.
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert ' bytes, "' in fingerprints([f'{server.url}/after.tif?nohead'])[0]['version']


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('no.tif', r'HTTP response code: 404.*no such file'),
        ('after.tif?forbidden', r'HTTP response code: 403.*signed address'),
        ('after.tif?noranges', r'Range downloading not supported.*download the file'),
        ('after.tif?slow', r'timed out.*too slow or out of reach'),
    ],
)
def test_servers_that_do_not_answer(folder, server, monkeypatch, name, message):
    monkeypatch.setenv('GDAL_HTTP_TIMEOUT', '1')
    monkeypatch.setenv('GDAL_HTTP_MAX_RETRY', '0')
    place = f'before ({server.url}/{name})'
    with pytest.raises(RemoteFileError, match=message) as error:
        ScenePair(f'{server.url}/{name}', folder / 'after.tif')
    assert str(error.value).startswith(place)


def test_no_server(folder):
    with pytest.raises(RemoteFileError, match=r'127\.0\.0\.1:9/a\.tif.*Check the address'):
        ScenePair('http://127.0.0.1:9/a.tif', folder / 'after.tif')
    with pytest.raises(RemoteFileError, match=r'127\.0\.0\.1:9/a\.tif can not be read'):
        fingerprints(['http://127.0.0.1:9/a.tif'])


def test_a_server_that_goes_away(folder, monkeypatch, tmp_path):
    monkeypatch.setenv('GDAL_HTTP_MAX_RETRY', '0')
    with serve(folder, tmp_path / 'log') as server:
        address = f'{server.url}/before.tif'
        pair = ScenePair(address, folder / 'after.tif')
    with pytest.raises(RemoteFileError) as error:
        pair.read((260, 700, 50, 50))
    place = f'before ({address}) can not be read: band 1 in the window left 256, top 640, width 128'
    assert str(error.value).startswith(place)


def test_the_parts_of_a_mosaic_may_be_remote(folder, server, tmp_path):
    mosaic = tmp_path / 'mosaic.vrt'
    with rasterio.open(folder / 'before.tif') as raster:
        rasterio.shutil.copy(raster, mosaic, driver='VRT')
    address = f'/vsicurl/{server.url}/before.tif'
    mosaic.write_text(mosaic.read_text().replace(str(folder / 'before.tif'), address))
    assert address in mosaic.read_text()
    assert input_files(mosaic) == [str(mosaic), f'{server.url}/before.tif']
    (_, part) = fingerprints(input_files(mosaic))
    assert part['version'].startswith(f'{(folder / "before.tif").stat().st_size} bytes')
