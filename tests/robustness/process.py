"""Runs a case in a forked process, so that nothing it does outlives it."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from robustness.corpus import LIMIT_S, Case, judge_error, judge_value


def run_case(case: Case, folder: Path) -> tuple[str, str]:
    """Run a case in a folder of its own, which any user may write to.

    Returns:
        The outcome, and what was said or went wrong.
    """
    folder.mkdir()
    folder.chmod(0o777)
    log, report = folder.with_suffix('.log'), folder.with_suffix('.json')

    def work() -> None:
        os.chdir(folder)
        # Opened first, as a case may give up its rights.
        with report.open('w') as file:
            trial = case.make(folder, np.random.default_rng(case.seed))
            try:
                value: Any = trial.call()
            except BaseException as error:
                outcome = judge_error(error, trial, log)
            else:
                outcome = judge_value(value, trial)
            json.dump(outcome, file)

    if not run_in_child(work, log, LIMIT_S):
        return 'hang', f'stopped after {LIMIT_S} s'
    try:
        outcome, detail = json.loads(report.read_text())
    except (OSError, ValueError):
        return 'crash', log.read_text(errors='replace')[-2000:]
    return outcome, detail.replace(str(folder), '@')


def run_in_child(work: Callable[[], None], log: Path, limit_s: float = 600) -> bool:
    """Fork a process that does something, its output in a file; False if it took too long."""
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            _redirect_output(log)
            work()
            sys.stdout.flush()
        finally:
            os._exit(0)
    end = time.monotonic() + limit_s
    ended = False
    while not ended and time.monotonic() < end:
        ended = os.waitpid(child, os.WNOHANG)[0] != 0
        time.sleep(0.01)
    # Also what the child may have started and left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    if not ended:
        os.waitpid(child, 0)
    return ended


def _redirect_output(log: Path) -> None:
    """Send this process's output, that of libraries in C included, to a file."""
    target = os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    # The test runner puts objects of its own in their place.
    sys.stdout = open(1, 'w', buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, 'w', buffering=1, closefd=False)  # noqa: SIM115


def printed() -> str:
    """Return what this process printed so far."""
    sys.stdout.flush()
    return Path('/proc/self/fd/1').read_text(errors='replace')
