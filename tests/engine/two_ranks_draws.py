"""Train on one rank of a gloo group and note the numbers drawn; run by test_randomness.py.

python two_ranks_draws.py FOLDER RANK RANKS

FOLDER/rankRANK.json gets the numbers of the samples, by index, and those of the network.
"""

import importlib.util
import json
import sys
from pathlib import Path

import torch
from mmengine.hooks import Hook
from torch import distributed

from tfinet_mm.engine.runner import SCDRunner
from tfinet_mm.utils.ending import end_process

SPEC = importlib.util.spec_from_file_location('small', Path(__file__).with_name('conftest.py'))
small = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(small)


class Notes(Hook):
    def __init__(self):
        self.samples, self.network = {}, []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        for sample in data_batch['inputs']:
            index, *drawn = sample[:4, 0, 0].tolist()
            self.samples[int(index)] = drawn
        self.network.append(torch.rand(()).item())


if __name__ == '__main__':
    folder, rank, ranks = Path(sys.argv[1]), *map(int, sys.argv[2:])
    distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/group', rank=rank, world_size=ranks
    )
    notes = Notes()
    runner = SCDRunner(
        model=small.Network(),
        work_dir=str(folder / 'work'),
        train_dataloader=dict(
            dataset=small.Samples(8),
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_size=2,
            num_workers=0,
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        custom_hooks=[notes],
        randomness=dict(seed=5),
    )
    runner.train()
    (folder / f'rank{rank}.json').write_text(json.dumps([notes.samples, notes.network]))
    distributed.barrier()
    distributed.destroy_process_group()
    end_process()
