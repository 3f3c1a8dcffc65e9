"""Read scenes from buckets, of a small server that answers as S3 does."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from file_server import serve

from tfinet_mm.apis.command_output import list_pairs
from tfinet_mm.errors import RemoteFileError
from tfinet_mm.io.images import read_image
from tfinet_mm.scenes.prediction import predict_scene
from tfinet_mm.scenes.reader import ScenePair, input_files

rasterio = pytest.importorskip('rasterio')
SIDE = 1024


@pytest.fixture(scope='module')
def bucket(tmp_path_factory):
    """Serve the bucket ``scenes`` with two tiled images of noise."""
    root = tmp_path_factory.mktemp('buckets')
    folder = root / 'scenes' / 'a b'
    folder.mkdir(parents=True)
    place = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
    for seed, name in enumerate(('before', 'after')):
        values = np.random.default_rng(seed).integers(1, 256, (3, SIDE, SIDE)).astype(np.uint8)
        for kind, side in (('', SIDE), ('small_', 64)):
            size = dict(count=3, height=side, width=side, dtype='uint8', crs='EPSG:32633')
            tiles = dict(tiled=True, blockxsize=64, blockysize=64)
            path = folder / f'{kind}{name}.tif'
            with rasterio.open(path, 'w', driver='GTiff', transform=place, **size, **tiles) as file:
                file.write(values[:, :side, :side])
    # Refused by its name.
    shutil.copy(folder / 'small_before.tif', folder / 'forbidden.tif')
    with serve(root, tmp_path_factory.mktemp('log') / 'requests') as server:
        server.folder = folder
        yield server


@pytest.fixture(autouse=True)
def storage(bucket, monkeypatch):
    monkeypatch.setenv('AWS_S3_ENDPOINT', bucket.url.removeprefix('http://'))
    monkeypatch.setenv('AWS_HTTPS', 'NO')
    monkeypatch.setenv('AWS_VIRTUAL_HOSTING', 'FALSE')
    monkeypatch.setenv('AWS_NO_SIGN_REQUEST', 'YES')


@pytest.mark.parametrize('scheme', ['s3://', '/vsis3/'])
def test_windows_are_read_by_ranges(bucket, scheme):
    """Little more than the tiles of the window is asked for, and nothing beside the files."""
    names = ('before', 'after')
    with ScenePair(*(bucket.folder / f'{name}.tif' for name in names), stretch=(0, 255)) as pair:
        expected = pair.read((300, 500, 128, 128))[0]
    bucket.requests()
    paths = [f'{scheme}scenes/a b/{name}.tif' for name in names]
    with ScenePair(*paths, stretch={'before': None, 'after': (0, 255)}) as pair:
        opened = bucket.requests()
        values, valid = pair.read((300, 500, 128, 128))
    np.testing.assert_array_equal(values, expected)
    assert valid.all()
    read = bucket.requests()
    files = {f'/scenes/a%20b/{name}.tif' for name in names}
    assert {path for _, path, _ in opened + read} == files
    total = 0
    for _, _, ranges in read:
        first, last = map(int, ranges.removeprefix('bytes=').split('-'))
        total += last - first + 1
    assert 0 < total < 2 * 3 * SIDE**2 / 8
    assert input_files(paths[0]) == [paths[0]]


def test_a_scene_is_predicted_from_a_bucket(bucket, network, tmp_path):
    pair = ['s3://scenes/a b/small_before.tif', 's3://scenes/a b/small_after.tif']
    (listed,) = list_pairs(*pair)
    assert (listed.kind, listed.before, listed.name) == ('scene', pair[0], 'small_before')
    with pytest.warns(UserWarning, match=r'small_before\.tif is compared by its address alone'):
        predict_scene(network(), *pair, tmp_path / 'bucket', polygons=False)
    scene = json.loads((tmp_path / 'bucket/scene.json').read_text())
    assert scene['settings']['before']['file'] == pair[0]
    local = [bucket.folder / name.rpartition('/')[2] for name in pair]
    predict_scene(network(), *local, tmp_path / 'plain', polygons=False)
    maps = []
    for name in ('bucket', 'plain'):
        with rasterio.open(tmp_path / name / 'change_prob.tif') as file:
            maps.append(file.read())
    np.testing.assert_array_equal(*maps)


@pytest.mark.parametrize(
    ('path', 'message'),
    [
        ('s3://scenes/a b/no.tif', r'NoSuchKey.*the bucket scenes has no file a b/no\.tif'),
        ('/vsis3/scenes/no.tif', r'NoSuchKey.*the bucket scenes has no file no\.tif'),
        ('s3://nowhere/a.tif', r'NoSuchBucket.*there is no bucket nowhere'),
        ('s3://scenes', r'Give the key of a file in the bucket scenes, as in s3://scenes/KEY'),
        (
            's3://scenes/a b/forbidden.tif',
            r'AccessDenied.*bucket scenes refuses access to a b/forbidden\.tif: .*AWS_PROFILE',
        ),
    ],
)
def test_errors_name_bucket_and_key(bucket, path, message):
    with pytest.raises(RemoteFileError, match=message) as error:
        ScenePair(bucket.folder / 'after.tif', path)
    assert str(error.value).startswith(f'after ({path})')


def test_a_path_object_and_a_picture(bucket):
    """pathlib drops one of the two strokes."""
    path = Path('s3://scenes/a b/small_before.tif')
    with ScenePair(path, bucket.folder / 'small_after.tif') as pair:
        assert pair.read()[1].all()
    np.testing.assert_array_equal(
        read_image(str(path)), read_image(bucket.folder / 'small_before.tif')
    )


def test_no_credentials(bucket, monkeypatch):
    monkeypatch.delenv('AWS_NO_SIGN_REQUEST')
    monkeypatch.setenv('CPL_AWS_AUTODETECT_EC2', 'NO')
    for name in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_PROFILE'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('CPL_AWS_CREDENTIALS_FILE', '/nowhere')
    monkeypatch.setenv('AWS_CONFIG_FILE', '/nowhere')
    with pytest.raises(RemoteFileError, match=r'refuses access to x\.tif.*AWS_NO_SIGN_REQUEST=YES'):
        ScenePair('s3://scenes/x.tif', bucket.folder / 'after.tif')
