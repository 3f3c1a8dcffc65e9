"""Test mmseg's losses in the heads' roles, by hand on few pixels and through the heads."""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from tfinet_mm.models import DifferenceHead, ProgressiveHead
from tfinet_mm.models.losses.roles import averages_ignored, fit_loss, fit_losses


def build(**config):
    return MODELS.build(dict(config))


def sample(label):
    made = SegDataSample()
    made.gt_sem_seg = PixelData(data=label[None])
    return made


def focal(logit, positive, gamma, alpha):
    p = logit.sigmoid() if positive else 1 - logit.sigmoid()
    return -(alpha if positive else 1 - alpha) * (1 - p) ** gamma * p.log()


def test_focal_loss_of_the_difference_by_hand():
    torch.manual_seed(0)
    logit = torch.randn(1, 1, 3, 4)
    label = torch.tensor([[0, 1, 255, 0], [1, 1, 0, 0], [255, 0, 1, 0]])
    head = DifferenceHead(
        dict(type='FocalLoss', gamma=1.5, alpha=0.7, loss_weight=2.0), align_corners=True
    )
    losses = head.loss_by_feat((logit,), [sample(label)])
    pairs = zip(logit.flatten(), label.flatten().tolist(), strict=True)
    expected = sum(focal(x, y == 1, 1.5, 0.7) for x, y in pairs if y != 255) * 2 / 10
    torch.testing.assert_close(losses['loss_focal'], expected)


def test_focal_loss_of_classes_by_hand():
    """Each class against the others, its weight on top."""
    torch.manual_seed(0)
    logits, label = torch.randn(1, 3, 2, 2), torch.tensor([[[0, 2], [255, 1]]])
    loss = fit_loss(build(type='FocalLoss', class_weight=[1.0, 2.0, 3.0]), 3, 'semantic head')
    expected = sum(
        (c + 1) * focal(logits[0, c, i, j], label[0, i, j] == c, 2.0, 0.5)
        for i, j in ((0, 0), (0, 1), (1, 1))
        for c in range(3)
    )
    torch.testing.assert_close(loss(logits, label), expected / 9)


@pytest.mark.parametrize('channels', [1, 3])
def test_dice_loss_by_hand(channels):
    """2 sum(p t) / (sum(p^2) + sum(t^2)) over the labelled pixels of each image."""
    torch.manual_seed(0)
    logits = torch.randn(2, channels, 2, 3)
    label = torch.randint(0, max(channels, 2), (2, 2, 3))
    label[0, 0, 1] = label[1, 1, 2] = 255
    loss = fit_loss(build(type='DiceLoss', eps=1e-9), channels, 'a head')
    expected = []
    for one, classes in zip(logits, label, strict=True):
        known = classes != 255
        p = one[:, known].sigmoid()
        wanted = [1] if channels == 1 else range(channels)
        t = torch.stack([classes[known] == c for c in wanted]).float()
        expected.append(1 - 2 * (p * t).sum() / ((p * p).sum() + (t * t).sum()))
    torch.testing.assert_close(loss(logits, label), sum(expected) / 2, rtol=1e-4, atol=1e-5)
    assert loss(logits, torch.full_like(label, 255)) == 0


ONE = [
    dict(type='tfinet_mm.ChangeBCELoss'),
    dict(type='FocalLoss'),
    dict(type='CrossEntropyLoss', use_sigmoid=True, avg_non_ignore=True),
    dict(type='DiceLoss'),
    dict(type='LovaszLoss', loss_type='binary', per_image=True),
]
MANY = [
    dict(type='tfinet_mm.SemanticCELoss'),
    dict(type='FocalLoss'),
    dict(type='CrossEntropyLoss', avg_non_ignore=True),
    dict(type='DiceLoss'),
    dict(type='LovaszLoss', reduction='none'),
    dict(type='TverskyLoss'),
    dict(type='OhemCrossEntropy'),
]


@pytest.mark.parametrize(
    ('channels', 'config'), [(1, one) for one in ONE] + [(4, one) for one in MANY]
)
def test_a_step_down_each_loss_brings_the_labels_closer(channels, config):
    torch.manual_seed(0)
    head = ProgressiveHead(
        8, ((8,),), num_classes=channels, stride=2, loss_decode=[config, dict(config)]
    )
    fit_losses(head, 'a head')
    x = torch.randn(2, 8, 8, 8)
    label = torch.randint(0, max(channels, 2), (2, 1, 16, 16))
    label[:, :, :4] = 255
    samples = [SegDataSample(gt_sem_seg=PixelData(data=one)) for one in label]
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    known = label.squeeze(1) != 255

    def likelihood():
        logits = head([x])
        if channels == 1:
            logits = torch.cat([torch.zeros_like(logits), logits], 1)
        return -torch.nn.functional.cross_entropy(logits, label.squeeze(1), ignore_index=255)

    before = likelihood().item()
    for _ in range(20):
        losses = head.loss_by_feat(head([x]), samples)
        optimizer.zero_grad()
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        optimizer.step()
    assert likelihood().item() > before
    assert known.any()


