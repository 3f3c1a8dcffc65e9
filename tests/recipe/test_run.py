"""Snakemake runs the stages in order and once, and resumes after a kill; what differs stops."""

import contextlib
import ctypes
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfinet_mm.errors import (
    FolderInUseError,
    ManifestError,
    MissingExtraError,
    RecipeError,
    StageError,
)

pytest.importorskip('snakemake')

TRAINED = ['train one', 'test one', 'test_tta one', 'train two', 'test two', 'test_tta two']
ALL = [
    *TRAINED,
    *('test members', 'test_tta members', 'pseudo'),
    *('train again', 'test again', 'test_tta again', 'test retrained', 'test_tta retrained'),
]
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
# What fails, waits or is cut short is tested on two stages.
SHORT = "members = ['one.py']\ntests = dict.fromkeys(['members_ensemble'], [])"


TOOL = str(Path(__file__).parents[2] / 'tools' / 'recipe.py')
DRIVER = """
import importlib.util, pathlib, sys
from tfinet_mm.recipe import plan
plan.TOOLS = pathlib.Path('checkout/tools').absolute()
spec = importlib.util.spec_from_file_location('recipe_tool', sys.argv[1])
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)
sys.exit(tool.main(sys.argv[2:]))
"""


@pytest.fixture
def short(folder):
    """A recipe of three stages."""
    (folder.path / 'recipe.py').write_text(SHORT)
    return folder


def test_all_stages_run_once_and_in_order(done_before, done):
    assert (done_before / 'calls').read_text().splitlines() == ALL
    # The output of a stage is in its log, under the command and the time.
    log = (done.path / 'work/logs/train/one.log').read_text()
    when = r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d'
    assert re.search(rf'^    # {when}\n    \S+ \S+ one\.py', log, re.MULTILINE)
    assert 'training in work/train/one' in log
    best = done.path / 'work/checkpoints/one.pth'
    assert best.resolve() == done.path / 'work/train/one/best_Score_epoch_1.pth'

    # In a copy, whose files have other times and another folder, nothing is done again.
    for file in (done.path / 'work' / 'checkpoints').iterdir():
        os.utime(file)
    printed = done.run()
    assert done.calls == []
    assert 'Left: 0 of 15 stages' in printed
    assert '| their ensemble (2) | yes | 31.00 |' in printed
    assert 'Table: work/table.md' in printed


def test_commands_are_printed_to_be_copied(short):
    """Paste the line that is printed before a stage into a shell: it does the same."""
    printed = short.run('--until', 'train/one')
    assert short.calls == ['train one']
    assert '[1/3] train/one\n' in printed
    (line,) = re.findall(r'^    (\S+ checkout/tools/train.py .*)$', printed, re.MULTILINE)
    subprocess.run(['bash', '-c', line], check=True)
    assert short.calls == ['train one resumed']


def test_a_dry_run_lists_what_is_left_and_writes_nothing(folder, stages):
    printed = folder.run('--dry-run')
    assert re.findall(r'^\[\d+/15\] (\S+) \(to do\)$', printed, re.MULTILINE) == stages
    assert not (folder.path / 'work').exists()


def test_a_dry_run_shows_how_far_each_stage_is(done):
    (done.path / 'two.py').write_text('model = dict(backbone=dict(width=8))')
    (done.path / 'work/test/one/scores.json').unlink()
    printed = done.run('--dry-run', '--redo', 'pseudo_labels')
    heads = re.findall(r'^\[\d+/15\] (.*)$', printed, re.MULTILINE)
    assert heads[1:3] == ['train/one (done)', 'test/one (begun)']
    assert heads[4] == 'train/two (refused)'
    assert '    work/stages/train/two holds results of train/two that were' in printed
    assert heads[9:11] == ['pseudo_labels (to be done again)', 'retrain/again (to be done again)']
    assert '| one | yes | 31.00 |' in printed
    assert done.calls == []


def test_a_failing_stage_stops_with_command_code_and_log(short):
    (short.path / 'fail').touch()
    with pytest.raises(StageError) as caught:
        short.run()
    message = str(caught.value)
    assert 'train/one failed with exit code 3' in message
    assert 'train.py one.py --work-dir work/train/one --resume' in message
    assert 'its log is work/logs/train/one.log' in message
    assert 'Left: 3 of 3 stages: train/one (begun), test/one, test_tta/one' in short.printed
    assert 'out of memory' in short.printed
    assert 'out of memory' in (short.path / 'work/logs/train/one.log').read_text()
    assert short.calls == ['train one']

    # What was begun with another config isn't resumed with this one.
    (short.path / 'one.py').write_text('model = dict(backbone=dict(width=9))')
    with pytest.raises(
        ManifestError, match=r'results of train/one .* made in another way: networks\[0\]'
    ):
        short.run()
    assert short.calls == []
    (short.path / 'one.py').write_text('model = dict(backbone=dict(width=1))')

    (short.path / 'fail').unlink()
    short.run('--redo', 'train/one')
    assert short.calls == ['train one', *ALL[1:3]]


