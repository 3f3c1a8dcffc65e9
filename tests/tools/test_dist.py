"""Test dist_train.sh and dist_test.sh with two ranks, and the slurm scripts with a fake srun."""

import os
import re
import stat
import subprocess
import sys
import textwrap

import pytest

from tfinet_mm.checkpoints.reading import load_checkpoint_file


def scores_of(output):
    lines = [line for line in output.splitlines() if 'Epoch(' in line and 'Score:' in line]
    return dict(re.findall(r'(\w+): (-?\d+\.\d+)', lines[-1].split('] ', 1)[1]))


@pytest.mark.slow
def test_two_ranks_train_and_score_as_one(tiny, tools, run, tmp_path):
    # SyncBN over gloo, and three images for two ranks; another folder, and a path with a space.
    options = ('--work-dir', tmp_path / 'two ranks', '--cfg-options', 'train_cfg.max_epochs=1')
    output = run(tools / 'dist_train.sh', tiny, 2, *options)
    # Four pairs, batches of two, two ranks: one step an epoch.
    assert 'Epoch(train) [1][1/1]' in output
    checkpoint = tmp_path / 'two ranks' / 'epoch_1.pth'
    assert load_checkpoint_file(checkpoint)['meta']['iter'] == 1

    one = run(tools / 'test.py', tiny, checkpoint, '--out', tmp_path / 'one')
    two = run(tools / 'dist_test.sh', tiny, checkpoint, 2, '--out', tmp_path / 'two')
    names = ('Score', 'SeK', 'Fscd', 'mIoU', 'OA')
    assert [scores_of(two)[name] for name in names] == [scores_of(one)[name] for name in names]
    assert scores_of(one)['Score'] == scores_of(output)['Score']
    files = sorted(path.relative_to(tmp_path / 'one') for path in (tmp_path / 'one').rglob('*.*'))
    assert len(files) >= 3
    for file in files:
        assert (tmp_path / 'one' / file).read_bytes() == (tmp_path / 'two' / file).read_bytes()


@pytest.mark.slow
def test_two_ranks_augment_and_average_as_one(ensemble, tools, run, tmp_path):
    """Test an ensemble without CHECKPOINT; with two ranks, one of three images comes twice."""
    options = ('--tta', '--time-budget', 600)
    one = run(tools / 'test.py', ensemble, *options, '--out', tmp_path / 'one')
    two = run(tools / 'dist_test.sh', ensemble, 2, *options, '--out', tmp_path / 'two')
    names = ('Score', 'SeK', 'Fscd', 'mIoU', 'OA', 'SeK_from_to')
    assert [scores_of(two)[name] for name in names] == [scores_of(one)[name] for name in names]
    assert '3 of 3 images had test-time augmentation' in one
    assert '3 of 3 images had test-time augmentation' in two
    files = sorted(path.relative_to(tmp_path / 'one') for path in (tmp_path / 'one').rglob('*.*'))
    assert len(files) >= 3
    for file in files:
        assert (tmp_path / 'one' / file).read_bytes() == (tmp_path / 'two' / file).read_bytes()


@pytest.fixture
def fake_python(tmp_path):
    """Return an interpreter that prints its arguments, and variables that start with MASTER."""
    path = tmp_path / 'python'
    path.write_text('#!/bin/sh\nfor a in "$@"; do echo "[$a]"; done\nenv | grep ^MASTER\nexit 0\n')
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return path


def test_one_machine_takes_a_free_port(tools, run, fake_python):
    environment = {'PYTHON': str(fake_python)}
    words = run(tools / 'dist_train.sh', 'a b.py', 8, '--amp', env=environment).splitlines()
    assert '[--standalone]' in words
    assert '[--nproc_per_node=8]' in words
    assert words[-5:] == [f'[{tools}/train.py]', '[a b.py]', '[--launcher]', '[pytorch]', '[--amp]']


def test_several_machines_take_the_usual_variables(tools, run, fake_python):
    environment = {
        'PYTHON': str(fake_python),
        'NNODES': '2',
        'NODE_RANK': '1',
        'PORT': '29999',
        'MASTER_ADDR': '10.0.0.1',
    }
    words = run(tools / 'dist_test.sh', 'c.py', 'x.pth', 4, env=environment).splitlines()
    assert '[--standalone]' not in words
    for word in (
        '--nnodes=2',
        '--node_rank=1',
        '--master_addr=10.0.0.1',
        '--master_port=29999',
        '--nproc_per_node=4',
    ):
        assert f'[{word}]' in words
    tail = words[words.index(f'[{tools}/test.py]') + 1 :]
    assert tail[:4] == ['[c.py]', '[x.pth]', '[--launcher]', '[pytorch]']


def test_an_ensemble_has_no_checkpoint(tools, run, fake_python, srun, tmp_path):
    environment = {'PYTHON': str(fake_python)}
    words = run(tools / 'dist_test.sh', 'c.py', 2, '--tta', env=environment).splitlines()
    assert '[--nproc_per_node=2]' in words
    expected = ['[c.py]', '[--launcher]', '[pytorch]', '[--tta]']
    assert words[words.index(f'[{tools}/test.py]') + 1 :][:4] == expected
    # A file name may be a number.
    (tmp_path / '2').touch()
    words = run(tools / 'dist_test.sh', 'c.py', 2, 3, env=environment).splitlines()
    assert '[--nproc_per_node=3]' in words
    assert words[words.index(f'[{tools}/test.py]') + 1 :][:2] == ['[c.py]', '[2]']
    environment = srun | {'DRY': '1', 'PYTHON': 'python', 'PY_ARGS': '--amp'}
    words = run(tools / 'slurm_test.sh', 'p', 'j', 'c.py', '--tta', env=environment).splitlines()
    expected = ['[c.py]', '[--tta]', '[--launcher]', '[slurm]', '[--amp]']
    assert words[words.index(f'[{tools}/test.py]') + 1 : -1] == expected


