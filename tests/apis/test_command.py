"""Test the command on folders: its results, skips and errors."""

import os
import re

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.apis import SCDInferencer
from tfinet_mm.apis.command import command, main
from tfinet_mm.errors import UnmatchedPairError


def test_folders_are_written_and_finished_pairs_skipped(member, image, saved, tmp_path, capsys):
    files = member()
    for name in ('a', 'sub dir/b.c'):
        saved(f'1/{name}.png', image(1))
        saved(f'2/{name}.png', image(2))
    out = tmp_path / 'out'
    call = [*map(str, files), str(tmp_path / '1'), str(tmp_path / '2'), '--out', str(out)]
    main(call)
    assert 'Predicted 2 pairs, 0 finished before' in capsys.readouterr().out
    expected = SCDInferencer(*files)(image(1), image(2))
    for name in ('a', 'sub dir/b.c'):
        for folder, values in (
            ('label1', expected.semantic_from),
            ('label2', expected.semantic_to),
            ('change_prob', np.round(expected.change_prob * 255)),
        ):
            written = Image.open(out / folder / f'{name}.png')
            assert written.mode == ('L' if folder == 'change_prob' else 'P')
            np.testing.assert_array_equal(written, values)
    (out / 'change_prob' / 'a.png').unlink()
    main(call)
    assert 'Predicted 1 pair, 1 finished before' in capsys.readouterr().out
    assert (out / 'change_prob' / 'a.png').is_file()
    main([*call, '--overwrite', '--threshold', '0'])
    assert np.asarray(Image.open(out / 'label1' / 'a.png')).min() > 0


def test_a_report_of_earlier_results_is_named(member, image, saved, tmp_path, capsys):
    pytest.importorskip('plotly')
    for date in (1, 2):
        saved(f'{date}/a.png', image(date))
    out = tmp_path / 'out'
    call = [*map(str, member()), str(tmp_path / '1'), str(tmp_path / '2'), '--out', str(out)]
    said = f'{out / "report.html"} shows earlier results; --report writes it again'
    for options, older in (
        ([], False),
        (['--report'], False),
        ([], False),
        (['--overwrite', '--threshold', '0.4'], True),
        (['--overwrite', '--report'], False),
    ):
        main([*call, *options])
        assert (said in capsys.readouterr().out) == older, options


def test_replaced_images_and_lost_maps(member, image, saved, tmp_path, capsys):
    """An image of the same name, size and time stamp is another one if its pixels differ."""
    files = member()
    # Without compression files of one size are of one length.
    for seed in (1, 2):
        Image.fromarray(image(seed)).save(tmp_path / f'{seed}.bmp')
    out = tmp_path / 'out'
    call = [*map(str, files), str(tmp_path / '1.bmp'), str(tmp_path / '2.bmp'), '--out', str(out)]
    main(call)
    for folder in ('label1', 'label2', 'change_prob'):
        path = out / folder / '1.png'
        made = path.read_bytes()
        path.unlink()
        main(call)
        assert path.read_bytes() == made
    old = (tmp_path / '2.bmp').stat()
    Image.fromarray(image(3)).save(tmp_path / '3.bmp')
    os.utime(tmp_path / '3.bmp', ns=(old.st_atime_ns, old.st_mtime_ns))
    os.replace(tmp_path / '3.bmp', tmp_path / '2.bmp')
    assert (tmp_path / '2.bmp').stat().st_size == old.st_size
    with pytest.raises(ValueError, match=r'pairs\.1\.after was .*2\.bmp.*--overwrite'):
        main(call)
    assert (out / 'change_prob' / '1.png').read_bytes() == made
    main([*call, '--overwrite'])
    assert (out / 'change_prob' / '1.png').read_bytes() != made


def test_two_commands_do_not_write_to_one_folder(member, image, saved, tmp_path, monkeypatch):
    for name in 'ab':
        for date in (1, 2):
            saved(f'{date}/{name}.png', image(date))
    call = [*map(str, member()), str(tmp_path / '1'), str(tmp_path / '2')]
    call += ['--out', str(tmp_path / 'out')]
    plain, tried = SCDInferencer.predict, []

    def second(self, *args):
        if not tried:
            tried.append(True)
            with pytest.raises(BlockingIOError, match='is being written to by process'):
                main([*call, '--threshold', '0', '--overwrite'])
        return plain(self, *args)

    monkeypatch.setattr(SCDInferencer, 'predict', second)
    main(call)
    assert tried
    assert not (tmp_path / 'out' / '.lock').exists()


def test_two_files_and_a_checkpoint_alone(member, image, saved, tmp_path):
    paths = [str(saved(f'{i}.png', image(i))) for i in (1, 2)]
    main([str(member()[1]), *paths, '--out', str(tmp_path / 'out')])
    assert (tmp_path / 'out' / 'label2' / '1.png').is_file()


def test_pairs_that_do_not_match(member, image, saved, tmp_path):
    saved('1/a.png', image(1))
    saved('2/b.png', image(2))
    one, two = str(tmp_path / '1'), str(tmp_path / '2')
    files = [*map(str, member())]
    with pytest.raises(UnmatchedPairError, match='2 names are not in every folder'):
        main([*files, one, two, '--out', str(tmp_path / 'out')])
    with pytest.raises(ValueError, match='two images or two folders'):
        main([*files, one, two + '/b.png', '--out', str(tmp_path / 'out')])


def test_bad_input_ends_the_command_without_a_traceback(
    member, image, saved, tmp_path, monkeypatch, capfd
):
    small = saved('small.png', image(1)[:-1])
    call = [*member(), small, saved('b.png', image(2)), '--out', tmp_path / 'out']
    monkeypatch.setattr('sys.argv', ['tfinet-predict', *map(str, call)])
    with pytest.raises(SystemExit, match='2'):
        command()
    assert re.match(r'ImageFormatError: .*small\.png', capfd.readouterr().err.splitlines()[-1])
    call[2] = tmp_path / 'not-there.png'
    monkeypatch.setattr('sys.argv', ['tfinet-predict', *map(str, call)])
    with pytest.raises(SystemExit, match='2'):
        command()
    assert re.search(r'not-there\.png', capfd.readouterr().err.splitlines()[-1])
