"""Test that weights of pixels reach the losses of any head of mmseg."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.decode_heads import FCNHead
from mmseg.registry import MODELS as MMSEG_MODELS
from mmseg.structures import SegDataSample

from tfinet_mm.errors import LabelFormatError
from tfinet_mm.models.detectors.head_losses import head_losses, label_views, pixel_weights
from tfinet_mm.registry import MODELS

K = 3
CLASS_WEIGHT = (1.0, 2.0, 0.5)
CE = {'type': 'tfinet_mm.SemanticCELoss', 'class_weight': CLASS_WEIGHT}
FCN = {
    'type': 'mmseg.FCNHead',
    'in_channels': 64,
    'channels': 8,
    'num_convs': 1,
    'dropout_ratio': 0,
    'norm_cfg': {'type': 'BN'},
    'num_classes': K,
    'loss_decode': CE,
}
# Four channels are too few, see tests/engine/hooks/test_mean_teacher.py.
DETECTOR = {
    'type': 'tfinet_mm.SemanticChangeDetector',
    'backbone': {
        'type': 'mmseg.ResNet',
        'depth': 18,
        'base_channels': 8,
        'stem_channels': 8,
        'norm_cfg': {'type': 'BN'},
        'strides': (1, 2, 2, 2),
        'dilations': (1, 1, 1, 1),
    },
    'neck': {'type': 'tfinet_mm.AbsoluteDifference'},
    'semantic_head': FCN,
    'change_head': {
        **FCN,
        'num_classes': 1,
        'threshold': 0.5,
        'loss_decode': {'type': 'tfinet_mm.ChangeBCELoss'},
    },
}


def build(**options):
    torch.manual_seed(0)
    model = MODELS.build({**copy.deepcopy(DETECTOR), **options})
    model.init_weights()
    # Evaluation mode, so that the losses get the same logits as mode='tensor' returns.
    return model.eval()


def inputs(size, n=2):
    return torch.randn(n, 6, *size, generator=torch.Generator().manual_seed(1))


def samples(size, n=2, weights=True):
    rng = torch.Generator().manual_seed(2)
    made = []
    for _ in range(n):
        sample = SegDataSample()
        changed = torch.randint(0, 2, (1, *size), generator=rng)
        sample.gt_sem_seg = PixelData(data=changed)
        for date in ('from', 'to'):
            cover = torch.randint(0, K, (1, *size), generator=rng)
            cover[torch.rand(1, *size, generator=rng) < 0.3] = 255
            sample.set_field(PixelData(data=cover), f'gt_sem_seg_{date}')
            values = torch.rand(1, *size, generator=rng)
            if weights:
                sample.set_field(PixelData(data=values), f'gt_weight_{date}')
        made.append(sample)
    return made


def pixels(logits, batch, date):
    """Negative log probability, class and weight of each labelled pixel, one at a time."""
    for n, sample in enumerate(batch):
        label = sample.get(f'gt_sem_seg_{date}').data[0]
        weight = sample.get(f'gt_weight_{date}')
        for y in range(label.shape[0]):
            for x in range(label.shape[1]):
                if label[y, x] == 255:
                    continue
                scores = [math.exp(v) for v in logits[n, :, y, x].tolist()]
                share = scores[label[y, x]] / sum(scores)
                pixel_weight = 1.0 if weight is None else float(weight.data[0, y, x])
                yield -math.log(share), int(label[y, x]), pixel_weight


@pytest.mark.parametrize('size', [(32, 32), (20, 37)])
def test_weighted_means_by_hand(size):
    """The weights also apply where the detector pads the images."""
    model, batch = build(), samples(size)
    with torch.no_grad():
        losses = model(inputs(size), batch, mode='loss')
        logits = model(inputs(size), mode='tensor')
    for date, own in (('from', logits.semantic_from), ('to', logits.semantic_to)):
        found = list(pixels(own, batch, date))
        total = sum(loss * CLASS_WEIGHT[label] * weight for loss, label, weight in found)
        shares = sum(CLASS_WEIGHT[label] * weight for _, label, weight in found)
        assert losses[f'semantic_{date}.loss_ce'].item() == pytest.approx(total / shares, rel=1e-5)


def test_weights_of_mmsegs_cross_entropy_by_hand():
    loss = {'type': 'mmseg.CrossEntropyLoss', 'avg_non_ignore': True}
    model, batch = build(semantic_head={**FCN, 'loss_decode': loss}), samples((32, 32))
    with torch.no_grad():
        losses = model(inputs((32, 32)), batch, mode='loss')
        logits = model(inputs((32, 32)), mode='tensor')
    found = list(pixels(logits.semantic_to, batch, 'to'))
    expected = sum(loss * weight for loss, _, weight in found) / len(found)
    assert losses['semantic_to.loss_ce'].item() == pytest.approx(expected, rel=1e-5)


def test_weights_do_not_touch_the_change():
    model = build(log_accuracy=True)
    with torch.no_grad():
        weighted = model(inputs((32, 32)), samples((32, 32)), mode='loss')
        plain = model(inputs((32, 32)), samples((32, 32), weights=False), mode='loss')
    assert weighted['change.loss_bce'] == plain['change.loss_bce']
    assert weighted['semantic_from.acc_seg'] == plain['semantic_from.acc_seg']
    assert weighted['semantic_from.loss_ce'] != plain['semantic_from.loss_ce']


def test_weights_of_one_are_none_and_a_factor_cancels():
    model, batch = build(), samples((32, 32))
    reference = model(inputs((32, 32)), samples((32, 32), weights=False), mode='loss')
    for factor in (1.0, 0.25):
        for sample in batch:
            for date in ('from', 'to'):
                values = torch.full((1, 32, 32), factor)
                sample.set_field(PixelData(data=values), f'gt_weight_{date}')
        for name, value in model(inputs((32, 32)), batch, mode='loss').items():
            torch.testing.assert_close(value, reference[name])


def test_a_sample_without_weights_counts_one():
    model = build()
    batch = samples((32, 32))
    mixed = samples((32, 32))
    for date in ('from', 'to'):
        batch[1].set_field(PixelData(data=torch.ones(1, 32, 32)), f'gt_weight_{date}')
        delattr(mixed[1], f'gt_weight_{date}')
    expected = model(inputs((32, 32)), batch, mode='loss')
    for name, value in model(inputs((32, 32)), mixed, mode='loss').items():
        assert torch.equal(value, expected[name]), name


def test_only_labelled_pixels_with_weight_count():
    model, batch = build(), samples((32, 32))
    others = samples((32, 32))
    for sample, other in zip(batch, others, strict=True):
        # A rotation by mmseg writes this into the corners of every map in seg_fields.
        other.gt_weight_from.data[other.gt_sem_seg_from.data == 255] = 255.0
        sample.gt_weight_to.data[..., :16] = 0
        other.gt_weight_to.data[..., :16] = 0
        other.gt_sem_seg_to.data[..., :16] = 1
    first = model(inputs((32, 32)), batch, mode='loss')
    second = model(inputs((32, 32)), others, mode='loss')
    assert first['semantic_from.loss_ce'] == second['semantic_from.loss_ce']
    assert first['semantic_to.loss_ce'] == second['semantic_to.loss_ce']


def test_no_weight_at_all_is_no_loss():
    model, batch = build().train(), samples((32, 32))
    for sample in batch:
        for date in ('from', 'to'):
            sample.get(f'gt_weight_{date}').data.zero_()
    losses = model(inputs((32, 32)), batch, mode='loss')
    assert losses['semantic_from.loss_ce'] == losses['semantic_to.loss_ce'] == 0
    (losses['semantic_from.loss_ce'] + losses['semantic_to.loss_ce']).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_auxiliary_heads_weigh_as_well():
    auxiliary = {**FCN, 'branch': 'semantic'}
    model, batch = build(auxiliary_head=auxiliary), samples((32, 32))
    plain = model(inputs((32, 32)), samples((32, 32), weights=False), mode='loss')
    for sample in batch:
        sample.gt_weight_to.data.fill_(1)
    weighted = model(inputs((32, 32)), batch, mode='loss')
    assert weighted['aux0_semantic_from.loss_ce'] != plain['aux0_semantic_from.loss_ce']
    torch.testing.assert_close(
        weighted['aux0_semantic_to.loss_ce'], plain['aux0_semantic_to.loss_ce']
    )


def test_a_sampler_of_the_heads_own_is_kept_and_multiplied():
    head = MMSEG_MODELS.build(
        {**FCN, 'sampler': {'type': 'OHEMPixelSampler', 'thresh': 0.4, 'min_kept': 20}}
    )
    batch = samples((8, 8))
    views = label_views(batch, 'gt_sem_seg_from', (0, 0, 0, 0))
    weight = pixel_weights(batch, 'gt_sem_seg_from', (0, 0, 0, 0))
    logits = torch.randn(2, K, 8, 8, generator=torch.Generator().manual_seed(5))
    own = head.sampler
    label = torch.stack([view.gt_sem_seg.data for view in views])
    hard = own.sample(logits, label)
    assert 0 < hard.sum() < hard.numel()
    losses = head_losses('x', head, logits, views, weight)
    assert head.sampler is own
    total = shares = 0.0
    for n, y, x in torch.nonzero(label[:, 0] != 255).tolist():
        cls = int(label[n, 0, y, x])
        both = CLASS_WEIGHT[cls] * float(weight[n, y, x]) * float(hard[n, y, x])
        total -= both * float(logits[n, :, y, x].log_softmax(0)[cls])
        shares += both
    assert losses['x.loss_ce'].item() == pytest.approx(total / shares, rel=1e-5)


@pytest.mark.parametrize(
    'loss',
    [
        {'type': 'mmseg.LovaszLoss', 'reduction': 'none'},
        {'type': 'mmseg.DiceLoss'},
        {'type': 'mmseg.OhemCrossEntropy'},
        [CE, {'type': 'mmseg.TverskyLoss', 'loss_name': 'loss_tversky'}],
    ],
    ids=lambda loss: (loss if isinstance(loss, dict) else loss[-1])['type'],
)
def test_losses_that_leave_weights_unused_are_an_error(loss):
    model = build(semantic_head={**FCN, 'loss_decode': loss})
    name = (loss if isinstance(loss, dict) else loss[-1])['type'].removeprefix('mmseg.')
    with pytest.raises(ValueError, match=f'the loss {name} can not weigh.*SemanticCELoss'):
        model(inputs((32, 32)), samples((32, 32)), mode='loss')


class OwnLosses(FCNHead):
    def loss_by_feat(self, seg_logits, batch_data_samples):
        return {'loss_own': seg_logits.sum()}


def test_a_head_with_losses_of_its_own_is_an_error():
    options = {key: value for key, value in FCN.items() if key not in ('type', 'loss_decode')}
    head = OwnLosses(**options)
    batch = samples((8, 8))
    views = label_views(batch, 'gt_sem_seg_to', (0, 0, 0, 0))
    weight = pixel_weights(batch, 'gt_sem_seg_to', (0, 0, 0, 0))
    logits = torch.zeros(2, K, 8, 8)
    assert head_losses('x', head, logits, views) == {'x.loss_own': 0}
    with pytest.raises(ValueError, match='the head OwnLosses computes its own losses, which'):
        head_losses('x', head, logits, views, weight)
    assert head.sampler is None


def test_labels_that_were_not_padded_with_the_images():
    """Open-CD's and mmseg's preprocessors pad the change alone, and not land cover."""
    model = build(size_divisor=1).eval()
    images = inputs((24, 40))
    expected, padded = [SegDataSample(), SegDataSample()], samples((16, 32))
    for full, part in zip(expected, padded, strict=True):
        part.set_metainfo(dict(img_shape=(16, 32), padding_size=(0, 8, 0, 8)))
        for name in ('gt_sem_seg', 'gt_sem_seg_from', 'gt_sem_seg_to'):
            full.set_field(
                PixelData(data=F.pad(getattr(part, name).data, (0, 8, 0, 8), value=255)), name
            )
        for name in ('gt_weight_from', 'gt_weight_to'):
            full.set_field(PixelData(data=F.pad(getattr(part, name).data, (0, 8, 0, 8))), name)
        part.set_field(PixelData(data=full.gt_sem_seg.data), 'gt_sem_seg')
    assert model(images, padded, mode='loss') == model(images, expected, mode='loss')
    padded[1].set_metainfo(dict(padding_size=(0, 8, 0, 0)))
    with pytest.raises(LabelFormatError, match=r'gt_sem_seg_from .*\(16, 32\).*\(24, 40\)'):
        model(images, padded, mode='loss')


def test_weights_that_do_not_fit():
    batch = samples((8, 8))
    assert pixel_weights(samples((8, 8), weights=False), 'gt_sem_seg_to', (0, 0, 0, 0)) is None
    padded = pixel_weights(batch, 'gt_sem_seg_to', (0, 3, 0, 2))
    assert padded.shape == (2, 10, 11)
    assert (padded[:, 8:] == 0).all()
    assert (padded[..., 8:] == 0).all()
    for value in (-0.5, math.nan, math.inf):
        batch[0].gt_sem_seg_to.data[0, 0, 0] = 1
        batch[0].gt_weight_to.data[0, 0, 0] = value
        with pytest.raises(ValueError, match='gt_weight_to has to be finite and 0 or more'):
            pixel_weights(batch, 'gt_sem_seg_to', (0, 0, 0, 0))
    batch[1].set_field(PixelData(data=torch.ones(1, 4, 4)), 'gt_weight_from')
    with pytest.raises(ValueError, match=r'gt_weight_from is \(1, 4, 4\), but.*\(1, 8, 8\)'):
        pixel_weights(batch, 'gt_sem_seg_from', (0, 0, 0, 0))
