"""Train one step on one rank of a gloo group; run by test_partial_labels.py.

python two_ranks_labels.py FOLDER RANK RANKS

FOLDER/setup.pt holds the config of the detector, its weights, and the batch: inputs and labels of
each pair. Rank R takes its share of the pairs. The gradients go to FOLDER/rankR.pt.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.nn.parallel import DistributedDataParallel

from tfinet_mm.models import SemanticChangeDetector
from tfinet_mm.utils.ending import end_process


def samples(labels):
    """Return a data sample for each dictionary of label maps."""
    made = []
    for one in labels:
        sample = SegDataSample()
        for field, values in one.items():
            sample.set_field(PixelData(data=values), field)
        made.append(sample)
    return made


def step(setup, chosen, wrap=lambda network: network):
    """Return the losses of some of the pairs, and all gradients."""
    network = SemanticChangeDetector(**setup['config'])
    network.load_state_dict(setup['weights'])
    # Statistics of a batch would differ between one rank and several.
    network.eval()
    network.partly_labelled = setup['partly']
    labels = samples([setup['labels'][index] for index in chosen])
    # The wrapper must live until its gradients are exchanged.
    wrapped = wrap(network)
    losses = wrapped(setup['inputs'][chosen], labels, mode='loss')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    grads = {name: one.grad for name, one in network.named_parameters()}
    return {name: value.detach() for name, value in losses.items()}, grads


def main(folder, rank, ranks):
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/group', rank=rank, world_size=ranks
    )
    setup = torch.load(folder / 'setup.pt', weights_only=False)
    share = len(setup['labels']) // ranks
    chosen = list(range(rank * share, (rank + 1) * share))
    found = step(setup, chosen, DistributedDataParallel)
    torch.save(found, folder / f'rank{rank}.pt')
    dist.destroy_process_group()


if __name__ == '__main__':
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    end_process(0)
