"""Test the end of a process of several; each case runs in a separate process."""

import subprocess
import sys

import pytest

# A thread that wants Python's lock again and again, as those of a process group do. The end of the
# interpreter aborts the process because of it, on every run.
THREAD = """
import threading, torch
torch.set_num_threads(1)
ones, started = torch.ones(300, 300), threading.Event()
def work():
    while True:
        ones @ ones
        started.set()
threading.Thread(target=work, daemon=True).start()
started.wait()
"""
COMMAND = """
import atexit, sys, threading, time
from tfinet_mm.errors import SceneError
from tfinet_mm.utils.command import run_command
def slow():
    time.sleep(0.2)
    print('a thread has ended')
def main():
    sys.stdout.write('no end of line, ')
    atexit.register(print, 'registered')
    threading.Thread(target=slow).start()
    {end}
run_command(main)
print('never reached')
"""


def run(source, ranks):
    environment = dict(PYTHONPATH=':'.join(path for path in sys.path if path))
    if ranks:
        environment |= dict(RANK='1', WORLD_SIZE='2')
    return subprocess.run(
        [sys.executable, '-c', source], capture_output=True, text=True, env=environment, timeout=60
    )


@pytest.mark.skipif(sys.version_info >= (3, 14), reason='the interpreter waits for no thread there')
def test_what_the_interpreter_does_otherwise():
    """The other tests are meaningful only if this holds."""
    done = run(THREAD, ranks=False)
    assert done.returncode == -6
    assert 'terminate called without an active exception' in done.stderr


@pytest.mark.parametrize(
    ('end', 'status', 'error'),
    [
        ('return None', 0, ''),
        pytest.param('return 3', 3, '', marks=pytest.mark.slow),
        ("raise SceneError('no CRS')", 2, 'SceneError: no CRS\n'),
        ("sys.exit('a message')", 1, 'a message\n'),
        pytest.param('sys.exit()', 0, '', marks=pytest.mark.slow),
        ('None + 1', 1, 'TypeError: unsupported operand'),
    ],
)
def test_a_rank_ends_with_its_status_and_all_that_it_printed(end, status, error):
    done = run(THREAD + COMMAND.format(end=end), ranks=True)
    assert (done.returncode, done.stdout) == (
        status,
        'no end of line, a thread has ended\nregistered\n',
    ), done.stderr
    assert error in done.stderr
    assert bool(done.stderr) is bool(error)


def test_a_process_of_its_own_ends_as_usual():
    done = run(COMMAND.format(end='return 0'), ranks=False)
    assert done.returncode == 0
    assert 'never reached' in done.stdout
