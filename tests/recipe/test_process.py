"""Commands are shown, logged, and told from those that fail."""

import io
import re
import sys

import pytest

from tfinet_mm.errors import StageError
from tfinet_mm.recipe.process import alone_in, run_command, shown_command


def test_words_with_spaces_are_quoted():
    assert shown_command(('a b.sh', 'x=$HOME')) == "'a b.sh' 'x=$HOME'"


def test_python_is_the_one_that_runs(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    assert shown_command(('python', 'x.py')) == f'{sys.executable} x.py'
    (tmp_path / 'python').symlink_to(sys.executable)
    assert shown_command(('python', 'x.py')) == 'python x.py'


def test_both_streams_go_to_the_terminal_and_the_log(tmp_path):
    source = (
        "import sys; print('one'); print('two', file=sys.stderr); sys.stdout.buffer.write(b'\\xff')"
    )
    log, out = tmp_path / 'new' / 'a.log', io.BytesIO()
    for _ in range(2):
        run_command(('python', '-c', source), log, out)
    assert out.getvalue() == b'one\ntwo\n\xff' * 2
    lines = log.read_bytes().split(b'\n')
    assert re.match(rb"# \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+ -c 'import", lines[1])
    assert lines[2:5] == [b'one', b'two', b'\xff']


@pytest.mark.parametrize(
    ('source', 'message'),
    [
        ('import sys; sys.exit(3)', 'failed with exit code 3'),
        ('import os; os.kill(os.getpid(), 9)', 'failed with signal SIGKILL'),
    ],
)
def test_failures_say_how(tmp_path, source, message):
    with pytest.raises(StageError, match=message) as caught:
        run_command(('python', '-c', source), tmp_path / 'a.log', io.BytesIO())
    assert 'a.log' in str(caught.value)
    assert source in str(caught.value)


def test_a_command_that_is_not_there(tmp_path):
    with pytest.raises(StageError, match=r'could not be started: .*no-such-command'):
        run_command(('no-such-command',), tmp_path / 'a.log', io.BytesIO())


def test_one_at_a_time(tmp_path):
    busy = pytest.raises(StageError, match='another run of a recipe is at work')
    with alone_in(tmp_path / 'work'), busy, alone_in(tmp_path / 'work'):
        pass
    with alone_in(tmp_path / 'work'), alone_in(tmp_path / 'other') as inherited:
        assert len(inherited) == 1
