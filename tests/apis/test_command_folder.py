"""A command on many pairs, of which some are bad: the others are predicted, and the end is told."""

import csv
import json
import random
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from file_server import serve
from PIL import Image
from read_only import read_only

from tfinet_mm.apis import SCDInferencer, command
from tfinet_mm.apis.command import main
from tfinet_mm.apis.command_output import Pair, list_pairs
from tfinet_mm.apis.command_table import Row, read_table, row_names
from tfinet_mm.errors import NoSpaceError
from tfinet_mm.utils.places import absolute

NAMES = ('a', 'b', 'c', 'd')


@pytest.fixture
def call(member, image, saved, tmp_path):
    """Words of the command on two folders of four pictures, of which the second is cut off."""
    for seed, name in enumerate(NAMES):
        for date in (1, 2):
            saved(f'{date}/{name}.png', image(10 * seed + date))
    cut(tmp_path / '2/b.png')
    folders = [str(tmp_path / date) for date in '12']
    return [*map(str, member()), *folders, '--out', str(tmp_path / 'out')]


def content(path):
    """Return what a file holds; the tags of a raster say where the images were."""
    if path.suffix != '.tif':
        return path.read_bytes()
    with pytest.importorskip('rasterio').open(path) as raster:
        return raster.read().tobytes(), raster.transform, raster.crs


def cut(path):
    path.write_bytes(path.read_bytes()[:-500])


def table(out):
    with (out / 'results.csv').open(newline='') as file:
        return {row['pair']: row for row in csv.DictReader(file)}


def states(out):
    return {name: row['state'] for name, row in table(out).items()}


@pytest.mark.parametrize('batch', ['1', '3'])
def test_a_bad_picture_stops_no_other(call, member, image, saved, tmp_path, capsys, batch):
    out = tmp_path / 'out'
    assert main([*call, '--batch-size', batch]) == 3
    printed = capsys.readouterr()
    assert 'Predicted 3 pairs, 0 finished before' in printed.out
    reason = f'ImageFormatError: {tmp_path}/2/b.png is incomplete'
    assert '1 of 4 pairs failed:\n  b  ' + reason in printed.err
    assert f'All pairs are in {out}/results.csv. Start the command again' in printed.err
    rows = table(out)
    assert list(rows) == list(NAMES)
    assert states(out) == dict(a='predicted', b='failed', c='predicted', d='predicted')
    assert rows['b']['error'].startswith(reason)
    assert rows['a']['error'] == ''
    assert float(rows['a']['seconds']) > 0
    for name, row in rows.items():
        assert row['before'] == f'{tmp_path}/1/{name}.png'
        assert (out / row['out']).is_file() is (name != 'b')
    expected = SCDInferencer(*member())(image(31), image(32))
    np.testing.assert_array_equal(Image.open(out / rows['d']['out']), expected.semantic_from)

    # The second call tries the failed pair alone.
    stamps = {path: path.stat().st_mtime_ns for path in (out / 'label1').iterdir()}
    seconds = rows['a']['seconds']
    saved('2/b.png', image(12))
    assert main([*call, '--batch-size', batch]) is None
    printed = capsys.readouterr()
    assert 'Predicted 1 pair, 3 finished before' in printed.out
    assert states(out) == dict(a='finished', b='predicted', c='finished', d='finished')
    assert table(out)['a']['seconds'] == seconds
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


def test_a_picture_that_the_network_cannot_take(call, saved, image, monkeypatch, tmp_path, capsys):
    """Batches of two: the partner of the bad one is predicted, and a bug is shown in full."""
    saved('2/b.png', image(12))
    plain = SCDInferencer._predict_batch
    bad = image(11)

    def fail(self, batch):
        if any((loaded.before == bad).all() for _, loaded in batch):
            raise IndexError('not foreseen')
        return plain(self, batch)

    monkeypatch.setattr(SCDInferencer, '_predict_batch', fail)
    assert main([*call, '--batch-size', '2']) == 3
    assert states(tmp_path / 'out') == dict(a='predicted', b='failed', c='predicted', d='predicted')
    printed = capsys.readouterr().err
    assert '  b  IndexError: not foreseen' in printed
    assert 'Traceback (most recent call last)' in printed


