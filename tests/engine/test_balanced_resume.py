"""A training on a balanced data set that is killed within an epoch and resumed."""

import random

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from PIL import Image

CLASSES = dict(
    semantic_classes=['same', 'wet', 'dry'],
    semantic_palette=[[255, 255, 255], [0, 0, 255], [90, 60, 30]],
)


def packed(results):
    """Return the inputs of the small network: the grey value, and a number that is drawn."""
    grey = torch.from_numpy(results['img'].transpose(2, 0, 1)).float()
    return dict(inputs=torch.cat([grey[:1], torch.full_like(grey[1:], random.random())]))


class Seen(Hook):
    def __init__(self):
        self.batches = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.batches.append([tuple(one[:2, 0, 0].tolist()) for one in data_batch['inputs']])


@pytest.fixture
def pairs(tmp_path):
    """Write six pairs, of which two are changed, and return the config of the balanced set."""
    for index in range(6):
        label = np.zeros((4, 4), np.uint8)
        label[:2] = index in (1, 4)
        for folder, array in (
            *((f'im{date}', np.full((4, 4, 3), index, np.uint8)) for date in (1, 2)),
            ('label1', label),
            ('label2', label * 2),
        ):
            path = tmp_path / 'pairs' / folder / f'{index}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    data = dict(
        type='tfinet_mm.SCDDataset',
        data_root=str(tmp_path / 'pairs'),
        pipeline=[dict(type='tfinet_mm.LoadImagePair'), packed],
        **CLASSES,
    )
    return dict(type='tfinet_mm.ChangeBalancedDataset', dataset=data)


def test_the_rest_of_an_epoch_is_what_was_left(small_runner, tmp_path, pairs, monkeypatch):
    """Ten places, batches of two: iteration 7 of 10 is within the second epoch."""
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda seconds: None)

    def run(name, **more):
        seen = Seen()
        small_runner(
            name,
            param_scheduler=None,
            train_cfg=dict(by_epoch=False, max_iters=10),
            loader=dict(dataset=pairs),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=7)),
            custom_hooks=[seen],
            **more,
        ).train()
        return seen.batches

    batches = run('one')
    assert len(batches) == 10
    for epoch in (batches[:5], batches[5:]):
        drawn = [int(grey) for batch in epoch for grey, _ in batch]
        assert sorted(drawn) == [0, 1, 1, 1, 2, 3, 4, 4, 4, 5]
    # Places of one pair are augmented differently.
    assert len({number for batch in batches for _, number in batch}) == 20
    rest = run('two', resume=True, load_from=str(tmp_path / 'one/iter_7.pth'))
    assert rest == batches[7:]
