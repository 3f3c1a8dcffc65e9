"""Test tools/analysis/benchmark_scene.py on a scene of a few windows."""

import json

import numpy as np
import pytest

rasterio = pytest.importorskip('rasterio')
pytest.importorskip('pyogrio')


@pytest.mark.parametrize('warp', [[], ['--warp']])
def test_figures_of_a_small_scene(tiny, load_tool, tmp_path, capsys, warp):
    tool = load_tool('analysis/benchmark_scene.py')
    file = tmp_path / 'figures.json'
    words = ['--size', '150', '--window', '64', '--overlap', '16', '--batch-size', '2']
    words += ['--bare', '2', '--device', 'cpu', '--json', str(file), '--no-polygons', *warp]
    tool.main([str(tiny), '--folder', str(tmp_path / 'kept'), *words])
    found = json.loads(file.read_text())
    if not warp:
        # Windows begin at 0, 48 and 86.
        assert (found['width'], found['height'], found['windows']) == (150, 150, 9)
        # Three rows, each of a batch of two windows and a batch of one.
        assert found['bare_seconds'] > 3 * found['batch_seconds']
    assert found['total_seconds'] >= found['predicting_seconds'] > 0
    assert found['added_megabytes'] >= 0
    other = found['total_cpu_seconds'] - found['bare_cpu_seconds']
    pixels = found['width'] * found['height']
    assert found['other_cpu_seconds_a_megapixel'] == pytest.approx(1e6 * other / pixels)
    printed = capsys.readouterr().out
    assert f'{found["windows"]} of 64, overlap 16, 2 a batch' in printed
    assert f'({found["overhead_percent"]:+.1f} %)' in printed
    with rasterio.open(tmp_path / 'kept' / 'out' / 'change_prob.tif') as result:
        assert np.isfinite(result.read(1)).mean() > 0.8


def test_numbers_that_cannot_be(tiny, load_tool, capsys):
    tool = load_tool('analysis/benchmark_scene.py')
    with pytest.raises(SystemExit):
        tool.main([str(tiny), '--size', '0'])
    assert 'must be above 0' in capsys.readouterr().err
