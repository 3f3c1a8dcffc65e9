"""Test quality bands that a table of pairs gives to each of them."""

import csv
import json
import shutil

import numpy as np
import pytest

from tfinet_mm.apis import command_jobs
from tfinet_mm.apis.command import main, predict_claimed
from tfinet_mm.apis.command_output import Pair
from tfinet_mm.errors import ManifestError

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')
HEAD = 'name,before,after,quality_before,quality_after\n'


@pytest.fixture
def call(member, raster, image, tmp_path):
    """Words of the command on a table of scenes: a cloud after, none, and a band that is missing.

    The cloud has 4 x 3 pixels of 20 m, in the second band of its file.
    """
    for date in (1, 2):
        raster(f'{date}.tif', image(date, 40, 60).transpose(2, 0, 1))
    classes = np.full((2, 20, 30), 5, np.uint8)
    classes[1, 10:13, 20:24] = 9
    raster('sub/scl.tif', classes, size=20.0)
    (tmp_path / 'pairs.csv').write_text(
        HEAD + 'x/cloudy,1.tif,2.tif,,sub/scl.tif:2\nclear,1.tif,2.tif,,\nlost,1.tif,2.tif,q.tif\n'
    )
    words = [*map(str, member()), str(tmp_path / 'pairs.csv'), '--out', str(tmp_path / 'out')]
    return [*words, '--bad-values', 'scl']


def seen(folder):
    with rasterio.open(folder / 'valid.tif') as file:
        return file.read(1) == 1


def errors(out):
    with (out / 'results.csv').open(newline='') as file:
        return {row['pair']: row['error'] for row in csv.DictReader(file)}


def test_each_pair_has_its_own_band(call, tmp_path, capsys):
    out = tmp_path / 'out'
    assert main(call) == 3
    printed = capsys.readouterr().out
    for name in ('x/cloudy', 'clear'):
        assert f'Registration of {name}: ' in printed
    assert errors(out) == {
        'x/cloudy': '',
        'clear': '',
        'lost': f'FileNotFoundError: quality_before: there is no file {tmp_path}/q.tif',
    }
    expected = np.ones((40, 60), bool)
    expected[20:26, 40:48] = False
    np.testing.assert_array_equal(seen(out / 'x/cloudy'), expected)
    assert seen(out / 'clear').all()
    # Of one pair, the options give the same.
    single = [*call[:2], *(f'{tmp_path}/{date}.tif' for date in (1, 2)), *call[5:]]
    main([*single, '--out', str(tmp_path / 'one'), '--quality', f'after={tmp_path}/sub/scl.tif:2'])
    printed = capsys.readouterr().out
    assert 'Registration: ' in printed
    made = [
        rasterio.open(folder / 'transition.tif')
        for folder in (tmp_path / 'one/1', out / 'x/cloudy')
    ]
    np.testing.assert_array_equal(*(one.read() for one in made))


def test_bands_count_by_content(call, raster, tmp_path, capsys):
    """A copy of a band is the same; another band, other values and no band are refused."""
    main(call)
    table, out = tmp_path / 'pairs.csv', tmp_path / 'out'
    text = table.read_text()
    pairs = json.loads((out / 'manifest.json').read_text())['pairs']
    assert pairs[0]['quality_after'] == f'{tmp_path}/sub/scl.tif:2'
    shutil.copy(tmp_path / 'sub/scl.tif', tmp_path / 'copy.tif')
    table.write_text(text.replace('sub/scl.tif', 'copy.tif').replace('q.tif', 'copy.tif:1'))
    capsys.readouterr()
    assert main(call) is None
    assert 'Predicted 1 pair, 2 finished before' in capsys.readouterr().out
    table.write_text(text.replace('scl.tif:2', 'scl.tif:1'))
    with pytest.raises(ManifestError, match=r'pairs\.x/cloudy\.band_after was 2, is 1'):
        main(call)
    table.write_text(text.replace('sub/scl.tif:2', ''))
    with pytest.raises(ManifestError, match=r'pairs\.x/cloudy\.quality_after was .*, is None'):
        main(call)
    table.write_text(text)
    raster('sub/scl.tif', np.full((2, 20, 30), 5, np.uint8), size=20.0)
    with pytest.raises(ManifestError, match=r'pairs\.x/cloudy\.quality_after was .*scl\.tif'):
        main(call)
    with pytest.raises(ManifestError, match=r'bad_values was .*, is '):
        main([*call[:-1], '9'])


def test_jobs_read_the_bands_of_their_pairs(call, tmp_path, monkeypatch):
    def run_here(snakefile, config, targets, options, held):
        content = json.loads(config.read_text())
        for target in targets:
            pair = Pair(*content['jobs'][target.removesuffix('.done')]['pair'])
            predict_claimed(content['arguments'], pair, set(content['kinds']))
            (config.parent / target).touch()
        return 0

    monkeypatch.setattr(command_jobs, 'run_snakemake', run_here)
    monkeypatch.setattr('tfinet_mm.apis.command.check_snakemake', lambda executor: None)
    assert main([*call, '--jobs', '2']) == 3
    assert (~seen(tmp_path / 'out/x/cloudy')).sum() == 48
    assert seen(tmp_path / 'out/clear').all()
    assert errors(tmp_path / 'out')['lost'].startswith('FileNotFoundError: quality_before')


def test_tables_that_are_refused(call, image, saved, tmp_path):
    with pytest.raises(ValueError, match=r'\(quality_before, quality_after\), and --quality names'):
        main([*call, '--quality', f'{tmp_path}/sub/scl.tif:2'])
    with pytest.raises(ValueError, match=r'count as bad; give them with --bad-values'):
        main(call[:-2])
    table = tmp_path / 'pairs.csv'
    table.write_text('before,after,quality_befor\n1.tif,2.tif,\n')
    with pytest.raises(ValueError, match=r"columns \['quality_befor'\]; expected .*quality_before"):
        main(call)
    # A picture among scenes fails alone.
    for date in (1, 2):
        saved(f'p{date}.png', image(date))
    table.write_text(f'{HEAD}s,1.tif,2.tif,,\np,p1.png,p2.png,sub/scl.tif:2,\n')
    assert main(call) == 3
    said = errors(tmp_path / 'out')
    assert said['s'] == ''
    assert said['p'].startswith('ValueError: quality_before of p is for scenes')
