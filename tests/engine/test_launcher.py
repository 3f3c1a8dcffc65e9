"""Test the exit codes and messages of a launch of several ranks."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from tfinet_mm.engine.launcher import first_failure, said

# No rank imports torch, so that each case takes as long as the launcher alone.
RANK = """
import json, os, signal, sys, time
rank, how = os.environ['RANK'], sys.argv[1]
def record(text):
    message = dict(message=text, extraInfo=dict(py_callstack='', timestamp=str(int(time.time()))))
    with open(os.environ['TORCHELASTIC_ERROR_FILE'], 'w') as file:
        json.dump(dict(message=message), file)
if rank == '0':
    if how != 'recorded':
        time.sleep(60)
    # As a collective fails, as soon as the other is gone.
    time.sleep(0.3)
    record('RuntimeError: [gloo] Connection closed by peer')
    sys.exit(1)
if how == 'recorded':
    record('LabelValueError: no pixel\\nis labelled')
    print('what it was doing', flush=True)
    sys.exit(7)
if how == 'killed':
    os.kill(os.getpid(), signal.SIGKILL)
print('its own message', file=sys.stderr)
sys.exit(3)
"""


@pytest.mark.parametrize(
    ('how', 'code', 'last'),
    [
        ('recorded', 7, 'rank 1: LabelValueError: no pixel\nis labelled\n'),
        pytest.param(
            *('killed', 137, 'rank 1: killed by SIGKILL (signal 9), often for lack of memory\n'),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *('silent', 3, 'rank 1: ended with status 3; what it printed is above\n'),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_error_of_the_rank_is_the_last_thing(tmp_path, how, code, last):
    script = tmp_path / 'rank.py'
    script.write_text(RANK)
    command = [sys.executable, '-m', 'tfinet_mm.engine.launcher', '--standalone']
    done = subprocess.run(
        [*command, '--nproc_per_node=2', str(script), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stdout
    assert done.stdout.endswith('\n' + last), done.stdout
    assert 'Traceback' not in done.stdout
    assert 'Root Cause' not in done.stdout


def _failure(message, timestamp, exitcode=1, error_file='<N/A>'):
    data = dict(message=message if message is None else dict(message=message))
    return SimpleNamespace(
        message=data['message'] or '',
        timestamp=timestamp,
        exitcode=exitcode,
        error_file=error_file,
        error_file_data=data,
        signal_name=lambda: 'SIGSEGV',
    )


def test_the_first_in_time_comes_before_lost_connections(tmp_path):
    lost = _failure('DistBackendError: Connection closed by peer', 100)
    late, early = _failure('ValueError: b', 102), _failure('ValueError: a', 101)
    assert first_failure({0: lost, 1: late, 2: early}) == (2, early)
    stopped = _failure(None, 99, -15)
    assert first_failure({0: stopped, 3: lost}) == (3, lost)
    assert said(early) == 'ValueError: a'
    assert said(_failure(None, 1, -11)) == 'killed by SIGSEGV (signal 11)'
