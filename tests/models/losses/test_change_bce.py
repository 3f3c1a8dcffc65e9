import math

import pytest
import torch

from tfinet_mm.models import ChangeBCELoss


def _case(logits, labels):
    return (
        torch.tensor(logits, dtype=torch.float64)[None, None, None].requires_grad_(),
        torch.tensor(labels)[None, None],
    )


def test_changed_pixels_count_twice_under_a_plain_mean():
    logits, label = _case([1.0, -0.5, 3.0], [1, 0, 255])
    expected = (2 * math.log(1 + math.exp(-1.0)) + math.log(1 + math.exp(-0.5))) / 2
    assert ChangeBCELoss()(logits, label).item() == pytest.approx(expected, rel=1e-12)


def test_equals_the_loss_on_probabilities():
    torch.manual_seed(0)
    logits = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    label = torch.randint(0, 2, (2, 4, 4))
    weight = torch.where(label == 1, 2.0, 1.0)
    expected = torch.nn.functional.binary_cross_entropy(
        logits.sigmoid()[:, 0], label.double(), weight=weight
    )
    actual = ChangeBCELoss(loss_weight=3)(logits, label)
    torch.testing.assert_close(actual, 3 * expected)


@pytest.mark.parametrize('label', [255, 0])
def test_finite_without_change_or_label(label):
    logits, labels = _case([1.0, -2.0], [label, label])
    loss = ChangeBCELoss()(logits, labels)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert (loss.item() == 0) == (label == 255)


def test_pixel_weight():
    logits, label = _case([1.0, 1.0], [0, 0])
    loss = ChangeBCELoss()(logits, label, weight=torch.tensor([[[0.0, 1.0]]]))
    assert loss.item() == pytest.approx(math.log(1 + math.e) / 2)
