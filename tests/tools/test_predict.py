"""Test tools/predict.py and dist_predict.sh as processes: killed, resumed, shared."""

import json
import os
import signal
import stat
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')

# The tool with a slow network, so that a signal reaches it at work.
SLOW = """
import sys, time
from tfinet_mm.apis import SCDInferencer
from tfinet_mm.apis.command import main
plain = SCDInferencer.predict_probabilities
def slow(self, pairs):
    time.sleep(0.3)
    return plain(self, pairs)
SCDInferencer.predict_probabilities = slow
main(sys.argv[1:])
"""


@pytest.fixture
def scenes(tmp_path):
    """Return two rasters of 7 rows of windows of 32 pixels, with a corner without data."""
    paths = []
    for seed in (1, 2):
        values = np.random.default_rng(seed).integers(1, 256, (3, 28, 12)).astype(np.uint8)
        values = values.repeat(6, 1).repeat(6, 2)
        values[:, : 40 * seed, :30] = 0
        path = tmp_path / f'{seed}.tif'
        with rasterio.open(
            path,
            'w',
            driver='GTiff',
            count=3,
            height=168,
            width=72,
            dtype='uint8',
            crs='EPSG:32633',
            transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
            nodata=0,
        ) as file:
            file.write(values)
        paths.append(path)
    return paths


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.suffix in ('.tif', '.png', '.jpg', '.csv') and path.name != 'results.csv'
    }


def test_killed_and_started_again(tiny, trained, scenes, environment, tools, run, tmp_path):
    words = [tiny, trained[0] / 'epoch_2.pth', *scenes, '--window', 32, '--batch-size', 2]
    run(tools / 'predict.py', *words, '--out', tmp_path / 'whole')
    out = tmp_path / 'out'
    command = [sys.executable, '-c', SLOW, *map(str, words), '--out', str(out)]
    staging = out / '1' / '.staging'
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (staging / 'finished_0.json').exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = json.loads((staging / 'finished_0.json').read_text())
    assert 0 < len(done) < 7
    assert not (out / '1' / 'scene.json').exists()
    refused = run(tools / 'predict.py', *words[:-1], 3, '--out', out, code=2)
    assert 'batch_size was 2, is 3' in refused
    run(tools / 'predict.py', *words, '--out', out)
    assert json.loads((out / '1' / 'scene.json').read_text())['resumed_rows'] == len(done)
    assert len(contents(out)) == 11
    assert contents(out) == contents(tmp_path / 'whole')


@pytest.mark.slow
def test_two_processes_make_what_one_makes(tiny, trained, scenes, tools, run, tmp_path):
    """Predict a scene and pictures over gloo; one process then finds all finished."""
    for date, path in enumerate(scenes, start=1):
        folder = tmp_path / f'd{date}'
        (folder / 'sub').mkdir(parents=True)
        path.rename(folder / 'sub' / 's.tif')
        for name in 'abc':
            values = np.random.default_rng(ord(name) * date).integers(0, 256, (48, 40, 3))
            Image.fromarray(values.astype(np.uint8)).save(folder / f'{name}.png')
    words = [tiny, trained[0] / 'epoch_2.pth', tmp_path / 'd1', tmp_path / 'd2', '--window', 32]
    run(tools / 'predict.py', *words, '--out', tmp_path / 'one')
    printed = run(tools / 'dist_predict.sh', words[0], 2, *words[1:], '--out', tmp_path / 'two')
    assert printed.count('Predicted 4 pairs') == 1
    assert contents(tmp_path / 'two') == contents(tmp_path / 'one')
    assert len(contents(tmp_path / 'two')) == 11 + 3 * 3
    assert 'Predicted 0 pairs, 4 finished before' in run(
        tools / 'predict.py', *words, '--out', tmp_path / 'two'
    )
    # An error of the first process, before it shares the work, ends all processes.
    command = (tools / 'dist_predict.sh', *words[:2], 2, *words[2:])
    refused = run(*command, '--out', tmp_path / 'two', '--tta', code=2)
    assert 'made in another way: tta was' in refused


@pytest.mark.slow
def test_a_bad_pair_stops_no_other_process(tiny, trained, scenes, tools, run, tmp_path):
    """The last rows of one scene are damaged, which the second process reads, and a picture."""
    for date, path in enumerate(scenes, start=1):
        folder = tmp_path / f'd{date}'
        folder.mkdir()
        with rasterio.open(path) as file:
            tiles = dict(tiled=True, blockxsize=16, blockysize=16, compress='DEFLATE')
            profile = file.profile | tiles | dict(interleave='pixel')
            with rasterio.open(folder / 'bad.tif', 'w', **profile) as copy:
                copy.write(file.read())
        path.rename(folder / 'good.tif')
        for name in 'abc':
            values = np.random.default_rng(ord(name) * date).integers(0, 256, (48, 40, 3))
            Image.fromarray(values.astype(np.uint8)).save(folder / f'{name}.png')
    for name in ('d1/bad.tif', 'd2/b.png'):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[:-400])
    words = [tiny, trained[0] / 'epoch_2.pth', tmp_path / 'd1', tmp_path / 'd2', '--window', 32]
    out = tmp_path / 'two'
    printed = run(tools / 'dist_predict.sh', words[0], 2, *words[1:], '--out', out, code=3)
    assert printed.count('2 of 5 pairs failed:') == 1
    run(tools / 'predict.py', *words, '--out', tmp_path / 'one', code=3)
    assert contents(tmp_path / 'two') == contents(tmp_path / 'one')
    assert len(contents(tmp_path / 'two')) == 11 + 2 * 3
    rows = (tmp_path / 'two/results.csv').read_text().splitlines()
    assert sorted(row.split(',')[4] for row in rows[1:]) == ['failed'] * 2 + ['predicted'] * 3


def test_the_script_takes_the_usual_variables(tools, run, tmp_path):
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\nfor a in "$@"; do echo "[$a]"; done\n')
    python.chmod(python.stat().st_mode | stat.S_IEXEC)
    environment = dict(PYTHON=str(python), NNODES='2', NODE_RANK='1', MASTER_ADDR='10.0.0.1')
    words = run(
        tools / 'dist_predict.sh', 'c.py', 4, 'a b.tif', 'c.tif', '--out', 'o', env=environment
    ).splitlines()
    for word in ('--nnodes=2', '--node_rank=1', '--master_addr=10.0.0.1', '--nproc_per_node=4'):
        assert f'[{word}]' in words
    tail = words[words.index(f'[{tools}/predict.py]') + 1 :]
    assert tail == [
        f'[{w}]' for w in ('c.py', 'a b.tif', 'c.tif', '--out', 'o', '--launcher', 'pytorch')
    ]
    assert 'usage: ' in run(tools / 'dist_predict.sh', 'c.py', 2, 'a.tif', code=2)
    assert os.access(tools / 'dist_predict.sh', os.X_OK)
