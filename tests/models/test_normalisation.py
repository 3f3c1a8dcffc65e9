"""Images are normalised as in the training of the weights that a backbone begins with."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseDataPreprocessor, ImgDataPreprocessor
from mmseg.models import SegDataPreProcessor
from torch import nn

from tfinet_mm.errors import NormalisationError
from tfinet_mm.models import EfficientNetLite, FusedHRNet, PairDataPreprocessor
from tfinet_mm.models.normalisation import check_normalisation, expected_normalisation
from tfinet_mm.registry import MODELS

IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
HALF = dict(mean=[127.5] * 3, std=[127.5] * 3)
BLUE_FIRST = {key: values[::-1] for key, values in IMAGENET.items()}


def backbone(checkpoint):
    """Any backbone of mmseg."""
    module = nn.Module()
    module.init_cfg = dict(type='Pretrained', checkpoint=checkpoint)
    return module


def lite(init_cfg):
    with torch.device('meta'):
        return EfficientNetLite(init_cfg=init_cfg)


@pytest.mark.parametrize(
    ('checkpoint', 'known'),
    [
        ('torchvision://resnet18', True),
        ('tfinet-mm://torchvision://resnet18', True),
        ('modelzoo://resnet50', True),
        ('open-mmlab://resnet18_v1c', True),
        ('open-mmlab://msra/hrnetv2_w18', True),
        ('open-mmlab://resnext101_32x4d', True),
        ('https://download.openmmlab.com/pretrain/third_party/hrnetv2_w18-00eb2006.pth', True),
        ('weights/resnet18-f37072fd.pth', True),
        ('resnet50_v1c.pth', True),
        ('open-mmlab://detectron2/resnet50_caffe', False),
        ('open-mmlab://resnet50_caffe', False),
        ('open-mmlab://vgg16_caffe', False),
        ('open-mmlab://regnetx_400mf', False),
        ('work_dirs/mine/best_Score_epoch_3.pth', False),
        ('mit_b0.pth', False),
    ],
)
def test_addresses_of_known_origin(checkpoint, known):
    expected = expected_normalisation(backbone(checkpoint))
    assert (expected is not None) == known
    if expected is not None:
        assert dict(mean=list(expected.mean), std=list(expected.std)) == IMAGENET
        assert expected.weights == checkpoint.removeprefix('tfinet-mm://')


def test_this_packages_backbones_know_their_weights():
    mine = dict(type='Pretrained', checkpoint='any/name.pth')
    assert expected_normalisation(lite(mine)).mean == (127.5,) * 3
    assert expected_normalisation(lite([dict(type='Kaiming'), mine])).std == (127.5,) * 3
    assert expected_normalisation(lite(None)) is None
    assert expected_normalisation(FusedHRNet(4, init_cfg=mine)).mean == tuple(IMAGENET['mean'])


def test_timm_says_it_itself():
    """mmseg's TIMMBackbone marks itself as initialised where timm loaded weights."""
    network = SimpleNamespace(
        pretrained_cfg=dict(architecture='vit', mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    )
    module = SimpleNamespace(timm_model=network, _is_init=True, init_cfg=None)
    assert expected_normalisation(module).mean == (127.5,) * 3
    module._is_init = False
    assert expected_normalisation(module) is None


@pytest.mark.parametrize(
    'preprocessor',
    [
        PairDataPreprocessor(**HALF),
        PairDataPreprocessor(mean=HALF['mean'] * 2, std=HALF['std'] * 2),
        PairDataPreprocessor(mean=[127.4] * 3, std=[127.9] * 3),
        SegDataPreProcessor(**HALF),
        ImgDataPreprocessor(mean=[127.5], std=[127.5]),
        BaseDataPreprocessor(),
        None,
    ],
)
def test_what_fits_or_can_not_be_asked_passes(preprocessor):
    model = lite(dict(type='Pretrained', checkpoint='efficientnet_lite0'))
    check_normalisation(model, preprocessor, 3)


@pytest.mark.parametrize(
    ('preprocessor', 'found'),
    [
        (PairDataPreprocessor(), r'mean=\[123.675, 116.28, 103.53\] and std=\[58.395, 57.12, '),
        (PairDataPreprocessor(mean=None, std=None), 'mean=None and std=None'),
        (PairDataPreprocessor(mean=HALF['mean'], std=[1] * 3), r'std=\[1, 1, 1\]'),
        (PairDataPreprocessor(mean=[127.5] * 5 + [0], std=[127.5] * 6), r'127.5, 0\] and'),
        (SegDataPreProcessor(**IMAGENET), r'mean=\[123.675, '),
        (SegDataPreProcessor(), 'mean=None'),
    ],
)
def test_another_normalisation_is_refused_with_both(preprocessor, found):
    model = lite(dict(type='Pretrained', checkpoint='tfinet-mm://efficientnet_lite0'))
    with pytest.raises(NormalisationError, match=found) as caught:
        check_normalisation(model, preprocessor, 3)
    message = str(caught.value)
    assert "'efficientnet_lite0'" in message
    assert 'mean=[127.5, 127.5, 127.5] and std=[127.5, 127.5, 127.5]' in message
    assert 'model.backbone.init_cfg=None' in message
    assert 'model.check_normalisation=False' in message


def test_the_order_of_bands_counts():
    model = backbone('torchvision://resnet18')
    check_normalisation(model, PairDataPreprocessor(**IMAGENET), None)
    with pytest.raises(NormalisationError, match=r'mean=\[103.53, 116.28, 123.675\]'):
        check_normalisation(model, PairDataPreprocessor(**BLUE_FIRST), None)


def test_other_bands_have_a_normalisation_of_their_own():
    """Weights for three bands don't fit another number, so any normalisation will do."""
    check_normalisation(
        backbone('torchvision://resnet18'), PairDataPreprocessor(mean=[100] * 5, std=[50] * 5), 5
    )


def detector(**more):
    cfg = dict(
        type='tfinet_mm.SemanticChangeDetector',
        data_preprocessor=dict(type='tfinet_mm.PairDataPreprocessor'),
        backbone=dict(
            type='tfinet_mm.EfficientNetLite',
            out_indices=(0,),
            init_cfg=dict(type='Pretrained', checkpoint='nowhere.pth'),
        ),
        neck=dict(type='tfinet_mm.AbsoluteDifference'),
        semantic_head=dict(
            type='mmseg.FCNHead',
            in_channels=24,
            channels=4,
            num_classes=6,
            loss_decode=dict(type='tfinet_mm.SemanticCELoss'),
        ),
        change_head=dict(
            type='mmseg.FCNHead',
            in_channels=24,
            channels=4,
            num_classes=1,
            threshold=0.5,
            loss_decode=dict(type='tfinet_mm.ChangeBCELoss'),
        ),
        **more,
    )
    return MODELS.build(cfg)


def test_a_detector_stops_before_it_reads_the_weights():
    """Every Runner calls its init_weights before the first step."""
    with pytest.raises(NormalisationError, match=r"'nowhere\.pth'"):
        detector().init_weights()
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        detector(check_normalisation=False).init_weights()
