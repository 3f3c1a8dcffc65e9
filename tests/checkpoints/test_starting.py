"""A training starts from other weights: classes are matched by name, all else must fit."""

import logging

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from torch import nn

from tfinet_mm.checkpoints.reading import load_checkpoint_file
from tfinet_mm.checkpoints.shipped import DEFAULT
from tfinet_mm.checkpoints.starting import (
    CLASSIFIER,
    check_trained_normalisation,
    starting_weights,
)
from tfinet_mm.errors import (
    CheckpointMismatchError,
    DamagedCheckpointError,
    NormalisationError,
)
from tfinet_mm.models.detectors.network import head_outputs
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import SECOND
from tfinet_mm.utils.config.loading import load_config

WEIGHT, BIAS = CLASSIFIER
TRAINED = ('unchanged', 'water', 'tree', 'building')


def network(num_classes=3, channels=8, auxiliary=False, seed=0, **preprocessor):
    torch.manual_seed(seed)
    norm = dict(type='BN')
    head = dict(type='mmseg.FCNHead', in_channels=64, in_index=3, num_convs=1, norm_cfg=norm)
    extra = dict(head, branch='semantic', channels=4, num_classes=num_classes)
    cfg = dict(
        type='tfinet_mm.SemanticChangeDetector',
        data_preprocessor=dict(type='tfinet_mm.PairDataPreprocessor', **preprocessor),
        backbone=dict(type='mmseg.ResNet', depth=18, base_channels=8, norm_cfg=norm),
        neck=dict(type='tfinet_mm.AbsoluteDifference'),
        semantic_head=dict(head, channels=channels, num_classes=num_classes),
        change_head=dict(head, channels=8, num_classes=1, threshold=0.5),
        **(dict(auxiliary_head=extra) if auxiliary else {}),
    )
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg)
    for module in model.modules():
        # Biases that are all 0 would hide rows that are mixed up.
        if getattr(module, 'bias', None) is not None:
            nn.init.normal_(module.bias)
    return model


def weight_checkpoint(model, classes=TRAINED, **preprocessor):
    cfg = dict(
        model=dict(data_preprocessor=dict(type='tfinet_mm.PairDataPreprocessor', **preprocessor))
    )
    state = {key: value.clone() for key, value in model.state_dict().items()}
    meta = dict(cfg=cfg, dataset_meta=dict(semantic_classes=classes), tfinet_mm_format=1)
    return dict(state_dict=state, meta=meta)


@pytest.fixture
def logged(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'tfinet_mm.checkpoints.starting.print_log',
        lambda text, logger, level: lines.append((text, level)),
    )
    return lines


def test_the_same_classes_are_taken_whole(logged):
    stored = weight_checkpoint(network(seed=1))
    found = starting_weights(network(), stored, TRAINED, 'w')
    for key, value in stored['state_dict'].items():
        torch.testing.assert_close(found['state_dict'][key], value, rtol=0, atol=0)
    assert logged == []


def test_rows_go_with_the_names_of_classes(logged):
    source, model = network(seed=1), network(4)
    first = {key: value.clone() for key, value in model.state_dict().items()}
    classes = ('same', 'building', 'road', 'water', 'sand')
    found = starting_weights(model, weight_checkpoint(source), classes, 'the file')['state_dict']
    theirs = source.state_dict()
    for key in CLASSIFIER:
        expected = [theirs[key][2], first[key][1], theirs[key][0], first[key][3]]
        torch.testing.assert_close(found[key], torch.stack(expected), rtol=0, atol=0)
    for key in set(found) - set(CLASSIFIER):
        torch.testing.assert_close(found[key], theirs[key], rtol=0, atol=0)
    assert logged == [
        (f'the file: these start fresh: {WEIGHT} and {BIAS} of road, sand', logging.INFO)
    ]


def test_as_many_classes_of_another_order_are_sorted(logged):
    source = network(seed=1)
    order = ('unchanged', 'building', 'water', 'tree')
    found = starting_weights(network(), weight_checkpoint(source), order, 'w')['state_dict']
    expected = source.state_dict()[BIAS][[2, 0, 1]]
    torch.testing.assert_close(found[BIAS], expected, rtol=0, atol=0)
    assert logged == []


@pytest.mark.parametrize('classes', [None, ('unchanged', *'abcde')])
def test_without_common_names_all_rows_are_fresh(classes, logged):
    model = network(5)
    first = model.state_dict()[WEIGHT].clone()
    found = starting_weights(model, weight_checkpoint(network()), classes, 'w')['state_dict']
    torch.testing.assert_close(found[WEIGHT], first, rtol=0, atol=0)
    assert logged[0][0].endswith(f'{WEIGHT} and {BIAS} of all classes')


