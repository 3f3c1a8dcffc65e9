"""Test tools/analysis/benchmark_backends.py on a small network and size."""

import re

import pytest

from tfinet_mm.analysis.backends import BACKENDS


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
    shares = [float(re.search(r', ([\d.]+) %$', cell)[1]) for cell in cells[2:]]
    # ONNX Runtime and OpenVINO in float32; the others depend on the processor.
    assert min(shares[1], shares[2]) > 99.9


def test_impossible_numbers(load_tool, capsys):
    with pytest.raises(SystemExit):
        load_tool('analysis/benchmark_backends.py').main(['--size', '0'])
    assert '1 or more' in capsys.readouterr().err
