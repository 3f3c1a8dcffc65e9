import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name('timm_detectors.py')
# Where the Makefile puts timm when torchvision's binary doesn't fit the torch beside it.
SIDE_FOLDER = Path(sys.prefix) / 'timm'


def test_convnext_and_mobilenet_from_timm():
    """Two dates through timm's backbones, forward and backward."""
    folder = [str(SIDE_FOLDER)] if SIDE_FOLDER.is_dir() else []
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', str(SCRIPT), *folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if not folder and "No module named 'torchvision'" in done.stderr:
        pytest.skip('timm and torchvision are not installed')
    assert done.returncode == 0, done.stderr
    assert 'convnext_atto: (2, 1, 64, 96)' in done.stdout
    assert 'mobilenetv3_small_050: (2, 1, 64, 96)' in done.stdout
