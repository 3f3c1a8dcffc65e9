"""Test programs that build the Runner which a config of this package names."""

import json
import runpy
import sys
from collections import OrderedDict
from pathlib import Path

import mmseg
import numpy as np
import pytest
import torch
from mmengine.visualization import Visualizer
from PIL import Image

from tfinet_mm.checkpoints.reading import load_checkpoint_file

# Nothing of this package is imported by name, as in mmseg's and Open-CD's own tools.
PROGRAM = """
import sys, types
import mmengine.fileio
from mmengine.config import Config
from mmengine.registry import RUNNERS

calls = []
wandb = types.ModuleType('wandb')
wandb.init = lambda **kwargs: calls.append(('init', kwargs))
wandb.log = lambda values, **kwargs: calls.append(('log', sorted(values)))
wandb.define_metric = lambda *args, **kwargs: None
wandb.join = lambda: None
wandb.run = types.SimpleNamespace(
    dir='.', _label=lambda **kwargs: None, log_code=lambda *args, **kwargs: None)
wandb.config = types.SimpleNamespace(update=lambda *args, **kwargs: None)
wandb.Image = lambda *args, **kwargs: None
sys.modules['wandb'] = wandb

cfg = Config.fromfile(sys.argv[1])
cfg.work_dir, cfg.load_from = sys.argv[2], sys.argv[3] or None
runner = RUNNERS.build(cfg)
runner.train()
print('WANDB', [call for call in calls if call[0] == 'init'][0][1]['project'],
      any('loss' in call[1] for call in calls), any('Score' in call[1] for call in calls))
print('BACKEND', type(mmengine.fileio.get_file_backend('x.pth')).__name__)
"""


@pytest.fixture
def program(tiny, run, tmp_path):
    file = tmp_path / 'program.py'
    file.write_text(PROGRAM)
    config = tmp_path / 'logged.py'
    config.write_text(
        f'_base_ = {str(tiny)!r}\n'
        'train_cfg = dict(max_epochs=1)\n'
        'visualizer = dict(vis_backends=[\n'
        "    dict(type='LocalVisBackend'),\n"
        "    dict(type='TensorboardVisBackend'),\n"
        "    dict(type='WandbVisBackend', init_kwargs=dict(project='tfinet')),\n"
        '])\n'
    )

    def _program(load_from='', code=0):
        return run(file, config, tmp_path / 'w', load_from, code=code)

    return _program


def test_logs_go_to_tensorboard_and_wandb_by_config(program, tmp_path):
    event_accumulator = pytest.importorskip(
        'tensorboard.backend.event_processing.event_accumulator'
    )
    printed = program()
    assert 'WANDB tfinet True True' in printed
    # The file backend of this package is used for checkpoints alone.
    assert 'BACKEND LocalBackend' in printed

    (folder,) = (tmp_path / 'w').glob('*/vis_data')
    logged = event_accumulator.EventAccumulator(str(folder))
    logged.Reload()
    assert {'loss', 'lr', 'Score', 'SeK'} <= set(logged.Tags()['scalars'])
    lines = [json.loads(line) for line in (folder / 'scalars.json').read_text().splitlines()]
    losses = [line['loss'] for line in lines if 'loss' in line]
    assert [event.value for event in logged.Scalars('loss')] == pytest.approx(losses)


def test_a_strangers_checkpoint_is_refused(program, tmp_path):
    class Call:
        def __reduce__(self):
            return print, ('a stranger', 'speaks')

    torch.save({'state_dict': {}, 'call': Call()}, tmp_path / 'x.pth')
    printed = program(tmp_path / 'x.pth', code=1)
    assert 'a stranger speaks' not in printed
    assert 'UntrustedCheckpointError' in printed


@pytest.fixture(scope='session')
def mmseg_tool():
    """Return a function that runs main() of one of mmseg's own tools in this process."""
    folder = Path(mmseg.__file__).parent / '.mim' / 'tools'
    if not folder.is_dir():
        pytest.skip('this MMSegmentation comes without its tools')

    def run(name, *arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, 'argv', [name, *map(str, arguments)])
            patch.setenv('LOCAL_RANK', '0')
            # A new process has no visualizer yet; here, one may have the folder of an earlier test.
            patch.setattr(Visualizer, '_instance_dict', OrderedDict())
            namespace = runpy.run_path(str(folder / name))
            namespace['main']()

    return run


def test_mmseg_tests_draws_writes_and_augments(tiny, trained, mmseg_tool, load_tool, tmp_path):
    """MMSegmentation's tool makes the same maps and pictures as tools/test.py."""
    checkpoint = trained[0] / 'epoch_2.pth'
    mmseg_tool(
        *('test.py', tiny, checkpoint, '--tta', '--work-dir', tmp_path / 'theirs'),
        *('--out', tmp_path / 'maps', '--show-dir', tmp_path / 'pictures'),
        *('--cfg-options', 'test_evaluator.out_file=' + str(tmp_path / 'theirs.json')),
    )
    load_tool('test.py').main(
        [
            *(str(tiny), str(checkpoint), '--tta', '--work-dir', str(tmp_path / 'ours')),
            *('--out', str(tmp_path / 'our maps'), '--show-dir', str(tmp_path / 'our pictures')),
            *('--json', str(tmp_path / 'ours.json')),
        ]
    )
    theirs, ours = (json.loads((tmp_path / f'{n}.json').read_text()) for n in ('theirs', 'ours'))
    assert theirs['scores'] == ours['scores']
    files = sorted(p.relative_to(tmp_path / 'maps') for p in (tmp_path / 'maps').rglob('*.png'))
    assert len(files) == 9
    for file in files:
        assert (tmp_path / 'maps' / file).read_bytes() == (
            tmp_path / 'our maps' / file
        ).read_bytes()
    drawn = sorted((tmp_path / 'our pictures').rglob('*.png'))
    found = sorted((tmp_path / 'pictures' / 'vis_data' / 'vis_image' / 'test').rglob('*.png'))
    assert [path.name for path in found] == [f'{path.stem}_0.png' for path in drawn]
    for first, second in zip(found, drawn, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(first)), np.asarray(Image.open(second)))


def test_mmseg_trains_and_resumes(tiny, mmseg_tool, tmp_path):
    options = ('--work-dir', tmp_path / 'w', '--cfg-options', 'train_cfg.max_epochs=')
    mmseg_tool('train.py', tiny, *options[:-1], options[-1] + '1')
    mmseg_tool('train.py', tiny, '--resume', *options[:-1], options[-1] + '2')
    checkpoint = load_checkpoint_file(tmp_path / 'w' / 'epoch_2.pth')
    assert checkpoint['meta']['iter'] == 4
    steps = {float(state['step']) for state in checkpoint['optimizer']['state'].values()}
    assert steps == {4.0}
