"""Inputs that users really have, bad in one way each, given to the tools as users give them.

A bad input has to end in an error that says what was wrong and where, a valid one has to work,
and nothing may end in a quiet wrong result.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.registry import init_default_scope

pytest.importorskip('rasterio')

from robustness import checkpoint_cases, command_cases, config_cases, network
from robustness.corpus import WANTED
from robustness.process import run_case

CASES = [
    *checkpoint_cases.cases(),
    *config_cases.cases(),
    *command_cases.cases(),
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != 'linux', reason='cases run in forked processes'),
]


@pytest.fixture(scope='session')
def root() -> Iterator[Path]:
    """Make what the cases share, in a folder that users without rights get into.

    pytest's own temporary folders are closed to them.
    """
    # Forked processes inherit imports and scope, but no threads.
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    init_default_scope('mmseg')
    with tempfile.TemporaryDirectory(prefix='robustness.') as made:
        folder = Path(made).resolve()
        folder.chmod(0o755)
        network.prepare(folder)
        yield folder


@pytest.mark.parametrize('number', range(len(CASES)), ids=map(str, CASES))
def test_bad_input(number: int, root: Path) -> None:
    """No silence, no unrelated error, no hang, no refusal of what is valid."""
    outcome, detail = run_case(CASES[number], root / f'{number:04d}')
    assert outcome in WANTED, f'{outcome}: {detail}'
