"""Test that a training step of each shipped loss and head never waits for a GPU.

The step runs on the CPU, and every operation of torch passes :class:`NoWaiting`, which knows those
that wait on a GPU.
"""

import copy

import pytest
import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.structures import PixelData
from mmseg.models.losses import accuracy as MMSEG_ACCURACY
from mmseg.structures import SegDataSample
from torch.utils._python_dispatch import TorchDispatchMode

from tfinet_mm.engine.fused import with_fused
from tfinet_mm.engine.hooks.step_log import Clipping
from tfinet_mm.models import SemanticChangeDetector

K = 3
WAITING = (
    *('_local_scalar_dense', 'is_nonzero', 'item', 'nonzero', 'masked_select', 'equal'),
    *('unique_dim', '_unique2', 'lift_fresh'),
)
SIZE = (32, 32)
RESNET = dict(
    type='mmseg.ResNet',
    depth=18,
    base_channels=8,
    stem_channels=8,
    norm_cfg=dict(type='BN'),
    strides=(1, 2, 1, 1),
    dilations=(1, 1, 1, 1),
)
FCN = dict(type='mmseg.FCNHead', in_channels=64, in_index=3, channels=8, num_convs=1)
PROGRESSIVE = dict(
    type='tfinet_mm.ProgressiveHead', in_channels=64, in_index=3, blocks=((8,), (8,)), stride=8
)
CE = dict(type='tfinet_mm.SemanticCELoss', class_weight=[1.0, 2.0, 0.5])
BCE = dict(type='tfinet_mm.ChangeBCELoss')
FOCAL = dict(type='mmseg.FocalLoss', class_weight=[1.0, 2.0, 0.5], alpha=[0.5, 0.4, 0.3])
DICE = dict(type='mmseg.DiceLoss')
INTERACTION = dict(
    neck=dict(type='tfinet_mm.FeatureInteraction', in_channels=64),
    backbone=dict(RESNET, out_indices=(3,)),
)


def roles(head, cover=CE, change=BCE, width=64, **more):
    index = dict(in_index=0) if 'neck' in more else {}
    return dict(
        semantic_head=dict(head, num_classes=K, loss_decode=cover, **index),
        change_head=dict(
            head, num_classes=1, loss_decode=change, in_channels=width, **index, **_binary(head)
        ),
        **more,
    )


def _binary(head):
    return dict(threshold=0.5) if head['type'].startswith('mmseg') else {}


DETECTORS = {
    'cross entropy': roles(FCN),
    'focal': roles(FCN, FOCAL, dict(type='mmseg.FocalLoss')),
    'dice': roles(FCN, dict(DICE, use_sigmoid=False), DICE),
    'two losses': roles(FCN, [CE, dict(DICE, use_sigmoid=False)], [BCE, DICE]),
    'progressive head': roles(PROGRESSIVE),
    'interaction': roles(
        PROGRESSIVE,
        width=128,
        **INTERACTION,
        auxiliary_head=[
            dict(type='tfinet_mm.DifferenceHead', branch='difference', loss_decode=BCE),
            dict(FCN, in_index=0, num_classes=K, branch='semantic', loss_decode=CE),
            dict(type='tfinet_mm.ConsistencyHead', branch='land_cover'),
        ],
    ),
}


class Waits(AssertionError):
    """An operation would wait for a GPU."""


class NoWaiting(TorchDispatchMode):
    """Refuses operations that read numbers of a device, or copy numbers of Python to it."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        masks = name in ('index', 'index_put', 'index_put_') and any(
            isinstance(one, torch.Tensor) and one.dtype == torch.bool for one in args[1]
        )
        if masks or name in WAITING:
            raise Waits(f'{function} waits for the device')
        return function(*args, **(kwargs or {}))


def detector(name, **options):
    config = dict(
        backbone=RESNET, neck=dict(type='tfinet_mm.AbsoluteDifference'), **options
    ) | copy.deepcopy(DETECTORS[name])
    return SemanticChangeDetector(**config)


def batch(weights=False):
    samples = []
    for _ in range(2):
        sample = SegDataSample(metainfo=dict(img_shape=SIZE, ori_shape=SIZE))
        for field, classes in (('', 2), ('_from', K), ('_to', K)):
            label = torch.randint(0, classes, (1, *SIZE))
            sample.set_data({f'gt_sem_seg{field}': PixelData(data=label)})
        if weights:
            for date in ('from', 'to'):
                sample.set_data({f'gt_weight_{date}': PixelData(data=torch.rand(1, *SIZE))})
        samples.append(sample)
    return dict(inputs=torch.randn(2, 6, *SIZE), data_samples=samples)


def step(model, data, optimizer=None):
    """Losses, gradients and weights of a step."""
    wrapper = dict(type='OptimWrapper', optimizer=optimizer or dict(type='Adam', lr=1e-3))
    wrapper |= dict(clip_grad=dict(max_norm=1.0))
    built = build_optim_wrapper(model, with_fused(wrapper, torch.device('cpu')))
    built.clip_func = Clipping(built.clip_func)
    with NoWaiting():
        losses = model(data['inputs'], data['data_samples'], mode='loss')
        loss, _ = model.parse_losses(losses)
        built.update_params(loss)
    assert torch.isfinite(loss)
    return losses


@pytest.mark.parametrize('name', DETECTORS)
def test_a_step_of_each_loss_and_head(name):
    losses = step(detector(name), batch())
    assert not any('acc' in key for key in losses)


def test_weights_of_pixels_that_the_preprocessor_has_checked():
    preprocessor = dict(type='tfinet_mm.PairDataPreprocessor')
    model, data = detector('cross entropy', data_preprocessor=preprocessor), batch(weights=True)
    # The first step tries once whether the loss takes weights.
    model(**data, mode='loss')
    step(model, data)


def test_logged_accuracies_are_those_of_mmseg():
    model, data = detector('cross entropy', log_accuracy=True).eval(), batch()
    for sample in data['data_samples']:
        sample.gt_sem_seg_to.data[:, :9] = 255
    with torch.no_grad():
        logits = model(data['inputs'])
    losses = step(model, data)
    for date in ('from', 'to'):
        label = torch.cat([one.get(f'gt_sem_seg_{date}').data for one in data['data_samples']])
        expected = MMSEG_ACCURACY(getattr(logits, f'semantic_{date}'), label, ignore_index=255)
        assert losses[f'semantic_{date}.acc_seg'].item() == pytest.approx(expected.item())
    assert 'change.acc_seg' not in losses


@pytest.mark.parametrize('kind', ['AdamW', 'SGD'])
def test_optimizers(kind):
    step(detector('cross entropy'), batch(), dict(type=kind, lr=1e-3))


def test_waiting_is_found():
    """In MMEngine's clipping, mmseg's accuracy and plain operations."""
    label = torch.zeros(1, 4, 4, dtype=torch.int64)
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    wrapper = OptimWrapper(torch.optim.SGD([weight], lr=0.1), clip_grad=dict(max_norm=1.0))
    for waiting in (
        wrapper._clip_grad,
        lambda: MMSEG_ACCURACY(torch.zeros(1, K, 4, 4), label, ignore_index=255),
        lambda: label[label == 0],
        lambda: bool(label.any()),
        lambda: float(weight.sum()),
        lambda: label.new_tensor([1, 2]),
    ):
        with NoWaiting(), pytest.raises(Waits):
            waiting()
