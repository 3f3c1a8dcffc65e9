"""The check of both packages that lies beside a checkout, where it does."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('opencd', reason='needs Open-CD, see docs/open_cd.md')
ROOT = Path(__file__).parents[2]
CHECK = ROOT.parent / 'shared/open-cd/check.py'


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not CHECK.is_file(), reason='needs the check beside the checkout')
def test_every_line_of_the_check_passes():
    options = Path(__file__).with_name('opencd_options.py')
    done = subprocess.run(
        [sys.executable, CHECK, '--options', options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