def test_a_stage_without_a_result_is_not_done(short):
    (short.path / 'checkout/tools/test.py').write_text('')
    with pytest.raises(StageError, match=r'test/one ended with exit code 0, but work/test/one/'):
        short.run()
    (short.path / 'recipe.py').write_text(
        "members = ['one.py']\nprepare = [dict(name='x', command=['no-such-command'])]"
    )
    with pytest.raises(StageError, match=r'prepare/x could not be started: .*no-such-command'):
        short.run('--work-dir', 'other')


def test_a_training_without_a_checkpoint_has_failed(short):
    (short.path / 'checkout/tools/train.py').write_text('')
    with pytest.raises(
        StageError, match=r'train/one ended with exit code 0, but .* written no checkpoint to work'
    ):
        short.run()
    assert not short.state('train/one')['done']


def test_only_and_until(done):
    shutil.rmtree('work/stages/train')
    shutil.rmtree('work/stages/retrain')
    with pytest.raises(StageError, match='pseudo_labels needs train/one'):
        done.run('--only', 'pseudo_labels', '--redo', 'pseudo_labels')
    done.run('--until', 'train/*')
    assert done.calls == ['train one resumed', 'train two resumed']
    done.run('--only', 'retrain/*')
    assert done.calls == ['train again resumed']
    with pytest.raises(RecipeError, match=r"no stage is called 'train/three'; .* train/two"):
        done.run('--only', 'train/three')
    with pytest.raises(RecipeError, match="no stage is called 'x'"):
        done.run('--redo', 'x')
    with pytest.raises(RecipeError, match='no stage is among'):
        done.run('--only', 'pseudo_labels', '--until', 'train/one')


def test_a_changed_command_stops_before_anything_runs(done):
    recipe = done.path / 'recipe.py'
    recipe.write_text(recipe.read_text() + "train_options = ['--amp']\n")
    (done.path / 'data').unlink()
    with pytest.raises(ManifestError) as caught:
        done.run()
    message = str(caught.value)
    assert 'holds results of train/one that were made in another way' in message
    assert "options.--amp was None, is ''. Add --redo train/one" in message
    assert not (done.path / 'data').exists()


def test_a_changed_config_is_a_changed_command(done):
    # A comment changes nothing, a value that is inherited does.
    (done.path / 'base.py').write_text((done.path / 'one.py').read_text())
    (done.path / 'one.py').write_text("# Why.\n_base_ = 'base.py'")
    done.run()
    (done.path / 'base.py').write_text('model = dict(backbone=dict(width=8))')
    with pytest.raises(
        ManifestError, match=r'networks\[0\]\.config was one\.py \(sha256 \w+\.\.\.\), is'
    ):
        done.run()
    assert done.calls == []


@pytest.mark.parametrize('recipe', ['./recipe.py', '../{here}/recipe.py', '{path}/recipe.py'])
def test_another_spelling_of_a_path_is_the_same_config(done, recipe):
    recipe = recipe.format(here=done.path.name, path=done.path)
    done.run(recipe=recipe)
    assert done.calls == []
    (done.path / 'one.py').write_text('model = dict(backbone=dict(width=8))')
    with pytest.raises(
        ManifestError, match=r'networks\[0\]\.config was one\.py \(sha256 \w+\.\.\.\), is'
    ):
        done.run(recipe=recipe)


def test_started_elsewhere_it_is_the_same_recipe(done, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp('elsewhere'))
    os.symlink(done.path, 'link')
    # The data are looked for where the recipe is started.
    Path('data').touch()
    for path in (done.path, Path('link')):
        done.run(recipe=path / 'recipe.py', work_dir=path / 'work')
    assert done.calls == []


def test_redo_continues_to_what_reads_the_result(done):
    printed = done.run('--redo', 'train/two', '--until', 'pseudo_labels')
    # Not resumed: what was there has been moved away.
    assert done.calls == ['train two', *ALL[4:9]]
    assert (done.path / 'work/replaced/train/two/1/two/best_Score_epoch_1.pth').is_file()
    assert (done.path / 'work/replaced/pseudo_labels/1/pseudo_labels/report.json').is_file()
    assert 'work/train/two moved to work/replaced/train/two/1/two' in printed
    done.run()
    assert done.calls == ALL[9:]


