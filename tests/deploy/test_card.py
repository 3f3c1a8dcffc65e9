"""Test the card of exported networks."""

import json

import pytest

from tfinet_mm.deploy.card import FORMAT_VERSION, ExportCard
from tfinet_mm.errors import ExportedFileError

CARD = ExportCard(
    name='tfinet',
    class_names=('unchanged', 'water', 'Grünland'),
    palette=((255, 255, 255), (0, 0, 255), (0, 128, 0)),
    threshold=0.5,
    network_bands=4,
    window=512,
    overlap=128,
    size_divisor=32,
    bands=(3, 2, 1, 4),
    value_range=(0.0, 3000.0),
    input_type='uint16',
    tta=('identity', 'identity x 0.5'),
    resolution=0.5,
    model=({'name': 'a', 'weights': 'f00'},),
)


def changed(**values):
    return json.dumps({**json.loads(CARD.to_json()), **values})


def test_the_text_is_the_documented_one_and_reads_back():
    stored = json.loads(CARD.to_json())
    assert stored['format_version'] == 2
    assert stored['classes'][2] == {'name': 'Grünland', 'colour': [0, 128, 0]}
    assert stored['value_range'] == [0, 3000]
    assert stored['size'] is None
    assert ExportCard.from_json(CARD.to_json(), 'a.onnx') == CARD
    assert ExportCard.from_json(changed(future=1), 'a.onnx').num_classes == 2


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{', 'a.onnx describes itself in a text that is no JSON'),
        ('[]', 'a.onnx states no format_version'),
        (changed(format_version=FORMAT_VERSION + 1), 'format_version 3.*upgrade tfinet-mm'),
        (changed(classes=None), 'names no classes'),
        (changed(classes=[{'name': 'a'}, {'name': 'b'}]), 'palette of an exported network'),
        (changed(threshold=2), 'a.onnx: threshold .* number from 0 to 1, got 2'),
        (changed(threshold=True), 'threshold'),
        (changed(value_range=[5, 5]), 'value_range'),
        (changed(size=[64]), 'two whole numbers'),
        (changed(overlap=512, window=512), 'less than their side, 512, got 512'),
        (changed(sliding=[[64, 64], [0, 48]]), 'a window and its stride'),
        (changed(input_type='int8'), 'one of uint8, uint16, float32'),
        (changed(bands=[0]), 'numbers from 1 on'),
        (changed(model=['a']), 'list of dictionaries'),
    ],
)
def test_wrong_cards_are_refused_by_name(text, message):
    with pytest.raises(ExportedFileError, match=message):
        ExportCard.from_json(text, 'a.onnx')


def test_a_missing_value_is_named():
    stored = json.loads(CARD.to_json())
    del stored['window']
    with pytest.raises(ExportedFileError, match='does not state its window'):
        ExportCard.from_json(json.dumps(stored), 'a.onnx')
