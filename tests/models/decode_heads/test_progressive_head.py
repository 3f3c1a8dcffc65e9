import pytest
import torch
from torch import nn

from tfinet_mm.models import ProgressiveHead
from tfinet_mm.models.blocks import ConvBlock

LOSS = {'type': 'tfinet_mm.SemanticCELoss'}


def _head(**kwargs):
    options = {
        'in_channels': 6,
        'blocks': ((4,), (3,)),
        'num_classes': 5,
        'loss_decode': LOSS,
    }
    return ProgressiveHead(**{**options, **kwargs}).eval()


def _blocks(head):
    return [[block.conv2.out_channels for block in step] for step in head.steps]


@pytest.mark.parametrize('stride', [2, 4, 8, 16, 32])
def test_reaches_input_size_from_any_stride(stride):
    head = _head(stride=stride)
    assert len(head.steps) == {2: 1, 4: 2, 8: 3, 16: 4, 32: 5}[stride]
    assert head([torch.rand(2, 6, 2, 3)]).shape == (2, 5, 2 * stride, 3 * stride)


def test_groups_and_steps():
    assert _blocks(_head(blocks=((8, 7), (6,), (5,)), stride=8)) == [[8, 7], [6], [5]]
    assert _blocks(_head(blocks=((8,), (6,)), stride=8)) == [[8], [6], []]
    assert _blocks(_head(blocks=((8,), (6,), (5,)), stride=4)) == [[8], [6, 5]]


def test_published_classifier_is_a_block():
    head = _head(classifier='block')
    assert isinstance(head.conv_seg, ConvBlock)
    assert head([torch.randn(1, 6, 4, 4)]).min() >= 0
    plain = _head()
    assert isinstance(plain.conv_seg, nn.Conv2d)
    assert plain.conv_seg.kernel_size == (1, 1)


def test_initialisation_leaves_the_norms_of_the_published_classifier_alone():
    head = _head(classifier='block')
    head.init_weights()
    assert (head.conv_seg.bn1.weight == 1).all()


def test_picks_its_level():
    head = _head(in_index=0)
    levels = [torch.rand(1, 6, 4, 4), torch.rand(1, 9, 2, 2)]
    assert head(levels).shape == (1, 5, 32, 32)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'stride': 6}, 'power of two >= 2, got 6'),
        ({'stride': 1}, 'power of two >= 2, got 1'),
        ({'blocks': ((),)}, 'at least one width'),
        ({'classifier': 'mlp'}, "must be 'conv' or 'block', got 'mlp'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        _head(**options)
