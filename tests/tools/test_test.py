"""tools/test.py, run as users run it."""

import json
import re

import pytest


def scores_of(output):
    """The metrics of the last line that MMEngine logs of a test."""
    line = [line for line in output.splitlines() if 'Epoch(test) [' in line and 'Score:' in line][
        -1
    ]
    return {name: float(value) for name, value in re.findall(r'(\w+): (-?\d+\.\d+)', line)}


def test_scores_maps_and_pictures(tiny, tools, run, trained, tmp_path):
    work_dir, _ = trained
    output = run(
        *(tools / 'test.py', tiny, work_dir / 'epoch_2.pth', '--work-dir', tmp_path / 'logs'),
        *('--json', tmp_path / 'scores.json', '--out', tmp_path / 'maps'),
        *('--show-dir', tmp_path / 'pictures'),
    )
    scores = json.loads((tmp_path / 'scores.json').read_text())
    assert scores['scores']['Score'] == pytest.approx(scores_of(output)['Score'], abs=1e-3)
    for what, where in (
        ('Scores', 'scores.json'),
        ('Predicted maps', 'maps'),
        ('Pictures', 'pictures'),
        ('Logs', 'logs'),
    ):
        assert f'{what}: {tmp_path / where}' in output
    # Three pairs were held out; each gives maps and at least one picture.
    assert {path.stem for path in (tmp_path / 'maps').rglob('*.png')} == {'00000', '00001', '00002'}
    assert len(list((tmp_path / 'pictures').rglob('*.png'))) >= 3


def test_the_validation_part(tiny, tools, run, trained, tmp_path):
    work_dir, output = trained
    tested = run(
        *(tools / 'test.py', tiny, work_dir / 'epoch_2.pth', '--split', 'val'),
        *('--cfg-options', 'test_dataloader.dataset.data_root=nowhere'),
    )
    line = [line for line in output.splitlines() if 'Epoch(val) [2]' in line and 'Score:' in line][
        -1
    ]
    in_training = dict(re.findall(r'(\w+): (-?\d+\.\d+)', line))
    assert scores_of(tested)['Score'] == pytest.approx(float(in_training['Score']), abs=1e-3)


def test_bfloat16(tiny, tools, run, trained):
    work_dir, _ = trained
    plain = scores_of(run(tools / 'test.py', tiny, work_dir / 'epoch_2.pth'))
    half = scores_of(run(tools / 'test.py', tiny, work_dir / 'epoch_2.pth', '--amp'))
    assert half['OA'] == pytest.approx(plain['OA'], abs=5)


def test_a_missing_checkpoint(tiny, tools, run):
    output = run(tools / 'test.py', tiny, 'nowhere.pth', code=1)
    assert 'there is no checkpoint nowhere.pth' in output.splitlines()[-1]
