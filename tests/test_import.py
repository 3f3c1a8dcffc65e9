"""Test that importing the package, reading checkpoints and training change nothing for others."""

import subprocess
import sys
import textwrap

PROGRAM = textwrap.dedent(
    """
    import argparse, importlib, pathlib, pkgutil, sys, warnings
    warnings.simplefilter('ignore')
    import torch
    from mmengine.fileio.backends import backends, prefix_to_backends
    from mmengine.runner import CheckpointLoader, Runner, save_checkpoint
    import mmengine.evaluator, mmengine.model
    import mmengine.runner.checkpoint as mmengine_checkpoint
    import mmseg.models, torch._dynamo  # these register much, with us or without

    def state():
        return (
            dict(CheckpointLoader._schemes), dict(backends), dict(prefix_to_backends),
            set(torch.serialization.get_safe_globals()), torch.load,
            mmengine_checkpoint._load_checkpoint, mmengine_checkpoint.save_checkpoint,
            Runner.load_checkpoint, Runner.save_checkpoint,
            getattr(torch._weights_only_unpickler, '_get_user_allowed_globals', None),
        )

    Runner._log_env = lambda self, env_cfg: None  # asks other programs for versions
    before = state()
    import tfinet_mm
    for module in pkgutil.walk_packages(tfinet_mm.__path__, 'tfinet_mm.'):
        importlib.import_module(module.name)
    assert state() == before, 'importing'

    path = sys.argv[1]
    torch.save(dict(state_dict=dict(w=torch.ones(2)), args=argparse.Namespace(lr=3)), path)
    from tfinet_mm.checkpoints.addresses import read_checkpoint
    from tfinet_mm.checkpoints.reading import load_checkpoint_file
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

    # A small training, validated, saved and resumed, with the best of its checkpoints.
    class Network(mmengine.model.BaseModel):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(1, 1)
            self.init_cfg = dict(type='Pretrained', checkpoint=path + '.begin')

        def forward(self, inputs, mode='tensor'):
            output = self.linear(torch.stack(inputs))
            return dict(loss=output.square().mean()) if mode == 'loss' else list(output)

    class Score(mmengine.evaluator.BaseMetric):
        def process(self, data_batch, data_samples):
            self.results.append(1)

        def compute_metrics(self, results):
            return dict(Score=len(results))

    torch.save(Network().state_dict(), path + '.begin')
    from tfinet_mm.engine.runner import SCDRunner
    loader = dict(
        dataset=[dict(inputs=torch.ones(1))] * 4, batch_size=2,
        sampler=dict(type='DefaultSampler', shuffle=True),
    )
    for epochs in (1, 2):
        SCDRunner(
            model=Network(), work_dir=path + '.work', experiment_name=f'run{epochs}',
            train_dataloader=loader, val_dataloader=loader, val_cfg=dict(),
            train_cfg=dict(by_epoch=True, max_epochs=epochs), val_evaluator=[Score()],
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)), resume=epochs == 2,
            default_hooks=dict(checkpoint=dict(
                type='CheckpointHook', interval=1, save_best='Score', rule='greater')),
        ).train()
    saved = {file.name for file in pathlib.Path(path + '.work').glob('*.pth')}
    assert saved == {'best_Score_epoch_1.pth', 'epoch_1.pth', 'epoch_2.pth'}, saved
    schemes, all_backends, *others = state()
    for found, expected in zip(others, before[2:], strict=True):
        assert found == expected, ('training', expected, found)
    added = {
        *(schemes.items() - before[0].items()), *(all_backends.items() - before[1].items())
    }
    assert before[0].items() <= schemes.items() and before[1].items() <= all_backends.items()
    assert {name for name, _ in added} == {'tfinet-mm://', 'tfinet_mm.whole_files'}, added
    assert all(kind.__module__.startswith('tfinet_mm.') for _, kind in added), added

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


def test_importing_reading_and_training_change_nothing_for_others(tmp_path):
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM, str(tmp_path / 'x.pth')],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'UNCHANGED' in done.stdout
