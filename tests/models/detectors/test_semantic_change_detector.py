"""Test every way to put a detector together by one set of tests."""

import copy
from functools import cache

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from tfinet_mm.errors import NotFiniteWeightsError
from tfinet_mm.models import SemanticChangeDetector
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import to_semantic_change

K = 4
CE = {'type': 'tfinet_mm.SemanticCELoss', 'class_weight': (1, 2, 1, 2)}
BCE = {'type': 'tfinet_mm.ChangeBCELoss'}
BN = {'type': 'BN'}
RESNET = {
    'type': 'mmseg.ResNet',
    'depth': 18,
    'base_channels': 8,
    'norm_cfg': BN,
    'strides': (1, 2, 2, 2),
    'dilations': (1, 1, 1, 1),
}
# One level of 64 channels at an eighth of the size.
DILATED = {**RESNET, 'strides': (1, 2, 1, 1), 'out_indices': (3,)}
PYRAMID = (8, 16, 32, 64)
DIFFERENCE_HEAD = {'type': 'tfinet_mm.DifferenceHead', 'branch': 'difference'}


def _progressive(in_channels, stride, num_classes, loss, **kwargs):
    return {
        'type': 'tfinet_mm.ProgressiveHead',
        'in_channels': in_channels,
        'blocks': ((8,), (6,)),
        'stride': stride,
        'num_classes': num_classes,
        'loss_decode': loss,
        **kwargs,
    }


def _config(backbone, neck, channels, stride, change_factor=1, **kwargs):
    return {
        'type': 'tfinet_mm.SemanticChangeDetector',
        'backbone': backbone,
        'neck': neck,
        'semantic_head': _progressive(channels, stride, K, CE),
        'change_head': _progressive(change_factor * channels, stride, 1, BCE),
        **kwargs,
    }


def _interaction(channels, backbone, stride, **kwargs):
    neck = {'type': 'tfinet_mm.FeatureInteraction', 'in_channels': channels}
    return _config(backbone, neck, channels, stride, 2, auxiliary_head=DIFFERENCE_HEAD, **kwargs)


def _roles(head, change_channels, **kwargs):
    """A detector on ResNet's pyramid with one of mmseg's heads in either role."""
    semantic = {**head, 'num_classes': K, 'loss_decode': CE, 'norm_cfg': BN}
    change = {**semantic, 'num_classes': 1, 'threshold': 0.5, 'loss_decode': BCE}
    if change_channels is not None:
        change['in_channels'] = change_channels
    return {
        'type': 'tfinet_mm.SemanticChangeDetector',
        'backbone': RESNET,
        'neck': {'type': 'tfinet_mm.AbsoluteDifference'},
        'semantic_head': semantic,
        'change_head': change,
        **kwargs,
    }


