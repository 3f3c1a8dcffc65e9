"""Test the running of programs, which needs no QGIS."""

import importlib.util
import os
import sys
import time
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[3] / 'integrations' / 'qgis' / 'tfinet_qgis'

spec = importlib.util.spec_from_file_location('tfinet_qgis_process', PLUGIN / 'process.py')
process = importlib.util.module_from_spec(spec)
spec.loader.exec_module(process)


def run(code, **options):
    lines, percents = [], []
    status, said = process.run(
        [sys.executable, '-c', code], on_line=lines.append, on_progress=percents.append, **options
    )
    assert said == lines
    return status, lines, percents


def test_bars_become_progress_and_lines_stay_lines():
    code = (
        'import sys\n'
        'from tqdm import tqdm\n'
        'print("Registration: 0.65 px")\n'
        'bar = tqdm(total=4, unit="window", mininterval=0, miniters=1)\n'
        'for _ in range(4): bar.update()\n'
        'bar.close()\n'
        'bar = tqdm(total=2, unit="file", mininterval=0, miniters=1)\n'
        'for _ in range(2): bar.update()\n'
        'bar.close()\n'
        'print("Report: page")\n'
        'sys.exit(3)\n'
    )
    status, lines, percents = run(code)
    assert status == 3
    assert lines == ['Registration: 0.65 px', 'Report: page']
    assert percents == sorted(percents)
    assert {0.0, 22.5, 45.0, 67.5, 90.0, 95.0, 100.0} <= set(percents)


@pytest.mark.skipif(os.name == 'nt', reason='looks for processes by signals')
def test_cancelling_stops_the_program_and_its_children(tmp_path):
    code = (
        'import pathlib, subprocess, sys, time\n'
        'child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])\n'
        f'pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))\n'
        'print("started", flush=True)\n'
        'time.sleep(60)\n'
    )
    lines = []
    started = time.monotonic()
    with pytest.raises(process.Cancelled, match='resumes'):
        process.run(
            [sys.executable, '-c', code], on_line=lines.append, is_cancelled=lambda: bool(lines)
        )
    assert time.monotonic() - started < 30
    child = int((tmp_path / 'pid').read_text())
    for _ in range(100):
        try:
            # A child that ended is a zombie until init collects it.
            state = Path(f'/proc/{child}/stat').read_text().rsplit(')')[1].split()[0]
        except FileNotFoundError:
            break
        if state == 'Z':
            break
        time.sleep(0.1)
    else:
        pytest.fail('the child runs on')


def test_variables_of_qgis_do_not_reach_the_program():
    environment = os.environ | dict(PROJ_LIB='/qgis/proj', GDAL_DATA='/qgis/gdal', PYTHONPATH='/q')
    code = (
        'import os; print([n for n in ("PROJ_LIB", "GDAL_DATA", "PYTHONPATH") if n in os.environ])'
    )
    assert run(code, environment=environment)[1] == ['[]']


def test_a_missing_program_is_an_error():
    with pytest.raises(FileNotFoundError):
        process.run(['/nowhere/python'], on_line=print)
