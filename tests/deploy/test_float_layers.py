"""Quantise a network of four convolutions, one of which 8 bits are too few for."""

import numpy as np
import pytest

from tfinet_mm.deploy.backends import openvino_core
from tfinet_mm.deploy.card import INPUTS, OUTPUTS
from tfinet_mm.deploy.float_layers import convolutions, products, restored, split, with_agreement
from tfinet_mm.deploy.quantization import quantized
from tfinet_mm.errors import ExportError

openvino = pytest.importorskip('openvino')
pytest.importorskip('nncf')

SIDE = 48
LARGE = 3000.0
"""Weights of a channel that nothing uses, which widens the range of its neighbours."""
PLAIN = np.array(
    [
        [1, -1, 0, 0, 1, 0],
        [0, 1, -1, 0, 0, 1],
        [-1, 0, 1, 1, 0, 0],
    ],
    np.float32,
)
WIDE = np.concatenate([PLAIN, np.full((1, 6), LARGE, np.float32)])


@pytest.fixture(scope='module')
def pairs():
    draw = np.random.default_rng(0)
    return [
        tuple(draw.integers(0, 256, (1, 3, SIDE, SIDE), np.uint8) for _ in INPUTS) for _ in range(3)
    ]


@pytest.fixture
def network():
    ops = openvino.opset13

    def layer(x, weights, name):
        sides = [1, 1], [0, 0], [0, 0], [1, 1]
        made = ops.convolution(x, np.asarray(weights, np.float32)[:, :, None, None], *sides)
        made.set_friendly_name(name)
        return made

    images = [ops.parameter([1, 3, SIDE, SIDE], np.uint8, name) for name in INPUTS]
    for image, name in zip(images, INPUTS, strict=True):
        image.output(0).get_tensor().set_names({name})
    x = ops.divide(ops.convert(ops.concat(images, 1), np.float32), np.float32(255))
    logits_from = layer(ops.relu(layer(x, WIDE, 'wide')), np.eye(3, 4), 'after_wide')
    logits_to = layer(x, PLAIN, 'to')
    change = ops.squeeze(ops.sigmoid(layer(x, PLAIN[:1] - PLAIN[1:2], 'change')), np.int64(1))
    made = [ops.softmax(logits_from, 1), ops.softmax(logits_to, 1), change]
    made.append(ops.convert(ops.greater_equal(change, np.float32(0.5)), np.uint8))
    for logits in made[:2]:
        best = ops.topk(logits, np.int64(1), 1, 'max', 'value', index_element_type='i64').output(1)
        made.append(ops.convert(ops.add(ops.squeeze(best, np.int64(1)), np.int64(1)), np.uint8))
    for one, name in zip(made, OUTPUTS, strict=True):
        one.output(0).get_tensor().set_names({name})
    return openvino.Model(made, images, 'four')


def run(model, pair):
    compiled = openvino_core().compile_model(model, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    made = compiled(dict(zip(INPUTS, pair, strict=True)))
    return [made[name].copy() for name in OUTPUTS]


def test_the_network_is_what_numpy_computes(network, pairs):
    x = np.concatenate(pairs[0], 1)[0].astype(np.float64) / 255
    to = np.einsum('ob,bhw->ohw', PLAIN, x)
    found = run(network, pairs[0])
    assert (found[4][0] == np.einsum('ob,bhw->ohw', PLAIN, x).clip(0).argmax(0) + 1).mean() > 0.999
    assert (found[5][0] == to.argmax(0) + 1).mean() > 0.999
    assert (found[3][0] == (to[0] - to[1] >= 0)).mean() > 0.999


def test_only_the_layer_that_needs_it_returns(network, pairs):
    plain = quantized(network, pairs, 0)
    assert (plain.layers, plain.float_layers) == (4, 0)
    assert plain.agreement.land_cover_from < 80
    assert min(plain.agreement.change, plain.agreement.land_cover_to) > 97
    mixed = quantized(network, pairs, 95)
    assert (mixed.layers, mixed.float_layers) == (4, 1)
    assert min(mixed.agreement) >= 95
    # What is stated is what the graph that is returned does.
    right, found = (
        np.stack([run(model, pair)[4] for pair in pairs]) for model in (network, mixed.model)
    )
    assert 100 * (right == found).mean() == pytest.approx(mixed.agreement.land_cover_from)
    kinds = {
        node.get_friendly_name(): node.input(0).get_source_output().get_node().get_type_name()
        for node in mixed.model.get_ordered_ops()
        if node.get_type_name() == 'Convolution'
    }
    assert kinds['after_wide'] == 'Relu'
    assert {kinds[name] for name in ('wide', 'to', 'change')} == {'FakeQuantize'}


def test_all_layers_together_are_float32(network, pairs):
    small = quantized(network, pairs, 0).model
    everything = {node.get_friendly_name() for node in small.get_ops()}
    back = restored(small, network, everything)
    for one, other in zip(run(back, pairs[0]), run(network, pairs[0]), strict=True):
        np.testing.assert_array_equal(one, other)
    # The graph in 8 bits stays as it was.
    assert quantized(network, pairs, 0).agreement.land_cover_from < 80
    assert not np.array_equal(run(small, pairs[0])[4], run(network, pairs[0])[4])


def test_blocks_hold_every_node_once(network):
    parts = split(network, 3)
    names = [node.get_friendly_name() for node in network.get_ordered_ops()]
    assert sorted(name for part in parts for name in part) == sorted(names)
    counts = [len(part & set(convolutions(network))) for part in parts]
    assert (sum(counts), min(counts), max(counts)) == (4, 1, 2)
    assert len(split(network, 99)) == 4


def test_products_of_each_layer(network, pairs):
    pixels = SIDE * SIDE
    assert products(network, pairs[0]) == dict(
        wide=pixels * 24, after_wide=pixels * 12, to=pixels * 18, change=pixels * 6
    )


def test_agreements_that_can_not_be(network, pairs):
    small = quantized(network, pairs, 0).model
    with pytest.raises(ExportError, match=r'wanted 95 % need almost every layer in float32'):
        with_agreement(small, network, pairs, 95, blocks=1)
    for value in (-1, 100.5):
        with pytest.raises(ExportError, match='percentage from 0 to 100, got'):
            quantized(network, pairs, value)
