import math

import pytest
import torch

from tfinet_mm.models import SemanticCELoss


def _logits(*pixels):
    """(1, K, 1, number of pixels) from one list of logits a pixel."""
    return torch.tensor(pixels, dtype=torch.float64).T[None, :, None].requires_grad_()


def test_weighted_mean_by_hand():
    """Pixels of classes 0 and 1 with weights 2 and 3, and one ignored."""
    logits = _logits([1.0, 0.0], [0.0, 0.0], [5.0, -5.0])
    label = torch.tensor([[[0, 1, 255]]])
    loss = SemanticCELoss(class_weight=(2, 3))(logits, label)
    expected = (2 * math.log(1 + math.exp(-1)) + 3 * math.log(2)) / 5
    assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize('class_weight', [None, (1.0, 2.0, 0.5)])
def test_equals_torch(class_weight):
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4, 5)
    label = torch.randint(0, 3, (2, 4, 5))
    label[torch.rand(2, 4, 5) < 0.3] = 255
    weight = None if class_weight is None else torch.tensor(class_weight)
    expected = torch.nn.functional.cross_entropy(logits, label, weight, ignore_index=255)
    torch.testing.assert_close(SemanticCELoss(class_weight)(logits, label), expected)


@pytest.mark.parametrize('class_weight', [None, (2, 3)])
def test_no_labelled_pixel(class_weight):
    logits = _logits([1.0, 0.0], [0.0, 2.0])
    loss = SemanticCELoss(class_weight)(logits, torch.full((1, 1, 2), 255))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_pixel_weight():
    logits = _logits([1.0, 0.0], [0.0, 0.0])
    label = torch.tensor([[[0, 1]]])
    loss = SemanticCELoss(loss_weight=2)(logits, label, weight=torch.tensor([[[1.0, 0.0]]]))
    assert loss.item() == pytest.approx(2 * math.log(1 + math.exp(-1)))


def test_wrong_number_of_class_weights():
    with pytest.raises(ValueError, match='has 2 land-cover classes, class_weight has 3'):
        SemanticCELoss((1, 1, 1))(_logits([0.0, 0.0]), torch.zeros(1, 1, 1, dtype=torch.long))


def test_half_precision_is_summed_in_float32():
    logits = torch.zeros(1, 2, 64, 64, dtype=torch.bfloat16)
    loss = SemanticCELoss()(logits, torch.zeros(1, 64, 64, dtype=torch.long))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.log(2), rel=1e-6)


@pytest.mark.parametrize(
    'weights',
    [(1, math.nan), (1, math.inf), (1, -1), (0, 0), (1, '2'), '12', 2.0, (True, 1), ()],
    ids=repr,
)
def test_class_weights_that_weigh_nothing(weights):
    with pytest.raises(ValueError, match='class_weight must be a list of one number >= 0 a class'):
        SemanticCELoss(weights)
