import pytest
import torch
from torch import nn

from tfinet_mm.models.detectors.shapes import (
    backbone_bands,
    check_bands,
    check_features,
    check_stride,
    check_threshold,
    with_channels,
)


def head(**attributes):
    module = nn.Module()
    for name, value in attributes.items():
        setattr(module, name, value)
    return module


LEVELS = [torch.zeros(2, 8, 4, 4), torch.zeros(2, 16, 2, 2)]


@pytest.mark.parametrize(
    'attributes',
    [
        dict(),
        dict(in_channels=16, in_index=-1),
        dict(in_channels=[8, 16], in_index=[0, 1], input_transform='multiple_select'),
        dict(in_channels=24, in_index=[0, 1], input_transform='resize_concat'),
    ],
)
def test_heads_that_fit(attributes):
    check_features('semantic_head', head(**attributes), LEVELS)


@pytest.mark.parametrize(
    'attributes',
    [
        dict(in_channels=8, in_index=1),
        dict(in_channels=8, in_index=2),
        dict(in_channels=[8, 8], in_index=[0, 1], input_transform='multiple_select'),
        dict(in_channels=16, in_index=[0, 1], input_transform='resize_concat'),
    ],
)
def test_heads_that_do_not_fit(attributes):
    with pytest.raises(ValueError, match=r'model\.change_head .*in_(channels|index)='):
        check_features('change_head', head(**attributes), LEVELS)


def test_the_stride_that_fits_is_named():
    inputs = torch.zeros(1, 6, 32, 32)
    check_stride(head(stride=8), torch.zeros(1, 3, 32, 32), inputs)
    check_stride(head(), torch.zeros(1, 3, 4, 4), inputs)
    with pytest.raises(ValueError, match=r'stride=16 .*their stride is 8$'):
        check_stride(head(stride=16, out_channels=3), torch.zeros(1, 3, 64, 64), inputs)


@pytest.mark.parametrize('value', [2, -0.1, float('nan'), 'x', None, True, [0.5]])
def test_thresholds_that_are_no_probability(value):
    with pytest.raises(ValueError, match=r'test_cfg\.threshold'):
        check_threshold(value, 'test_cfg.threshold')


def test_bands_are_those_of_the_config_or_the_class():
    class Backbone(nn.Module):
        def __init__(self, in_channels=5):
            super().__init__()

    class Child(Backbone):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)

    assert backbone_bands(dict(in_channels=4), Child()) == 4
    assert backbone_bands({}, Child()) == 5
    assert backbone_bands({}, nn.Identity()) is None
    check_bands(3, None)
    with pytest.raises(ValueError, match='in_channels=4'):
        check_bands(3, 4)


def test_channels_left_to_the_backbone():
    backbone, keeps = head(out_channels=270), head(keeps_channels=True)
    config = dict(type='FCNHead', in_channels=None, channels=None, num_classes=6)
    filled = with_channels(config, 'change_head', backbone, keeps)
    assert filled == dict(type='FCNHead', in_channels=270, channels=67, num_classes=6)
    assert config['in_channels'] is None
    assert with_channels({**config, 'channels': 8}, 'change_head', backbone, keeps) == {
        **filled,
        'channels': 8,
    }
    # A head without the key, such as one with blocks, gets none.
    assert with_channels(dict(in_channels=None), 'change_head', backbone, keeps) == dict(
        in_channels=270
    )
    levels = head(out_channels=(24, 40))
    assert with_channels(dict(in_channels=None), 'neck', levels) == dict(in_channels=(24, 40))


@pytest.mark.parametrize('config', [dict(), dict(in_channels=5, channels=None)])
def test_channels_that_are_given_stay(config):
    assert with_channels(config, 'semantic_head', head(), head()) is config


@pytest.mark.parametrize(
    ('backbone', 'neck', 'key'),
    [
        (head(), None, 'neck'),
        (head(), head(keeps_channels=True), 'semantic_head'),
        (head(out_channels=270), head(), 'semantic_head'),
        (head(out_channels=(24, 40)), head(keeps_channels=True), 'change_head'),
    ],
)
def test_channels_that_nobody_knows(backbone, neck, key):
    with pytest.raises(ValueError, match=rf'in_channels=None.*set model\.{key}\.in_channels'):
        with_channels(dict(in_channels=None), key, backbone, neck)
