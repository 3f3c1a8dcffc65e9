"""tools/analysis/benchmark.py, run as users run it."""

import subprocess
import sys
from pathlib import Path

import tfinet_mm

ROOT = Path(tfinet_mm.__file__).parents[1]


def test_a_table_of_both_types_in_one_run(tmp_path):
    result = subprocess.run(
        [
            *(sys.executable, ROOT / 'tools/analysis/benchmark.py', ROOT / 'configs/tfinet_r18.py'),
            *('--shape', '64', '--repeats', '1', '--channels', 'last', 'first'),
            *('--modes', 'inference', 'data', '--threads', '1'),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    rows = [line for line in result.stdout.splitlines() if line.startswith('| inference')]
    assert [row.split('|')[2].strip() for row in rows] == [
        f'{dtype}, channels {layout}'
        for layout in ('last', 'first')
        for dtype in ('float32', 'bfloat16')
    ]
    # 512 x 512 takes 362.2 GFLOP without the published classifier; this has a 64th of the pixels.
    assert {row.split('|')[6].strip() for row in rows} == {'5.7'}
    assert 'No data to load' in result.stdout
    assert 'row' in result.stderr
