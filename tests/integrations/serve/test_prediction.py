"""Test the process of a job with the weights of the package, and what it makes."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.checkpoints.shipped import DEFAULT, is_shipped
from tfinet_mm.integrations.serve.prediction import main
from tfinet_mm.integrations.serve.products import PRODUCTS, list_products
from tfinet_mm.integrations.serve.progress import read_warnings
from tfinet_mm.utils.command import run_command

pytestmark = pytest.mark.skipif(not is_shipped(DEFAULT), reason=f'{DEFAULT} is not here')
for package in ('jinja2', 'plotly'):
    pytest.importorskip(package)


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A function that makes the folder of a job, and returns it and a function that predicts it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('tfinet_mm.integrations.serve.prediction.end_with_parent', lambda: None)

    def make(before, after, *options, pixels=10_000):
        request = dict(
            before=before.name,
            after=after.name,
            network=[],
            options=['--no-tta', '--device', 'cpu', *options],
            title='From <a> to <b>',
            picture_pixels=pixels,
            scene_pixels=pixels,
        )
        (tmp_path / 'request.json').write_text(json.dumps(request))
        monkeypatch.setattr(sys, 'argv', ['prediction', str(tmp_path)])
        return tmp_path / 'results'

    return make


def products(results):
    """Return the names of all files in a folder of results, and of those that can be downloaded."""
    found = {path.relative_to(results).as_posix() for path in results.rglob('*') if path.is_file()}
    return found - {'manifest.json'}, set(list_products(results))


def test_two_pictures(job, tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / 'before.jpg', tmp_path / 'after.png']
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (64, 96, 3), np.uint8)).save(path)
    results = job(*paths)
    assert main() is None
    there, listed = products(results)
    assert there == listed
    assert listed == {'report.html', *(name for name in PRODUCTS if name.endswith('before.png'))}
    assert 'From &lt;a&gt; to &lt;b&gt;' in (results / 'report.html').read_text(encoding='utf-8')


def test_two_geotiffs(job, tmp_path, capfd):
    rasterio = pytest.importorskip('rasterio')
    pytest.importorskip('pyogrio')
    rng = np.random.default_rng(0)
    paths = [tmp_path / 'before.tif', tmp_path / 'after.tif']
    for path in paths:
        options = dict(driver='GTiff', width=80, height=64, count=3, dtype='uint8')
        options |= dict(crs='EPSG:32633', transform=rasterio.Affine(0.5, 0, 4e5, 0, -0.5, 5e6))
        with rasterio.open(path, 'w', **options) as raster:
            raster.write(rng.integers(0, 256, (3, 64, 80), np.uint8))
    results = job(*paths, '--no-registration')
    assert main() is None
    there, listed = products(results)
    assert there == listed
    assert {'before/change.tif', 'before/changes.gpkg', 'before/areas.csv'} <= listed
    # What the server shows as progress.
    assert '1/1 [' in capfd.readouterr().err


def test_warnings_about_the_files_are_told(job, tmp_path, capfd):
    """They are raised behind a context manager, where no file is of the package."""
    rasterio = pytest.importorskip('rasterio')
    pytest.importorskip('pyogrio')
    rng = np.random.default_rng(0)
    paths = [tmp_path / 'before.tif', tmp_path / 'after.tif']
    for path, size, east, day in zip(
        paths, (0.5, 2), (4e5, 400_037), ('2023-06-01', '2018-06-01'), strict=True
    ):
        options = dict(driver='GTiff', width=80, height=64, count=3, dtype='uint8')
        options |= dict(crs='EPSG:32633', transform=rasterio.Affine(size, 0, east, 0, -size, 5e6))
        with rasterio.open(path, 'w', **options) as raster:
            raster.write(rng.integers(1, 256, (3, 64, 80), np.uint8))
            raster.update_tags(ns='IMAGERY', ACQUISITIONDATETIME=f'{day}T10:00:00Z')
    job(*paths, '--no-registration', '--stretch', 'before=none', 'after=0,100000')
    run_command(main)
    (tmp_path / 'log').write_text(capfd.readouterr().err, encoding='utf-8')
    found = read_warnings(tmp_path / 'log')
    for words in (
        'before.tif) is of 2023-06-01',
        'the scenes overlap in',
        'times as long as those of the result',
        'are 255 at most (uint8)',
    ):
        assert any(words in one for one in found), words
    assert 'UserWarning' not in (tmp_path / 'log').read_text(encoding='utf-8')


def test_the_sentence_about_a_bad_pair_is_kept(job, tmp_path):
    for date, size in (('before', 64), ('after', 32)):
        Image.new('RGB', (size, 64)).save(tmp_path / f'{date}.png')
    job(tmp_path / 'before.png', tmp_path / 'after.png')
    with pytest.raises(Exception, match=r'after.png'):
        main()
    said = json.loads((tmp_path / 'error.json').read_text(encoding='utf-8'))
    assert 'after.png' in said
    assert str(tmp_path) not in said


def test_a_bug_has_no_sentence(job, tmp_path, monkeypatch):
    def fail(*_):
        return {}['bug']

    Image.new('RGB', (8, 8)).save(tmp_path / 'before.png')
    job(tmp_path / 'before.png', tmp_path / 'before.png')
    monkeypatch.setattr('tfinet_mm.integrations.serve.prediction.check_images', fail)
    with pytest.raises(KeyError):
        main()
    assert not (tmp_path / 'error.json').exists()
