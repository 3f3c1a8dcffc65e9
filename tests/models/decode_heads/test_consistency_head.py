import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from tfinet_mm.models import ConsistencyHead


def test_logits_are_resized_to_the_label():
    label = torch.zeros(1, 4, 4, dtype=torch.int64)
    logits = torch.zeros(2, 2, 2, 2)
    logits[0, 0] = 50
    logits[1, 1] = 50
    view = SegDataSample(gt_sem_seg=PixelData(data=label))
    assert ConsistencyHead().loss_by_feat(logits, [view])['loss_consistency'].item() == 1


def test_options_of_the_loss():
    head = ConsistencyHead(dict(type='tfinet_mm.SemanticConsistencyLoss', margin=0.25))
    logits = torch.zeros(2, 3, 1, 1)
    assert head([logits]) is logits
    view = SegDataSample(gt_sem_seg=PixelData(data=torch.ones(1, 1, 1).long()))
    assert head.loss_by_feat(logits, [view])['loss_consistency'].item() == pytest.approx(0.75)
