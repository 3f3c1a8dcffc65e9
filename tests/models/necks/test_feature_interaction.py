import pytest
import torch
import torch.nn.functional as F

from tfinet_mm.models import FeatureInteraction
from tfinet_mm.models.necks.feature_interaction import InteractionLevel


@pytest.mark.parametrize('channels', [8, 15])
@pytest.mark.parametrize('size', [(4, 6), (1, 1)])
def test_shapes_on_one_level(channels, size):
    neck = FeatureInteraction(channels).eval()
    before, after = (torch.randn(2, channels, *size) for _ in range(2))
    out = neck((before,), (after,))
    assert out.before[0].shape == out.after[0].shape == (2, channels, *size)
    assert out.change[0].shape == (2, 2 * channels, *size)
    assert out.difference[0].shape == (2, 1, *size)
    torch.testing.assert_close(out.change[0], torch.cat([out.before[0], out.after[0]], 1))


def test_a_pyramid_at_reduced_width():
    neck = FeatureInteraction([8, 16, 32], channels=6).eval()
    sizes = [(8, 8), (4, 4), (2, 2)]
    before, after = (
        tuple(torch.randn(1, c, *s) for c, s in zip((8, 16, 32), sizes, strict=True))
        for _ in range(2)
    )
    out = neck(before, after)
    assert [tuple(x.shape) for x in out.before] == [(1, 6, *s) for s in sizes]
    assert [tuple(x.shape) for x in out.change] == [(1, 12, *s) for s in sizes]
    assert [tuple(x.shape) for x in out.difference] == [(1, 1, *s) for s in sizes]


def test_formula_step_by_step():
    """The level equals its formula, written out date by date."""
    level = InteractionLevel(6).eval()
    with torch.no_grad():
        level.beta.fill_(0.7)
    f1, f2 = torch.randn(2, 1, 6, 5, 5).unbind(0)
    s = F.conv2d(torch.cat([f1, f2], 1), level.merge.weight, level.merge.bias)
    d = F.conv2d((f1 - f2).abs(), level.contrast.weight, level.contrast.bias)
    m = level.logit_bn(level.logit_conv(level.enhance(torch.cat([s, d], 1))))
    g1 = level.refine(f1 * m.tanh() * 0.7) + f1
    g2 = level.refine(f2 * m.tanh() * 0.7) + f2
    before, after, logit = level(f1, f2)
    torch.testing.assert_close(before, g1)
    torch.testing.assert_close(after, g2)
    torch.testing.assert_close(logit, m)
    assert (g1 - g2).abs().max() > 0.1


def test_wrong_channels_are_named():
    with pytest.raises(ValueError, match=r'levels of \[8\] channels, the backbone gives \[4\]'):
        FeatureInteraction(8)((torch.zeros(1, 4, 2, 2),), (torch.zeros(1, 4, 2, 2),))
