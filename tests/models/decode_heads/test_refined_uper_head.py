import pytest
import torch
import torch.nn.functional as F
from mmseg.models.decode_heads import UPerHead

from tfinet_mm.models import RefinedUPerHead
from tfinet_mm.models.detectors.network import head_outputs
from tfinet_mm.registry import MODELS
from tfinet_mm.utils.config.loading import load_config

OPTIONS = dict(
    in_channels=[6, 8],
    channels=4,
    num_classes=1,
    threshold=0.5,
    norm_cfg=dict(type='BN'),
    align_corners=False,
    loss_decode=dict(type='tfinet_mm.ChangeBCELoss'),
)


def levels(fine=3):
    torch.manual_seed(0)
    return [torch.randn(2, c, s, s + 4) for c, s in ((fine, 16), (6, 8), (8, 4))]


def heads():
    """Return mmseg's head and ours with its weights."""
    torch.manual_seed(1)
    theirs = UPerHead(in_index=[0, 1], **OPTIONS).eval()
    ours = RefinedUPerHead(3, in_index=[1, 2], refine_channels=5, **OPTIONS).eval()
    missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert not unexpected
    assert {key.split('.')[0] for key in missing} == {'reduce', 'refine'}
    return theirs, ours


def test_begins_as_the_head_of_mmseg():
    theirs, ours = heads()
    fine, *pyramid = levels()
    expected = F.interpolate(theirs(pyramid), fine.shape[2:], mode='bilinear')
    torch.testing.assert_close(ours([fine, *pyramid]), expected)


def test_the_correction_step_by_step():
    theirs, ours = heads()
    torch.nn.init.normal_(ours.refine[1].weight)
    torch.nn.init.normal_(ours.refine[1].bias)
    fine, *pyramid = levels()
    features = theirs._forward_feature(pyramid)
    up = dict(size=fine.shape[2:], mode='bilinear')
    context = F.interpolate(ours.reduce(features), **up)
    first = ours.refine[0]
    hidden = F.conv2d(torch.cat([context, fine], 1), first.conv.weight, padding=1)
    hidden = F.relu(first.bn(hidden))
    correction = F.conv2d(hidden, ours.refine[1].weight, ours.refine[1].bias, padding=1)
    expected = F.interpolate(theirs(pyramid), **up) + correction
    torch.testing.assert_close(ours([fine, *pyramid]), expected)
    assert correction.abs().max() > 0.1


def test_learns_an_edge_between_the_pixels_of_the_pyramid():
    """An edge that only the finer level has: the pyramid is constant."""
    _, ours = heads()
    ours.train()
    fine = torch.zeros(2, 3, 16, 16)
    fine[..., 5:] = 1
    pyramid = [torch.ones(2, 6, 8, 8), torch.ones(2, 8, 4, 4)]
    label = fine[:, :1]
    optimizer = torch.optim.Adam(ours.parameters(), lr=0.02)
    for _ in range(60):
        loss = F.binary_cross_entropy_with_logits(ours([fine, *pyramid]), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.equal((ours.eval()([fine, *pyramid]) > 0).float(), label)


@pytest.mark.parametrize(
    ('options', 'given', 'message'),
    [
        (dict(fine_index=4), levels(), r'fine_index=4, but it gets 3 level'),
        ({}, levels(fine=2), r'takes fine_channels=3, but level 0 has 2 channels'),
        (
            dict(fine_channels=8, fine_index=2),
            levels(),
            r'\(4, 8\) pixels, fewer than',
        ),
    ],
)
def test_levels_that_do_not_fit(options, given, message):
    head = RefinedUPerHead(**{'fine_channels': 3, 'in_index': [1, 2], **OPTIONS, **options}).eval()
    with pytest.raises(ValueError, match=message):
        head(given)


def test_a_detector_begins_with_the_map_of_the_plain_one():
    paths = [f'configs/tfinet_lite0_fpn{name}.py' for name in ('', '_refined')]
    cfgs = [load_config(path, {'model.backbone.init_cfg': None}) for path in paths]
    plain, refined = (MODELS.build(cfg.model).eval() for cfg in cfgs)
    refined.load_state_dict(plain.state_dict(), strict=False)
    inputs = torch.randn(1, 6, 64, 96)
    with torch.no_grad():
        expected, found = head_outputs(plain, inputs), head_outputs(refined, inputs)
    torch.testing.assert_close(found.semantic, expected.semantic)
    assert found.change.shape == (1, 1, 32, 48)
    torch.testing.assert_close(
        found.change, F.interpolate(expected.change, scale_factor=2, mode='bilinear')
    )
