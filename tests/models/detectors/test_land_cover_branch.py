"""Test auxiliary heads that read the land cover of both dates."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from tfinet_mm.models import SemanticChangeDetector

K, SIDE = 4, 32
HEAD = dict(type='tfinet_mm.ConsistencyHead', branch='land_cover')
FIELDS = ('gt_sem_seg', 'gt_sem_seg_from', 'gt_sem_seg_to')


def sample(**labels):
    made = SegDataSample(metainfo=dict(img_shape=(SIDE, SIDE)))
    for field in FIELDS:
        label = labels.get(field, torch.full((1, SIDE, SIDE), 255))
        made.set_data({field: PixelData(data=label)})
    return made


@pytest.fixture
def build(detector_config):
    def made(**head):
        config = detector_config('fcn', num_classes=K)
        config.pop('type')
        config['auxiliary_head'] = [HEAD | head]
        for role, loss in (('semantic_head', 'SemanticCELoss'), ('change_head', 'ChangeBCELoss')):
            config[role].update(dropout_ratio=0, loss_decode=dict(type=f'tfinet_mm.{loss}'))
        torch.manual_seed(0)
        return SemanticChangeDetector(**config)

    return made


def test_compares_the_land_cover_that_is_predicted(build):
    """By torch's loss on the probabilities of a prediction of the same network."""
    model = build(loss_decode=dict(type='tfinet_mm.SemanticConsistencyLoss', loss_weight=0.5))
    model.eval()
    inputs = torch.randn(2, 6, SIDE, SIDE)
    change = torch.randint(0, 2, (2, 1, SIDE, SIDE))
    # A pair with a change mask alone takes part, one without any label doesn't.
    samples = [sample(gt_sem_seg=change[0]), sample()]
    losses = model(inputs, samples, mode='loss')
    logits = model(inputs)
    before, after = (
        part[0].softmax(0).flatten(1).T for part in (logits.semantic_from, logits.semantic_to)
    )
    expected = F.cosine_embedding_loss(before, after, 1 - 2 * change[0].flatten())
    found = losses['aux0_land_cover.loss_consistency']
    torch.testing.assert_close(found, 0.5 * expected, rtol=1e-5, atol=1e-6)
    found.backward()
    gradients = {
        name for name, one in model.named_parameters() if one.grad is not None and one.grad.any()
    }
    assert any(name.startswith('semantic_head') for name in gradients)
    assert any(name.startswith('backbone') for name in gradients)
    assert not any(name.startswith('change_head') for name in gradients)


def test_has_no_weights_and_is_left_out_of_predictions(build, detector_config):
    config = detector_config('fcn', num_classes=K)
    config.pop('type')
    plain = SemanticChangeDetector(**config)
    assert list(build().state_dict()) == list(plain.state_dict())


def test_left_out_where_change_alone_is_trained(build):
    model = build()
    model.trained_roles = ('change',)
    change = torch.randint(0, 2, (1, SIDE, SIDE))
    losses = model(torch.randn(2, 6, SIDE, SIDE), [sample(gt_sem_seg=change)] * 2, mode='loss')
    assert losses
    assert all(name.startswith('change') for name in losses)


@pytest.mark.parametrize(
    ('head', 'message'),
    [
        (dict(HEAD, branch='difference'), r"got branch='difference' for ConsistencyHead; set br"),
        (
            dict(type='tfinet_mm.DifferenceHead', branch='land_cover'),
            r"got branch='land_cover' for DifferenceHead; use tfinet_mm\.ConsistencyHead",
        ),
    ],
)
def test_only_heads_that_compare_dates_read_the_land_cover(build, head, message):
    with pytest.raises(ValueError, match=message):
        build(**head)
