"""tools/analysis/get_flops.py, run as users run it."""

import re
import subprocess
import sys
from pathlib import Path

import tfinet_mm

ROOT = Path(tfinet_mm.__file__).parents[1]


def test_the_published_network():
    result = subprocess.run(
        [
            *(sys.executable, ROOT / 'tools/analysis/get_flops.py'),
            *(ROOT / 'configs/published/tfinet_r18.py', '--shape', '128', '256'),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert 'one pair of 128 x 256' in result.stdout
    numbers = dict(re.findall(r'^(\w+) +[\d.]+ +([\d.]+)$', result.stdout, re.M))
    # Published: 362.7 GFLOP at 512 x 512, eight times as many pixels.
    assert abs(8 * float(numbers['all']) - 362.7) < 0.1
    parts = sum(float(value) for name, value in numbers.items() if name != 'all')
    assert abs(parts - float(numbers['all'])) < 0.05
