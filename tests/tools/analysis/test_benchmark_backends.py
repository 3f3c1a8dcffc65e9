"""Test tools/analysis/benchmark_backends.py on a small network and size."""

import re

import pytest

from tfinet_mm.analysis.backends import BACKENDS
from tfinet_mm.deploy.backends import openvino_has_bfloat16


def test_a_row_for_each_network(load_tool, tiny, monkeypatch, capsys):
    for package in ('onnxscript', 'onnxruntime', 'openvino', 'nncf'):
        pytest.importorskip(package)
    load_tool('analysis/benchmark_backends.py').main(
        [str(tiny), '--size', '64', '--repeats', '1', '--calibration-pairs', '1']
    )
    header, _, row = capsys.readouterr().out.splitlines()[-3:]
    assert header.strip('| ').split(' | ') == ['network', *BACKENDS]
    cells = row.strip('| ').split(' | ')
    assert len(cells) == 1 + len(BACKENDS)
    for name in ('ONNX Runtime float32', 'OpenVINO float32'):
        share = float(re.search(r', ([\d.]+) %$', cells[1 + BACKENDS.index(name)])[1])
        assert share > 99.9
    # OpenVINO computes in bfloat16 only where the processor has units for it.
    has_none = cells[1 + BACKENDS.index('OpenVINO bfloat16')] == '-'
    assert has_none != openvino_has_bfloat16()


def test_impossible_numbers(load_tool, capsys):
    with pytest.raises(SystemExit):
        load_tool('analysis/benchmark_backends.py').main(['--size', '0'])
    assert '1 or more' in capsys.readouterr().err
