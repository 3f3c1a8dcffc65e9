"""Networks of other packages with preprocessors of other packages."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from mmseg.models import SegDataPreProcessor
from mmseg.structures import SegDataSample
from torch import nn

from tfinet_mm.engine.hooks import ForeignModelHook
from tfinet_mm.errors import LabelFormatError, NormalisationError
from tfinet_mm.models import PairDataPreprocessor


class Network(BaseModel):
    def __init__(self, preprocessor):
        super().__init__(preprocessor)
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return {'loss': inputs.mean() * self.weight} if mode == 'loss' else data_samples


def batch(size=(48, 40)):
    sample = SegDataSample(metainfo=dict(sample_id='a', band_order='RGB'))
    for name in ('gt_sem_seg', 'gt_sem_seg_from', 'gt_sem_seg_to'):
        sample.set_field(PixelData(data=torch.ones(1, *size, dtype=torch.long)), name)
    return dict(inputs=[torch.zeros(6, *size)], data_samples=[sample])


def step(preprocessor, size=(48, 40)):
    network = Network(preprocessor)
    hook, runner = ForeignModelHook(), SimpleNamespace(model=network)
    hook.before_train(runner)
    data = network.data_preprocessor(batch(size), True)
    try:
        return network(**data, mode='loss')
    finally:
        hook.after_train(runner)
        assert not network._forward_pre_hooks


def test_labels_that_were_not_padded_with_the_images_stop_the_training():
    """mmseg's preprocessor pads gt_sem_seg alone, as Open-CD's does."""
    with pytest.raises(LabelFormatError, match=r'SegDataPreProc.* gt_sem_seg_from of \(48, 40'):
        step(SegDataPreProcessor(size_divisor=32))
    step(SegDataPreProcessor(size_divisor=32), (64, 32))
    step(PairDataPreprocessor(size_divisor=32))


def test_exchanged_bands_stop_the_training():
    class Exchanging(SegDataPreProcessor):
        """Open-CD's exchanges the bands of both dates, mmseg's of one."""

        channel_conversion = True

    preprocessor = Exchanging(size_divisor=16)
    preprocessor.channel_conversion = True
    with pytest.raises(NormalisationError, match=r'pair a was loaded as RGB.*bgr_to_rgb=False'):
        step(preprocessor)
