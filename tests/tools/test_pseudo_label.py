"""tools/pseudo_label.py and its script for several processes, run as users run them."""

import json
import signal
import subprocess
import sys
import time

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from tfinet_mm.pseudo_labels.selection import Selection
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import SECOND


@pytest.fixture(scope='module')
def checkpoints(tiny, tmp_path_factory):
    """Three networks of the tiny config, with weights nobody trained."""
    folder = tmp_path_factory.mktemp('checkpoints')
    paths = []
    for seed in range(3):
        torch.manual_seed(seed)
        with DefaultScope.overwrite_default_scope('mmseg'):
            model = MODELS.build(Config.fromfile(tiny).model)
        # So that the classes of pixels differ.
        torch.nn.init.normal_(model.semantic_head.conv_seg.weight)
        paths.append(folder / f'{seed}.pth')
        meta = dict(dataset_meta=SECOND.metainfo())
        torch.save(dict(state_dict=model.state_dict(), meta=meta), paths[-1])
    return paths


@pytest.fixture
def arguments(tiny, checkpoints, tmp_path, make_scd):
    """Members and options, with pairs of two sizes to label."""
    names = [f'sub dir/{number}.a b' for number in range(9)]
    sizes = {name: (32, 64) if index % 3 else (64, 64) for index, name in enumerate(names)}
    make_scd(names, sizes, root='many')
    return [
        *(word for path in checkpoints for word in (tiny, path)),
        *('--method', 'soft', '--tta', '--threshold', '0.4', '--quota', 'water=0.3', 'tree=0.5'),
        *('--max-change-prob', '0.9', '--confidence', '--batch-size', '2', '--workers', '1'),
        *('--cfg-options', f'train_dataloader.dataset.data_root={tmp_path / "many"}'),
    ]


def files(root):
    paths = sorted(path for path in root.rglob('*') if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def visible(content):
    """Without what a killed run was just writing to, and its lock, which have hidden names."""
    return {name: value for name, value in content.items() if '/.' not in f'/{name}'}


def kill_when_something_is_written(command, out, environment, tmp_path):
    """Start a tool and kill it once it has written two predictions."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None and len(list(out.rglob('[!.]*.npz'))) < 2:
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_a_killed_run_that_goes_on_gives_the_files_of_two_ranks(
    tools, run, arguments, environment, tmp_path
):
    command = (tools / 'dist_pseudo_label.sh', arguments[0], 2, *arguments[1:])
    run(*command, '--out', tmp_path / 'two')
    two = files(tmp_path / 'two')
    assert len(two) == 9 * 5 + 2
    report = json.loads((tmp_path / 'two/report.json').read_text())
    assert report['options']['quota'] == [0.3, 0, 0, 0.5, 0, 0]
    assert report['pairs'] == 9

    out = tmp_path / 'killed'
    command = [tools / 'pseudo_label.py', *arguments, '--out', out]
    kill_when_something_is_written(command, out, environment, tmp_path)
    left = visible(files(out))
    assert 3 <= len(left) < len(two)
    assert left.items() <= two.items()
    output = run(*command)
    assert visible(files(out)) == two
    assert 'Pseudo labels of 9 pairs by soft of 3' in output
    assert f'Pseudo labels: {out}' in output


def test_the_published_vote_on_the_embedded_data(tools, run, tiny, checkpoints, tmp_path):
    sources = [word for path in checkpoints[:2] for word in (tiny, path)]
    options = ['--split', 'val', '--out', tmp_path / 'pseudo labels']
    output = run(tools / 'pseudo_label.py', *sources, *options)
    assert 'of the pseudo labels are right' in output
    report = json.loads((tmp_path / 'pseudo labels/report.json').read_text())
    assert report['method'] == 'vote'
    assert report['pairs'] == 3
    # The embedded data know the land cover of every unchanged pixel.
    assert report['accuracy']['pixels'] == report['pixels']['unlabelled'] > 0
    names = sorted(path.name for path in (tmp_path / 'pseudo labels/label1').iterdir())
    assert names == ['00000.png', '00001.png', '00002.png']


@pytest.fixture
def tool(load_tool):
    return load_tool('pseudo_label.py')


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        ([], None),
        (['--threshold', '0.8'], Selection(0.8)),
        (
            ['--class-thresholds', 'low vegetation=0.8', 'tree=0.7'],
            Selection(class_thresholds={'low vegetation': 0.8, 'tree': 0.7}),
        ),
        (['--quota', '0.3'], Selection(quota=0.3)),
        (['--quota', '0.3', '0.4'], Selection(quota=[0.3, 0.4])),
        (['--max-change-prob', '0.2'], Selection(max_change_prob=0.2)),
    ],
)
def test_what_is_said_of_the_selection(tool, words, expected):
    args = tool.parse_args(['c.py', 'c.pth', '--out', 'x', *words])
    assert tool.selection(args) == expected


@pytest.mark.parametrize('words', [['0.3', 'tree=0.4'], ['much'], ['tree=much']])
def test_numbers_that_are_none(tool, words):
    with pytest.raises(ValueError, match=f'--quota takes numbers, or NAME=.*got {words[0]}'):
        tool.numbers(words, '--quota')


def test_thresholds_are_for_soft(tool, tiny, checkpoints, tmp_path):
    arguments = [str(tiny), str(checkpoints[0]), '--out', str(tmp_path / 'x'), '--threshold', '0.5']
    with pytest.raises(ValueError, match="leave them out, or take method='soft'"):
        tool.main(arguments)
    assert not (tmp_path / 'x').exists()


def test_a_checkpoint_too_few(tool, tiny, checkpoints, tmp_path):
    with pytest.raises(ValueError, match=r'got 3: .*tiny config\.py'):
        tool.main([str(tiny), str(checkpoints[0]), str(tiny), '--out', str(tmp_path / 'x')])


def test_too_few_arguments_show_the_usage(tools, run):
    assert 'usage: ' in run(tools / 'dist_pseudo_label.sh', 'c.py', 2, code=2)
