"""The published TFINet, reproduced: outputs, loss terms and gradient norms."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from published_reference import load_reference, reference_labels

from tfinet_mm.models import SCDTTAModel
from tfinet_mm.models.published import CONVERTERS, plain_state_dict
from tfinet_mm.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
RELATIVE = 1e-6


def _close(actual, expected):
    """Relative to the size of the map; the stored arrays are float32."""
    actual = np.asarray(actual, dtype=np.float64)
    scale = np.abs(expected).max()
    assert np.abs(actual - expected).max() / scale < RELATIVE


@pytest.fixture(scope='module')
def reference():
    return load_reference('tfinet_resnet18')


@pytest.fixture(scope='module')
def model(reference):
    cfg = Config.fromfile(CONFIGS / 'published' / 'tfinet_r18.py')
    model = MODELS.build(cfg.model)
    model.load_state_dict(CONVERTERS['tfinet'](reference.state_dict), strict=True)
    return model.double().eval()


def _samples(reference):
    y1, y2 = (torch.from_numpy(y)[None] for y in reference_labels(reference.seed, reference.size))
    sample = SegDataSample()
    sample.gt_sem_seg = PixelData(data=(y1 > 0).long())
    for field, y in (('gt_sem_seg_from', y1), ('gt_sem_seg_to', y2)):
        sample.set_data({field: PixelData(data=torch.where(y > 0, y - 1, 255))})
    return [sample]


def test_outputs(reference, model):
    with torch.no_grad():
        logits = model(reference.inputs, mode='tensor')
        difference = model.extract_feat(reference.inputs).difference[0]
    thinned = {name: value[0, ..., ::3, ::3] for name, value in logits._asdict().items()}
    _close(thinned['semantic_from'], reference.outputs['semantic_from'])
    _close(thinned['semantic_to'], reference.outputs['semantic_to'])
    _close(thinned['change'][0], reference.outputs['change_logit'])
    _close(difference.squeeze(), reference.outputs['difference_logit'].squeeze())
    assert thinned['semantic_from'].min() >= 0


def test_polarity_is_changed(reference, model):
    """P(changed) of the prediction is the sigmoid of the reference's change logit."""
    with torch.no_grad():
        sample = model(reference.inputs, mode='predict')[0]
    expected = 1 / (1 + np.exp(-reference.outputs['change_logit'].astype(np.float64)))
    probability = sample.pred_change_prob.data[0, ::3, ::3].numpy()
    np.testing.assert_allclose(probability, expected, atol=1e-6)
    changed = sample.pred_sem_seg.data[0, ::3, ::3].numpy()
    clear = np.abs(expected - 0.5) > 1e-4
    np.testing.assert_array_equal(changed[clear], (expected > 0.5)[clear])


def test_training_loss_and_gradients(reference, model):
    model.zero_grad()
    losses = model(reference.inputs, _samples(reference), mode='loss')
    terms = reference.training_loss['terms']
    for name, expected in (
        ('semantic_from.loss_ce', terms['semantic_from']),
        ('semantic_to.loss_ce', terms['semantic_to']),
        ('change.loss_bce', terms['change']),
        ('aux0_difference.loss_bce', terms['difference']),
    ):
        assert losses[name].item() == pytest.approx(expected, rel=RELATIVE)
    total, _ = model.parse_losses(losses)
    assert total.item() == pytest.approx(reference.training_loss['total'], rel=RELATIVE)

    total.backward()
    expected = {
        key: torch.tensor(norm) for key, norm in reference.training_loss['gradient_norms'].items()
    }
    # The converter negates some tensors, and so would negate their norms.
    expected = {key: norm.abs().item() for key, norm in CONVERTERS['tfinet'](expected).items()}
    actual = {name: p.grad.norm().item() for name, p in model.named_parameters()}
    assert actual.keys() == expected.keys()
    for name, norm in expected.items():
        assert actual[name] == pytest.approx(norm, rel=RELATIVE), name


def test_the_published_quirks_matter(reference):
    """Without the conversion of polarity the outputs differ, so the test above can fail."""
    cfg = Config.fromfile(CONFIGS / 'published' / 'tfinet_r18.py')
    model = MODELS.build(cfg.model)
    state = CONVERTERS['tfinet'](reference.state_dict)
    state['neck.levels.0.beta'] = -state['neck.levels.0.beta']
    model.load_state_dict(state, strict=True)
    with torch.no_grad():
        logits = model.double().eval()(reference.inputs, mode='tensor')
    actual = logits.semantic_from[0, :, ::3, ::3].numpy()
    assert np.abs(actual - reference.outputs['semantic_from']).max() > 1e-3


def test_prefix_and_unused_keys_are_dropped(reference):
    state = {f'module.{key}': value for key, value in reference.state_dict.items()}
    converted = CONVERTERS['tfinet'](state)
    unused = {'neck.alpha', 'resnet.fc.weight', 'resnet.fc.bias'}
    assert len(converted) == len(reference.state_dict.keys() - unused)
    assert not [key for key in converted if '.fc.' in key or 'alpha' in key]


def test_unknown_keys_are_refused():
    with pytest.raises(ValueError, match=r'none of the published TFINet.*decoder\.weight'):
        CONVERTERS['tfinet']({'decoder.weight': torch.zeros(1)})


def test_size(model):
    """25.37 M parameters, as published."""
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters / 1e6 == pytest.approx(25.37, abs=0.005)


@pytest.mark.parametrize('wrap', [lambda s: s, lambda s: {'state_dict': s}, lambda s: {'model': s}])
def test_state_dict_is_found(wrap):
    state = {'a.weight': torch.ones(1)}
    assert plain_state_dict(wrap(state)) == state


@pytest.mark.parametrize('content', [[1], {'epoch': 3, 'lr': 0.1}])
def test_something_else_is_refused(content):
    with pytest.raises(ValueError, match='expected a state dict'):
        plain_state_dict(content)


@pytest.mark.parametrize(
    ('name', 'config'),
    [
        ('fcn_hrnet_w18', 'fcn_hrnet18.py'),
        ('pspnet_hrnet_w18_lightweight', 'pspnet_hrnet18_lightweight.py'),
        ('deeplabv3plus_resnet18_lightweight', 'deeplabv3plus_r18_lightweight.py'),
    ],
)
def test_senseearth_networks(name, config):
    """Converted networks load strictly and give the published results, TTA means included."""
    reference = load_reference(name)
    cfg = Config.fromfile(CONFIGS / 'senseearth' / config)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    model.load_state_dict(CONVERTERS['senseearth'](reference.state_dict), strict=True)
    with torch.no_grad():
        logits = model.double().eval()(reference.inputs, mode='tensor')
        mean = SCDTTAModel(model).predict_probabilities(reference.inputs)
    for actual, expected in (
        (logits.semantic_from[0], 'semantic_from'),
        (logits.semantic_to[0], 'semantic_to'),
        (logits.change[0, 0], 'change_logit'),
        (mean.land_cover_from[0], 'tta_prob_from'),
        (mean.land_cover_to[0], 'tta_prob_to'),
        (mean.change[0, 0], 'tta_change_prob'),
    ):
        _close(actual[..., ::3, ::3], reference.outputs[expected])
