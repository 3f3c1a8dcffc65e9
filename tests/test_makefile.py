"""Test that the tools accept the Makefile's commands, and that the demo writes its results."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tfinet_mm.apis.command_options import parse_args as parse_prediction
from tfinet_mm.checkpoints.shipped import DEFAULT, is_shipped

ROOT = Path(__file__).parents[1]
TARGETS = ('demo', 'demo-map', 'demo-picture', 'train-demo')

if shutil.which('make') is None:
    pytest.skip('no make on this machine', allow_module_level=True)


def make(folder, *words, timeout=60):
    """Run make on the Makefile with this Python, without making an environment."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith('MAKE')}
    done = subprocess.run(
        ['make', '-f', str(ROOT / 'Makefile'), f'RUN={sys.executable}', 'INSTALLED=', *words],
        cwd=folder,
        env=environment | {'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': '-1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def commands(target):
    """Return the tools that a target runs, as lists of words."""
    lines = make(ROOT, '-n', '-B', target).replace('\\\n', ' ').splitlines()
    found = [shlex.split(line) for line in lines if 'tools/' in line and '.py' in line]
    return [words[1:] for words in found if words[0] == sys.executable]


@pytest.mark.parametrize('target', TARGETS)
def test_tools_take_what_the_makefile_says(target, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = commands(target)
    assert len(found) >= 3
    for tool, *words in found:
        parse = parse_prediction
        if tool != 'tools/predict.py':
            parse = runpy.run_path(tool)['parse_args']
        assert parse(words) is not None
        for word in words:
            if word.startswith('configs/'):
                assert Path(word).is_file()


def test_the_demo_is_the_map_and_more():
    shorter, longer = commands('demo-map'), commands('demo')
    assert longer[: len(shorter)] == shorter
    tools = [words[0] for words in longer[len(shorter) :]]
    assert tools == [
        'tools/dataset/make_synthetic.py',
        'tools/test.py',
        'tools/train.py',
        'tools/test.py',
        'tools/analysis/compare_scores.py',
        'tools/draw_scene.py',
    ]


def test_what_is_compared_was_written():
    """Both tests of the demo write the files of its table, with one config and one data set."""
    *_, before, _, after, table, _ = commands('demo')
    written = [words[words.index('--json') + 1] for words in (before, after)]
    assert [word.partition('=')[2] for word in table[1:]] == written
    assert before[1] == after[1]
    assert before[2] == DEFAULT


def test_clean_removes_what_the_demos_make():
    lines = make(ROOT, '-n', 'clean').splitlines()
    removed = shlex.split(next(line for line in lines if line.startswith('rm -rf')))[2:]
    folders = {
        word
        for target in ('demo', 'train-demo')
        for tool, *words in commands(target)
        for word in re.findall(r'(?:work_dirs|data)/[\w-]+', ' '.join(words))
    }
    assert folders == {'data/demo', 'data/synthetic', 'work_dirs/demo', 'work_dirs/train-demo'}
    assert folders <= set(removed)


def test_ci_runs_targets_that_exist():
    script = (ROOT / '.ci' / 'run').read_text(encoding='utf-8')
    parts = re.findall(r"^part '[^']+' ([\w-]+)$", script, re.MULTILINE)
    # The slow tests build the site.
    assert {'install', 'lint', 'test', 'test-slow'} <= set(parts)
    for part in parts:
        make(ROOT, '-n', part)


def test_the_site_is_built_with_warnings_as_errors():
    (line,) = [line for line in make(ROOT, '-n', 'docs').splitlines() if '-m sphinx' in line]
    assert '--fail-on-warning' in line.split()
    assert '--fresh-env' in line.split()


@pytest.mark.slow
@pytest.mark.skipif(not is_shipped(DEFAULT), reason=f'{DEFAULT} is not in this checkout')
def test_the_demo_leaves_what_it_says(tmp_path):
    """Run all steps of the demo, on a small scene and few pairs for one epoch."""
    rasterio = pytest.importorskip('rasterio')
    for name in ('tools', 'configs'):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / 'docs' / 'images').mkdir(parents=True)
    small = [
        'DEMO_SCENE=--size 128 --resolution 1 --seed 7',
        'DEMO_PAIRS=--train 8 --val 3 --size 64 --seed 7',
        'DEMO_OPTIONS=--cfg-options train_cfg.max_epochs=1 train_cfg.val_interval=1',
    ]
    printed = make(tmp_path, 'demo', *small, timeout=280)
    lines = printed[printed.index('== Scores on') :].splitlines()
    assert [line.split('  ')[0] for line in lines[2:5]] == [
        'as they come',
        'fine-tuned',
        'difference',
    ]
    assert lines[2].split()[3] == lines[3].split()[1] == '3'
    assert any(line.startswith('work_dirs/demo/map.jpg, ') for line in lines)
    for named in re.findall(r'work_dirs/[\w/.*-]+', '\n'.join(lines)):
        assert list(tmp_path.glob(named)), named
    with rasterio.open(tmp_path / 'work_dirs/demo/map/before/change.tif') as change:
        assert change.shape == (128, 128)
        assert change.crs.to_epsg() == 32632
    with rasterio.open(tmp_path / 'data/demo/scene/after.tif') as after:
        assert after.crs.to_epsg() == 32633
    assert 'demo' in make(tmp_path, 'demo-picture', *small)
    assert (tmp_path / 'docs/images/demo.jpg').stat().st_size > 5000
    assert printed.count('Reading the checkpoint') >= 2
