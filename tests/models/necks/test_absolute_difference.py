import pytest
import torch

from tfinet_mm.models import AbsoluteDifference


def test_branches():
    before = (torch.tensor([[[[1.0, -2.0]]]]), torch.zeros(1, 2, 1, 1))
    after = (torch.tensor([[[[3.0, -5.0]]]]), torch.ones(1, 2, 1, 1))
    out = AbsoluteDifference()(before, after)
    assert out.change[0].tolist() == [[[[2.0, 3.0]]]]
    assert out.change[1].flatten().tolist() == [1.0, 1.0]
    assert out.before == before
    assert out.after == after
    assert out.difference is None


def test_dates_with_other_numbers_of_levels():
    with pytest.raises(ValueError, match='zip'):
        AbsoluteDifference()((torch.zeros(1),), ())
