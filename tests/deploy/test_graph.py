"""Test the graph of exported networks against the networks, before anything is traced."""

from types import SimpleNamespace

import pytest
import torch

from tfinet_mm.calibration import NODES, Calibration, views_key
from tfinet_mm.deploy.graph import ExportGraph
from tfinet_mm.errors import ExportError
from tfinet_mm.models.change_only import merge_classes
from tfinet_mm.models.detectors import SCDTTAModel
from tfinet_mm.models.detectors.augmentation import mean_probabilities
from tfinet_mm.models.detectors.postprocess import maps_from_probabilities


def pairs(height, width, number=2, bands=3, seed=1):
    draw = torch.Generator().manual_seed(seed)
    shape = (number, 2 * bands, height, width)
    return torch.randint(0, 256, shape, generator=draw, dtype=torch.uint8)


def expected(model, inputs, transforms=('identity',), scales=(1.0,)):
    normalised = model.data_preprocessor(dict(inputs=inputs))['inputs']
    return SCDTTAModel(model, transforms, scales).predict_probabilities(normalised)


@pytest.mark.parametrize(
    ('size', 'transforms', 'scales'),
    [
        (None, ('identity',), (1.0,)),
        ((50, 70), ('identity',), (1.0,)),
        ((50, 70), ('horizontal_flip', 'rotation_90'), (0.5, 1.0, 2.0)),
        ((50, 39), ('identity',), (0.75, 1.25)),
        (None, ('identity', 'rotation_270'), (0.5, 1.0)),
    ],
)
def test_probabilities_and_maps_are_those_of_the_network(network, size, transforms, scales):
    model = network()
    graph = ExportGraph(model, 0.4, None, transforms, scales, size)
    inputs = pairs(*(size or (64, 128)))
    made = graph(*inputs.chunk(2, dim=1))
    right = expected(model, inputs, transforms, scales)
    for one, other in zip(made[:3], right, strict=True):
        assert one.shape == (other if other.shape[1] > 1 else other[:, 0]).shape
        assert (one - other.view(one.shape)).abs().max() < 2e-5
    maps = maps_from_probabilities(right[0][0], right[1][0], right[2][0], 0.4)
    assert 0.02 < maps['pred_sem_seg'].float().mean() < 0.98
    names = ('pred_sem_seg', 'pred_land_cover_from', 'pred_land_cover_to')
    for one, name in zip(made[3:], names, strict=True):
        assert one.dtype == torch.uint8
        assert (one[0] == maps[name][0]).float().mean() > 0.999
    assert set(made[4].unique().tolist()) <= {1, 2, 3, 4}


@pytest.mark.parametrize(
    'calibration',
    [
        Calibration('platt', scale=0.3, bias=-0.7),
        Calibration('isotonic', values=tuple((i / (NODES - 1)) ** 2 for i in range(NODES))),
    ],
    ids=lambda one: one.method,
)
def test_the_mean_over_views_is_calibrated(network, calibration):
    model, views = network(), ('identity', 'horizontal_flip')
    graph = ExportGraph(model, 0.4, None, views, size=(32, 32), calibration=calibration)
    inputs = pairs(32, 32)
    made = graph(*inputs.chunk(2, dim=1))
    mean = expected(model, inputs, views).change[:, 0]
    assert (made[2] - calibration(mean)).abs().max() < 2e-5
    assert (made[2] - mean).abs().max() > 0.05
    assert torch.equal(made[3], (made[2] >= 0.4).to(torch.uint8))
    # As the detector itself predicts, for data samples.
    model.calibrations = (
        Calibration(calibration.method, views_key(views), calibration.scale, calibration.bias,
                    calibration.values),
    )  # fmt: skip
    samples = SCDTTAModel(model, views).test_step(dict(inputs=list(inputs)))
    found = torch.cat([sample.pred_change_prob.data for sample in samples])
    assert (made[2] - found).abs().max() < 2e-5


def test_stored_values_are_scaled_and_clipped(network):
    model = network(bands=2)
    graph = ExportGraph(model, 0.5, (100.0, 1100.0), size=(32, 32))
    scaled = torch.randint(0, 256, (1, 4, 32, 32), generator=torch.Generator().manual_seed(2))
    stored = (100 + scaled * (1000 / 255)).float()
    stored[scaled == 255] = 9000.0
    right = expected(model, scaled.float())
    made = graph(*stored.chunk(2, dim=1))
    assert (made[2] - right.change[:, 0]).abs().max() < 1e-5


def test_bands_are_exchanged_as_the_preprocessor_does(network):
    model = network()
    model.data_preprocessor.bgr_to_rgb = True
    graph = ExportGraph(model, 0.5)
    inputs = pairs(32, 32)
    assert (graph(*inputs.chunk(2, 1))[0] - expected(model, inputs)[0]).abs().max() < 2e-5


def test_members_are_averaged_by_their_weights(network):
    models = [network(seed=seed) for seed in range(2)]
    ensemble = SimpleNamespace(members=models, weights=[1.0, 3.0])
    inputs = pairs(32, 64)
    made = ExportGraph(ensemble, 0.5)(*inputs.chunk(2, 1))
    right = mean_probabilities([expected(model, inputs) for model in models], [1.0, 3.0])
    assert (made[0] - right[0]).abs().max() < 2e-5


def test_the_model_stays_as_it_is(network):
    model = network(autocast='bfloat16')
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ExportGraph(model, 0.5)
    assert model.autocast == 'bfloat16'
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize('views', [('identity',), ('vertical_flip', 'rotation_90')])
def test_padding_of_the_preprocessor_is_part_of_the_graph(network, views):
    model = network()
    model.data_preprocessor.test_size_divisor, model.data_preprocessor.pad_val = 48, 3
    inputs = pairs(40, 50)
    right = expected(model, inputs, views, (1.0, 1.5))
    assert right.change.shape[2:] == (48, 96)
    made = ExportGraph(model, 0.5, None, views, (1.0, 1.5), (40, 50))(*inputs.chunk(2, 1))
    assert (made[2] - right.change[:, 0, :40, :50]).abs().max() < 2e-5


def test_padding_to_a_size_needs_a_fixed_size(network):
    model = network()
    model.data_preprocessor.test_size = (64, 80)
    with pytest.raises(ExportError, match=r'pads to \(64, 80\) in testing.*--size'):
        ExportGraph(model, 0.5)
    inputs = pairs(40, 40)
    graph = ExportGraph(model, 0.5, size=(40, 40))
    made, right = graph(*inputs.chunk(2, 1)), expected(model, inputs)
    assert right.change.shape[2:] == (64, 80)
    assert (made[2] - right.change[:, 0, :40, :40]).abs().max() < 2e-5


def test_other_models_are_refused():
    with pytest.raises(ExportError, match='a Linear can not be exported'):
        ExportGraph(torch.nn.Linear(1, 1), 0.5)


def test_a_network_of_change_alone_has_one_class(network):
    model = network()
    inputs = pairs(32, 64)
    change = expected(model, inputs).change
    merge_classes(model)
    made = ExportGraph(model, 0.5)(*inputs.chunk(2, 1))
    assert made[0].shape == (2, 1, 32, 64)
    assert (made[0] == 1).all()
    assert (made[4] == 1).all()
    assert (made[2] - change[:, 0]).abs().max() < 2e-5