def test_two_files_end_with_their_own_error(call, tmp_path):
    words = [*call[:2], f'{tmp_path}/1/b.png', f'{tmp_path}/2/b.png', *call[4:]]
    with pytest.raises(ValueError, match=r'2/b\.png is incomplete'):
        main(words)
    assert not (tmp_path / 'out/results.csv').exists()


def test_results_need_a_folder(call, tmp_path):
    (tmp_path / 'out').touch()
    with pytest.raises(NotADirectoryError, match=r'--out .*out is a file, expected a folder'):
        main(call)


def test_scenes_that_are_bad_in_many_ways(member, raster, image, tmp_path, capsys):
    """A header and a tile that are damaged, a file that is missing, one that is elsewhere."""
    noise = image(1, 64, 64).transpose(2, 0, 1), image(2, 64, 64).transpose(2, 0, 1)
    tiles = dict(tiled=True, blockxsize=32, blockysize=32, compress='DEFLATE')
    names = ('good', 'header', 'tile', 'missing', 'far', 'last')
    for name in names:
        for date, values in enumerate(noise, 1):
            place = dict(x=900_000) if (name, date) == ('far', 2) else {}
            raster(f'{date}/{name}.tif', values, **place, **tiles)
    (tmp_path / '1/header.tif').write_bytes(b'II*\0 and no more')
    (tmp_path / '2/missing.tif').unlink()
    tile = tmp_path / '2/tile.tif'
    data = bytearray(tile.read_bytes())
    data[-2000:] = bytes(2000)
    tile.write_bytes(data)
    rows = ''.join(f'{name},1/{name}.tif,2/{name}.tif\n' for name in names)
    (tmp_path / 'list.csv').write_text(f'name,before,after\n{rows}')
    out = tmp_path / 'out'
    words = [*map(str, member()), str(tmp_path / 'list.csv'), '--out', str(out), '--min-area', '9']
    assert main(words) == 3
    bad = set(names) - {'good', 'last'}
    assert states(out) == {name: 'failed' if name in bad else 'predicted' for name in names}
    for name, words_in_it in (
        ('header', ('1/header.tif', 'can not be read as a raster')),
        ('tile', ('2/tile.tif', 'band ', 'left 32, top 32, width 32, height 32')),
        ('missing', ('there is no file', '2/missing.tif')),
        ('far', ('1/far.tif', '2/far.tif', 'overlap')),
    ):
        error = table(out)[name]['error']
        assert all(word in error for word in words_in_it), error
    for name in names:
        assert (out / name / 'scene.json').exists() is (name not in bad)
    printed = capsys.readouterr()
    assert '4 of 6 pairs failed:' in printed.err
    # They are left, as a dry run has it.
    assert main([*words, '--dry-run']) == 3
    assert capsys.readouterr().out.splitlines()[-1] == 'Left: 4 of 6 pairs'
    raster('2/missing.tif', noise[1])
    assert main(words) == 3
    assert states(out)['missing'] == 'predicted'
    assert [state for state in states(out).values()].count('finished') == 2


def test_a_full_disk_ends_the_run(call, saved, image, monkeypatch, tmp_path):
    saved('2/b.png', image(12))
    plain, out = command.write_result, tmp_path / 'out'

    def full(folder, name, result):
        if name == 'c':
            raise NoSpaceError(28, 'no space is left on the disk', str(folder))
        plain(folder, name, result)

    with monkeypatch.context() as patch:
        patch.setattr(command, 'write_result', full)
        with pytest.raises(NoSpaceError):
            main(call)
    assert states(out) == dict(a='predicted', b='predicted', c='failed', d='left')
    assert main(call) is None
    assert states(out) == dict(a='finished', b='finished', c='predicted', d='predicted')