def test_rows_of_a_replaced_checkpoint_leave_the_table(done):
    printed = done.run('--redo', 'train/two', '--only', 'train/two')
    assert done.calls == ['train two']
    assert '| one | yes | 31.00 |' in printed
    assert not re.search(r'\| (two|their ensemble|again)', printed)
    assert not re.search(r'\| (two|their ensemble|again)', Path('work/table.md').read_text())
    done.run('--until', 'test/two')
    assert done.calls == ['test two']


def test_a_missing_result_is_made_again(done):
    (done.path / 'work/test/two/scores.json').unlink()
    done.run()
    assert done.calls == ['test two']
    # Data that is made again is the same data: what was trained on it stays.
    (done.path / 'data').unlink()
    assert 'data made' in done.run()
    assert done.calls == []


@pytest.mark.parametrize('content', ['', '{"scores": {"Sco'])
def test_scores_that_a_full_disk_cut_are_made_again(done, content):
    (done.path / 'work/test/two/scores.json').write_text(content)
    (done.path / 'work/pseudo_labels/report.json').write_text(content)
    done.run()
    assert done.calls == ['test two', 'pseudo']


@pytest.mark.parametrize('content', ['', '{"made_from": {"tool', '[]', '{}'])
def test_a_state_that_a_full_disk_cut_is_named(done, content):
    (done.path / 'work/stages/test/two/state.json').write_text(content)
    with pytest.raises(
        ManifestError, match=r'test/two/state\.json .* it .*; add --redo test/two to'
    ):
        done.run()
    assert 'test/two (refused)' in done.run('--dry-run')
    done.run('--redo', 'test/two')
    assert done.calls == ['test two']
    # Nor does it matter what is left of Snakemake's own.
    for file in (done.path / 'work' / '.snakemake').rglob('*'):
        if file.is_file():
            file.write_text(content)
    done.run('--redo', 'test/two')
    assert done.calls == ['test two']


def test_a_folder_that_is_done_may_be_read_only(done):
    def obey_permissions():
        # Root obeys no permissions as long as it has this capability.
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE)

    for path in [Path('work'), *Path('work').rglob('*')]:
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)
    command = [sys.executable, '-c', DRIVER, TOOL, 'recipe.py', '--work-dir', 'work']
    more = dict(preexec_fn=obey_permissions, capture_output=True, text=True)
    if subprocess.run(['touch', 'work/file'], **more).returncode == 0:
        pytest.skip('needs to be root no more')
    try:
        result = subprocess.run(command, **more)
        assert result.returncode == 0, result.stderr
        assert '| their ensemble (2) | yes | 31.00 |' in result.stdout
        printed = subprocess.run([*command, '--dry-run'], **more).stdout
        assert '[15/15] test_tta/retrained (done)' in printed
    finally:
        for path in [Path('work'), *Path('work').rglob('*')]:
            if path.is_dir():
                path.chmod(0o755)


def test_folders_and_names_may_have_blanks_braces_and_quotes(folder):
    text = "members = [dict(config='one.py', name='it\\'s $HOME \"1\"')]\n"
    (folder.path / 'recipe.py').write_text(text + 'tests = dict(members_ensemble=[])')
    folder.run(work_dir='my {stage} $HOME')
    name = 'it\'s $HOME "1"'
    assert folder.calls == [f'train {name}', f'test {name}', f'test_tta {name}']
    folder.run(work_dir='my {stage} $HOME')
    assert folder.calls == []


def test_threads_are_those_of_the_user(short, monkeypatch):
    (short.path / 'checkout/tools/test.py').write_text(
        "import os; open('threads', 'w').write(str(os.environ.get('OMP_NUM_THREADS')))"
    )
    monkeypatch.setenv('OMP_NUM_THREADS', '3')
    for value in ('3', None):
        if value is None:
            monkeypatch.delenv('OMP_NUM_THREADS')
        with pytest.raises(StageError, match='test/one ended with exit code 0, but'):
            short.run()
        assert (short.path / 'threads').read_text() == str(value)


def test_stages_that_need_nothing_of_each_other_run_at_once(folder):
    """Two trainings that wait for each other."""
    (folder.path / 'checkout/tools/train.py').write_text("""
import pathlib, sys, time
folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
folder.mkdir(parents=True)
deadline = time.monotonic() + 240
while len([*folder.parent.iterdir()]) < 2:
    assert time.monotonic() < deadline
    time.sleep(0.02)
(folder / 'epoch_1.pth').write_bytes(pathlib.Path('checkpoint.pth').read_bytes())
""")
    folder.run('--only', 'train/*', '--only', 'prepare/*', '--jobs', '2')
    assert {path.name for path in Path('work/checkpoints').iterdir()} == {'one.pth', 'two.pth'}


