"""State dicts of other programs are brought to a backbone's names."""

import pytest
import torch

from tfinet_mm.checkpoints.matching import backbone_weights, match_in_order
from tfinet_mm.errors import CheckpointMismatchError

OWN = {
    'conv.weight': torch.zeros(4, 3, 1, 1),
    'bn.weight': torch.zeros(4),
    'bn.bias': torch.zeros(4),
    'bn.num_batches_tracked': torch.tensor(0),
}
OTHER = {'a.weight': torch.ones(4, 3, 1, 1), 'b.weight': torch.ones(4) * 2, 'b.bias': torch.ones(4)}
HEAD = {'fc.weight': torch.zeros(7, 4), 'fc.bias': torch.zeros(7)}


def match(found):
    return match_in_order(found, OWN, rest=2, name='x.pth', fix='do this')


@pytest.mark.parametrize(
    ('checkpoint', 'key'),
    [
        ({'a.weight': 1}, 'a.weight'),
        ({'state_dict': {'a.weight': 1}, 'meta': {}}, 'a.weight'),
        ({'module.a.weight': 1}, 'a.weight'),
        ({'state_dict': {'module.backbone.a.weight': 1, 'module.head.b': 2}}, 'a.weight'),
        ({'backbone.timm_model.a.weight': 1, 'neck.b': 2}, 'a.weight'),
    ],
)
def test_prefixes_of_other_programs_go(checkpoint, key):
    assert backbone_weights(checkpoint) == {key: 1}


@pytest.mark.parametrize('more', [{}, HEAD])
def test_entries_match_in_order(more):
    found = match({**OTHER, 'b.num_batches_tracked': torch.tensor(5), **more})
    assert list(found) == ['conv.weight', 'bn.weight', 'bn.bias']
    assert [value.flatten()[0].item() for value in found.values()] == [1, 2, 1]


def test_names_come_before_the_order():
    found = match({key: OWN[key] for key in reversed(OWN)} | {'zzz.weight': torch.zeros(9)})
    assert found.keys() == OWN.keys() - {'bn.num_batches_tracked'}
    assert all(found[key] is OWN[key] for key in found)


@pytest.mark.parametrize(
    ('found', 'message'),
    [
        ({}, 'it has 0 weights, expected 3, or 5 with the classifier; do this'),
        ({**OTHER, 'c.weight': torch.zeros(1)}, 'it has 4 weights, expected 3, or 5'),
        (
            {**OTHER, 'a.weight': torch.ones(4, 1, 1, 1)},
            r'it has a\.weight \(4, 1, 1, 1\) where conv\.weight \(4, 3, 1, 1\) is expected; do',
        ),
        (
            {'a.weight': OTHER['a.weight'], 'b.bias': OTHER['b.bias'], 'b.weight': torch.ones(4)},
            r'it has b\.bias \(4,\) where bn\.weight \(4,\) is expected',
        ),
        ({**OTHER, 'a.weight': 'text'}, r'it has a\.weight no tensor where conv\.weight'),
    ],
)
def test_anything_else_is_refused(found, message):
    with pytest.raises(CheckpointMismatchError, match=message) as caught:
        match(found)
    assert str(caught.value).startswith('x.pth does not fit this backbone')
