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


def test_a_finer_level_takes_part_in_the_change_alone():
    torch.manual_seed(0)
    plain = FeatureInteraction([8, 16], channels=6, change='difference').eval()
    neck = FeatureInteraction([8, 16], channels=6, change='difference', fine_channels=3).eval()
    neck.load_state_dict(plain.state_dict())
    dates = [tuple(torch.randn(2, c, s, s) for c, s in ((3, 8), (8, 4), (16, 2))) for _ in range(2)]
    found = neck(*dates)
    expected = plain(*(levels[1:] for levels in dates))
    torch.testing.assert_close(found.change[0], (dates[1][0] - dates[0][0]).abs())
    assert len(found.change) == 3
    parts = (found.before, found.after, found.change[1:], found.difference)
    for one, other in zip(parts, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_finer_level_that_is_missing():
    levels = tuple(torch.randn(1, c, 4, 4) for c in (8, 16))
    with pytest.raises(ValueError, match=r'levels of \[3, 8, 16\] channels.*gives \[8, 16\].*fine'):
        FeatureInteraction([8, 16], fine_channels=3)(levels, levels)


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
    before, after, enhanced, logit = level(f1, f2)
    torch.testing.assert_close(before, g1)
    torch.testing.assert_close(after, g2)
    torch.testing.assert_close(enhanced, level.enhance(torch.cat([s, d], 1)))
    torch.testing.assert_close(logit, m)
    assert (g1 - g2).abs().max() > 0.1


def test_refinement_by_one_convolution_step_by_step():
    level = InteractionLevel(6, refine='conv').eval()
    with torch.no_grad():
        level.beta.fill_(0.7)
        level.refine.bn.weight.uniform_(0.5, 1.5)
        level.refine.bn.running_mean.normal_()
    f1, f2 = torch.randn(2, 1, 6, 5, 5).unbind(0)
    before, after, _, m = level(f1, f2)
    bn = level.refine.bn
    for f, found in ((f1, before), (f2, after)):
        y = F.conv2d(f * (1 + 0.7 * m.tanh()), level.refine.conv.weight, padding=1)
        scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
        y = (y - bn.running_mean[:, None, None]) * scale[:, None, None] + bn.bias[:, None, None]
        torch.testing.assert_close(found, y.clamp(min=0))
    assert (before - after).abs().max() > 0.1


@pytest.mark.parametrize('refine', ['block', 'conv'])
def test_without_interaction_a_date_knows_nothing_of_the_other(refine):
    f1, f2, f3 = torch.randn(3, 1, 6, 5, 5).unbind(0)
    level = InteractionLevel(6, refine=refine, interaction=False).eval()
    with_f2, _, _, logit_2 = level(f1, f2)
    with_f3, _, _, logit_3 = level(f1, f3)
    torch.testing.assert_close(with_f2, with_f3, rtol=0, atol=0)
    assert (logit_2 - logit_3).abs().max() > 1e-3
    # No parameter that no loss reaches.
    assert 'beta' not in dict(level.named_parameters())
    torch.testing.assert_close(
        with_f2, level.refine(f1) + f1 if refine == 'block' else level.refine(f1)
    )
    interacting = InteractionLevel(6, refine=refine).eval()
    assert (interacting(f1, f2)[0] - interacting(f1, f3)[0]).abs().max() > 1e-3


def test_without_enhancement_the_merged_features_are_taken_as_they_are():
    level = InteractionLevel(6, enhancement=False).eval()
    f1, f2 = torch.randn(2, 1, 6, 5, 5).unbind(0)
    expected = torch.cat([level.merge(torch.cat([f1, f2], 1)), level.contrast((f1 - f2).abs())], 1)
    torch.testing.assert_close(level(f1, f2)[2], expected.clamp(min=0))


def test_change_branch_of_differences():
    neck = FeatureInteraction([8, 16], channels=6, change='difference').eval()
    before, after = ((torch.randn(1, 8, 8, 8), torch.randn(1, 16, 4, 4)) for _ in range(2))
    out = neck(before, after)
    for index, level in enumerate(neck.levels):
        b, a = (neck.reduce[index](x[index]) for x in (before, after))
        g1, g2, e, _ = level(b, a)
        torch.testing.assert_close(out.change[index][:, :6], (g1 - g2).abs())
        torch.testing.assert_close(out.change[index][:, 6:], e)


@pytest.mark.parametrize('options', [{'refine': 'none'}, {'change': 'sum'}])
def test_unknown_options_are_refused(options):
    with pytest.raises(ValueError, match=f'{next(iter(options))} must be'):
        FeatureInteraction(8, **options)


def test_wrong_channels_are_named():
    with pytest.raises(ValueError, match=r'levels of \[8\] channels, the backbone gives \[4\]'):
        FeatureInteraction(8)((torch.zeros(1, 4, 2, 2),), (torch.zeros(1, 4, 2, 2),))
