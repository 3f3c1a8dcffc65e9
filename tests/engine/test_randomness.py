import copy
import json
import pickle
import random
import subprocess
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from mmengine.runner import Runner

from tfinet_mm.checkpoints.reading import load_checkpoint_file
from tfinet_mm.engine import randomness
from tfinet_mm.engine.randomness import (
    SeededDataset,
    SeededIndex,
    SeededSampler,
    preserved_randomness,
    seeded_loader,
)


def _flat(value, name=''):
    """Yield every tensor and number of nested containers, by its place."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _flat(part, f'{name}/{key}')
    elif isinstance(value, list | tuple):
        for key, part in enumerate(value):
            yield from _flat(part, f'{name}/{key}')
    elif isinstance(value, torch.Tensor):
        yield name, value.tolist()
    elif value is None or isinstance(value, int | float | str):
        yield name, value


def _state(path):
    """Return the state of a training in a checkpoint, without times and paths."""
    checkpoint = load_checkpoint_file(path)
    scalars = {
        name: [list(part) for part in (buffer._log_history, buffer._count_history)]
        for name, buffer in checkpoint['message_hub']['log_scalars'].items()
        if 'time' not in name and 'memory' not in name
    }
    kept = {name: checkpoint[name] for name in ('state_dict', 'optimizer', 'param_schedulers')}
    return dict(_flat(kept | dict(scalars=scalars)))


@pytest.mark.parametrize(
    ('workers', 'persistent', 'seed'), [(0, False, 1), (2, False, None), (2, True, 1)]
)
def test_resumed_equals_undisturbed(small_runner, tmp_path, workers, persistent, seed):
    options = dict(workers=workers, persistent=persistent, randomness=dict(seed=seed))
    one = small_runner('one', 4, **options)
    one.train()
    # Another process, whose generators may be in any state.
    two = small_runner('two', 4, **options | dict(randomness=dict(seed=one.seed)))
    two.train_loop._max_epochs = 2
    two.train()
    small = dict(randomness=dict(seed=seed), resume=True)
    rest = small_runner('two', 4, **options | small, load_from=str(tmp_path / 'two/epoch_2.pth'))
    rest.train()
    expected, found = (_state(tmp_path / name / 'epoch_4.pth') for name in ('one', 'two'))
    assert len(expected) > 100
    assert found == expected
    # MMEngine alone draws other numbers after a resume.
    torch.manual_seed(7)
    plain = small_runner(
        'two', 4, **options | small, load_from=str(tmp_path / 'two/epoch_2.pth'), runner=Runner
    )
    plain.train()
    assert _state(tmp_path / 'two/epoch_4.pth') != expected


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('sampler', ['InfiniteSampler', 'DefaultSampler'])
def test_a_loop_over_iterations_goes_on_at_its_place(
    small_runner, tmp_path, workers, sampler, monkeypatch
):
    # MMEngine waits for two seconds where an epoch ends.
    monkeypatch.setattr('mmengine.runner.loops.time', SimpleNamespace(sleep=lambda seconds: None))
    options = dict(
        workers=workers,
        param_scheduler=None,
        train_cfg=dict(by_epoch=False, max_iters=8),
        loader=dict(sampler=dict(type=sampler, shuffle=True)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=4)),
    )
    small_runner('one', **options).train()
    path = tmp_path / 'one/iter_8.pth'
    expected = load_checkpoint_file(path)['state_dict']
    path.unlink()
    # Without a seed of its own it takes that of the checkpoint, after its samples were set up.
    options |= dict(randomness=dict(seed=None), resume=True)
    small_runner('one', **options, load_from=str(tmp_path / 'one/iter_4.pth')).train()
    found = load_checkpoint_file(path)['state_dict']
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def _draws(small_runner, workers, epoch=0, seed=1):
    """Return the numbers drawn for each sample of an epoch of rank 0 or 1, by index."""
    cfg = dict(
        dataset=small_runner.samples(6),
        sampler=dict(type='DefaultSampler', shuffle=True),
        batch_size=2,
        num_workers=workers,
    )
    loader = Runner.build_dataloader(seeded_loader(cfg, seed), seed=seed)
    loader.sampler.set_epoch(epoch)
    samples = [sample for batch in loader for sample in batch['inputs']]
    return {float(sample[0, 0, 0]): sample[1:4, 0, 0].tolist() for sample in samples}


@pytest.mark.parametrize('workers', [0, 2])
def test_ranks_and_epochs_draw_different_numbers(small_runner, workers, monkeypatch):
    alone = _draws(small_runner, workers)
    drawn = dict(alone)
    for rank in range(2):
        for module in ('mmengine.dataset.sampler', 'tfinet_mm.engine.randomness'):
            monkeypatch.setattr(f'{module}.get_dist_info', lambda rank=rank: (rank, 2))
        found = _draws(small_runner, workers)
        # A pair is augmented as by one process alone.
        assert found == {index: drawn.pop(index) for index in found}
    assert not drawn
    monkeypatch.undo()
    others = [_draws(small_runner, workers, epoch=1), _draws(small_runner, workers, seed=2)]
    numbers = [tuple(values) for part in (alone, *others) for values in part.values()]
    assert len(set(numbers)) == 18


@pytest.mark.slow
def test_two_processes_draw_different_numbers(tmp_path):
    script = Path(__file__).with_name('two_ranks_draws.py')
    processes = [
        subprocess.Popen(
            [sys.executable, script, tmp_path, str(rank), '2'], stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    (first, model), (second, other) = (
        json.loads((tmp_path / f'rank{rank}.json').read_text()) for rank in range(2)
    )
    assert sorted([*first, *second]) == [str(index) for index in range(8)]
    numbers = [number for part in (first, second) for drawn in part.values() for number in drawn]
    assert len(set(numbers)) == 24
    assert len(set(model + other)) == 4


def test_the_number_of_workers_changes_nothing(small_runner):
    assert _draws(small_runner, 0) == _draws(small_runner, 2)


def test_loading_leaves_the_generators_as_they_were(small_runner):
    dataset = SeededDataset(small_runner.samples())
    random.seed(1)
    np.random.seed(2)  # noqa: NPY002
    torch.manual_seed(3)
    expected = random.Random(1).random(), np.random.RandomState(2).rand()
    first, again = dataset[SeededIndex(2, (5,))], dataset[SeededIndex(2, (5,))]
    assert torch.equal(first['inputs'], again['inputs'])
    assert (random.random(), np.random.rand()) == expected  # noqa: NPY002
    assert torch.equal(torch.rand(4), torch.rand(4, generator=torch.Generator().manual_seed(3)))
    state = random.getstate()
    with pytest.raises(ZeroDivisionError), preserved_randomness():
        random.random() / 0
    assert random.getstate() == state
    # A plain index draws from the present state of the generators.
    assert not torch.equal(dataset[2]['inputs'], dataset[2]['inputs'])


def test_the_data_set_is_seen_through(small_runner):
    inner = small_runner.samples(7)
    dataset = SeededDataset(inner)
    assert len(dataset) == 7
    assert dataset.metainfo == {'classes': ('a', 'b')}
    dataset.number = 3
    assert inner.number == len(dataset) == 3
    assert not hasattr(dataset, 'pipeline')
    for copied in (pickle.loads(pickle.dumps(dataset)), copy.deepcopy(dataset)):
        assert copied.number == 3


def test_data_sets_put_together_and_repeated():
    rows = [[dict(row=10 * part + row) for row in range(2)] for part in range(2)]

    class Rows(BaseDataset):
        def load_data_list(self):
            return self._metainfo['rows']

    parts = [Rows(metainfo=dict(rows=part), pipeline=[]) for part in rows]
    dataset = SeededDataset(ConcatDataset(parts))
    assert [dataset[SeededIndex(i, (1,))]['row'] for i in range(4)] == [0, 1, 10, 11]
    repeated = SeededDataset(RepeatDataset(parts[1], 2))
    assert [repeated[SeededIndex(i, (1,))]['row'] for i in range(4)] == [10, 11] * 2
    assert type(dataset[SeededIndex(1, (1,))]['sample_idx']) is int


def test_an_index_keeps_its_seed_on_its_way_to_a_worker():
    index = pickle.loads(pickle.dumps(SeededIndex(4, (1, 2))))
    assert (index, index.entropy) == (4, (1, 2))


def test_a_sampler_is_seen_through(small_runner):
    sampler = SeededSampler(dict(type='DefaultSampler'), small_runner.samples(4), seed=3)
    assert len(sampler) == sampler.num_samples == 4
    assert not hasattr(sampler, 'skip')
    assert [index.entropy for index in sampler] == [(3, randomness.SAMPLE, 0, p) for p in range(4)]
    endless = SeededSampler(dict(type='InfiniteSampler'), small_runner.samples(4), seed=3)
    if hasattr(endless, 'skip'):  # newer versions of MMEngine
        fifth = list(islice(endless, 5))[4]
        endless.reseed(3)
        endless.skip(4)
        found = next(iter(endless))
        assert (found, found.entropy) == (fifth, fifth.entropy)


def test_what_is_built_or_has_no_order_is_left_alone(small_runner):
    built = dict(dataset=small_runner.samples(), sampler=object())
    assert seeded_loader(built, 1) == built
