"""Test the choice of the batches to augment, by a clock that only the test moves."""

import json
import logging
from types import SimpleNamespace

import pytest
from mmengine.logging import MMLogger
from torch import nn

from tfinet_mm.engine.hooks import TimeBudgetHook
from tfinet_mm.models import SCDTTAModel


class Still(nn.Module):
    """A model for wrapping alone."""

    def test_step(self, data):
        return data

    def predict_probabilities(self, inputs):
        return inputs


class Run:
    """A test loop in which every image takes a given time."""

    def __init__(self, images=20, batch_size=1, workers=0, **options):
        self.now = 100.0
        self.hook = TimeBudgetHook(clock=lambda: self.now, **{'reserve': 0, **options})
        self.images, self.batch_size = images, batch_size
        dataset = range(images)
        loader = SimpleNamespace(
            sampler=dataset,
            dataset=dataset,
            num_workers=workers,
            prefetch_factor=2 if workers else None,
        )
        self.runner = SimpleNamespace(model=SCDTTAModel(Still()), test_dataloader=loader)

    def test(self, augmented=6.0, plain=1.0, warm_up=0.0, after=0.0):
        """Return the batches that were augmented, and the metrics."""
        cost = plain if callable(plain) else lambda index: plain
        self.hook.before_test(self.runner)
        chosen, metrics, done = [], {}, 0
        self.now += warm_up
        while done < self.images:
            size = min(self.batch_size, self.images - done)
            batch = {'inputs': [None] * size}
            self.hook.before_test_iter(self.runner, len(chosen), batch)
            chosen.append(self.runner.model.active)
            self.now += size * (augmented if chosen[-1] else cost(len(chosen) - 1))
            self.hook.after_test_iter(self.runner, len(chosen) - 1, batch)
            done += size
        self.now += after
        self.took = self.now - 100
        self.hook.after_test_epoch(self.runner, metrics)
        return chosen, metrics


@pytest.fixture
def log(caplog, monkeypatch):
    logger = MMLogger.get_instance('budget')
    monkeypatch.setattr(MMLogger, 'get_current_instance', classmethod(lambda cls: logger))
    monkeypatch.setattr(logger, 'handlers', [caplog.handler])
    caplog.set_level(logging.INFO, 'budget')
    return caplog


def test_enough_time_augments_every_image(log):
    run = Run(seconds=120)
    chosen, metrics = run.test()
    assert chosen == [True] * 20
    assert metrics == {'images_with_tta': 20}
    assert 'the test took 120.0 s of 120 s' in log.messages[-1]
    assert 'remaining' not in log.text


@pytest.mark.parametrize('seconds', range(22, 120, 7))
def test_as_many_as_the_budget_allows(seconds, log):
    """20 images of 6 s or 1 s: n with and 20 - n without take 20 + 5 n seconds."""
    run = Run(seconds=seconds)
    chosen, metrics = run.test()
    expected = max((seconds - 20) // 5, 2 if seconds >= 12 else 1)
    # Two are measured before the cost without is known.
    assert sum(chosen) == metrics['images_with_tta'] == expected
    assert chosen[:2] == [True, True]
    if expected > 2:
        assert run.took <= seconds
    # Up to three in between measure the cost without; once dropped, it stays dropped.
    probes = min(3, 20 - expected)
    tail = [False] * (20 - expected - probes)
    assert chosen[2:] == [False] * probes + [True] * (expected - 2) + tail
    assert f'{expected} of 20 images had test-time augmentation' in log.messages[-1]


@pytest.mark.parametrize('seconds', [0, 5, 11])
def test_an_impossible_budget_predicts_everything(seconds, log):
    run = Run(seconds=seconds, images=15)
    chosen, metrics = run.test()
    assert len(chosen) == 15
    assert chosen == [seconds > 0] + [False] * 14
    assert metrics['images_with_tta'] == sum(chosen)
    assert 'more than the budget' in log.messages[-1]
    assert log.records[-1].levelno == logging.WARNING
    assert any('no test-time augmentation for the remaining' in line for line in log.messages)


def test_a_slow_start_is_no_reason_to_drop():
    """The first image takes 66 s, the other 19 take 6 s: 180 s are enough."""
    assert Run(seconds=180).test(warm_up=60)[0] == [True] * 20


def test_batches_of_several_and_a_rest(log):
    run = Run(seconds=60, images=23, batch_size=4)
    chosen, metrics = run.test()
    # 23 + 5 n <= 60 leaves n = 7; two batches of 4 are 8 images.
    assert chosen == [True, True, False, False, False, False]
    assert metrics['images_with_tta'] == 8
    run = Run(seconds=110, images=23, batch_size=4)
    chosen, metrics = run.test()
    # n = 17: 7 or 8 must go without, in batches of 4; then there is time for all others.
    assert chosen == [True, True, False, False, True, True]
    assert metrics['images_with_tta'] == 15
    assert run.took <= 110


def test_loading_counts_once_the_stock_is_used_up():
    """Four batches are loaded ahead; without augmentation loading takes 4 s an image."""

    def plain(index):
        return 1.0 if index < 5 else 4.0

    run = Run(seconds=190, images=40, workers=2)
    chosen, _ = run.test(plain=plain)
    # 11 to measure, the last 3 of which count; 3 that were fast leave time for one or two more.
    assert chosen[:13] == [True, True] + [False] * 11
    assert run.took <= 190
    assert (190 - 160) // 2 <= sum(chosen) <= (190 - 160 + 9) // 2


def test_a_reserve_for_what_comes_after():
    run = Run(seconds=100, reserve=0.1)
    chosen, _ = run.test(after=8)
    assert sum(chosen) == (90 - 20) // 5
    assert run.took <= 100


def test_the_report_goes_to_the_scores(tmp_path):
    path = tmp_path / 's.json'
    path.write_text('{"scores": {"SeK": 1.5}}')
    Run(seconds=70, out_file=str(path)).test()
    assert json.loads(path.read_text()) == {
        'scores': {'SeK': 1.5},
        'test_time_augmentation': {'images': 10, 'of': 20, 'seconds': 70.0, 'budget': 70},
    }


def test_repeated_images_of_the_sampler_are_not_counted(monkeypatch):
    """Rank 1 of 2 has the second, fourth and sixth image of five: the last is a repetition."""
    from tfinet_mm.engine.hooks import sample_info

    monkeypatch.setattr(sample_info, 'get_dist_info', lambda: (1, 2))
    run = Run(seconds=100, images=3)
    run.runner.test_dataloader.dataset = range(5)
    assert run.test()[1] == {'images_with_tta': 2}


def test_arguments_that_cannot_be_used():
    for options in ({'seconds': -1}, {'seconds': float('nan')}, {'seconds': 1, 'reserve': 1}):
        with pytest.raises(ValueError, match='0 seconds or more'):
            TimeBudgetHook(**options)
    run = Run(seconds=1)
    run.runner.model = Still()
    with pytest.raises(ValueError, match=r'a Still; use it with tools/test\.py --tta'):
        run.test()
