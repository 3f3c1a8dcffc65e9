"""A training that takes milliseconds: random samples, batch norm, dropout, given scores."""

import gc
import itertools
import random

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import Dataset

from tfinet_mm.engine.runner import SCDRunner

COUNTER = itertools.count()


class Samples(Dataset):
    """Samples of which each generator draws a part."""

    metainfo = dict(classes=('a', 'b'))

    def __init__(self, number=5):
        self.number = number

    def __len__(self):
        return self.number

    def __getitem__(self, index):
        assert type(index) is int
        drawn = [index, random.random(), np.random.rand(), float(torch.rand(()))]  # noqa: NPY002
        return dict(inputs=torch.tensor([*drawn, 1.0, 1.0])[:, None, None].expand(6, 4, 4))


class Network(BaseModel):
    """Two convolutions, and optionally a pooled branch; its loss can be made not finite."""

    def __init__(self, pooled=False, spoil=None):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1) if pooled else nn.Identity()
        self.branch = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.Dropout(0.5))
        self.last = nn.Conv2d(8, 1, 1)
        self.spoil = spoil
        self.steps = 0

    def forward(self, inputs, data_samples=None, mode='tensor'):
        found = self.last(self.branch(self.pool(self.first(torch.stack(inputs)))))
        if mode != 'loss':
            return list(found)
        loss = (found - 1).square().mean()
        self.steps += self.training
        if self.spoil and self.training:
            loss = self.spoil(self.steps, loss, self)
        return dict(loss_fit=loss, loss_other=self.last.weight.abs().sum(), acc=loss.detach() * 0)


class Scores(BaseMetric):
    """The given score of each epoch, counted from 1; later epochs have the last one."""

    def __init__(self, scores):
        super().__init__()
        self.scores = scores

    def process(self, data_batch, data_samples):
        self.results += [0] * len(data_samples)

    def compute_metrics(self, results):
        epoch = MessageHub.get_current_instance().get_info('epoch')
        return dict(Score=self.scores[min(epoch, len(self.scores) - 1)], Other=-float(epoch))


@pytest.fixture
def small_runner(tmp_path, monkeypatch):
    """Make a runner of a small training; every option of MMEngine's Runner may be given."""
    # The interval at which idle workers look whether the training has ended.
    monkeypatch.setattr('torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL', 0.2)
    # They ask other programs for versions, which takes longer than the training.
    monkeypatch.setattr('mmengine.runner.Runner._log_env', lambda self, env_cfg: None)
    for module in ('mmengine.runner.runner', 'mmengine.hooks.runtime_info_hook'):
        monkeypatch.setattr(f'{module}.get_git_hash', lambda: '')

    parallel = []

    def make(
        name='work',
        epochs=3,
        pairs=5,
        batch_size=2,
        workers=0,
        persistent=False,
        scores=None,
        network=None,
        runner=SCDRunner,
        loader=None,
        **more,
    ):
        parallel.extend([True] * workers)
        samples = dict(
            dataset=Samples(pairs),
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_size=batch_size,
            num_workers=workers,
            persistent_workers=persistent,
        )
        options = dict(
            train_dataloader=samples | (loader or {}),
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.01)),
            param_scheduler=dict(type='PolyLR', end=10, eta_min=0.0, power=1.0),
            default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
            randomness=dict(seed=1),
        )
        if scores is not None:
            options |= dict(
                val_dataloader=samples | dict(sampler=dict(type='DefaultSampler', shuffle=False)),
                val_cfg=dict(),
                val_evaluator=[Scores(scores)],
            )
            options['default_hooks']['checkpoint'] = dict(
                type='CheckpointHook', interval=1, save_best='Score', rule='greater'
            )
        # The weights begin the same in every run, in whatever state the generators are.
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = network or Network()
        return runner(
            model=model,
            work_dir=str(tmp_path / name),
            experiment_name=f'small{next(COUNTER)}',
            **(options | more),
        )

    make.network, make.samples, make.scores = Network, Samples, Scores
    yield make
    if parallel:
        gc.collect()  # their workers are waited for while that is so
