"""Backbones of two images in the detector, against the same features computed by hand."""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from tfinet_mm.models import SemanticChangeDetector, TwoImageBackbone
from tfinet_mm.registry import MODELS

GENERATOR = torch.Generator().manual_seed(2)
BEFORE, AFTER = (torch.randn(2, 3, 16, 16, generator=GENERATOR) for _ in '12')


class SideBySide(nn.Module):
    """Both dates on the channels, as Open-CD's IA_ResNet has them."""

    def __init__(self, scale=2.0):
        super().__init__()
        self.scale = scale

    def forward(self, x1, x2):
        return [torch.cat([x1 * self.scale, x2 + x1], dim=1)]


class Fused(nn.Module):
    """A level of the change alone."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(6, 4, 1)

    def forward(self, x1, x2):
        return (self.conv(torch.cat([x1, x2], dim=1)),)


class TinyCD(Fused):
    """Named like one of Open-CD's, which returns maps of one channel."""


@pytest.fixture(scope='module', autouse=True)
def _registered():
    classes = (SideBySide, Fused, TinyCD)
    for one in classes:
        MODELS.register_module(module=one)
    yield
    for one in classes:
        MODELS.module_dict.pop(one.__name__)


def detector(backbone, neck, channels):
    head = dict(type='mmseg.FCNHead', in_channels=channels, channels=4, num_convs=1, in_index=0)
    return SemanticChangeDetector(
        backbone,
        neck,
        semantic_head=dict(head, num_classes=3, loss_decode=dict(type='tfinet_mm.SemanticCELoss')),
        change_head=dict(head, num_classes=1, loss_decode=dict(type='tfinet_mm.ChangeBCELoss')),
        size_divisor=1,
    )


def test_dates_side_by_side_become_a_batch_of_both():
    found = TwoImageBackbone(SideBySide(), returns='dates')(torch.cat([BEFORE, AFTER]))
    torch.testing.assert_close(found, (torch.cat([BEFORE * 2, AFTER + BEFORE]),))
    with pytest.raises(ValueError, match=r"Odd returns a level of 5 channels.*returns='change'"):
        TwoImageBackbone(_odd(), returns='dates')(torch.cat([BEFORE, AFTER]))


def _odd():
    class Odd(Fused):
        def forward(self, x1, x2):
            return super().forward(x1, x2)[0].repeat(1, 2, 1, 1)[:, :5]

    return Odd()


def test_land_cover_after_a_fusing_backbone_is_that_of_one_date():
    inner = Fused()
    branches = TwoImageBackbone(inner, returns='change')(torch.cat([BEFORE, AFTER]))
    for level, images in (
        (branches.before, (BEFORE, BEFORE)),
        (branches.after, (AFTER, AFTER)),
        (branches.change, (BEFORE, AFTER)),
    ):
        torch.testing.assert_close(level, inner(*images))


@pytest.mark.parametrize(
    ('backbone', 'neck', 'channels'),
    [
        (dict(type='tfinet_mm.SideBySide'), dict(type='tfinet_mm.AbsoluteDifference'), 3),
        (dict(type='tfinet_mm.Fused'), None, 4),
        (
            dict(type='tfinet_mm.Fused'),
            dict(type='mmseg.FPN', in_channels=[4], out_channels=5, num_outs=1),
            5,
        ),
    ],
)
def test_the_detector_trains_and_predicts(backbone, neck, channels):
    returns = 'dates' if backbone['type'] == 'tfinet_mm.SideBySide' else 'change'
    wrapped = dict(type='tfinet_mm.TwoImageBackbone', backbone=backbone, returns=returns)
    model = detector(wrapped, neck, channels)
    samples = []
    for _ in range(2):
        sample = SegDataSample()
        for name in ('gt_sem_seg', 'gt_sem_seg_from', 'gt_sem_seg_to'):
            sample.set_field(PixelData(data=torch.ones(1, 16, 16, dtype=torch.long)), name)
        samples.append(sample)
    inputs = torch.cat([BEFORE, AFTER], dim=1)
    losses = model(inputs, samples, mode='loss')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert all(p.grad is not None for p in model.backbone.parameters())
    # Land cover of a date doesn't see the other one; with this SideBySide, that after does.
    model.eval()
    other = torch.cat([BEFORE, AFTER.flip(-1)], dim=1)
    first, second = (model(x, mode='tensor') for x in (inputs, other))
    torch.testing.assert_close(first.semantic_from, second.semantic_from)
    assert not torch.equal(first.change, second.change)


@pytest.mark.parametrize(
    ('backbone', 'neck', 'message'),
    [
        (
            dict(type='tfinet_mm.SideBySide'),
            None,
            r"^SideBySide takes both images .*isn't said.*returns=",
        ),
        (dict(type='tfinet_mm.TinyCD'), None, '^TinyCD decodes the change itself'),
        (
            dict(
                type='tfinet_mm.TwoImageBackbone',
                backbone=dict(type='tfinet_mm.Fused'),
                returns='change',
            ),
            dict(type='tfinet_mm.AbsoluteDifference'),
            r'^Fused returns features of the change, .*AbsoluteDifference.*neck=None',
        ),
        (
            dict(type='mmseg.ResNet', depth=18, base_channels=8),
            None,
            'model.neck=None needs a backbone that fuses the dates, got ResNet',
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(backbone, neck, message):
    with pytest.raises(ValueError, match=message):
        detector(backbone, neck, 4)
