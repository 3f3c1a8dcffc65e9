import math

import pytest
import torch

from tfinet_mm.models import SemanticConsistencyLoss


def _case(before, after, labels):
    """Probabilities of each pixel as logits (2, K, 1, W), and change labels (1, 1, W)."""
    dates = [torch.tensor(one, dtype=torch.float64).T[None, :, None] for one in (before, after)]
    return torch.cat(dates).log().requires_grad_(), torch.tensor(labels)[None, None]


SAME, OTHER = [0.8, 0.2], [0.2, 0.8]
COSINE = (2 * 0.8 * 0.2) / (0.8**2 + 0.2**2)


@pytest.mark.parametrize(
    ('after', 'label', 'margin', 'expected'),
    [
        (SAME, 0, 0.0, 0.0),
        (OTHER, 0, 0.0, 1 - COSINE),
        (OTHER, 0, 0.9, 1 - COSINE),
        (SAME, 1, 0.0, 1.0),
        (SAME, 1, 0.25, 0.75),
        (OTHER, 1, 0.0, COSINE),
        (OTHER, 1, 0.5, 0.0),
        (OTHER, 255, 0.0, 0.0),
    ],
)
def test_worked_pixels(after, label, margin, expected):
    logits, labels = _case([SAME], [after], [label])
    assert SemanticConsistencyLoss(margin)(logits, labels).item() == pytest.approx(expected)


def test_mean_over_labelled_pixels():
    logits, label = _case([SAME] * 3, [OTHER, SAME, OTHER], [0, 1, 255])
    expected = 3 * (1 - COSINE + 1) / 2
    assert SemanticConsistencyLoss(loss_weight=3)(logits, label).item() == pytest.approx(expected)


@pytest.mark.parametrize('margin', [0.0, 0.3, -0.5])
def test_equals_torch_on_pixels_in_a_row(margin):
    torch.manual_seed(0)
    logits = torch.randn(4, 5, 6, 7, dtype=torch.float64, requires_grad=True)
    label = torch.randint(0, 2, (2, 6, 7))
    label[:, 0] = 255
    known = label != 255
    before, after = (part.movedim(1, -1)[known] for part in logits.softmax(1).chunk(2))
    theirs = torch.nn.CosineEmbeddingLoss(margin)(before, after, 1 - 2 * label[known].double())
    ours = SemanticConsistencyLoss(margin)(logits, label)
    # torch adds 1e-8 to each norm.
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)
    expected, actual = (torch.autograd.grad(loss, logits)[0] for loss in (theirs, ours))
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-9)
    assert not actual[:, :, 0].any()


@pytest.mark.parametrize('label', [0, 1, 255])
def test_finite_for_certain_classes(label):
    logits = torch.tensor([200.0, -200.0]).view(1, 2, 1, 1).repeat(2, 1, 1, 1).half()
    logits.requires_grad_()
    loss = SemanticConsistencyLoss()(logits, torch.tensor([[[label]]]))
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(1.0 if label == 1 else 0.0, abs=1e-6)
    assert torch.isfinite(logits.grad).all()


def test_learns_to_agree_and_to_differ():
    for label, cosine in ((0, 1.0), (1, 0.0)):
        torch.manual_seed(0)
        logits = torch.randn(2, 3, 1, 1, requires_grad=True)
        optimizer = torch.optim.SGD([logits], lr=5.0)
        for _ in range(200):
            optimizer.zero_grad()
            SemanticConsistencyLoss()(logits, torch.tensor([[[label]]])).backward()
            optimizer.step()
        before, after = logits.detach().softmax(1).flatten(1)
        found = before @ after / math.sqrt(before @ before * (after @ after))
        assert found.item() == pytest.approx(cosine, abs=0.05)


@pytest.mark.parametrize('margin', [1.5, -2])
def test_a_margin_that_is_no_cosine_is_refused(margin):
    with pytest.raises(ValueError, match=r'cosine in -1 .. 1, got'):
        SemanticConsistencyLoss(margin)


def test_logits_of_one_date_are_refused():
    with pytest.raises(ValueError, match=r'of 4 images for 2 change labels, got 2; use .*Head'):
        SemanticConsistencyLoss()(torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4).long())
