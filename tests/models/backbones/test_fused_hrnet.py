import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.model.weight_init import PretrainedInit
from mmseg.models import FCNHead
from published_reference import load_reference

from tfinet_mm.checkpoints.matching import backbone_weights
from tfinet_mm.models import FusedHRNet


@pytest.fixture(scope='module')
def narrow():
    """Build a narrow backbone, whose width isn't published, to keep the tests fast."""
    return FusedHRNet(4).eval()


@pytest.mark.parametrize(
    ('width', 'channels'),
    [(18, 270), (30, 450), (32, 480), (40, 600), (44, 660), (48, 720), (64, 960)],
)
def test_channels_of_published_widths(width, channels):
    assert FusedHRNet(width).out_channels == channels


@pytest.mark.parametrize('size', [(64, 64), (32, 96)])
def test_one_level_at_a_quarter(narrow, size):
    (level,) = narrow(torch.rand(2, 3, *size))
    assert level.shape == (2, 60, size[0] // 4, size[1] // 4)


def test_no_warning_a_call(narrow, recwarn):
    narrow(torch.rand(1, 3, 64, 64))
    assert not recwarn.list


def test_any_number_of_bands():
    (level,) = FusedHRNet(4, in_channels=5).eval()(torch.rand(1, 5, 32, 32))
    assert level.shape == (1, 60, 8, 8)


def test_features_of_the_published_network():
    """The backbone gives the land-cover logits of the published FCN on HRNet-W18."""
    reference = load_reference('fcn_hrnet_w18')
    backbone = FusedHRNet(18)
    backbone.load_state_dict(backbone_weights(reference.state_dict), strict=True)
    head = FCNHead(
        num_convs=1,
        concat_input=False,
        in_channels=270,
        channels=67,
        num_classes=6,
        norm_cfg={'type': 'BN'},
    )
    names = {'0': 'convs.0.conv', '1': 'convs.0.bn', '4': 'conv_seg'}
    state = {
        f'{names[key.split(".")[2]]}.{key.split(".")[3]}': value
        for key, value in reference.state_dict.items()
        if key.startswith('head.head.')
    }
    head.load_state_dict(state, strict=True)
    backbone.double().eval()
    head.double().eval()
    with torch.no_grad():
        logits = head(backbone(torch.cat([reference.before, reference.after])))
        logits = F.interpolate(logits, reference.size, mode='bilinear', align_corners=False)
    for index, name in enumerate(('semantic_from', 'semantic_to')):
        expected = reference.outputs[name]
        error = np.abs(logits[index, :, ::3, ::3].numpy() - expected).max()
        assert error / np.abs(expected).max() < 1e-6


def _save(path, state):
    torch.save(state, path)
    return {'type': 'Pretrained', 'checkpoint': str(path)}


def _filled(state, value):
    return {k: torch.full_like(v, value) for k, v in state.items()}


def test_pretrained_weights_of_every_layout(tmp_path, narrow):
    own = _filled(narrow.state_dict(), 2)
    imagenet = {
        **own,
        'classifier.weight': torch.zeros(3),
        'incre_modules.0.weight': own['conv1.weight'],
    }
    network = {f'module.backbone.{k}': v for k, v in own.items()} | {
        'module.head.weight': torch.zeros(1)
    }
    for name, content in (
        ('mmseg', {'state_dict': own, 'meta': {}}),
        ('imagenet', imagenet),
        ('network', {'state_dict': network}),
    ):
        model = FusedHRNet(4, init_cfg=_save(tmp_path / f'{name}.pth', content))
        assert not (model.conv1.weight == 2).all()
        model.init_weights()
        assert all((v == 2).all() for v in model.state_dict().values()), name


@pytest.mark.parametrize('kind', ['Pretrained', PretrainedInit])
def test_weights_that_do_not_fit_are_refused(tmp_path, narrow, kind):
    state = narrow.state_dict()
    del state['conv2.weight']
    init_cfg = _save(tmp_path / 'partial.pth', state) | dict(type=kind)
    model = FusedHRNet(4, init_cfg=init_cfg)
    with pytest.raises(ValueError, match=r'conv2\.weight: file has nothing'):
        model.init_weights()
    other = FusedHRNet(6, init_cfg=_save(tmp_path / 'narrow.pth', narrow.state_dict()))
    with pytest.raises(ValueError, match='Check width and in_channels'):
        other.init_weights()
