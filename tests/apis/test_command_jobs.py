"""The command with a job for each pair: what Snakemake is given, what a failing job leaves."""

import csv
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.apis import SCDInferencer, command_jobs
from tfinet_mm.apis.command import main, predict_claimed
from tfinet_mm.apis.command_options import parse_args
from tfinet_mm.apis.command_output import Pair, list_pairs
from tfinet_mm.errors import FolderInUseError, JobError, ManifestError, MissingExtraError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def call(member, image, saved, tmp_path):
    """Words of the command on a table of two pairs."""
    for name in ('a', 'b c'):
        for date in (1, 2):
            saved(f'{date}/{name}.png', image(date))
    (tmp_path / 'pairs.csv').write_text(
        'name,before,after\na,1/a.png,2/a.png\nd/b,1/b c.png,2/b c.png\n'
    )
    return [*map(str, member()), str(tmp_path / 'pairs.csv'), '--out', str(tmp_path / 'out')]


class Fake:
    """Stand in for Snakemake: run the jobs one after the other here, and keep what it was given."""

    def __init__(self, failing: str = '') -> None:
        self.failing, self.options, self.content = failing, None, None

    def __call__(self, snakefile, config, targets, options, held):
        assert snakefile.is_file()
        assert held
        self.options, self.content = options, json.loads(config.read_text())
        code = 0
        for target in targets:
            job = self.content['jobs'][target.removesuffix('.done')]
            pair = Pair(*job['pair'])
            if pair.name == self.failing:
                Path(job['log']).write_text('first line\nImageFormatError: it is broken\n')
                code = 1
                continue
            predict_claimed(self.content['arguments'], pair, set(self.content['kinds']))
            (config.parent / target).touch()
        return code


@pytest.fixture
def fake(monkeypatch):
    """A function that puts a stand-in for Snakemake in its place."""

    def _fake(failing=''):
        stand_in = Fake(failing)
        monkeypatch.setattr(command_jobs, 'run_snakemake', stand_in)
        monkeypatch.setattr('tfinet_mm.apis.command.check_snakemake', lambda executor: None)
        return stand_in

    return _fake


def test_one_failing_pair_stops_no_other_and_finished_ones_are_skipped(
    call, fake, member, image, tmp_path, capsys
):
    fake(failing='a')
    assert main([*call, '--executor', 'local']) == 3
    printed = capsys.readouterr()
    assert '1 of 2 pairs failed:' in printed.err
    log = f'{tmp_path}/out/.jobs/a/log.txt'
    assert f'  a  ImageFormatError: it is broken [log: {log}]\n' in printed.err
    assert 'Predicted 1 pair, 0 finished before' in printed.out
    with (tmp_path / 'out/results.csv').open(newline='') as file:
        rows = {row['pair']: row for row in csv.DictReader(file)}
    assert {name: row['state'] for name, row in rows.items()} == {'a': 'failed', 'd/b': 'predicted'}
    assert rows['a']['error'].endswith(f'[log: {log}]')
    expected = SCDInferencer(*member())(image(1), image(2))
    written = np.asarray(Image.open(tmp_path / 'out/label1/d/b.png'))
    np.testing.assert_array_equal(written, expected.semantic_from)

    main([*call, '--dry-run'])
    assert capsys.readouterr().out.splitlines()[-2:] == ['a (picture)', 'Left: 1 of 2 pairs']
    stand_in = fake()
    main([*call, '--jobs', '2'])
    assert [job['pair'][0] for job in stand_in.content['jobs'].values()] == ['a']
    assert 'Predicted 1 pair, 1 finished before' in capsys.readouterr().out
    assert not (tmp_path / 'out/.lock').exists()
    # Without jobs it is the same folder.
    main(call)
    assert 'Predicted 0 pairs, 2 finished before' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('option', 'tta'),
    [('--tta', True), ('--no-tta', False), (None, ['identity', 'horizontal_flip'])],
)
def test_jobs_average_the_views_that_the_command_asks_for(
    call, fake, member, image, tmp_path, option, tta
):
    """A job that lost the option would average those of ``default_tta``, and be refused."""
    config, checkpoint = member()
    config.write_text(
        f"{config.read_text()}\ndefault_tta = dict(transforms=['identity', 'horizontal_flip'])\n"
    )
    fake()
    main([*call, *([option] if option else []), '--executor', 'local'])
    expected = SCDInferencer(config, checkpoint, tta=tta)(image(1), image(2))
    for folder, labels in (('label1', expected.semantic_from), ('label2', expected.semantic_to)):
        written = np.asarray(Image.open(tmp_path / 'out' / folder / 'a.png'))
        np.testing.assert_array_equal(written, labels)
    tta_of_folder = json.loads((tmp_path / 'out/manifest.json').read_text())['settings']['tta']
    assert len(tta_of_folder) == {'--tta': 6, '--no-tta': 0, None: 2}[option]


