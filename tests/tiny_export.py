"""Write a tiny exported network with ONNX's own helper, and compute the same with NumPy."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from tfinet_mm.deploy.card import CARD_KEY, ExportCard

NAMES = ('unchanged', 'water', 'wood', 'town')
PALETTE = ((0, 0, 0), (0, 0, 255), (0, 128, 0), (255, 0, 0))
MIX = np.array([[2, -1, 0], [0, 3, -1], [-1, 0, 2]], np.float32)
"""Weights from the three bands to the logits of the three classes."""
TYPES = dict(uint8=TensorProto.UINT8, uint16=TensorProto.UINT16, float32=TensorProto.FLOAT)


def card(**changes) -> ExportCard:
    values = dict(
        name='tiny',
        class_names=NAMES,
        palette=PALETTE,
        threshold=0.5,
        network_bands=3,
        window=64,
        overlap=16,
        size_divisor=8,
        model=(dict(name='tiny', config='tiny.py', checkpoint='tiny.pth', weights='abc'),),
    )
    return ExportCard(**(values | changes))


def write(path, described=None, size=None, batch='N'):
    """Write an ONNX file: change is a blurred difference, land cover a mixture of the bands.

    Args:
        path: The file.
        described: Its card; None for that of :func:`card`, False for none.
        size: Fixed (height, width); None for a dynamic size.
        batch: Fixed number of pairs; a name for any.
    """
    described = card() if described is None else described
    kind = TYPES[getattr(described, 'input_type', 'uint8')]
    low, high = getattr(described, 'value_range', None) or (0, 255)
    height, width = size or ('H', 'W')
    sides = dict(images=(batch, 3, height, width), maps=(batch, height, width))
    probs = (batch, 3, height, width)

    def number(name, value, dtype=np.float32):
        return numpy_helper.from_array(np.array(value, dtype), name)

    constants = [
        number('low', low),
        number('scale', 1 / (high - low)),
        number('zero', 0),
        number('one', 1),
        number('axis', [1], np.int64),
        number('six', 6),
        number('class_one', 1, np.int64),
        number('threshold', getattr(described, 'threshold', 0.5)),
        number('mix', 4 * MIX[:, :, None, None]),
    ]
    nodes = []

    def node(kind, inputs, output, **options):
        nodes.append(helper.make_node(kind, inputs, [output], **options))
        return output

    dates = {}
    for date in ('before', 'after'):
        real = node('Cast', [date], f'{date}_real', to=TensorProto.FLOAT)
        real = node('Sub', [real, 'low'], f'{date}_shifted')
        real = node('Mul', [real, 'scale'], f'{date}_scaled')
        dates[date] = node('Clip', [real, 'zero', 'one'], f'{date}_unit')
    for date, short in (('before', 'from'), ('after', 'to')):
        logits = node('Conv', [dates[date], 'mix'], f'{short}_logits')
        node('Softmax', [logits], f'prob_{short}', axis=1)
        best = node('ArgMax', [f'prob_{short}'], f'{short}_best', axis=1, keepdims=0)
        best = node('Add', [best, 'class_one'], f'{short}_class')
        node('Cast', [best], f'land_cover_{short}', to=TensorProto.UINT8)
    difference = node('Sub', list(dates.values()), 'signed')
    difference = node('Abs', [difference], 'difference')
    difference = node('ReduceMean', [difference, 'axis'], 'mean', keepdims=1)
    blurred = node(
        'AveragePool',
        [difference],
        'blurred',
        kernel_shape=[3, 3],
        pads=[1, 1, 1, 1],
        count_include_pad=1,
    )
    blurred = node('Mul', [blurred, 'six'], 'larger')
    blurred = node('Clip', [blurred, 'zero', 'one'], 'clipped')
    node('Squeeze', [blurred, 'axis'], 'change_prob')
    above = node('GreaterOrEqual', ['change_prob', 'threshold'], 'above')
    node('Cast', [above], 'change', to=TensorProto.UINT8)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        'tiny',
        [value(date, kind, sides['images']) for date in dates],
        [value(name, TensorProto.FLOAT, probs) for name in ('prob_from', 'prob_to')]
        + [value('change_prob', TensorProto.FLOAT, sides['maps'])]
        + [
            value(name, TensorProto.UINT8, sides['maps'])
            for name in ('change', 'land_cover_from', 'land_cover_to')
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=10)
    if described:
        helper.set_model_props(model, {CARD_KEY: described.to_json(), 'other': 'x'})
    save(model, path)
    return path


def expected(pairs):
    """Return P(from), P(to) and P(changed) of pairs (N, 6, H, W) in 0..255, whole images.

    The image is padded with its edge up to a multiple of 8, and with 0 beyond.
    """
    height, width = pairs.shape[2:]
    unit = np.pad(
        pairs / np.float32(255), ((0, 0), (0, 0), (0, -height % 8), (0, -width % 8)), 'edge'
    )
    before, after = unit[:, :3], unit[:, 3:]
    probs = []
    for date in (before, after):
        logits = 4 * np.einsum('kb,nbhw->nkhw', MIX, date)
        powers = np.exp(logits - logits.max(1, keepdims=True))
        probs.append(powers / powers.sum(1, keepdims=True))
    mean = np.pad(np.abs(before - after).mean(1), ((0, 0), (1, 1), (1, 1)))
    rows, columns = mean.shape[1] - 2, mean.shape[2] - 2
    blurred = sum(mean[:, y : y + rows, x : x + columns] for y in range(3) for x in range(3)) / 9
    change = np.clip(6 * blurred, 0, 1)[:, None]
    return [part[..., :height, :width].astype(np.float32) for part in (*probs, change)]