DETECTORS = {
    'tfinet_r18': _interaction(64, DILATED, 8),
    'tfinet_hrnet': _interaction(60, {'type': 'tfinet_mm.FusedHRNet', 'width': 4}, 4),
    'difference_r18': _config(DILATED, {'type': 'tfinet_mm.AbsoluteDifference'}, 64, 8),
    'swin': _interaction(
        32,
        {
            'type': 'mmseg.SwinTransformer',
            'pretrain_img_size': 64,
            'embed_dims': 4,
            'depths': (1, 1, 1, 1),
            'num_heads': (1, 1, 1, 1),
            'window_size': 2,
            'out_indices': (3,),
        },
        32,
    ),
    'mit': _interaction(
        32,
        {
            'type': 'mmseg.MixVisionTransformer',
            'embed_dims': 4,
            'num_heads': (1, 2, 4, 8),
            'num_layers': (1, 1, 1, 1),
            'out_indices': (3,),
        },
        32,
    ),
    'pyramid_upernet': {
        **_roles(
            {
                'type': 'mmseg.UPerHead',
                'in_channels': (6,) * 4,
                'in_index': (0, 1, 2, 3),
                'channels': 8,
                'pool_scales': (1, 2),
            },
            (12,) * 4,
        ),
        'neck': {
            'type': 'tfinet_mm.FeatureInteraction',
            'in_channels': PYRAMID,
            'channels': 6,
        },
        'auxiliary_head': [
            DIFFERENCE_HEAD,
            {
                'type': 'mmseg.FCNHead',
                'branch': 'semantic',
                'in_channels': 6,
                'in_index': 1,
                'channels': 4,
                'num_convs': 1,
                'norm_cfg': BN,
                'num_classes': K,
                'loss_decode': CE,
            },
            {
                'type': 'mmseg.FCNHead',
                'branch': 'change',
                'in_channels': 12,
                'in_index': 1,
                'channels': 4,
                'num_convs': 1,
                'norm_cfg': BN,
                'num_classes': 1,
                'threshold': 0.5,
                'loss_decode': BCE,
            },
        ],
    },
    'fcn': _roles(
        {'type': 'mmseg.FCNHead', 'in_channels': 64, 'channels': 8, 'num_convs': 1}, None
    ),
    'psp': _roles(
        {'type': 'mmseg.PSPHead', 'in_channels': 64, 'channels': 8, 'pool_scales': (1, 2)}, None
    ),
    'uper': _roles(
        {
            'type': 'mmseg.UPerHead',
            'in_channels': PYRAMID,
            'in_index': (0, 1, 2, 3),
            'channels': 8,
            'pool_scales': (1, 2),
        },
        None,
    ),
    'segformer': _roles(
        {
            'type': 'mmseg.SegformerHead',
            'in_channels': PYRAMID,
            'in_index': (0, 1, 2, 3),
            'channels': 8,
        },
        None,
    ),
    'two_channel_change': {
        **_roles({'type': 'mmseg.FCNHead', 'in_channels': 64, 'channels': 8, 'num_convs': 1}, None),
        'change_head': {
            'type': 'mmseg.FCNHead',
            'in_channels': 64,
            'channels': 8,
            'num_convs': 1,
            'norm_cfg': BN,
            'num_classes': 2,
            'loss_decode': {'type': 'mmseg.CrossEntropyLoss'},
        },
    },
    'mmseg_losses': {
        **_config(DILATED, {'type': 'tfinet_mm.AbsoluteDifference'}, 64, 8),
        'semantic_head': _progressive(
            64,
            8,
            K,
            [
                {'type': 'mmseg.CrossEntropyLoss', 'avg_non_ignore': True},
                {'type': 'mmseg.LovaszLoss', 'reduction': 'none', 'loss_weight': 0.5},
            ],
        ),
        'change_head': _progressive(
            64, 8, 1, {'type': 'mmseg.CrossEntropyLoss', 'use_sigmoid': True}
        ),
    },
    'autocast': _interaction(64, DILATED, 8, autocast='bfloat16'),
    'contiguous': _interaction(64, DILATED, 8, channels_last=False),
}


def build(name, **kwargs):
    torch.manual_seed(0)
    model = MODELS.build({**copy.deepcopy(DETECTORS[name]), **kwargs})
    model.init_weights()
    for module in model.modules():
        # Zero-mean statistics would let a mistake in the order of the dates pass.
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.2)
    return model


@cache
def evaluated(name):
    """Return the detector of this name, in evaluation mode, for all tests that don't change it."""
    return build(name).eval()


def pair(n=2, size=(64, 64)):
    return torch.randn(n, 6, *size, generator=torch.Generator().manual_seed(1))


def samples(n=2, size=(64, 64), change=None):
    rng = torch.Generator().manual_seed(2)
    out = []
    for _ in range(n):
        sample = SegDataSample(metainfo={'img_shape': size, 'ori_shape': size})
        changed = torch.randint(0, 2, (1, *size), generator=rng)
        changed = changed if change is None else torch.full_like(changed, change)
        sample.gt_sem_seg = PixelData(data=changed)
        for field in ('gt_sem_seg_from', 'gt_sem_seg_to'):
            cover = torch.randint(0, K, (1, *size), generator=rng)
            data = torch.where(changed == 1, cover, 255)
            sample.set_data({field: PixelData(data=data)})
        out.append(sample)
    return out