@pytest.mark.parametrize(
    ('channels', 'config'), [(1, one) for one in ONE] + [(4, one) for one in MANY]
)
def test_a_batch_without_labels_teaches_nothing(channels, config):
    loss = fit_loss(build(**config), channels, 'a head')
    logits = torch.randn(2, channels, 4, 4, requires_grad=True)
    value = loss(logits, torch.full((2, 4, 4), 255), weight=None, ignore_index=255)
    value.backward()
    assert value == 0
    assert not logits.grad.any()


AREAS = [
    (1, dict(type='LovaszLoss', loss_type='binary', reduction='none')),
    (3, dict(type='LovaszLoss', per_image=True)),
    (3, dict(type='LovaszLoss', per_image=True, reduction='sum', class_weight=[1.0, 2.0, 3.0])),
    (3, dict(type='TverskyLoss', class_weight=[1.0, 2.0, 3.0])),
]


@pytest.mark.parametrize(
    ('channels', 'config'), [(1, one) for one in ONE] + [(4, one) for one in MANY] + AREAS
)
def test_images_without_labels_do_not_dilute_a_loss(channels, config):
    torch.manual_seed(0)
    loss = fit_loss(build(**config), channels, 'a head')
    logits = torch.randn(4, channels, 4, 4, requires_grad=True)
    label = torch.randint(0, max(channels, 2), (4, 4, 4))
    label[:, 0] = label[1::2] = 255
    value = loss(logits, label, weight=None, ignore_index=255)
    torch.testing.assert_close(value, loss(logits[::2], label[::2], ignore_index=255))
    (gradient,) = torch.autograd.grad(value, logits)
    assert not gradient[1::2].any()
    assert gradient[::2, :, 1:].any()


@pytest.mark.parametrize('kind', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ('channels', 'config'),
    [(1, ONE[1]), (3, dict(type='FocalLoss')), (3, dict(type='DiceLoss')), *AREAS],
)
def test_losses_of_many_pixels_in_16_bits(channels, config, kind):
    """The number of pixels, 68,644, is beyond float16."""
    torch.manual_seed(0)
    loss = fit_loss(build(**config), channels, 'a head')
    logits = torch.randn(1, channels, 262, 262).to(kind)
    label = torch.randint(0, max(channels, 2), (1, 262, 262))
    with torch.autocast('cpu', kind):
        value = loss(logits, label, ignore_index=255)
    torch.testing.assert_close(
        value, loss(logits.float(), label, ignore_index=255), rtol=2e-3, atol=0
    )


@pytest.mark.parametrize('per_image', [False, True])
def test_lovasz_loss_of_one_labelled_pixel_by_hand(per_image):
    """Of one pixel, the mean over the classes present is 1 - p of its class."""
    torch.manual_seed(0)
    logits, label = torch.randn(2, 3, 2, 2), torch.full((2, 2, 2), 255)
    label[0, 1, 0] = 2
    options = dict(per_image=True) if per_image else dict(reduction='none')
    loss = fit_loss(build(type='LovaszLoss', **options), 3, 'a head')
    expected = 1 - logits.softmax(1)[0, 2, 1, 0]
    torch.testing.assert_close(loss(logits, label, ignore_index=255), expected)


@pytest.mark.parametrize('options', [{}, dict(avg_non_ignore=True), dict(reduction='sum')])
def test_a_mean_over_ignored_pixels_is_found(options):
    head = ProgressiveHead(
        8,
        ((8,),),
        num_classes=3,
        stride=2,
        loss_decode=[dict(type='FocalLoss'), dict(type='CrossEntropyLoss', **options)],
    )
    fit_losses(head, 'a head')
    logits = torch.randn(1, 3, 2, 2)
    label = torch.tensor([[[0, 255], [255, 255]]])
    mean = torch.nn.functional.cross_entropy(logits[..., :1, :1], label[:, :1, :1])
    value = head.loss_decode[1](logits, label, ignore_index=255)
    # A mean over 4 pixels of which 1 is labelled is a quarter.
    assert averages_ignored(head) == bool(torch.isclose(value, mean / 4))


@pytest.mark.parametrize(
    ('channels', 'config', 'message'),
    [
        (1, dict(type='CrossEntropyLoss'), 'CrossEntropyLoss can not be the loss of the change'),
        (1, dict(type='TverskyLoss'), 'nothing can be learnt'),
        (1, dict(type='DiceLoss', use_sigmoid=False), 'takes the logit itself'),
        (1, dict(type='LovaszLoss', reduction='none'), 'use tfinet_mm.ChangeBCELoss, FocalLoss'),
        (3, dict(type='BoundaryLoss'), r'BoundaryLoss .* \(3 classes\)'),
        (1, dict(type='OhemCrossEntropy'), 'use tfinet_mm.ChangeBCELoss'),
        (3, dict(type='SiLogLoss'), 'use tfinet_mm.SemanticCELoss'),
        (3, dict(type='HuasdorffDisstanceLoss'), 'learns from ignored pixels'),
        (3, dict(type='tfinet_mm.ChangeBCELoss'), 'ChangeBCELoss'),
    ],
)
def test_what_cannot_be_is_refused_by_name(channels, config, message):
    with pytest.raises(ValueError, match=message):
        fit_loss(build(**config), channels, 'change head')


def test_a_loss_that_weighs_nothing_is_kept():
    loss = build(type='tfinet_mm.ChangeBCELoss', loss_weight=0)
    assert fit_loss(loss, 1, 'change head') is loss
