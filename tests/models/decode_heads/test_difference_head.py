import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from tfinet_mm.models import DifferenceHead


def _sample(label):
    sample = SegDataSample()
    sample.gt_sem_seg = PixelData(data=label[None])
    return sample


def test_loss_is_on_the_corner_aligned_logits():
    torch.manual_seed(0)
    logit = torch.randn(1, 1, 2, 3, dtype=torch.float64)
    label = torch.randint(0, 2, (5, 9))
    # By hand: with aligned corners, row i of 5 lies at i / 4 and column j of 9 at j / 4.
    rows = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None]
    top, bottom = logit[0, 0]
    columns = torch.linspace(0, 2, 9, dtype=torch.float64)
    lower = columns.floor().clamp(max=1).long()
    part = columns - lower
    line = [x[lower] * (1 - part) + x[lower + 1] * part for x in (top, bottom)]
    big = line[0] * (1 - rows) + line[1] * rows
    expected = torch.nn.functional.binary_cross_entropy(big.sigmoid(), label.double())
    losses = DifferenceHead().loss_by_feat((logit,), [_sample(label)])
    assert losses['loss_bce'].item() == pytest.approx(expected.item(), rel=1e-9)


def test_several_levels_give_their_mean():
    head = DifferenceHead()
    sample = [_sample(torch.tensor([[0, 1], [1, 255]]))]
    a, b = torch.randn(1, 1, 2, 2), torch.randn(1, 1, 1, 1)
    one, two = (head.loss_by_feat((x,), sample)['loss_bce'] for x in (a, b))
    both = head.loss_by_feat(head((a, b)), sample)['loss_bce']
    torch.testing.assert_close(both, (one + two) / 2)