def test_a_folder_without_the_right_to_write(tmp_path):
    folder = tmp_path / 'out/label1'
    folder.mkdir(parents=True)
    maps = dict.fromkeys(('semantic_from', 'semantic_to'), np.zeros((4, 4), np.uint8))
    result = SimpleNamespace(**maps, palette=((0, 0, 0),), change_prob=np.zeros((4, 4)))
    with read_only(tmp_path / 'out'), pytest.raises(PermissionError) as error:
        command.write_result(tmp_path / 'out', 'x', result)
    assert f"written; choose another folder: '{folder}'" in str(error.value)


# ------------------------------------------------------------------------------------- names


@pytest.fixture
def rows():
    """Rows of six pairs; five of their names collide."""
    written = [
        *(('one/t.tif', 'x/1.tif'), ('two/t.tif', 'x/2.tif'), ('../T.tif', 'x/3.tif')),
        *(('https://h/t.tif?k=1', 'x/4.tif'), ('two/t.tif', 'x/5.tif'), ('two/u.tif', 'x/6.tif')),
    ]
    return [Row(number, '', pair, *pair) for number, pair in enumerate(written, 2)]


def test_names_are_unique_whatever_the_order(rows):
    names = dict(zip(rows, row_names(rows, {}), strict=True))
    assert [names[row] for row in (rows[0], rows[3], rows[5])] == ['one/t', 'h/t', 'u']
    assert len({name.casefold() for name in names.values()}) == len(rows)
    assert all('..' not in name for name in names.values())
    for seed in range(5):
        mixed = random.Random(seed).sample(rows, len(rows))
        assert dict(zip(mixed, row_names(mixed, {}), strict=True)) == names
    # A name that is said or known stays, and no other pair gets it.
    said = [rows[0]._replace(name='u'), *rows[1:]]
    assert row_names(said, {})[0] == 'u'
    assert row_names(said, {})[5] == 'two/u'
    found = row_names(rows, {tuple(map(absolute, rows[1].written)): 't'})
    assert found[1] == 't'
    assert len(set(found)) == len(rows)
    found = row_names(said, {tuple(map(absolute, rows[1].written)): 'u'})
    assert found[0] == 'u'
    assert len(set(found)) == len(rows)


@pytest.mark.parametrize(
    ('lines', 'found'),
    [
        ('before,after\na.png,b.png\n./a.png,x/../b.png\n', r'one pair twice, in lines 2 and 3'),
        ('before,after\na.png,b.png,SCL.tif\n', r'3 cells in line 2, expected 2: before, after'),
        ('before,after,Quality_After\na.png,b.png,q.tif\n', r"columns \['Quality_After'\]"),
    ],
)
def test_cells_of_a_table_that_would_be_left_out(tmp_path, lines, found):
    table = tmp_path / 'pairs.csv'
    table.write_text(lines)
    with pytest.raises(ValueError, match=found):
        read_table(table)


def test_one_image_for_both_dates_stops_no_other(member, image, saved, tmp_path, capsys):
    for seed, name in enumerate(('before.png', 'after.png')):
        saved(name, image(seed))
    listed = tmp_path / 'list.csv'
    listed.write_text('name,before,after\na,before.png,./before.png\nb,before.png,after.png\n')
    assert main([*map(str, member()), str(listed), '--out', str(tmp_path / 'out')]) == 3
    assert states(tmp_path / 'out') == {'a': 'failed', 'b': 'predicted'}
    assert 'before and after are the same file' in capsys.readouterr().err


