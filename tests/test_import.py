"""Importing the package, reading checkpoints and running change nothing for others."""

import subprocess
import sys
import textwrap

PROGRAM = textwrap.dedent(
    """
    import argparse, importlib, pkgutil, sys, warnings
    warnings.simplefilter('ignore')
    import torch
    from mmengine.fileio.backends import backends, prefix_to_backends
    from mmengine.runner import CheckpointLoader, Runner, save_checkpoint
    import mmengine.runner.checkpoint as mmengine_checkpoint
    import mmseg.models  # registers what it registers, with us or without

    def state():
        return (
            dict(CheckpointLoader._schemes), dict(backends), dict(prefix_to_backends),
            set(torch.serialization.get_safe_globals()), torch.load,
            mmengine_checkpoint._load_checkpoint, mmengine_checkpoint.save_checkpoint,
            Runner.load_checkpoint, Runner.save_checkpoint,
            getattr(torch._weights_only_unpickler, '_get_user_allowed_globals', None),
        )

    before = state()
    import tfinet_mm
    for module in pkgutil.walk_packages(tfinet_mm.__path__, 'tfinet_mm.'):
        importlib.import_module(module.name)
    assert state() == before, 'importing'

    path = sys.argv[1]
    torch.save(dict(state_dict=dict(w=torch.ones(2)), args=argparse.Namespace(lr=3)), path)
    from tfinet_mm.checkpoints.addresses import read_checkpoint
    from tfinet_mm.engine.checkpoint import load_checkpoint_file
    for _ in range(2):
        for read in (load_checkpoint_file, read_checkpoint):
            try:
                read(path)
            except tfinet_mm.errors.UntrustedCheckpointError as error:
                assert 'argparse.Namespace' in str(error)
            else:
                raise AssertionError('a Namespace was read')
    torch.save(dict(state_dict=dict(w=torch.ones(2))), path + '.plain')
    read_checkpoint(path + '.plain')
    assert state() == before, 'reading'
    # Somebody else's checkpoint with a Namespace, read by torch and by MMEngine.
    assert torch.load(path, weights_only=False)['args'].lr == 3
    with torch.serialization.safe_globals([argparse.Namespace]):
        assert torch.load(path, weights_only=True)['args'].lr == 3
    try:
        loaded = CheckpointLoader.load_checkpoint(path, map_location='cpu', logger=None)
        assert loaded['args'].lr == 3
    except Exception as error:  # OpenMMLab's MMEngine can't, under torch >= 2.6
        assert type(error).__module__ in ('_pickle', 'pickle'), error
    print('UNCHANGED')
    """
)


def test_importing_and_reading_change_nothing_for_others(tmp_path):
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM, str(tmp_path / 'x.pth')],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'UNCHANGED' in done.stdout
