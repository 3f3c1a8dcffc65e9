"""tools/recipe.py, run as users run it."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.errors import RecipeError, StageError

PIPELINE = """
_base_ = {tiny!r}
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.LoadPseudoLabels', data_root='elsewhere'),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='tfinet_mm.PackPairInputs'),
]))
"""
RECIPE = """
members = [dict(config={tiny!r}, name='tiny')]
pseudo_labels = dict(method='vote', options=['--batch-size', '2'])
retrain = ['again.py']
train_options = ['--seed', '3']
tests = dict(members=['plain'], members_ensemble=[], retrained=[], retrained_ensemble=['tta'])
"""
STAGES = ['train/tiny', 'test/tiny', 'pseudo_labels', 'retrain/again', 'test_tta/retrained']


@pytest.fixture
def recipe(tiny, tmp_path):
    """A recipe of one tiny network, in a folder with a space."""
    folder = tmp_path / 'my recipe'
    folder.mkdir()
    (folder / 'again.py').write_text(PIPELINE.format(tiny=str(tiny)))
    (folder / 'small.py').write_text(RECIPE.format(tiny=str(tiny)))
    return folder / 'small.py'


def test_a_dry_run_shows_the_commands_and_writes_nothing(
    recipe, load_tool, tmp_path, capfdbinary, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert load_tool('recipe.py').main([str(recipe), '--dry-run']) == 0
    printed = capfdbinary.readouterr().out.decode()
    assert re.findall(r'^\[\d/5\] (\S+) \(to do\)$', printed, re.MULTILINE) == STAGES
    assert "tools/train.py 'my recipe/again.py' --work-dir work_dirs/small/retrain/again" in printed
    assert '--resume --seed 3' in printed
    assert not (tmp_path / 'work_dirs').exists()


def test_several_gpus(recipe, load_tool, tmp_path, capfdbinary, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = [
        '--dry-run',
        '--launcher',
        'pytorch',
        '--gpus',
        '4',
        '--only',
        't*',
        '--work-dir',
        'w',
    ]
    assert load_tool('recipe.py').main([str(recipe), *options]) == 0
    printed = capfdbinary.readouterr().out.decode()
    assert re.search(r'^    \S*tools/dist_train.sh .+ 4 --work-dir w/train', printed, re.MULTILINE)
    assert re.search(
        r'tools/dist_test.sh w/ensembles/retrained.py 4 .* --tta$', printed, re.MULTILINE
    )
    assert 'pseudo_label' not in printed


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--only', 'trian/*'], "no stage is called 'trian/*'; the stages are train/tiny, "),
        (['--seed', '1'], 'the recipe gives tiny a seed of its own'),
        (['--only', 'pseudo_labels'], 'pseudo_labels needs train/tiny, which must be done first'),
    ],
)
def test_mistakes_are_named(recipe, load_tool, tmp_path, options, message):
    with pytest.raises((RecipeError, StageError), match=re.escape(message)):
        load_tool('recipe.py').main([str(recipe), '--work-dir', str(tmp_path), *options])


def test_several_processes_need_the_launcher(recipe, load_tool, capsys):
    with pytest.raises(SystemExit):
        load_tool('recipe.py').main([str(recipe), '--gpus', '2'])
    assert '--gpus 2 takes --launcher pytorch' in capsys.readouterr().err


def test_a_seed_for_all_trainings(recipe, load_tool, tmp_path, capfdbinary):
    recipe.write_text(recipe.read_text().replace("train_options = ['--seed', '3']", ''))
    options = ['--work-dir', str(tmp_path / 'w'), '--dry-run', '--seed', '5']
    assert load_tool('recipe.py').main([str(recipe), *options]) == 0
    printed = capfdbinary.readouterr().out.decode()
    assert printed.count('--resume --seed 5') == printed.count('tools/train.py') == 2


def test_a_missing_recipe_is_named(load_tool):
    with pytest.raises(FileNotFoundError, match=r'there is no recipe nowhere\.py'):
        load_tool('recipe.py').main(['nowhere.py'])


def test_the_options_are_documented(load_tool, capsys, tools):
    with pytest.raises(SystemExit):
        load_tool('recipe.py').parse_args(['--help'])
    options = set(re.findall(r'(--[a-z][a-z-]+)', capsys.readouterr().out)) - {'--help'}
    docs = (tools.parent / 'docs' / 'tools.md').read_text()
    docs = docs[docs.index('## A whole recipe') : docs.index('## Several GPUs')]
    assert options - {'--traceback'} == set(re.findall(r'--[a-z][a-z-]+', docs))


def _start(recipe, tools, environment, cwd, *options):
    pytest.importorskip('snakemake')
    command = [sys.executable, tools / 'recipe.py', recipe, '--work-dir', 'my work', *options]
    return subprocess.Popen(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_real_tools_from_start_to_end_over_a_kill(recipe, tools, environment, tmp_path):
    # Long enough to be killed in between.
    again = recipe.parent / 'again.py'
    again.write_text(again.read_text() + 'train_cfg = dict(max_epochs=12, val_interval=4)\n')
    process = _start(recipe, tools, environment, tmp_path)
    checkpoint = tmp_path / 'my work/retrain/again/epoch_2.pth'
    deadline = time.monotonic() + 600
    while not checkpoint.exists():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()

    process = _start(recipe, tools, environment, tmp_path)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed[-5000:]
    assert re.findall(r'^\[(\d)/5\] \S+$', printed, re.MULTILINE) == ['4', '5']
    assert re.search(r'Resuming from .*my work/retrain/again/epoch_\d+\.pth', printed)
    # 'Epoch(train) [1]' would be a start from the beginning.
    assert 'Epoch(train)  [1]' not in printed
    assert 'Epoch(train) [12][2/2]' in printed

    results = json.loads((tmp_path / 'my work/table.json').read_text())
    assert [test['stage'] for test in results['tests']] == ['test/tiny', 'test_tta/retrained']
    for test in results['tests']:
        assert 0 <= test['scores']['OA'] <= 100
    assert [*results['pseudo_labels']] == ['pseudo_labels']
    label = Image.open(sorted((tmp_path / 'my work/pseudo_labels/label1').iterdir())[0])
    assert label.mode == 'P'
    assert np.asarray(label).max() <= 6
    assert '| their ensemble (1) | yes |' in printed


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_a_command(recipe, tools, environment, tmp_path):
    # Re-training is like training, and the other stages are all there.
    recipe.write_text(
        re.sub(r'retrain = .*', '', recipe.read_text()).replace(
            'members_ensemble=[]', "members_ensemble=['tta']"
        )
    )
    process = _start(recipe, tools, environment, tmp_path, '--launcher', 'pytorch', '--gpus', '2')
    printed, _ = process.communicate()
    assert process.returncode == 0, printed[-5000:]
    assert printed.count('dist_') >= 4
    assert '| their ensemble (1) | yes |' in printed
