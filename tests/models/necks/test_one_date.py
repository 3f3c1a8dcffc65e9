"""Necks of one date and of both, as mmseg and Open-CD have them, in the detector's protocol."""

import torch
from mmseg.models.necks import FPN
from torch import Tensor, nn

from tfinet_mm.models import OneDateNeck
from tfinet_mm.models.necks.one_date import join_branches, takes_one_date
from tfinet_mm.structures import Branches

GENERATOR = torch.Generator().manual_seed(4)
SHAPES = ((2, 3, 8, 8), (2, 5, 4, 4))
BEFORE, AFTER, CHANGE = (
    tuple(torch.randn(shape, generator=GENERATOR) for shape in SHAPES) for _ in range(3)
)
BOTH = tuple(torch.cat(pair) for pair in zip(BEFORE, AFTER, strict=True))


class Fusing(nn.Module):
    def forward(self, x1, x2):
        return [torch.cat(pair, dim=1) for pair in zip(x1, x2, strict=True)]


class OneLevel(nn.Module):
    def forward(self, level: Tensor) -> Tensor:
        return level * 3


class Sequential(nn.Module):
    def __init__(self, *necks):
        super().__init__()
        self.necks = nn.ModuleList(necks)

    def forward(self, *args):
        for neck in self.necks:
            args = neck(*args)
        return args


def test_a_neck_of_one_date_runs_on_each():
    inner = FPN(in_channels=[3, 5], out_channels=4, num_outs=2)
    assert takes_one_date(inner)
    branches = join_branches(BOTH, OneDateNeck(inner), len(BEFORE[0]))
    before, after = inner(BEFORE), inner(AFTER)
    torch.testing.assert_close(branches.before, before)
    torch.testing.assert_close(branches.after, after)
    expected = tuple((b - a).abs() for b, a in zip(before, after, strict=True))
    torch.testing.assert_close(branches.change, expected)


def test_after_a_backbone_that_fuses_it_runs_on_the_change_too():
    inner = FPN(in_channels=[3, 5], out_channels=4, num_outs=2)
    branches = join_branches(Branches(BEFORE, AFTER, CHANGE), OneDateNeck(inner), len(BEFORE[0]))
    for found, levels in zip(branches, (BEFORE, AFTER, CHANGE), strict=False):
        torch.testing.assert_close(found, inner(levels))


def test_a_neck_that_is_annotated_to_take_one_tensor_gets_the_last_level():
    for inner in (OneLevel(), Sequential(OneLevel())):
        branches = OneDateNeck(inner)(BEFORE, AFTER)
        torch.testing.assert_close(branches.before, (BEFORE[-1] * 3,))
    torch.testing.assert_close(
        OneDateNeck(OneLevel(), level=0)(BEFORE, AFTER).after, (AFTER[0] * 3,)
    )


def test_a_fusing_neck_gives_the_change():
    for neck in (Fusing(), Sequential(Fusing())):
        assert not takes_one_date(neck)
        branches = join_branches(BOTH, neck, len(BEFORE[0]))
        torch.testing.assert_close(branches.before, BEFORE)
        torch.testing.assert_close(branches.after, AFTER)
        torch.testing.assert_close(branches.change, tuple(Fusing()(BEFORE, AFTER)))