def test_pairs_of_one_name_do_not_collide(member, image, saved, tmp_path, capsys):
    for place in 'xyz':
        for seed, date in enumerate(('before', 'after')):
            saved(f'{place}/{date}.png', image(ord(place) + seed))
    listed = tmp_path / 'list.csv'
    listed.write_text('before,after\nx/before.png,x/after.png\n')
    out = tmp_path / 'out'
    words = [*map(str, member()), str(listed), '--out', str(out)]
    main(words)
    assert states(out) == {'before': 'predicted'}
    # The pair that is there keeps its name when others of this name come.
    lines = [f'{place}/before.png,{place}/after.png\n' for place in 'zyx']
    listed.write_text('before,after\n' + ''.join(lines))
    cut(tmp_path / 'y/after.png')
    assert main(words) == 3
    expected = {'z/before': 'predicted', 'y/before': 'failed', 'before': 'finished'}
    assert states(out) == expected
    network = SCDInferencer(*member())
    for name, place in (('z/before', 'z'), ('before', 'x')):
        result = network(image(ord(place)), image(ord(place) + 1))
        assert table(out)[name]['before'] == f'{tmp_path}/{place}/before.png'
        np.testing.assert_array_equal(
            Image.open(out / table(out)[name]['out']), result.semantic_from
        )
    manifest = json.loads((out / 'manifest.json').read_text())
    assert {pair['name'] for pair in manifest['pairs']} == set(expected)
    with pytest.raises(ValueError, match=r'results\.csv is the table that the command writes'):
        main([*words[:2], str(out / 'results.csv'), *words[3:]])


# ------------------------------------------------------------------------- zip files and servers


def test_a_list_of_files_in_zip_files_and_on_a_server(member, raster, image, saved, tmp_path):
    """Each pair equals the same files on the disk."""
    served = tmp_path / 'served'
    for date in (1, 2):
        raster(f'served/{date}.tif', image(date, 64, 64).transpose(2, 0, 1))
        saved(f'p{date}.png', image(date))
        with zipfile.ZipFile(tmp_path / f'{date}.zip', 'w') as archive:
            archive.write(served / f'{date}.tif', f'deep/{date}.tif')
        with zipfile.ZipFile(tmp_path / 'both.zip', 'a') as archive:
            archive.write(tmp_path / f'p{date}.png', f'p{date}.png')
    listed = tmp_path / 'list.csv'
    out = tmp_path / 'out'
    with serve(served, tmp_path / 'requests') as server:
        listed.write_text(
            'name,before,after\nzip,1.zip,2.zip\nplain,served/1.tif,served/2.tif\n'
            'picture,p1.png,p2.png\npacked,both.zip/p1.png,both.zip/p2.png\n'
            f'http,{server.url}/1.tif,{server.url}/2.tif\n'
            f'lost,{server.url}/1.tif,{server.url}/3.tif\n'
        )
        words = [*map(str, member()), str(listed), '--out', str(out)]
        assert main(words) == 3
        rows = table(out)
        assert states(out) == {name: 'predicted' for name in rows} | dict(lost='failed')
        assert f'{server.url}/3.tif can not be read from its server' in rows['lost']['error']
        assert rows['zip']['before'] == f'{tmp_path}/1.zip/deep/1.tif'
        for name in ('zip', 'http'):
            for file in ('change_prob.tif', 'transition.tif', 'areas.csv'):
                made = [content(out / folder / file) for folder in (name, 'plain')]
                assert made[0] == made[1]
        for folder in ('label1', 'label2', 'change_prob'):
            made = [(out / folder / f'{name}.png').read_bytes() for name in ('picture', 'packed')]
            assert made[0] == made[1]
        assert main(words) == 3
        assert list(states(out).values()).count('finished') == 5
    # Two words: a zip file with one raster, and one with two.
    (pair,) = list_pairs(str(tmp_path / '1.zip'), str(tmp_path / '2.zip'))
    places = [f'{tmp_path}/{date}.zip/deep/{date}.tif' for date in '12']
    assert pair == Pair('1', 'scene', *places)
    with pytest.raises(ValueError, match=r'both\.zip holds 2 rasters'):
        list_pairs(str(tmp_path / 'both.zip'), str(tmp_path / '2.zip'))
