"""Test tools/train.py as users run it."""

import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from mmengine.config import Config

from tfinet_mm.checkpoints.reading import load_checkpoint_file


def test_the_log_shows_progress_and_scores(trained):
    work_dir, output = trained
    assert re.search(r'Epoch\(train\) \[2\]\[2/2\].* eta: .*loss: \d', output)
    assert re.search(r'Epoch\(val\) \[2\]\[3/3\].* Score: \d', output)
    assert f'Logs and checkpoints are in {work_dir}' in output
    best = re.search(r'The best checkpoint is (\S+)', output).group(1)
    assert load_checkpoint_file(best)['meta']['epoch'] in (1, 2)
    assert {p.name for p in work_dir.glob('epoch_*.pth')} == {'epoch_1.pth', 'epoch_2.pth'}


def test_killed_runs_resume_from_the_last_whole_checkpoint(tiny, tools, run, environment, tmp_path):
    command = [sys.executable, tools / 'train.py', tiny, '--work-dir', tmp_path / 'w']
    options = ['--cfg-options', 'train_cfg.max_epochs=40', 'train_cfg.val_interval=100']
    process = subprocess.Popen(
        [str(part) for part in (*command, *options)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / 'w' / 'epoch_2.pth').exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()

    checkpoints = sorted(
        (tmp_path / 'w').glob('epoch_*.pth'), key=lambda p: int(p.stem.split('_')[1])
    )
    whole, torn = checkpoints[-2:]
    last = int(whole.stem.split('_')[1])
    # An incomplete file, as other file systems or older versions may leave it.
    torn.write_bytes(torn.read_bytes()[:-1000])
    output = run(*command[1:], '--resume', '--cfg-options', f'train_cfg.max_epochs={last + 2}')
    assert 'not resumed from' in output
    assert str(torn) in output
    assert f'Resuming from {whole}' in output
    assert f'resumed epoch: {last}, iter: {2 * last}' in output
    assert f'Epoch(train) [{last + 1}]' in output
    assert f'Epoch(train) [{last}]' not in output

    final = tmp_path / 'w' / f'epoch_{last + 2}.pth'
    checkpoint = load_checkpoint_file(final)
    assert checkpoint['meta']['iter'] == 2 * (last + 2)
    # Adam's count of steps includes those before the kill.
    assert {float(state['step']) for state in checkpoint['optimizer']['state'].values()} == {
        2.0 * (last + 2)
    }
    scores = run(tools / 'test.py', tiny, final, '--work-dir', tmp_path / 't')
    assert re.search(r'Epoch\(test\) \[3/3\].* Score: \d', scores)


def test_amp_seed_and_nothing_to_resume(tiny, tools, run, trained, tmp_path):
    weights = trained[0] / 'epoch_1.pth'
    options = ('--resume', '--amp', '--seed', '7', '--cfg-options', 'train_cfg.max_epochs=1')
    options = (*options, f'load_from={weights}')
    output = run(tools / 'train.py', tiny, *options)
    work_dir = tmp_path / 'work_dirs' / 'tiny config'
    assert 'No checkpoint in work_dirs/tiny config yet: training from the start, with' in output
    assert f'with the weights of {weights}\n' in output
    checkpoint = load_checkpoint_file(work_dir / 'epoch_1.pth')
    assert checkpoint['meta']['seed'] == 7
    assert Config.fromfile(work_dir / 'tiny config.py').model.autocast == 'auto'
    (log,) = work_dir.glob('*/*.log')
    for text in (output, log.read_text()):
        assert len(re.findall(r"Computing in b?float\d\d on the device 'cpu' .*units", text)) == 1
    # The weights themselves stay float32.
    assert {
        value.dtype for value in checkpoint['state_dict'].values() if value.is_floating_point()
    } == {torch.float32}
    assert re.search(r'loss: \d', output)


def test_a_given_checkpoint_is_resumed_and_trusted_on_demand(tiny, tools, run, trained, tmp_path):
    class Call:
        def __reduce__(self):
            return print, ('a stranger', 'speaks')

    path = tmp_path / 'x.pth'
    whole = load_checkpoint_file(trained[0] / 'epoch_1.pth')
    torch.save(whole | {'call': Call()}, path)
    options = (tiny, '--work-dir', tmp_path / 'w', '--resume', path)
    output = run(tools / 'train.py', *options, '--trust-checkpoint')
    assert 'a stranger speaks' in output
    assert 'resumed epoch: 1, iter: 2' in output
    assert 'Epoch(train) [2][2/2]' in output


def test_what_is_missing_is_named(load_tool, tiny):
    train = load_tool('train.py')
    with pytest.raises(FileNotFoundError, match=r'there is no config nowhere\.py'):
        train.main(['nowhere.py'])
    with pytest.raises(FileNotFoundError, match=r'there is no checkpoint nowhere\.pth'):
        train.main([str(tiny), '--resume', 'nowhere.pth'])


def test_float16_without_a_scaled_loss_stops_before_data_is_read(load_tool, tools, tmp_path):
    config = tools.parent / 'configs' / 'tfinet_r18.py'  # whose data isn't there
    options = ['--work-dir', str(tmp_path), '--cfg-options', 'model.autocast=float16']
    with pytest.raises(ValueError, match=r'OptimWrapper does not scale.*AmpOptimWrapper'):
        load_tool('train.py').main([str(config), *options])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('preprocessor', 'found'),
    [
        (
            dict(mean=[127.5] * 3, std=[127.5] * 3),
            r'mean=\[127.5, 127.5, .*mean=\[123.675, ',
        ),
        (dict(bgr_to_rgb=True), 'LoadImagePair loads RGB and .*bgr_to_rgb=True, so .* get BGR'),
    ],
)
def test_images_not_as_the_weights_expect_stop_before_the_first_step(
    tiny, tools, run, tmp_path, preprocessor, found
):
    config = tmp_path / 'other.py'
    init_cfg = dict(_delete_=True, type='Pretrained', checkpoint='torchvision://resnet18')
    model = dict(data_preprocessor=preprocessor, backbone=dict(init_cfg=init_cfg))
    config.write_text(f'_base_ = {str(tiny)!r}\nmodel = {model!r}\n')
    output = run(tools / 'train.py', config, '--work-dir', tmp_path / 'w', code=2)
    assert re.search(found, output)
    assert 'Epoch(train)' not in output
    assert not list((tmp_path / 'w').glob('*.pth'))


@pytest.mark.parametrize('name', ['train.py', 'test.py', 'pseudo_label.py'])
def test_amp_without_a_type_is_auto(load_tool, name):
    parse = load_tool(name).parse_args
    out = ['--out', 'd'] if name == 'pseudo_label.py' else []
    assert parse(['c.py', *out, '--amp']).amp == 'auto'
    assert parse(['c.py', *out, '--amp', 'float32']).amp == 'float32'
    assert parse(['c.py', *out]).amp is None


@pytest.mark.parametrize('name', ['train.py', 'test.py'])
def test_the_options_are_documented(load_tool, name, capsys, tools):
    with pytest.raises(SystemExit):
        load_tool(name).parse_args(['--help'])
    options = set(re.findall(r'(--[a-z][a-z-]+)', capsys.readouterr().out))
    docs = (tools.parent / 'docs' / 'tools.md').read_text()
    assert options - {'--help', '--local-rank', '--local_rank', '--local'} <= set(
        re.findall(r'--[a-z][a-z-]+', docs)
    )