def test_rows_stay_where_nobody_names_the_classes(logged):
    source = network(seed=1)
    found = starting_weights(network(), weight_checkpoint(source, None), None, 'w')['state_dict']
    torch.testing.assert_close(found[WEIGHT], source.state_dict()[WEIGHT], rtol=0, atol=0)
    assert logged == []


def test_auxiliary_heads_start_fresh(logged):
    model = network(auxiliary=True)
    first = {key: value.clone() for key, value in model.state_dict().items()}
    found = starting_weights(model, weight_checkpoint(network()), TRAINED, 'w')['state_dict']
    assert set(found) == set(first)
    key = 'auxiliary_heads.0.conv_seg.weight'
    torch.testing.assert_close(found[key], first[key], rtol=0, atol=0)
    assert logged[0][0] == 'w: these start fresh: the auxiliary heads, which the file lacks'


def pyramid(name):
    cfg = load_config(f'configs/tfinet_lite0_fpn{name}.py', {'model.backbone.init_cfg': None})
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(cfg.model)


def test_a_correction_starts_without_change_from_weights_that_lack_it(logged):
    model = pyramid('_refined')
    stored = load_checkpoint_file(DEFAULT)
    classes = SECOND.names
    starting_weights(model, stored, classes, 'w')
    said = 'change_head.reduce and change_head.refine, which the file lacks'
    assert logged[0][0].startswith(f'w: these start fresh: {said}')
    plain = pyramid('')
    starting_weights(plain, stored, classes, 'w')
    inputs = torch.randn(1, 6, 64, 64)
    with torch.no_grad():
        expected, found = (head_outputs(one.eval(), inputs) for one in (plain, model))
    torch.testing.assert_close(
        found.change, F.interpolate(expected.change, scale_factor=2, mode='bilinear')
    )


def test_half_a_correction_does_not_fit(logged):
    model = pyramid('_refined')
    stored = weight_checkpoint(model, SECOND.names)
    assert starting_weights(model, stored, SECOND.names, 'w')
    assert logged == []
    del stored['state_dict']['change_head.reduce.conv.weight']
    with pytest.raises(CheckpointMismatchError, match=r'missing: change_head\.reduce\.conv'):
        starting_weights(model, stored, SECOND.names, 'w')


def test_anything_else_must_fit(logged):
    with pytest.raises(CheckpointMismatchError, match=r'w: .* of another shape: semantic_head'):
        starting_weights(network(channels=16), weight_checkpoint(network()), TRAINED, 'w')
    stored = weight_checkpoint(network())
    stored['state_dict']['neck.other'] = torch.ones(1)
    del stored['state_dict']['backbone.conv1.weight']
    with pytest.raises(CheckpointMismatchError, match=r'missing: backbone.*not have: neck\.other'):
        starting_weights(network(), stored, TRAINED, 'w')
    stored = weight_checkpoint(network())
    del stored['state_dict'][BIAS]
    with pytest.raises(CheckpointMismatchError, match=BIAS):
        starting_weights(network(), stored, TRAINED, 'w')


IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
HALF = dict(mean=[127.5] * 3, std=[127.5] * 3)


@pytest.mark.parametrize(
    ('own', 'trained'),
    [
        ({}, IMAGENET),
        (HALF, HALF),
        (HALF, dict(mean=[127.5] * 6, std=[127.4] * 6)),
        (dict(mean=None, std=None), dict(mean=None, std=None)),
        ({}, dict(mean=[123.68, 116.28, 103.53], std=[58.4, 57.12, 57.38])),
    ],
)
def test_the_normalisation_is_that_of_the_weights(own, trained):
    model = network(**own)
    check_trained_normalisation(model, weight_checkpoint(model, **trained), 'w')


@pytest.mark.parametrize('mean', ['127', ['a'], [], [[1.0]]])
def test_a_file_without_numbers_is_damaged(mean):
    model = network()
    stored = weight_checkpoint(model, mean=mean, std=[1.0])
    with pytest.raises(DamagedCheckpointError, match='must be lists of numbers'):
        check_trained_normalisation(model, stored, 'w')


@pytest.mark.parametrize('own', [HALF, dict(mean=None, std=None), dict(mean=[1.0], std=[2.0])])
def test_another_normalisation_is_refused_with_both_values(own):
    model = network(**own)
    stored = weight_checkpoint(model, **IMAGENET)
    message = r'has mean=.* but w was trained with mean=\[123\.675, 116\.28, 103\.53\] and std='
    with pytest.raises(NormalisationError, match=message):
        check_trained_normalisation(model, stored, 'w')
    model.check_normalisation = False
    check_trained_normalisation(model, stored, 'w')
    # A checkpoint of a training may be of any origin.
    del stored['meta']['tfinet_mm_format']
    model.check_normalisation = True
    check_trained_normalisation(model, stored, 'w')
