"""Stages run in order and once, and go on after a kill; what differs or fails stops them."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfinet_mm.errors import RecipeError, StageError

TRAINED = ['train one', 'test one', 'test_tta one', 'train two', 'test two', 'test_tta two']
ALL = [
    *TRAINED,
    *('test members', 'test_tta members', 'pseudo'),
    *('train again', 'test again', 'test_tta again', 'test retrained', 'test_tta retrained'),
]


def test_all_stages_run_once(folder, stages):
    printed = folder.run()
    assert folder.calls == ALL
    heads = re.findall(r'^\[(\d+)/15\] (\S+) \(\d:\d\d:\d\d so far\)$', printed, re.MULTILINE)
    assert heads == [(str(i), name) for i, name in enumerate(stages, 1)]
    assert 'data made' in printed
    # The output of a stage is in its log as well, under the command and the time.
    log = (folder.path / 'work/logs/train/one.log').read_text()
    assert re.search(r'^# \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+ \S+ one\.py', log, re.MULTILINE)
    assert 'training in work/train/one' in log
    best = folder.path / 'work/checkpoints/one.pth'
    assert best.resolve() == folder.path / 'work/train/one/best_Score_epoch_1.pth'
    assert folder.state('train/one')['done']

    printed = folder.run()
    assert folder.calls == []
    assert printed.count('done before, in 0:00:0') == len(stages)


def test_commands_are_printed_to_be_copied(folder):
    """What is printed before a stage does the same when it is pasted into a shell."""
    printed = folder.run(until='train/one')
    folder.forget_calls()
    (line,) = re.findall(r'^    (\S+ checkout/tools/train.py .*)$', printed, re.MULTILINE)
    subprocess.run(['bash', '-c', line], check=True)
    assert folder.calls == ['train one resumed']


def test_a_failing_stage_stops_with_command_code_and_log(folder):
    (folder.path / 'fail').touch()
    with pytest.raises(StageError) as caught:
        folder.run()
    message = str(caught.value)
    assert 'train/one failed with exit code 3' in message
    assert 'train.py one.py --work-dir work/train/one --resume' in message
    assert 'its log is work/logs/train/one.log' in message
    assert 'out of memory' in folder.printed
    assert 'out of memory' in (folder.path / 'work/logs/train/one.log').read_text()
    assert folder.calls == ['train one']
    assert not folder.state('train/one')['done']

    (folder.path / 'fail').unlink()
    folder.run()
    assert folder.calls == ['train one resumed', *ALL[1:]]


def test_a_stage_without_a_result_is_not_done(folder, stand_ins):
    (stand_ins / 'test.py').write_text('')
    with pytest.raises(StageError, match=r'test/one ended well but has not written work/test/one/'):
        folder.run()
    (folder.path / 'recipe.py').write_text(
        "members = ['one.py']\nprepare = [dict(name='x', command=['no-such-command'])]"
    )
    with pytest.raises(StageError, match=r'prepare/x could not be started: .*no-such-command'):
        folder.run()


def test_only_and_until(folder):
    folder.run(until='train/*')
    assert folder.calls == TRAINED[:4]
    (folder.path / 'work/checkpoints/two.pth').unlink()
    with pytest.raises(StageError, match='pseudo_labels needs train/two'):
        folder.run(only=['pseudo_labels'])
    folder.run(only=['train/two', 'pseudo_labels'])
    assert folder.calls == ['train two resumed', 'pseudo']
    with pytest.raises(RecipeError, match=r"no stage is called 'train/three'; .* train/two"):
        folder.run(only=['train/three'])
    with pytest.raises(RecipeError, match="no stage is called 'x'"):
        folder.run(redo=['x'])
    with pytest.raises(RecipeError, match='no stage is among'):
        folder.run(only=['pseudo_labels'], until='train/one')


def test_a_changed_command_stops_before_anything_runs(folder):
    folder.run(until='train/two')
    folder.forget_calls()
    recipe = folder.path / 'recipe.py'
    recipe.write_text(recipe.read_text() + "train_options = ['--amp']\n")
    with pytest.raises(StageError) as caught:
        folder.run()
    message = str(caught.value)
    assert 'train/one was done with something else than what is asked for now' in message
    assert re.search(r'was: .*--resume\n    now: .*--resume --amp\n', message)
    assert 'add --redo train/one' in message
    assert folder.calls == []


def test_a_changed_config_is_a_changed_command(folder):
    (folder.path / 'base.py').write_text('model = dict(backbone=dict(width=1))')
    text = "_base_ = 'base.py'\ntrain_dataloader = dict(x=1)"
    (folder.path / 'one.py').write_text(text)
    folder.run(until='train/one')
    # A comment changes nothing, a value that is inherited does.
    (folder.path / 'one.py').write_text(f'# Why.\n{text}')
    folder.run(until='train/one')
    (folder.path / 'base.py').write_text('model = dict(backbone=dict(width=8))')
    with pytest.raises(StageError, match=r'the content of \S*one\.py has changed'):
        folder.run()


def test_redo_goes_on_to_what_reads_the_result(folder):
    folder.run()
    folder.forget_calls()
    printed = folder.run(redo=['train/two'])
    # Not resumed: what was there has been moved away.
    assert folder.calls == ['train two', *ALL[4:]]
    assert (folder.path / 'work/replaced/train/two/1/two/best_Score_epoch_1.pth').is_file()
    assert (folder.path / 'work/replaced/pseudo_labels/1/pseudo_labels/report.json').is_file()
    assert 'work/train/two moved to work/replaced/train/two/1/two' in printed
    folder.run()
    assert folder.calls == []
    folder.run(redo=['test/*'])
    assert folder.calls == [call for call in ALL if call.startswith('test ')]


def test_a_missing_result_is_made_again(folder):
    folder.run()
    folder.forget_calls()
    (folder.path / 'work/test/two/scores.json').unlink()
    folder.run()
    assert folder.calls == ['test two']
    # Data that is made again is the same data: what was trained on it stays.
    (folder.path / 'data').unlink()
    assert 'data made' in folder.run()
    assert folder.calls == []


DRIVER = """
import pathlib, sys
import importlib.util
from tfinet_mm.recipe import plan
plan.TOOLS = pathlib.Path(sys.argv[1])
spec = importlib.util.spec_from_file_location('recipe_tool', sys.argv[2])
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)
sys.exit(tool.main(sys.argv[3:]))
"""


@pytest.fixture
def start(folder, stand_ins):
    """Start tools/recipe.py on the stand-ins, in a process group of its own."""
    tool = str(Path(__file__).parents[2] / 'tools' / 'recipe.py')

    def _start():
        (folder.path / 'waiting').unlink(missing_ok=True)
        command = [sys.executable, '-c', DRIVER, str(stand_ins), tool]
        process = subprocess.Popen(
            [*command, 'recipe.py', '--work-dir', 'work'],
            start_new_session=True,
            # Tests that are run in the background inherit that Ctrl-C is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        deadline = time.monotonic() + 60
        while (folder.path / 'wait').exists() and not (folder.path / 'waiting').exists():
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process

    return _start


def test_killed_and_started_again_it_goes_on(folder, start):
    folder.run(until='test_tta/one')
    folder.forget_calls()
    (folder.path / 'wait').touch()
    process = start()
    # While a command is at work nobody else may be.
    with pytest.raises(StageError, match='another run of a recipe is at work in work'):
        folder.run()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert folder.calls == ['train two']
    assert not folder.state('train/two')['done']

    (folder.path / 'wait').unlink()
    process = start()
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    assert folder.calls == ['train two resumed', *ALL[4:]]
    assert '[2/15] train/one: done before' in printed
    assert '| their ensemble (2) | yes | 31.00 |' in printed
    # The time before the kill counts.
    assert folder.state('train/two')['seconds'] > 0
    assert 'Table: work/table.md' in printed


def test_stopped_it_takes_its_command_along(folder, start):
    (folder.path / 'wait').touch()
    process = start()
    process.terminate()
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, printed
    (folder.path / 'wait').unlink()
    # The lock is free, so the command is gone.
    folder.run()
    assert folder.state('test_tta/retrained')['done']


def test_interrupted_at_the_keyboard_it_says_how_to_go_on(folder, start):
    (folder.path / 'wait').touch()
    process = start()
    # The terminal interrupts the whole group.
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed.endswith('stopped; the same command goes on from here\n')