@pytest.mark.parametrize(
    ('script', 'arguments'),
    [
        ('dist_train.sh', ['c.py']),
        ('dist_test.sh', []),
        ('dist_test.sh', ['c.py']),
        ('dist_test.sh', ['c.py', 'x.pth']),
        ('slurm_train.sh', ['p', 'j']),
        ('slurm_test.sh', ['p', 'j']),
    ],
)
def test_too_few_arguments_show_the_usage(tools, run, script, arguments):
    assert 'usage: ' in run(tools / script, *arguments, code=2)


@pytest.mark.parametrize('script', ['dist_predict.sh', 'dist_pseudo_label.sh'])
def test_processes_come_after_the_config(tools, run, fake_python, tmp_path, script):
    environment = {'PYTHON': str(fake_python)}
    tail = ['2.tif', 'b.tif', '--out', 'o']
    for command in (['c.py', 2, 'x.pth', *tail], ['c.py', 'x.pth', 2, *tail]):
        words = run(tools / script, *command, env=environment).splitlines()
        assert '[--nproc_per_node=2]' in words
        expected = [f'[{word}]' for word in ('c.py', 'x.pth', *tail, '--launcher', 'pytorch')]
        assert words[words.index(f'[{tools}/{script[5:-3]}.py]') + 1 :][: len(expected)] == expected
    # A file name may be a number.
    (tmp_path / '7').touch()
    words = run(tools / script, '7', 3, 'x.pth', *tail, env=environment).splitlines()
    assert '[--nproc_per_node=3]' in words
    # The number first, as in earlier versions; no number; and no number above 0.
    for command in ([2, 'c.py', 'x.pth', *tail], ['c.py', 'x.pth', *tail], ['c.py', 0, *tail]):
        assert f'{script} CONFIG GPUS ' in run(tools / script, *command, code=2, env=environment)


@pytest.fixture
def srun(tmp_path):
    """Return an environment with a fake srun that prints its options and starts tasks here."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    script = folder / 'srun'
    script.write_text(
        f'#!{sys.executable}\n'
        + textwrap.dedent(
            """
            import os, subprocess, sys
            options = [a for a in sys.argv[1:] if a.startswith('-')]
            command = sys.argv[1:]
            while command[0].startswith('-'):
                print('[' + command.pop(0) + ']', flush=True)
            tasks = int([o for o in options if o.startswith('--ntasks=')][0].split('=')[1])
            if os.environ.get('DRY'):
                print(*('[' + word + ']' for word in command), sep='\\n')
                print('[MASTER_PORT', os.environ.get('MASTER_PORT'), ']')
                sys.exit()
            processes = [
                subprocess.Popen(command, env=os.environ | {
                    'SLURM_PROCID': str(i), 'SLURM_LOCALID': str(i), 'SLURM_NTASKS': str(tasks),
                    'SLURM_NNODES': '1', 'SLURM_JOB_ID': str(os.getpid()),
                })
                for i in range(tasks)
            ]
            sys.exit(max(process.wait() for process in processes))
            """
        )
    )
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    return {'PATH': f'{folder}{os.pathsep}{os.environ["PATH"]}'}


def test_slurm_scripts_take_the_usual_variables(tools, run, srun):
    environment = srun | {
        'DRY': '1',
        'PYTHON': 'python',
        'GPUS': '16',
        'GPUS_PER_NODE': '8',
        'CPUS_PER_TASK': '3',
        'SRUN_ARGS': '--quotatype=auto --exclusive',
        'PY_ARGS': '--amp --seed 1',
        'PORT': '23456',
    }
    words = run(
        tools / 'slurm_train.sh', 'part', 'job', 'c.py', 'my work', '--resume', env=environment
    )
    words = words.splitlines()
    for word in (
        '--partition=part',
        '--job-name=job',
        '--gres=gpu:8',
        '--ntasks=16',
        '--ntasks-per-node=8',
        '--cpus-per-task=3',
        '--quotatype=auto',
        '--exclusive',
        'MASTER_PORT 23456 ',
    ):
        assert f'[{word}]' in words
    tail = words[words.index(f'[{tools}/train.py]') + 1 : -1]
    assert tail == [
        f'[{word}]'
        for word in (
            *('c.py', '--work-dir', 'my work', '--launcher', 'slurm', '--resume'),
            *('--amp', '--seed', '1'),
        )
    ]


@pytest.mark.slow
def test_two_slurm_tasks_on_a_machine_without_gpu(tiny, tools, run, srun, trained, tmp_path):
    checkpoint = trained[0] / 'epoch_2.pth'
    environment = srun | {'GPUS': '2', 'GPUS_PER_NODE': '0', 'CPUS_PER_TASK': '1'}
    output = run(
        *(tools / 'slurm_test.sh', 'part', 'job', tiny, checkpoint, '--split', 'val'),
        env=environment,
    )
    assert not re.search(r'\[--gres', output)
    trained_score = scores_of(trained[1])['Score']
    assert float(scores_of(output)['Score']) == pytest.approx(float(trained_score), abs=1e-3)


def test_the_scripts_are_executable_and_parse(tools):
    for script in tools.glob('*.sh'):
        subprocess.run(['bash', '-n', str(script)], check=True)
        if not script.name.endswith('_options.sh'):
            assert os.access(script, os.X_OK)
