"""Test exported graphs of open size against torch at sizes that nothing divides."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tfinet_mm.deploy.card import INPUTS
from tfinet_mm.deploy.graph import ExportGraph
from tfinet_mm.deploy.onnx_file import onnx_model
from tfinet_mm.deploy.openvino_file import openvino_model
from tfinet_mm.deploy.sizes import LEAST_SCALED, repeat_edge, resize, whole_multiple
from tfinet_mm.deploy.tracing import trace
from tfinet_mm.models.detectors import SCDTTAModel, augmentation

onnxruntime = pytest.importorskip('onnxruntime')
openvino = pytest.importorskip('openvino')


def pair(height, width, number):
    draw = np.random.default_rng(height * width)
    return [draw.integers(0, 256, (number, 3, height, width), np.uint8) for _ in INPUTS]


def programs(graph):
    """Return functions from images to outputs: ONNX Runtime's, OpenVINO's for open sizes, and
    OpenVINO's for the size of the images."""
    made = onnx_model(trace(graph, 3))
    session = onnxruntime.InferenceSession(made.SerializeToString())
    model, core = openvino_model(made), openvino.Core()
    still = {'INFERENCE_PRECISION_HINT': 'f32'}
    compiled = core.compile_model(model, 'CPU', still)

    def fixed(feed):
        own = model.clone()
        own.reshape({name: list(image.shape) for name, image in feed.items()})
        return list(core.compile_model(own, 'CPU', still)(feed).values())

    return (
        lambda feed: session.run(None, feed),
        lambda feed: list(compiled(feed).values()),
        fixed,
    )


def expected(models, images, transforms, scales):
    inputs = torch.from_numpy(np.concatenate(images, 1))
    parts = [
        SCDTTAModel(model, transforms, scales).predict_probabilities(
            model.data_preprocessor(dict(inputs=inputs))['inputs']
        )
        for model in models
    ]
    return [sum(one) / len(parts) for one in zip(*parts, strict=True)]


@pytest.mark.parametrize(
    ('transforms', 'scales', 'divisors'),
    [
        pytest.param(('identity',), (1.0,), (32,), id='plain'),
        # Each view or member takes the exporters half a minute.
        pytest.param(('rotation_90',), (0.75, 1.25), (32,), id='views', marks=pytest.mark.slow),
        pytest.param(('identity',), (1.0,), (32, 64), id='ensemble', marks=pytest.mark.slow),
    ],
)
@pytest.mark.timeout(900)
def test_any_size_is_predicted_as_torch_does(network, transforms, scales, divisors):
    models = [network(seed=seed).eval() for seed in range(len(divisors))]
    for model, divisor in zip(models, divisors, strict=True):
        model.size_divisor = divisor
    graph = ExportGraph(
        models[0] if len(models) == 1 else SimpleNamespace(members=models, weights=[1.0, 1.0]),
        0.4,
        None,
        transforms,
        scales,
    )
    sizes = [(33, 35), (50, 200), (128, 64), (100, 71)]
    if scales == (1.0,):
        sizes += [(1, 1), (5, 40)]
    assert graph.least_side == (1 if scales == (1.0,) else LEAST_SCALED)
    run = programs(graph)
    for (height, width), number in zip(sizes, itertools.cycle((1, 2)), strict=False):
        images = pair(height, width, number)
        right = expected(models, images, transforms, scales)
        # The smallest pictures are one cell of the network's grid.
        assert height <= 33 or right[2].std() > 0.001
        for program in run:
            made = program(dict(zip(INPUTS, images, strict=True)))
            for one, other in zip(made[:3], right, strict=True):
                assert np.abs(one - other.numpy().reshape(one.shape)).max() < 2e-5


@pytest.mark.slow
def test_any_size_is_padded_as_the_preprocessor_does(network):
    model = network().eval()
    model.data_preprocessor.test_size_divisor, model.data_preprocessor.pad_val = 32, 3
    run = programs(ExportGraph(model, 0.4))
    for height, width in ((50, 70), (64, 64)):
        images = pair(height, width, 1)
        right = expected([model], images, ('identity',), (1.0,))[2][:, 0, :height, :width]
        for program in run:
            made = program(dict(zip(INPUTS, images, strict=True)))[2]
            assert np.abs(made - right.numpy()).max() < 2e-5


@pytest.mark.parametrize(
    ('old', 'new'),
    [((64, 96), (32, 48)), ((45, 30), (32, 64)), ((45, 30), (96, 64)), ((9, 9), (2, 4))],
)
def test_resizing_is_that_of_the_views(old, new):
    maps = torch.rand(2, 3, *old, generator=torch.Generator().manual_seed(0))
    right = augmentation.resize(maps, *new)
    assert torch.allclose(resize(maps, new, new[0] / old[0]), right, atol=1e-6)


class Resized(torch.nn.Module):
    """Resize maps to the size of others by the operations for open sizes."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, maps, like):
        return resize(maps, tuple(like.shape[2:]), self.scale)


@pytest.mark.parametrize('scale', [0.1, 0.5, 0.75, 0.95, 1.02, 1.25, 2.0])
def test_open_sizes_are_resized_there_and_back_without_losing_a_row(scale):
    sides = [LEAST_SCALED, LEAST_SCALED + 1, 47, 48, 49, 63, 80, 300]
    draw = torch.Generator().manual_seed(0)
    for factor in (scale, 1 / scale):
        (rows, columns), (height, width) = (
            [torch.export.Dim(f'{name}{axis}', min=2) for axis in 'hw'] for name in ('old', 'new')
        )
        program = torch.export.export(
            Resized(factor),
            (torch.zeros(1, 2, 37, 41), torch.zeros(1, 1, 53, 59)),
            dynamic_shapes=({2: rows, 3: columns}, {2: height, 3: width}),
        ).module()
        for side in sides:
            other = augmentation.scaled_side(side, scale)
            old, new = (side, other) if factor == scale else (other, side)
            maps = torch.rand(1, 2, old, old, generator=draw)
            made = program(maps, torch.zeros(1, 1, new, new))
            assert torch.allclose(made, augmentation.resize(maps, new, new), atol=2e-5)


def test_edges_are_repeated_up_to_a_multiple():
    maps = torch.arange(6.0).view(1, 1, 2, 3)
    sides = [whole_multiple(side, 4) for side in maps.shape[2:]]
    right = torch.nn.functional.pad(maps, (0, 1, 0, 2), mode='replicate')
    assert torch.equal(repeat_edge(maps, sides), right)
