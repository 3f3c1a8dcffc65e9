"""Test that data sets know the epoch whose pairs are loaded, in worker processes too."""

from types import SimpleNamespace

import torch
from mmengine.dataset import BaseDataset, RepeatDataset
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader

from tfinet_mm.engine.hooks import DataEpochHook
from tfinet_mm.engine.randomness import SeededDataset


class Drawn(BaseDataset):
    """Data set whose items are its epoch, which worker processes see in shared memory."""

    def __init__(self):
        super().__init__(lazy_init=True)
        self.shared = torch.zeros(1, dtype=torch.int64).share_memory_()

    def full_init(self):
        pass

    def set_epoch(self, epoch):
        self.shared[0] = epoch

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return int(self.shared[0])


def test_workers_that_outlive_an_epoch_draw_those_of_the_next():
    drawn = Drawn()
    loader = DataLoader(drawn, num_workers=1, persistent_workers=True)
    for epoch in (0, 4):
        runner = SimpleNamespace(train_dataloader=loader, epoch=epoch)
        DataEpochHook().before_train_epoch(runner)
        assert [int(one) for one in loader] == [epoch, epoch]


def test_data_sets_in_wrappers_are_told():
    parts = [Drawn(), Drawn(), Drawn()]
    joined = SimpleNamespace(datasets=[parts[0], RepeatDataset(parts[1], 2), range(3)])
    dataset = SeededDataset(SimpleNamespace(datasets=[joined, parts[2]]))
    runner = SimpleNamespace(train_dataloader=SimpleNamespace(dataset=dataset), epoch=7)
    DataEpochHook().before_train_epoch(runner)
    assert [one[0] for one in parts] == [7, 7, 7]


def test_redrawing_in_a_loop_without_epochs_is_said(monkeypatch):
    said = []
    monkeypatch.setattr(
        'tfinet_mm.engine.hooks.data_epoch.print_log',
        lambda text, logger, level: said.append(text),
    )
    drawn = Drawn()
    drawn.redraw = True
    loader = SimpleNamespace(dataset=RepeatDataset(drawn, 2))
    by_epoch, by_iterations = (
        kind.__new__(kind) for kind in (EpochBasedTrainLoop, IterBasedTrainLoop)
    )
    for loop in (by_epoch, by_iterations):
        DataEpochHook().before_train(SimpleNamespace(train_dataloader=loader, train_loop=loop))
    (text,) = said
    assert 'redraw=True, but a loop by iterations has one epoch' in text
