"""Read the words of the command line."""

import pytest

from tfinet_mm.apis.command_options import parse_args, read_stretch, reading_options

CALL = ['c.py', 'w.pth', 'a.tif', 'b.tif', '--out', 'o']


def test_two_to_four_names():
    args = parse_args(['a.tif', '--tta', 'b.tif', '--out', 'o'])
    assert (args.config, args.checkpoint) == (None, None)
    assert (args.before, args.after) == ('a.tif', 'b.tif')
    assert args.tta is True
    args = parse_args(CALL)
    assert (args.config, args.checkpoint, args.before) == ('c.py', 'w.pth', 'a.tif')
    args = parse_args(['w.pth', 'a.tif', 'b.tif', '--out', 'o'])
    assert (args.config, args.checkpoint, args.after) == ('w.pth', None, 'b.tif')
    assert reading_options(args) == {}
    assert (args.input_type, args.workers, args.batch_size, args.tta) == (None, 2, 1, None)
    assert parse_args([*CALL, '--no-tta']).tta is False


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ('a.tif', 'an image is missing after a.tif; expected BEFORE AFTER, '),
        ('w.pth a.tif', 'an image is missing after w.pth a.tif'),
        ('c.py w.safetensors', 'an image is missing after c.py w.safetensors'),
        ('c.py w.pth a.tif', 'an image is missing after c.py w.pth a.tif'),
        ('a.tif b.tif c.tif', 'a.tif is no network; expected BEFORE AFTER'),
        ('folder folder folder', 'folder is no network'),
        ('a.tif b.tif w.pth', 'a.tif is no network'),
        ('c.py w.pth a.tif b.tif d.tif', 'got 5 words; expected BEFORE AFTER, CHECKPOINT BEFORE'),
    ],
)
def test_other_names_are_refused(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'folder').mkdir()
    with pytest.raises(SystemExit):
        parse_args([*words.split(), '--out', 'o'])
    assert f'error: {message}' in capsys.readouterr().err


def test_a_name_that_begins_with_a_dash(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / '-a.tif').touch()
    with pytest.raises(SystemExit):
        parse_args(['-a.tif', 'b.tif', 'c.tif', '--out', 'o'])
    assert 'a file whose name begins with a dash is ./-a.tif' in capsys.readouterr().err
    assert parse_args(['./-a.tif', 'b.tif', '--out', 'o']).before == './-a.tif'


def test_the_help_names_all_forms(capsys):
    with pytest.raises(SystemExit):
        parse_args(['--help'])
    printed = capsys.readouterr().out
    assert '[[CONFIG] CHECKPOINT] BEFORE AFTER --out DIR' in printed
    assert 'tfinet_lite0_fpn_generated' in printed


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        ('--grid after', dict(grid='after')),
        ('--grid 2.5', dict(grid=2.5)),
        ('--bands 4 3 2', dict(bands=[4, 3, 2])),
        ('--bands before=1 after=2,3', dict(bands=dict(before=[1], after=[2, 3]))),
        (
            '--stretch percentiles --percentiles 1 99',
            dict(stretch='percentiles', percentiles=[1, 99]),
        ),
        ('--stretch each-date', dict(stretch='each-date')),
        ('--stretch -5 3e3', dict(stretch=(-5, 3000))),
        ('--stretch 0,1 0,2 0,3', dict(stretch=[(0, 1), (0, 2), (0, 3)])),
        ('--stretch 0,9', dict(stretch=(0, 9))),
        ('--stretch after=percentiles', dict(stretch=dict(after='percentiles'))),
        ('--stretch before=none after=0,9', dict(stretch=dict(before=None, after=(0, 9)))),
        ('--before-crs EPSG:4326 --same-grid', dict(before_crs='EPSG:4326', same_grid=True)),
        ('--resampling cubic --after-crs x', dict(resampling='cubic', after_crs='x')),
        ('--min-area 100 --no-polygons', {}),
        ('--nodata 0', dict(nodata=0)),
        ('--nodata before=0 after=-9e9', dict(nodata=dict(before=0, after=-9e9))),
    ],
)
def test_options_of_scenes(words, expected):
    assert reading_options(parse_args([*CALL, *words.split()])) == expected


def test_the_names_of_before_are_taken_and_not_shown(capsys):
    args = parse_args([*CALL, '--as', 'picture', '--value-range', '0', '3000'])
    assert args.input_type == 'picture'
    assert args.stretch == parse_args([*CALL, '--stretch', '0', '3000']).stretch
    with pytest.raises(SystemExit):
        parse_args(['--help'])
    shown = capsys.readouterr().out
    assert '--input-type' in shown
    assert '--as ' not in shown
    assert '--value-range' not in shown


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ('--grid middle', 'before, after or the size of a pixel'),
        ('--bands red', '--bands takes numbers'),
        ('--bands before=1 2', 'before=4,3,2 after=3,2,1'),
        ('--bands first=1', '--bands takes'),
        ('--stretch 1 2 3', '--stretch takes LOW HIGH'),
        ('--stretch high', 'got high'),
        ('--stretch before=1', '--stretch takes'),
        ('--input-type photo', 'invalid choice'),
        ('--nodata 1 2', '--nodata takes a number'),
        ('--nodata black', 'got black'),
    ],
)
def test_words_that_mean_nothing(words, message, capsys):
    with pytest.raises(SystemExit):
        parse_args([*CALL, *words.split()])
    assert message in capsys.readouterr().err


def test_a_stretch_of_both_dates_by_band():
    assert read_stretch(['before=0,1/0,2', 'after=0,3/0,4']) == {
        'before': [(0, 1), (0, 2)],
        'after': [(0, 3), (0, 4)],
    }
