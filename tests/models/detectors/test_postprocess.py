import pytest
import torch
from mmseg.structures import SegDataSample
from torch import nn

from tfinet_mm.models.detectors.postprocess import (
    maps_from_probabilities,
    predictions,
    with_predictions,
)
from tfinet_mm.structures import SCDLogits, SCDProbabilities


def _probabilities(size):
    batch = SCDLogits(*(torch.randn(1, channels, *size) for channels in (3, 3, 1)))
    return SCDProbabilities(*(x[0] for x in batch.probabilities()))


def test_maps_by_hand():
    prob_from = torch.tensor([[[0.1, 0.7, 0.2]], [[0.9, 0.3, 0.8]]])
    prob_to = torch.tensor([[[0.6, 0.6, 0.1]], [[0.4, 0.4, 0.9]]])
    change = torch.tensor([[[0.5, 0.49, 0.9]]])
    maps = maps_from_probabilities(prob_from, prob_to, change)
    assert maps['pred_sem_seg'].tolist() == [[[1, 0, 1]]]
    assert maps['pred_land_cover_from'].tolist() == [[[2, 1, 2]]]
    assert maps['pred_land_cover_to'].tolist() == [[[1, 1, 2]]]
    assert maps['pred_sem_seg_from'].tolist() == [[[2, 0, 2]]]
    assert maps['pred_sem_seg_to'].tolist() == [[[1, 0, 2]]]
    stricter = maps_from_probabilities(prob_from, prob_to, change, threshold=0.6)
    assert stricter['pred_sem_seg'].tolist() == [[[0, 0, 1]]]


def test_padding_is_cut_off_not_squeezed():
    probabilities = _probabilities((8, 8))
    fields = predictions(probabilities, {'img_shape': (5, 6), 'ori_shape': (5, 6)})
    torch.testing.assert_close(
        fields['pred_change_prob'], probabilities.change[:, :5, :6], rtol=0, atol=0
    )
    assert {tuple(f.shape[1:]) for f in fields.values()} == {(5, 6)}


def test_resized_images_come_back_at_their_original_size():
    fields = predictions(_probabilities((8, 8)), {'img_shape': (8, 8), 'ori_shape': (16, 12, 3)})
    assert {tuple(f.shape[1:]) for f in fields.values()} == {(16, 12)}
    torch.testing.assert_close(fields['pred_prob_from'].sum(0), torch.ones(16, 12))


def test_without_metainfo():
    assert predictions(_probabilities((4, 7)), {})['pred_sem_seg'].shape == (1, 4, 7)


@pytest.mark.parametrize('sizes', [[(6, 5), (6, 5)], [(6, 5), (4, 8)]])
def test_a_batch_is_decided_as_its_pairs(sizes):
    """Of one size together, of several one by one, resized and cut."""
    draw = torch.Generator().manual_seed(0)
    logits = SCDLogits(*(torch.randn(2, n, 8, 8, generator=draw) for n in (3, 3, 1)))
    samples = [SegDataSample(metainfo=dict(img_shape=size, ori_shape=(9, 7, 3))) for size in sizes]
    probabilities = logits.probabilities()
    found = with_predictions(probabilities, samples)
    for index, (height, width) in enumerate(sizes):
        change = probabilities.change[index : index + 1, :, :height, :width]
        change = nn.functional.interpolate(change, (9, 7), mode='bilinear')[0]
        torch.testing.assert_close(found[index].pred_change_prob.data, change)
        assert torch.equal(found[index].pred_sem_seg.data, (change >= 0.5).to(torch.uint8))
        cover = probabilities.land_cover_to[index : index + 1, :, :height, :width]
        cover = nn.functional.interpolate(cover, (9, 7), mode='bilinear')[0]
        assert torch.equal(found[index].pred_land_cover_to.data[0], cover.argmax(0) + 1)
