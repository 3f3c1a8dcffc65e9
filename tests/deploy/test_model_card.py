"""Test the item and the page beside exported files, the item with STAC's own readers."""

import dataclasses
import hashlib
import json
import re

import pytest

from tfinet_mm.deploy.card import OUTPUTS, ExportCard
from tfinet_mm.deploy.model_card import model_page, write_cards

CARD = ExportCard(
    name='tfinet',
    class_names=('unchanged', 'water', 'low vegetation'),
    palette=((255, 255, 255), (0, 0, 255), (0, 128, 0)),
    threshold=0.5,
    network_bands=4,
    window=512,
    overlap=128,
    size_divisor=32,
    bands=(3, 2, 1, 4),
    value_range=(0.0, 3000.0),
    input_type='uint16',
    precision='int8',
    calibration=dict(data='pairs', pairs=9),
    tta=('identity', 'identity x 0.5'),
    model=({'name': 'a', 'weight': 1.0, 'model': 'c0', 'weights': 'f00'},),
)


@pytest.fixture
def cards(tmp_path):
    (tmp_path / 'a b.xml').write_text('<net/>')
    (tmp_path / 'a b.bin').write_bytes(b'weights')
    return write_cards(tmp_path / 'a b.xml', CARD)


def test_the_item_and_the_page_state_the_card(cards):
    item, page = json.loads(cards[0].read_text()), cards[1].read_text()
    assert [path.name for path in cards] == ['a b.xml.mlm.json', 'a b.xml.md']
    properties, assets = item['properties'], item['assets']
    assert assets['model']['href'] == './a%20b.xml'
    digest = hashlib.sha256(b'weights').hexdigest()
    assert assets['weights']['file:checksum'] == f'1220{digest}'
    before, after = properties['mlm:input']
    assert (before['name'], after['name']) == ('before', 'after')
    assert before['input']['shape'] == [-1, 4, -1, -1]
    assert before['bands'] == ['band_3', 'band_2', 'band_1', 'band_4']
    outputs = {one['name']: one for one in properties['mlm:output']}
    assert tuple(outputs) == OUTPUTS
    cover = outputs['land_cover_to']['classification:classes']
    assert [(one['value'], one['name']) for one in cover] == [(1, 'water'), (2, 'low_vegetation')]
    assert cover[0]['color_hint'] == '0000FF'
    assert '| 2 | low vegetation | #008000 |' in page
    assert 'of which 0 to 3000 become 0 to 255' in page
    assert 'int8, ranges measured on 9 pairs of pairs |' in page


def test_the_page_states_the_agreement(tmp_path):
    share = dict(change=99.5, land_cover_from=99.0, land_cover_to=99.25)
    found = dict(data='pairs', pairs=9, agreement=share, layers=40, float_layers=7)
    page = model_page(tmp_path / 'a.xml', dataclasses.replace(CARD, calibration=found))
    assert (
        'On 9 pairs of pairs, labels are those of float32 on 99.50 % (change), 99.00 % (land '
        'cover from) and 99.25 % (land cover to) of the pixels, with 7 of 40 convolutions in '
        'float32 |'
    ) in page


# Fields of an item without which the extension's schema refuses it, and those that it refuses in
# an asset.
REQUIRED = {'name', 'architecture', 'tasks', 'input', 'output'}
OF_THE_ITEM = {'mlm:name', 'mlm:input', 'mlm:output', 'mlm:hyperparameters'}


def test_the_item_keeps_the_rules_of_the_schema(cards):
    """Rules of version 1.4's schema, which validators apply; no installed package has it."""
    item = json.loads(cards[0].read_text())
    properties = item['properties']
    assert {f'mlm:{name}' for name in REQUIRED} <= properties.keys()
    # Bands that an input names are described in the item, which STAC 1.1 allows if they are in an
    # asset too.
    assert item['stac_version'] == '1.1.0'
    assert item['assets']['model']['bands'] == properties['bands']
    described = {one['name']: one['data_type'] for one in properties['bands']}
    for one in properties['mlm:input']:
        assert set(one['bands']) <= described.keys()
    assert set(described.values()) == {'uint16'}
    for asset in item['assets'].values():
        # Files of the model state their type, and no other file does.
        assert ('mlm:model' in asset['roles']) == ('mlm:artifact_type' in asset)
        assert not OF_THE_ITEM & asset.keys()
    assert any('mlm:model' in asset['roles'] for asset in item['assets'].values())
    orders = [one['input']['dim_order'] for one in properties['mlm:input']]
    orders += [one['result']['dim_order'] for one in properties['mlm:output']]
    assert all(len(set(one)) == len(one) for one in orders)


def test_bands_of_a_plain_network_are_named_by_colour(tmp_path):
    (tmp_path / 'a.onnx').write_bytes(b'net')
    card = dataclasses.replace(CARD, bands=None, network_bands=3, input_type='uint8')
    item = json.loads(write_cards(tmp_path / 'a.onnx', card)[0].read_text())
    named = [dict(name=name, data_type='uint8') for name in ('red', 'green', 'blue')]
    assert item['properties']['bands'] == named


def test_class_names_of_any_characters(tmp_path):
    """The classification extension allows letters and digits of ASCII, and two signs."""
    (tmp_path / 'a.onnx').write_bytes(b'net')
    names = ('same', 'Hütte', 'low | plants', '水', '??', 'sea')
    palette = tuple((number,) * 3 for number in range(len(names)))
    card = dataclasses.replace(CARD, class_names=names, palette=palette)
    item, page = (
        path.read_text(encoding='utf-8') for path in write_cards(tmp_path / 'a.onnx', card)
    )
    classes = json.loads(item)['properties']['mlm:output'][4]['classification:classes']
    assert [one['name'] for one in classes] == ['Hutte', 'low_plants', 'class_3', 'class_4', 'sea']
    assert [one['description'] for one in classes] == list(names[1:])
    assert all(re.fullmatch('[0-9A-Za-z-_]+', one['name']) for one in classes)
    assert '| 2 | low \\| plants | #020202 |' in page
    assert '| 3 | 水 | #030303 |' in page


def test_pystac_accepts_the_item(cards):
    pystac = pytest.importorskip('pystac')
    local = pytest.importorskip('pystac.validation.local_validator')
    values = json.loads(cards[0].read_text())
    schema = 'https://schemas.stacspec.org/v1.1.0/item-spec/json-schema/item.json'
    assert list(local.LocalValidator()._validate_from_local(schema, values)) == []
    mlm = pytest.importorskip('pystac.extensions.mlm')
    read = mlm.MLMExtension.ext(pystac.Item.from_file(str(cards[0])))
    assert [one.name for one in read.input] == ['before', 'after']
    assert [str(one.result.data_type) for one in read.output] == ['float32'] * 3 + ['uint8'] * 3


def test_the_model_of_the_extension_accepts_the_properties(cards):
    schema = pytest.importorskip('stac_model.schema')
    values = json.loads(cards[0].read_text())['properties']
    read = schema.MLModelProperties(**{k: v for k, v in values.items() if k.startswith('mlm:')})
    assert read.output[4].classes[1].name == 'low_vegetation'