def test_what_snakemake_is_given(call, fake, monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.setattr('os.cpu_count', lambda: 8)
    stand_in = fake()
    resources = ['--default-resources', 'slurm_partition=gpu']
    main([*call, '--executor', 'slurm', '--jobs', '7', '--', *resources])
    assert stand_in.options == ['--executor', 'slurm', '--jobs', '7', '--keep-going', *resources]
    assert '-u OMP_NUM_THREADS' in stand_in.content['variables']
    main([*call, '--overwrite', '--jobs', '4'])
    assert stand_in.options == ['--cores', '4', '--keep-going']
    # Four at once share the machine.
    assert 'OMP_NUM_THREADS=2' in stand_in.content['variables']
    monkeypatch.setenv('OMP_NUM_THREADS', '5')
    main([*call, '--overwrite', '--jobs', '4'])
    assert 'OMP_NUM_THREADS=5' in stand_in.content['variables']


def test_a_dry_run_writes_nothing(call, tmp_path, capsys):
    main([*call, '--dry-run', '--executor', 'slurm'])
    assert capsys.readouterr().out.splitlines()[-3:] == [
        *('a (picture)', 'd/b (picture)', 'Left: 2 of 2 pairs')
    ]
    assert not (tmp_path / 'out').exists()


def test_a_job_of_other_settings_or_images_is_refused(call, fake, saved, image, tmp_path):
    """As a job that waited in a queue while the folder was claimed for something else."""
    stand_in = fake(failing='a')
    assert main([*call, '--executor', 'local']) == 3
    words, pair = stand_in.content['arguments'], Pair(*stand_in.content['jobs']['0']['pair'])
    with pytest.raises(ManifestError, match=r'threshold was 0\.5, is 0\.9'):
        predict_claimed([*words, '--threshold', '0.9'], pair, {'picture'})
    with pytest.raises(ManifestError, match=r'pairs\.x was None'):
        predict_claimed(words, pair._replace(name='x'), {'picture'})
    saved('1/a.png', image(5))
    with pytest.raises(ManifestError, match=r'pairs\.a\.before was .*/1/a\.png'):
        predict_claimed(words, pair, {'picture'})
    assert not (tmp_path / 'out/label1/a.png').exists()


def test_a_pair_that_an_earlier_job_works_on_is_left_alone(call, fake, tmp_path):
    fake()
    (pair, _) = list_pairs(call[2], '')
    lock = command_jobs.pair_lock(tmp_path / 'out', pair)
    lock.acquire()
    try:
        with pytest.raises(FolderInUseError, match=r'\.jobs/a is being written to by process'):
            main([*call, '--executor', 'local'])
    finally:
        lock.release()
    main([*call, '--executor', 'local'])


def test_scenes_and_pictures_are_those_of_one_process(member, fake, image, saved, tmp_path):
    rasterio = pytest.importorskip('rasterio')
    pytest.importorskip('pyogrio')
    for date in (1, 2):
        saved(f'{date}/a.png', image(date))
        (tmp_path / f'{date}/sub').mkdir()
        with rasterio.open(
            tmp_path / f'{date}/sub/s.tif',
            'w',
            driver='GTiff',
            count=3,
            height=70,
            width=50,
            dtype='uint8',
            crs='EPSG:32633',
            transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
        ) as file:
            file.write(image(date, 70, 50).transpose(2, 0, 1))
    words = [*map(str, member()), str(tmp_path / '1'), str(tmp_path / '2')]
    words += ['--window', '32', '--min-area', '500', '--out']
    main([*words, str(tmp_path / 'one')])
    stand_in = fake()
    main([*words, str(tmp_path / 'jobs'), '--executor', 'local'])
    assert sorted(job['pair'][:2] for job in stand_in.content['jobs'].values()) == [
        ['a', 'picture'],
        ['sub/s', 'scene'],
    ]
    made = [
        {
            str(path.relative_to(tmp_path / out)): path.read_bytes()
            for path in (tmp_path / out).rglob('*')
            if path.suffix in ('.png', '.tif', '.csv', '.jpg') and path.name != 'results.csv'
        }
        for out in ('one', 'jobs')
    ]
    assert len(made[0]) > 6
    assert made[0] == made[1]


def test_jobs_that_cannot_begin(call, monkeypatch):
    """As on a machine whose cluster takes no jobs."""
    monkeypatch.setattr('tfinet_mm.apis.command.check_snakemake', lambda executor: None)
    monkeypatch.setattr(command_jobs, 'run_snakemake', lambda *_: 1)
    with pytest.raises(JobError, match='exit code 1 before any job began'):
        main([*call, '--jobs', '2'])


def test_jobs_take_no_launcher(call):
    with pytest.raises(SystemExit):
        parse_args([*call, '--jobs', '2', '--launcher', 'pytorch'])


def test_what_is_missing_is_named(call, monkeypatch):
    pytest.importorskip('snakemake')
    with pytest.raises(MissingExtraError, match='pip install snakemake-executor-plugin-no-such'):
        main([*call, '--executor', 'no-such'])
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        'find_spec',
        lambda name, *a: None if name == 'snakemake' else find(name, *a),
    )
    with pytest.raises(MissingExtraError, match=re.escape('pip install "tfinet-mm[recipe]"')):
        main([*call, '--executor', 'local'])


