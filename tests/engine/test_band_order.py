"""A network that begins with weights for RGB isn't trained on BGR."""

from types import SimpleNamespace

import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import BaseDataset, Compose, ConcatDataset, RepeatDataset
from mmseg.models import SegDataPreProcessor
from torch import nn

from tfinet_mm.datasets.transforms import LoadCroppedPair, LoadImagePair
from tfinet_mm.engine.band_order import check_band_order
from tfinet_mm.engine.randomness import SeededDataset
from tfinet_mm.errors import NormalisationError
from tfinet_mm.models import PairDataPreprocessor


def network(preprocessor, checkpoint='torchvision://resnet18', bands=3, check=True):
    model = nn.Module()
    model.backbone = nn.Module()
    model.backbone.init_cfg = dict(type='Pretrained', checkpoint=checkpoint)
    model.data_preprocessor = preprocessor
    model.bands = bands
    model.check_normalisation = check
    return model


def pairs(transform):
    data = BaseDataset(lazy_init=True)
    data.pipeline = Compose([transform])
    return data


def loader(dataset):
    return SimpleNamespace(dataset=dataset)


FITTING = [
    (LoadImagePair(), PairDataPreprocessor()),
    (LoadCroppedPair(8), PairDataPreprocessor()),
    (LoadImageFromFile(), PairDataPreprocessor(bgr_to_rgb=True)),
    (LoadImageFromFile(), SegDataPreProcessor(bgr_to_rgb=True)),
]
OTHERS = [
    (LoadImagePair(), PairDataPreprocessor(bgr_to_rgb=True), 'LoadImagePair loads RGB .*=True,'),
    (LoadCroppedPair(8), PairDataPreprocessor(bgr_to_rgb=True), 'LoadCroppedPair loads RGB'),
    (LoadImageFromFile(), PairDataPreprocessor(), 'LoadImageFromFile loads BGR .*=False,'),
    (LoadImageFromFile(), SegDataPreProcessor(), 'LoadImageFromFile loads BGR .*=False,'),
]


@pytest.mark.parametrize(('transform', 'preprocessor'), FITTING)
def test_bands_in_order_pass(transform, preprocessor):
    check_band_order(loader(pairs(transform)), network(preprocessor))


@pytest.mark.parametrize(('transform', 'preprocessor', 'message'), OTHERS)
def test_red_and_blue_exchanged_are_refused(transform, preprocessor, message):
    data = pairs(transform)
    for one in (data, SeededDataset(data), RepeatDataset(data, 2, lazy_init=True), _both(data)):
        with pytest.raises(NormalisationError, match=message) as caught:
            check_band_order(loader(one), network(preprocessor))
        assert "'torchvision://resnet18'" in str(caught.value)
        assert 'model.check_normalisation=False' in str(caught.value)


def _both(data):
    fitting = pairs(LoadImagePair())
    fitting.pipeline = Compose([])
    return ConcatDataset([fitting, data], lazy_init=True)


def test_what_has_no_order_to_keep_passes():
    data = loader(pairs(LoadImagePair()))
    exchanging = PairDataPreprocessor(bgr_to_rgb=True)
    check_band_order(data, network(exchanging, checkpoint='mine.pth'))
    check_band_order(data, network(exchanging, bands=5))
    check_band_order(data, network(exchanging, check=False))
    check_band_order(data, nn.Linear(1, 1))
    check_band_order(loader([1, 2]), network(exchanging))
    check_band_order(loader(pairs(nn.Identity())), network(exchanging))