@pytest.mark.parametrize('name', DETECTORS)
class TestEveryDetector:
    def test_forward_backward(self, name):
        model = build(name).train()
        losses = model(pair(), samples(), mode='loss')
        total, _ = model.parse_losses(losses)
        assert torch.isfinite(total)
        total.backward()
        without_grad = [
            n for n, p in model.named_parameters() if p.requires_grad and p.grad is None
        ]
        assert without_grad == []
        assert {k.split('.')[0] for k in losses} >= {'semantic_from', 'semantic_to', 'change'}

    def test_logits_at_input_size(self, name):
        model = evaluated(name)
        with torch.no_grad():
            logits = model(pair(), mode='tensor')
        assert logits.semantic_from.shape == logits.semantic_to.shape == (2, K, 64, 64)
        assert logits.change.shape == (2, 1, 64, 64)
        assert all(x.dtype == torch.float32 for x in logits)

    def test_predict_without_labels_and_in_batches(self, name):
        model = evaluated(name)
        inputs = pair(2)
        with torch.no_grad():
            both = model(inputs, mode='predict')
            single = model(inputs[1:], mode='predict')[0]
        assert len(both) == 2
        torch.testing.assert_close(
            both[1].pred_change_prob.data, single.pred_change_prob.data, atol=2e-2, rtol=0
        )
        sample = both[0]
        assert sample.pred_sem_seg.data.shape == (1, 64, 64)
        assert sample.pred_land_cover_from.data.min() >= 1
        assert sample.pred_land_cover_to.data.max() <= K
        change = sample.pred_sem_seg.data
        torch.testing.assert_close(
            sample.pred_sem_seg_from.data,
            torch.where(change == 1, sample.pred_land_cover_from.data, 0).to(torch.uint8),
        )
        torch.testing.assert_close(sample.pred_prob_from.data.sum(0), torch.ones(64, 64))

    @pytest.mark.parametrize('size', [(70, 33), (1, 100)])
    def test_odd_sizes(self, name, size):
        model = evaluated(name)
        with torch.no_grad():
            logits = model(pair(1, size), mode='tensor')
            # Nothing is stretched: the top left equals that of a larger, padded image.
            padded = nn.functional.pad(
                pair(1, size), (0, -size[1] % 32, 0, -size[0] % 32), mode='replicate'
            )
            larger = model(padded, mode='tensor')
        assert logits.change.shape[2:] == size
        torch.testing.assert_close(logits.change, larger.change[..., : size[0], : size[1]])

    def test_the_dates_swap(self, name):
        """Swapped inputs swap the land cover, as one head and one backbone serve both dates."""
        model = evaluated(name)
        inputs = pair(1)
        with torch.no_grad():
            a = model(inputs, mode='tensor')
            b = model(torch.cat(inputs.chunk(2, 1)[::-1], 1), mode='tensor')
        if 'interaction' not in type(model.neck).__name__.lower():
            torch.testing.assert_close(a.semantic_from, b.semantic_to, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(a.change, b.change, atol=1e-4, rtol=1e-4)
        assert (a.semantic_from - a.semantic_to).abs().max() > 1e-4


@pytest.mark.parametrize('change', [0, 255])
def test_batches_without_change_or_label(change):
    model = build('tfinet_r18').train()
    total, _ = model.parse_losses(model(pair(), samples(change=change), mode='loss'))
    total.backward()
    assert torch.isfinite(total)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_change_alone_is_trained_without_the_semantic_heads():
    """The losses of change are the same as beside land cover; other heads get no gradient."""
    model = build('pyramid_upernet').eval()
    whole = model.loss(pair(), samples())
    model.trained_roles = ('change',)
    masked = samples()
    for sample in masked:
        del sample.gt_sem_seg_from, sample.gt_sem_seg_to
    losses = model.loss(pair(), masked)
    assert not any('semantic' in name for name in losses)
    assert {name.split('.')[0] for name in losses} == {'change', 'aux0_difference', 'aux2_change'}
    for name, value in losses.items():
        assert torch.equal(value, whole[name])
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    untrained = {name for name, p in model.named_parameters() if p.grad is None}
    semantic = ('semantic_head.', 'auxiliary_heads.1.')
    assert untrained == {name for name, _ in model.named_parameters() if name.startswith(semantic)}


def test_a_single_class_of_land_cover():
    head = DETECTORS['contiguous']['semantic_head']
    loss = {'type': 'tfinet_mm.SemanticCELoss'}
    head = {**head, 'num_classes': 1, 'threshold': 0.5, 'loss_decode': loss}
    model = build('contiguous', semantic_head=head).eval()
    (found,) = model.predict(pair(1))
    assert torch.equal(found.pred_sem_seg_from.data, found.pred_sem_seg.data)
    assert (found.pred_prob_to.data == 1).all()


@pytest.mark.parametrize('mode', ['loss', 'predict'])
def test_ground_truth_is_left_alone(mode):
    model = build('tfinet_r18')
    model.train(mode == 'loss')
    data = samples(size=(50, 60))
    before = copy.deepcopy(data)
    model(pair(size=(50, 60)), data, mode=mode)
    for old, new in zip(before, data, strict=True):
        stated = dict(label_convention='tfinet_mm') if mode == 'predict' else {}
        assert old.metainfo | stated == new.metainfo
        for field in ('gt_sem_seg', 'gt_sem_seg_from', 'gt_sem_seg_to'):
            assert torch.equal(getattr(old, field).data, getattr(new, field).data)


def test_loss_on_an_odd_size_ignores_the_padding():
    """Padding by hand with ignored labels gives the same losses."""
    model = evaluated('difference_r18')
    inputs, data = pair(1, (50, 60)), samples(1, (50, 60))
    actual = model(inputs, data, mode='loss')
    padding = (0, 4, 0, 14)
    padded = SegDataSample()
    for field in ('gt_sem_seg', 'gt_sem_seg_from', 'gt_sem_seg_to'):
        label = nn.functional.pad(getattr(data[0], field).data, padding, value=255)
        padded.set_data({field: PixelData(data=label)})
    inputs = nn.functional.pad(inputs, padding, mode='replicate')
    expected = model(inputs, [padded], mode='loss')
    for name in (name for name in expected if 'loss' in name):
        torch.testing.assert_close(actual[name], expected[name])


def test_sliding_windows():
    """A window as large as the image gives whole logits; pixels in one window keep its logits."""
    whole = evaluated('difference_r18')
    inputs = pair(1, (64, 96))
    with torch.no_grad():
        slide = build(
            'difference_r18',
            test_cfg={'mode': 'slide', 'crop_size': (64, 96), 'stride': (64, 96)},
        ).eval()
        for a, b in zip(whole.inference(inputs), slide.inference(inputs), strict=True):
            torch.testing.assert_close(a, b)
        slide.test_cfg.update(crop_size=(64, 64), stride=(64, 32))
        left = whole.inference(inputs[..., :64])
        right = whole.inference(inputs[..., 32:])
        for actual, a, b in zip(slide.inference(inputs), left, right, strict=True):
            torch.testing.assert_close(actual[..., :32], a[..., :32])
            torch.testing.assert_close(actual[..., 64:], b[..., 32:])
            torch.testing.assert_close(actual[..., 32:64], (a[..., 32:] + b[..., :32]) / 2)
        # mode='tensor' never uses windows, predict does.
        assert slide(inputs, mode='predict')[0].pred_change_prob.data.shape == (1, 64, 96)


def test_an_image_smaller_than_the_window():
    model = build(
        'difference_r18', test_cfg={'mode': 'slide', 'crop_size': (64, 64), 'stride': (32, 32)}
    ).eval()
    inputs = pair(1, (40, 90))
    with torch.no_grad():
        assert model.inference(inputs).change.shape == (1, 1, 40, 90)


def test_threshold():
    model = build('tfinet_r18', test_cfg={'threshold': 0.0}).eval()
    with torch.no_grad():
        assert (model(pair(1), mode='predict')[0].pred_sem_seg.data == 1).all()


def test_weights_that_overflow_are_not_taken_for_unchanged():
    model = build('tfinet_r18').eval()
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter.fill_(1e38)
        assert all(weight.isfinite().all() for weight in model.state_dict().values())
        with pytest.raises(NotFiniteWeightsError, match='the network predicts NaN'):
            model(pair(1), mode='predict')


def test_two_channel_change_is_a_softmax():
    model = evaluated('two_channel_change')
    inputs = pair(1)
    with torch.no_grad():
        branches = model.extract_feat(inputs)
        raw = model.change_head(branches.change)
        raw = nn.functional.interpolate(raw, (64, 64), mode='bilinear')
        probability = model(inputs, mode='predict')[0].pred_change_prob.data
    torch.testing.assert_close(probability, raw.softmax(1)[0, 1:])


def test_several_losses_of_mmseg_are_all_trained_on():
    model = build('mmseg_losses').train()
    losses = model(pair(), samples(), mode='loss')
    assert {'semantic_from.loss_ce', 'semantic_to.loss_lovasz', 'change.loss_ce'} <= set(losses)


def test_exports_to_a_program_without_python_code_of_ours():
    """torch.export gives the same logits, by position: from, to, change."""
    model = build('tfinet_r18', channels_last=False).eval()
    inputs = pair(1)
    program = torch.export.export(model, (inputs,)).module()
    with torch.no_grad():
        for actual, expected in zip(program(inputs), model(inputs), strict=True):
            torch.testing.assert_close(actual, expected)


def test_semantic_head_is_stored_once():
    names = [k for k in build('tfinet_r18').state_dict() if k.startswith('semantic_head')]
    twice = [k for k in build('tfinet_r18').state_dict() if 'semantic' in k]
    assert names == twice


def test_predictions_shift_in_one_place():
    model = evaluated('tfinet_r18')
    with torch.no_grad():
        sample = model(pair(1), samples(1), mode='predict')[0]
    cover = sample.pred_land_cover_to.data - 1
    torch.testing.assert_close(
        sample.pred_sem_seg_to.data, to_semantic_change(cover, sample.pred_sem_seg.data)
    )


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'autocast': 'half'}, "one of .*'bfloat16', 'float16'.*got 'half'"),
        ({'test_cfg': {'mode': 'windows'}}, "'whole' or 'slide', got 'windows'"),
        ({'test_cfg': {'mode': 'slide', 'crop_size': (4, 4)}}, r'test_cfg\.stride'),
        (
            {'test_cfg': {'mode': 'slide', 'crop_size': (4, 4), 'stride': (5, 4)}},
            'must not exceed the window',
        ),
        ({'auxiliary_head': {'type': 'tfinet_mm.DifferenceHead'}}, 'needs branch='),
        ({'change_head': _progressive(64, 8, 3, CE)}, 'one output channel .* or two'),
    ],
)
def test_bad_configs(change, message):
    with pytest.raises(ValueError, match=message):
        build('difference_r18', **change)


def test_bad_inputs():
    model = build('difference_r18')
    with pytest.raises(ValueError, match=r'\(N, 2B, H, W\)'):
        model(torch.zeros(1, 5, 32, 32))
    with pytest.raises(ValueError, match="'tensor', 'predict' or 'loss', got 'train'"):
        model(pair(1), mode='train')
    with pytest.raises(ValueError, match='needs the label gt_sem_seg_from'):
        model(pair(1), [SegDataSample()], mode='loss')


def test_difference_needs_a_neck_that_predicts_it():
    model = build('difference_r18', auxiliary_head=DIFFERENCE_HEAD)
    with pytest.raises(ValueError, match='AbsoluteDifference predicts no difference'):
        model(pair(), samples(), mode='loss')


def test_is_one_of_mmsegs_segmentors():
    model = build('difference_r18')
    assert isinstance(model, SemanticChangeDetector)
    assert model.with_decode_head
    assert not model.with_auxiliary_head
    assert model.num_classes == K
