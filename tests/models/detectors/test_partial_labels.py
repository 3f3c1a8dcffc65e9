"""Test batches whose pairs have different kinds of labels."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tfinet_mm.models import SemanticChangeDetector

K, SIDE = 4, 32
SCRIPT = Path(__file__).with_name('two_ranks_labels.py')
RANK = runpy.run_path(str(SCRIPT))
samples, step = RANK['samples'], RANK['step']
FIELDS = dict(change='gt_sem_seg', before='gt_sem_seg_from', after='gt_sem_seg_to')
KINDS = {
    'all': ('change', 'before', 'after'),
    'change masks': ('change',),
    'one date': ('before',),
    'the other date': ('after', 'change'),
    'nothing': (),
}


@pytest.fixture
def config(detector_config):
    """A detector whose losses are plain means over labelled pixels."""
    made = detector_config('fcn', num_classes=K)
    made.pop('type')
    made['backbone'] = made['backbone'] | dict(norm_cfg=dict(type='BN'))
    made['semantic_head']['loss_decode'] = dict(type='tfinet_mm.SemanticCELoss')
    made['change_head']['loss_decode'] = dict(type='tfinet_mm.ChangeBCELoss', positive_weight=1.0)
    for head in ('semantic_head', 'change_head'):
        made[head].update(dropout_ratio=0, norm_cfg=dict(type='BN'))
    return made


def labels(kind, seed):
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, field in FIELDS.items():
        classes = 2 if name == 'change' else K
        values = torch.randint(0, classes, (1, SIDE, SIDE), generator=generator)
        # Some pixels of labelled maps are ignored as well, a different number in each.
        values[0, : 3 + seed] = 255
        found[field] = values if name in KINDS[kind] else torch.full_like(values, 255)
    return found


def setup(config, kinds, partly=True):
    torch.manual_seed(0)
    network = SemanticChangeDetector(**config)
    return dict(
        config=config,
        weights=network.state_dict(),
        inputs=torch.randn(len(kinds), 6, SIDE, SIDE),
        labels=[labels(kind, seed) for seed, kind in enumerate(kinds)],
        partly=partly,
    )


def by_hand(network, inputs, given):
    """Return the mean loss of each label over its labelled pixels, and their number."""
    found = {}
    logits = network(inputs, mode='tensor')
    parts = dict(change=logits.change, before=logits.semantic_from, after=logits.semantic_to)
    for name, field in FIELDS.items():
        label = torch.cat([one[field] for one in given])
        pixels = parts[name].movedim(1, -1)[label != 255]
        known = label[label != 255]
        if name == 'change':
            each = F.binary_cross_entropy_with_logits(pixels[:, 0], known.float(), reduction='none')
        else:
            each = F.cross_entropy(pixels, known, reduction='none')
        found[name] = (each.sum() / max(1, len(known)), len(known))
    return found


NAMES = dict(change='change.loss_bce', before='semantic_from.loss_ce', after='semantic_to.loss_ce')


@pytest.mark.parametrize(
    'kinds',
    [
        ['all', 'change masks', 'one date', 'the other date', 'nothing'],
        ['change masks', 'nothing'],
        ['one date'],
        ['nothing'],
    ],
)
def test_each_loss_is_the_mean_over_its_labelled_pixels(config, kinds):
    made = setup(config, kinds)
    losses, _ = step(made, list(range(len(kinds))))
    network = SemanticChangeDetector(**config)
    network.load_state_dict(made['weights'])
    expected = by_hand(network.eval(), made['inputs'], made['labels'])
    roles = dict(change='change', before='from', after='to')
    for name, (value, count) in expected.items():
        torch.testing.assert_close(losses[NAMES[name]], value.detach())
        assert losses[f'labelled.{roles[name]}'] == count
    assert all(torch.isfinite(one) for one in losses.values())


@pytest.mark.parametrize(
    ('kind', 'idle'),
    [
        ('change masks', ['semantic_head']),
        ('one date', ['change_head']),
        ('nothing', ['semantic_head', 'change_head', 'backbone']),
    ],
)
def test_labels_that_are_missing_have_gradients_of_zero(config, kind, idle):
    _, grads = step(setup(config, [kind, kind]), [0, 1])
    for name, grad in grads.items():
        # Every parameter has a gradient, which data-parallel training waits for.
        assert grad is not None, name
        if any(name.startswith(part) for part in idle):
            assert not grad.any(), name
    if kind != 'nothing':
        assert any(grad.any() for name, grad in grads.items() if name.startswith('backbone'))


def test_without_the_option_the_losses_are_the_same(config):
    made = setup(config, ['all', 'one date'], partly=False)
    losses, _ = step(made, [0, 1])
    assert not any(name.startswith('labelled') for name in losses)
    again, _ = step({**made, 'partly': True}, [0, 1])
    assert all(again[name] == value for name, value in losses.items())


def test_two_ranks_of_different_kinds_make_the_step_of_one(config, tmp_path):
    """Gradients of two ranks equal those of one process with all pairs."""
    kinds = ['all', 'change masks', 'one date', 'nothing']
    made = setup(config, kinds)
    torch.save(made, tmp_path / 'setup.pt')
    ranks = [
        subprocess.Popen([sys.executable, SCRIPT, tmp_path, str(rank), '2']) for rank in range(2)
    ]
    assert [one.wait(timeout=240) for one in ranks] == [0, 0]
    _, expected = step(made, [0, 1, 2, 3])
    found = [torch.load(tmp_path / f'rank{rank}.pt', weights_only=False) for rank in range(2)]
    for name, grad in expected.items():
        for _, grads in found:
            torch.testing.assert_close(grads[name], grad, rtol=1e-3, atol=1e-8)
    # The change of rank 1 isn't labelled at all, and its value is that of its own pixels.
    assert found[1][0]['labelled.change'] == found[1][0]['change.loss_bce'] == 0
    alone, _ = step(made, [0, 1])
    torch.testing.assert_close(found[0][0]['change.loss_bce'], alone['change.loss_bce'])


def test_labels_keep_their_samples(config):
    given = labels('one date', 0)
    kept = {field: one.clone() for field, one in given.items()}
    network = SemanticChangeDetector(**config).eval()
    network.partly_labelled = True
    network(torch.randn(1, 6, SIDE, SIDE), samples([given]), mode='loss')
    assert all(torch.equal(given[field], one) for field, one in kept.items())
