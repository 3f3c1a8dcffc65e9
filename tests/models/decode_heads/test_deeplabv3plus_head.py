import pytest
import torch

from tfinet_mm.models import DeepLabV3PlusHead
from tfinet_mm.models.decode_heads.deeplabv3plus_head import ASPP

LOSS = {'type': 'tfinet_mm.ChangeBCELoss'}


@pytest.mark.parametrize('conv_cfg', [None, {'type': 'tfinet_mm.LightweightConv'}])
@pytest.mark.parametrize('size', [(4, 6), (1, 1)])
def test_logits_at_the_fine_level(conv_cfg, size):
    head = DeepLabV3PlusHead((8, 64), num_classes=1, conv_cfg=conv_cfg, loss_decode=LOSS).eval()
    fine = torch.randn(2, 8, 2 * size[0], 2 * size[1])
    coarse = torch.randn(2, 64, *size)
    assert head([fine, coarse]).shape == (2, 1, 2 * size[0], 2 * size[1])


def test_widths_as_published():
    """A branch has an eighth of the coarse level's channels, the fine level 48, the rest 256."""
    head = DeepLabV3PlusHead((64, 512), num_classes=1, loss_decode=LOSS)
    assert [branch.out_channels for branch in head.aspp.branches] == [64] * 4
    assert [branch.dilation for branch in head.aspp.branches[1:]] == [(12, 12), (24, 24), (36, 36)]
    assert head.aspp.project.in_channels == 320
    assert head.reduce.out_channels == 48
    assert head.fuse[0].in_channels == 112
    assert head.conv_seg.in_channels == 256


def test_the_image_mean_is_one_of_the_branches():
    """On a constant image the centre, far from padding, has the values of the mean."""
    aspp = ASPP(2, 3, rates=(1, 1, 1)).eval()
    x = torch.randn(1, 2, 9, 9)
    moved = x.roll(1, dims=3)
    a, b = aspp(x), aspp(moved)
    # Away from the border, moving the image moves the output: the mean is the same for both.
    torch.testing.assert_close(a[..., 2:-2, 2:-3], b[..., 2:-2, 3:-2])
