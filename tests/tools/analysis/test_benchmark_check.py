"""tools/analysis/benchmark_check.py on few pairs."""

import json

import numpy as np
from PIL import Image


def test_pairs_are_checked_and_measured(load_tool, tmp_path, monkeypatch, capsys):
    tool = load_tool('analysis/benchmark_check.py')
    commands = []

    def measure(*words):
        commands.append([str(word) for word in words])
        return dict(code=0, seconds=2.0, cpu_seconds=3.0, peak=400.0)

    monkeypatch.setattr(tool, 'measure', measure)
    out = tmp_path / 'figures.json'
    words = ['--pairs', '20', '--size', '48', '--scenes', '2', '--workers', '1']
    tool.main([*words, '--folder', str(tmp_path), '--json', str(out)])
    assert set(json.loads(out.read_text())) == {'tenth', 'all', 'page'}
    assert 'all: 2.0 s with 1 workers, 3.0 s of one core' in capsys.readouterr().out
    assert commands[0][-1] == 'train_dataloader.dataset.indices=2'
    assert '--html' in commands[2]
    # The files are gone.
    assert [path.name for path in tmp_path.iterdir()] == ['figures.json']


def test_no_two_pairs_are_the_same(load_tool, tmp_path):
    load_tool('analysis/benchmark_check.py').write_pairs(tmp_path, 9, 32, 2)
    images = [np.asarray(Image.open(path)) for path in sorted((tmp_path / 'im1').iterdir())]
    assert len({image.tobytes() for image in images}) == 9
    label, mask = (
        np.asarray(Image.open(tmp_path / one / '000005.png')) for one in ('label1', 'change')
    )
    assert np.array_equal(mask == 255, label > 0)


def test_a_process_is_measured(load_tool):
    figures = load_tool('analysis/benchmark_check.py').measure('-c', 'raise SystemExit(3)')
    assert figures['code'] == 3
    assert 0 < figures['cpu_seconds'] < 60
