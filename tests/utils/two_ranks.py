"""Read checkpoints on one rank of a gloo group; run by test_dist.py.

python two_ranks.py FOLDER RANK RANKS

Each rank works in FOLDER/rankRANK; only that of rank 0 holds checkpoints. What a rank
read goes to FOLDER/rankRANK.json.
"""

import json
import os
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import nn

from tfinet_mm.checkpoints import addresses
from tfinet_mm.checkpoints.addresses import read_checkpoint
from tfinet_mm.engine.resume import newest_checkpoint
from tfinet_mm.engine.runner import SCDRunner
from tfinet_mm.errors import SceneError
from tfinet_mm.models.members import load_member
from tfinet_mm.registry import MODELS
from tfinet_mm.utils.dist import gather, on_each_rank, on_first_rank, one_rank_reads
from tfinet_mm.utils.ending import end_process


@MODELS.register_module(name='TwoRanksNetwork')
class Network(BaseModel):
    """A network that counts as a detector."""

    num_classes = 2

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.linear = nn.Linear(1, 1)

    def predict_probabilities(self, inputs):
        return inputs

    def forward(self, inputs, mode='tensor'):
        return self.linear(inputs)


def outcome(function):
    try:
        return function()
    except Exception as error:
        return f'{type(error).__name__}: {error}'


def fail_on_the_second():
    if torch.distributed.get_rank() == 1:
        raise SceneError('a tile is damaged')


def look():
    """Return what this rank sees, one entry for each way to read."""
    seen = {}
    seen['alone'] = outcome(lambda: read_checkpoint('x.pth')['state_dict']['linear.bias'].item())
    with one_rank_reads():
        seen['shared'] = read_checkpoint('x.pth')['state_dict']['linear.bias'].item()
        seen['nan'] = outcome(lambda: read_checkpoint('nan.pth'))
        seen['missing'] = outcome(lambda: read_checkpoint('missing.pth'))
        member = load_member(dict(type='tfinet_mm.TwoRanksNetwork'), 'x.pth')
        seen['member'] = member.model.linear.bias.item()
        # Reads of one rank alone don't involve the others.
        seen['nested'] = on_first_rank(lambda: sorted(read_checkpoint('x.pth')))
    runner = SCDRunner(
        model=dict(
            type='tfinet_mm.TwoRanksNetwork',
            init_cfg=dict(type='Pretrained', checkpoint='init.pth'),
        ),
        work_dir='w',
        experiment_name='two_ranks',
        cfg=Config(dict(work_dir='w')),
    )
    runner._init_model_weights()
    seen['initial'] = runner.model.linear.bias.item()
    runner.load_checkpoint('x.pth')
    seen['runner'] = runner.model.linear.bias.item()
    seen['runner nan'] = outcome(lambda: runner.load_checkpoint('nan.pth'))
    seen['work'] = outcome(lambda: on_each_rank(fail_on_the_second))
    # The ranks are still in step.
    seen['after'] = gather(torch.distributed.get_rank())
    seen['newest'] = str(on_first_rank(lambda: newest_checkpoint('.')))
    return seen


def main(folder, rank, ranks):
    """Read, and write the results and the number of files read."""
    folder = Path(folder)
    own = folder / f'rank{rank}'
    own.mkdir()
    os.chdir(own)
    if rank == '0':
        for name, bias in dict(x=3.0, init=5.0, nan=float('nan')).items():
            weights = {'linear.weight': torch.ones(1, 1), 'linear.bias': torch.tensor([bias])}
            torch.save(dict(state_dict=weights, meta=dict(epoch=1)), f'{name}.pth')
        torch.save(dict(meta={}, message_hub={}, state_dict={}, optimizer={}), 'epoch_1.pth')
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder / "group"}', rank=int(rank), world_size=int(ranks)
    )
    read = addresses.load_checkpoint_file
    names = []

    def counted(name, *arguments):
        names.append(str(name))
        return read(name, *arguments)

    addresses.load_checkpoint_file = counted
    seen = look()
    torch.distributed.destroy_process_group()
    (folder / f'rank{rank}.json').write_text(json.dumps(dict(seen=seen, read=names)))


if __name__ == '__main__':
    main(*sys.argv[1:])
    end_process()
