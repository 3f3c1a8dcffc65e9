"""Inputs that users really have, bad in one way each, given to the tools as users give them.

A bad input has to end in an error that says what was wrong and where, a valid one has to work,
and nothing may end in a quiet wrong result.
"""

import sys
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.registry import init_default_scope

pytest.importorskip('rasterio')

from robustness import checkpoint_cases, command_cases, config_cases, network
from robustness.corpus import WANTED, Case
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


@pytest.fixture(scope='session', autouse=True)
def small_network(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Make what the cases share. Some run as a user without rights, who has to get at it."""
    # Forked processes inherit imports and scope, but no threads.
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    init_default_scope('mmseg')
    root = tmp_path_factory.mktemp('robustness')
    for folder in (root, *root.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o755)
    network.prepare(root)


@pytest.mark.parametrize('case', CASES, ids=[f'{case.area}: {case.name}' for case in CASES])
def test_bad_input(case: Case, tmp_path: Path) -> None:
    """No silence, no unrelated error, no hang, no refusal of what is valid."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o755)
    outcome, detail = run_case(case, tmp_path / 'case')
    assert outcome in WANTED, f'{outcome}: {detail}'