def test_snakemake_runs_the_jobs(call, tmp_path):
    """In processes, in another folder than the command's, one image too small for its partner."""
    pytest.importorskip('snakemake')
    broken = Image.open(tmp_path / '2/b c.png')
    broken.crop((0, 0, 9, 9)).save(tmp_path / '2/b c.png')
    words = [*call[:2], 'pairs.csv', '--out', 'out', '--executor', 'local', '--jobs', '2']
    command = [sys.executable, str(ROOT / 'tools/predict.py'), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert '1 of 2 pairs failed:' in done.stderr
    log = tmp_path / 'out/.jobs/d/b/log.txt'
    assert f'[log: {log}]' in done.stderr
    assert 'ImageFormatError' in log.read_text()
    with (tmp_path / 'out/results.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['state'] for row in rows] == ['predicted', 'failed']
    assert 'b c.png' in rows[1]['error']
    assert all(float(row['seconds']) > 0 for row in rows)
    assert (tmp_path / 'out/change_prob/a.png').is_file()
    assert not (tmp_path / 'out/change_prob/d/b.png').exists()


@pytest.mark.parametrize(
    ('text', 'error', 'message'),
    [
        ('a,b\n1,2\n', ValueError, r"pairs.csv lacks the columns \['after', 'before'\]"),
        ('before,after\n', ValueError, 'lists no pairs'),
        ('before,after\n1/a.png,3/a.png\n', FileNotFoundError, r'3/a\.png, line 2 of .*pairs\.csv'),
        (
            'before,after\n1/a.png,2/a.png\n1/a.png,2/a.png\n',
            ValueError,
            'twice, in lines 2 and 3',
        ),
        ('name,before,after\na,1/a.png,2/a.png\na,1/b.png,2/b.png\n', ValueError, 'pairs called a'),
        ('name,before,after\n../a,1/a.png,2/a.png\n', ValueError, 'line 2 .* inside its folder'),
        ('before,after\n1/a.png,\n', ValueError, 'no image after in line 2'),
    ],
)
def test_tables_that_cannot_be_read(call, tmp_path, text, error, message):
    (tmp_path / 'pairs.csv').write_text(text)
    with pytest.raises(error, match=message):
        list_pairs(call[2], '')


def test_a_table_stands_in_place_of_two_words():
    args = parse_args(['pairs.csv', '--out', 'o'])
    assert (args.config, args.checkpoint, args.before, args.after) == (None, None, 'pairs.csv', '')
    args = parse_args(['c.py', 'w.pth', 'pairs.CSV', '--out', 'o'])
    assert (args.config, args.checkpoint, args.before) == ('c.py', 'w.pth', 'pairs.CSV')