def test_options_of_snakemake_follow_two_dashes(short):
    printed = short.run('--executor', 'local', '--jobs', '1', '--', '--dry-run')
    assert 'This was a dry-run' in printed
    assert short.calls == []
    with pytest.raises(MissingExtraError, match='pip install snakemake-executor-plugin-no-such'):
        short.run('--executor', 'no-such')


def test_another_executor_runs_the_stages(short):
    pytest.importorskip('snakemake_executor_plugin_cluster_generic')
    submit = short.path / 'submit.sh'
    submit.write_text('#!/bin/sh\necho $(basename "$1") >> submitted\nsh "$1" >&2\necho 1\n')
    submit.chmod(0o755)
    options = ['--executor', 'cluster-generic', '--', '--cluster-generic-submit-cmd', str(submit)]
    short.run(*options, '--seconds-between-status-checks', '1')
    # Both tests at once, so in any order.
    assert sorted(short.calls) == sorted(ALL[:3])
    (short.path / 'fail').touch()
    # Its output is elsewhere, but how it failed is known.
    with pytest.raises(StageError, match='train/one failed with exit code 3'):
        short.run('--redo', 'train/one', *options, '--seconds-between-status-checks', '1')


def test_without_snakemake_the_extra_is_named(done, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        'find_spec',
        lambda name, *a: None if name == 'snakemake' else find(name, *a),
    )
    # What needs no Snakemake works without.
    assert '| one | yes | 31.00 |' in done.run()
    assert 'train/one (to be done again)' in done.run('--dry-run', '--redo', 'train/one')
    with pytest.raises(MissingExtraError, match=re.escape('pip install "tfinet-mm[recipe]"')):
        done.run('--redo', 'test/one')
    assert (done.path / 'work/test/one/scores.json').is_file()


@pytest.fixture
def start(short):
    """Start tools/recipe.py on the stand-ins, in a process group of its own."""

    def _start():
        (short.path / 'waiting').unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, '-c', DRIVER, TOOL, 'recipe.py', '--work-dir', 'work'],
            start_new_session=True,
            # Tests that are run in the background inherit that Ctrl-C is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        deadline = time.monotonic() + 240
        while (short.path / 'wait').exists() and not (short.path / 'waiting').exists():
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process

    return _start


def test_killed_and_started_again_it_resumes(short, start):
    (short.path / 'wait').touch()
    process = start()
    # While a command is at work nobody else may be.
    with pytest.raises(FolderInUseError, match=r'work is being written to by process \d+'):
        short.run()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert short.calls == ['train one']
    assert not short.state('train/one')['done']
    assert 'train/one (begun)' in short.run('--dry-run')

    (short.path / 'wait').unlink()
    printed = short.run()
    assert short.calls == ['train one resumed', *ALL[1:3]]
    assert '| one | yes | 31.00 |' in printed
    # The time before the kill counts.
    assert short.state('train/one')['seconds'] > 0


def test_a_command_that_outlived_its_recipe_is_left_alone(short, start):
    (short.path / 'wait').touch()
    process = start()
    members = {}
    for entry in Path('/proc').iterdir():
        with contextlib.suppress(OSError, ValueError):
            if os.getpgid(int(entry.name)) == process.pid:
                members[int(entry.name)] = (entry / 'cmdline').read_bytes().split(b'\0')
    (training,) = (pid for pid, words in members.items() if b'checkout/tools/train.py' in words)
    for pid in members:
        if pid != training:
            os.kill(pid, signal.SIGKILL)
    process.wait()
    try:
        with pytest.raises(StageError, match='Snakemake ended with exit code'):
            short.run()
        assert 'train/one: work/stages/train/one is being written to by process' in short.printed
        assert short.calls == ['train one']
    finally:
        os.kill(training, signal.SIGKILL)


def test_stopped_it_takes_its_command_along(short, start):
    (short.path / 'wait').touch()
    process = start()
    process.terminate()
    printed, _ = process.communicate(timeout=240)
    assert process.returncode == 128 + signal.SIGTERM, printed
    (short.path / 'wait').unlink()
    # The locks are free, so the command is gone.
    short.run()
    assert short.state('test_tta/one')['done']


def test_interrupted_at_the_keyboard_it_says_how_to_resume(short, start):
    (short.path / 'wait').touch()
    process = start()
    # The terminal interrupts the whole group.
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=240)
    assert process.returncode == 130
    assert printed.endswith('stopped; the same command resumes from here\n')
