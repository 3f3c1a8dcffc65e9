"""Score a few pairs on one rank of a gloo group; run by test_metric.py.

python two_ranks.py FOLDER RANK RANKS

FOLDER/cases.json lists the cases, each with size, round_up, batch_size and shuffle, and the
numbers of the pairs that have a change mask alone (masked); the
scores of case number N go to FOLDER/N/rankRANK.json, the metric's own file to
FOLDER/N/scores.json.
"""

import json
import sys
from pathlib import Path

import torch
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader

from tfinet_mm.evaluation import SCDMetric
from tfinet_mm.structures import SECOND
from tfinet_mm.utils.ending import end_process

GT = ('gt_sem_seg', 'gt_sem_seg_from', 'gt_sem_seg_to')
PRED = ('pred_sem_seg', 'pred_sem_seg_from', 'pred_sem_seg_to')


def pair(index):
    """Return data sample number ``index`` in the form that the evaluator passes."""
    generator = torch.Generator().manual_seed(index)

    def draw(high):
        return torch.randint(0, high, (1, 8, 9), generator=generator)

    sample = {name: {'data': draw(6)} for name in (*GT, *PRED)}
    sample['gt_sem_seg']['data'] = draw(2)
    sample['pred_sem_seg']['data'] = draw(2)
    for name in PRED[1:]:
        sample[name]['data'] = (sample[name]['data'] + 1) * sample['pred_sem_seg']['data']
    return {**sample, 'sample_id': f'folder/{index}'}


def new_metric(**options):
    metric = SCDMetric(**options)
    metric.dataset_meta = SECOND.metainfo()
    return metric


def score(folder, rank, size, round_up, batch_size, shuffle, masked=()):
    """Score twice, as two epochs of validation would."""
    pairs = [pair(index) for index in range(size)]
    for index in masked:
        del pairs[index]['gt_sem_seg_from'], pairs[index]['gt_sem_seg_to']
    sampler = DefaultSampler(pairs, shuffle=shuffle, seed=0, round_up=round_up)
    loader = DataLoader(pairs, batch_size, sampler=sampler, collate_fn=list)
    metric = new_metric(out_file=str(folder / 'scores.json'))
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for batch in loader:
            metric.process(None, batch)
        scores = metric.evaluate(size)
    folder.mkdir(exist_ok=True)
    (folder / f'rank{rank}.json').write_text(json.dumps(scores))


def main(folder, rank, ranks):
    """Score every case."""
    folder, rank = Path(folder), int(rank)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder / "group"}', rank=rank, world_size=int(ranks)
    )
    for number, case in enumerate(json.loads((folder / 'cases.json').read_text())):
        score(folder / str(number), rank, **case)
    torch.distributed.destroy_process_group()


if __name__ == '__main__':
    main(*sys.argv[1:])
    end_process()
