"""Test that a program runs in a warm process as in a new one."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
print(__name__, sys.argv[1:], sys.path[0], os.getcwd(), os.environ['OMP_NUM_THREADS'])
print([name for name in sys.modules if name.startswith('tfinet_mm')], sys.stdin.read() == '')
print('an error', file=sys.stderr, flush=True)
if 'raise' in sys.argv:
    raise RuntimeError('told to')
sys.exit(3)
"""


@pytest.fixture
def program(tmp_path):
    folder = tmp_path / 'a folder'
    folder.mkdir()
    (folder / 'program.py').write_text(PROGRAM)
    return folder / 'program.py'


@pytest.mark.parametrize(('words', 'code'), [(['a b', '-c'], 3), (['raise'], 1)])
def test_it_is_like_a_process_of_its_own(program, run, environment, tmp_path, words, code):
    own = subprocess.run(
        [sys.executable, program, *words],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    printed = run(program, *words, code=code)
    assert own.returncode == code
    assert printed.splitlines()[:2] == own.stdout.splitlines()
    for line in own.stderr.splitlines():
        assert line in printed
    # A program doesn't find the changes of the one before it.
    assert run(program, *words, code=code) == printed


def test_what_takes_too_long_is_stopped(tmp_path, run):
    program = tmp_path / 'sleep.py'
    program.write_text('import time\nprint("asleep", flush=True)\ntime.sleep(100)\n')
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        run(program, timeout=1)
    assert caught.value.output == b'asleep\n'
    program.write_text('print("awake")')
    assert run(program) == 'awake\n'
