"""Describe an exported file beside it: for machines a STAC item, for people a page.

The item is plain JSON with the fields of STAC's Machine Learning Model extension; no package of
STAC is needed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tfinet_mm.deploy.card import INPUTS, OUTPUTS, ExportCard
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.fingerprints import file_hash
from tfinet_mm.utils.json_text import json_text

ITEM_SUFFIX, PAGE_SUFFIX = '.mlm.json', '.md'
EXTENSIONS = tuple(
    f'https://stac-extensions.github.io/{name}/schema.json'
    for name in ('mlm/v1.5.0', 'classification/v2.0.0', 'file/v2.1.0')
)
FRAMEWORKS = {'.onnx': 'ONNX', '.xml': 'OpenVINO', '.pt2': 'PyTorch'}
"""Framework of a file by its suffix."""
ARTIFACTS = {'.onnx': 'onnx', '.xml': 'openvino', '.pt2': 'torch.export.save'}
"""Type of a file by its suffix, in the words of the extension where it has some."""
TASK = 'semantic-segmentation'
RGB = ('red', 'green', 'blue')
MULTIHASH = '1220'
"""First two bytes of a multihash: SHA-256, of 32 bytes."""
# A network is of no place and time; STAC needs a range where there is no single time.
TIMES = dict(start_datetime='1900-01-01T00:00:00Z', end_datetime='9999-12-31T23:59:59Z')


def write_cards(path: Path, card: ExportCard) -> tuple[Path, Path]:
    """Write the item ``FILE.mlm.json`` and the page ``FILE.md`` beside an exported file.

    Args:
        path: The file.
        card: What it says about itself.

    Returns:
        Both files.
    """
    item, page = (path.with_name(path.name + end) for end in (ITEM_SUFFIX, PAGE_SUFFIX))
    with whole_file(item) as partial:
        partial.write_text(json_text(mlm_item(path, card)) + '\n', encoding='utf-8')
    with whole_file(page) as partial:
        partial.write_text(model_page(path, card), encoding='utf-8')
    return item, page


def mlm_item(path: Path, card: ExportCard) -> dict[str, Any]:
    """Return the STAC item of an exported file.

    Args:
        path: The file, whose size and hash it states.
        card: What the file says about itself.
    """
    framework = FRAMEWORKS[path.suffix]
    assets = {'model': _asset(path, f'{framework} model', ['mlm:model', 'data'])}
    assets['model']['mlm:artifact_type'] = ARTIFACTS[path.suffix]
    # The extension wants the bands that inputs name in the properties, and STAC has them there only
    # if an asset has them too.
    bands = [dict(name=name, data_type=card.input_type) for name in _band_names(card)]
    assets['model']['bands'] = bands
    if path.suffix == '.xml':
        weights = path.with_suffix('.bin')
        assets['weights'] = _asset(weights, 'weights of the OpenVINO model', ['mlm:weights'])
    properties: dict[str, Any] = {
        'datetime': None,
        **TIMES,
        'description': f'Semantic change detection: {", ".join(card.class_names[1:])}',
        'bands': bands,
        'mlm:name': card.name,
        'mlm:architecture': card.name,
        'mlm:tasks': [TASK],
        'mlm:framework': framework,
        'mlm:pretrained': True,
        'mlm:accelerator': None,
        'mlm:accelerator_constrained': False,
        'mlm:batch_size_suggestion': 1,
        'mlm:input': [_input(name, card) for name in INPUTS],
        'mlm:output': [_output(name, card) for name in OUTPUTS],
        'mlm:hyperparameters': _settings(card),
    }
    return dict(
        type='Feature',
        stac_version='1.1.0',
        stac_extensions=list(EXTENSIONS),
        id=path.stem,
        geometry=None,
        properties=properties,
        links=[],
        assets=assets,
    )


def model_page(path: Path, card: ExportCard) -> str:
    """Return the page of an exported file in Markdown.

    Args:
        path: The file.
        card: What it says about itself.
    """
    stored = (
        'values 0 to 255'
        if card.value_range is None
        else 'stored values, of which {:g} to {:g} become 0 to 255'.format(*card.value_range)
    )
    chosen = '' if card.bands is None else f', numbers {", ".join(map(str, card.bands))}'
    facts = {
        'file': f'`{path.name}`, {FRAMEWORKS[path.suffix]}, written by tfinet-mm {card.software}',
        'input': f'`before` and `after`, (N, {card.network_bands}, H, W) {card.input_type}',
        'size': card.sizes,
        'values': stored,
        'bands': f'{card.network_bands} of each date{chosen}',
        'resolution': 'not stated' if card.resolution is None else f'{card.resolution:g} m a pixel',
        'calibration': 'P(changed) as the network predicts it'
        if card.change_calibration is None
        else f'of P(changed), {card.change_calibration.get("method")}',
        'threshold': f'P(changed) from {card.threshold:g} on counts as changed',
        'precision': _precision(card),
        'views': ', '.join(card.tta) or 'the pair as it is',
        'windows': f'{card.window} pixels, of which neighbours share {card.overlap}',
        'trained on': ' and '.join(role.replace('_', ' ') for role in card.trained_roles),
    }
    rows = [f'| {key} | {value} |' for key, value in facts.items()]
    classes = [
        f'| {number} | {_cell(name)} | {_hex(colour)} |'
        for number, (name, colour) in enumerate(zip(card.class_names, card.palette, strict=True))
    ]
    networks = [
        f'| {_cell(str(entry.get("name")))} | {entry.get("weight", 1):g} '
        f'| `{entry.get("model")}` | `{entry.get("weights")}` |'
        for entry in card.model
    ]
    return '\n'.join(
        [
            f'# {card.name}',
            '',
            'Maps where the land cover changed between two images, and from which class to which.',
            '',
            '| | |',
            '| --- | --- |',
            *rows,
            '',
            '## Classes',
            '',
            '| value | class | colour |',
            '| ---: | --- | --- |',
            *classes,
            '',
            '## Networks',
            '',
            'With SHA-256 of the config of the network and of its file of weights:',
            '',
            '| name | weight in the mean | config | weights |',
            '| --- | ---: | --- | --- |',
            *networks,
            '',
        ]
    )


def _asset(path: Path, title: str, roles: list[str]) -> dict[str, Any]:
    return {
        'href': f'./{quote(path.name)}',
        'type': 'application/xml' if path.suffix == '.xml' else 'application/octet-stream',
        'title': title,
        'roles': roles,
        'file:size': path.stat().st_size,
        'file:checksum': MULTIHASH + file_hash(path),
    }


def _band_names(card: ExportCard) -> list[str]:
    if card.bands is None and card.network_bands == len(RGB):
        return list(RGB)
    return [f'band_{number}' for number in card.bands or range(1, card.network_bands + 1)]


def _input(name: str, card: ExportCard) -> dict[str, Any]:
    return dict(
        name=name,
        bands=_band_names(card),
        input=dict(
            shape=[-1, card.network_bands, *_sides(card)],
            dim_order=['batch', 'bands', 'height', 'width'],
            data_type=card.input_type,
        ),
        pre_processing_function=None,
    )


def _output(name: str, card: ExportCard) -> dict[str, Any]:
    sides, classes = _sides(card), []
    shape, order = [-1, *sides], ['batch', 'height', 'width']
    if name.startswith('prob_'):
        shape, order = [-1, card.num_classes, *sides], ['batch', 'class', 'height', 'width']
    if name.startswith(('land_cover', 'prob_')):
        # Probabilities are counted from 0, as their axis is; land cover has 0 for unchanged.
        first = 1 if name.startswith('land_cover') else 0
        named = zip(card.class_names[1:], card.palette[1:], strict=True)
        classes = [_class(first + number, *one) for number, one in enumerate(named)]
    elif name == 'change':
        classes = [_class(0, card.class_names[0], card.palette[0]), _class(1, 'changed', None)]
    described: dict[str, Any] = dict(
        name=name,
        tasks=[TASK],
        result=dict(
            shape=shape, dim_order=order, data_type='float32' if 'prob' in name else 'uint8'
        ),
        post_processing_function=None,
    )
    return described | ({'classification:classes': classes} if classes else {})


def _class(value: int, name: str, colour: tuple[int, int, int] | None) -> dict[str, Any]:
    described: dict[str, Any] = dict(value=value, name=_short(name, value), description=name)
    return described | ({} if colour is None else dict(color_hint=_hex(colour)[1:].upper()))


def _short(name: str, value: int) -> str:
    """Return the name of a class in the characters that the extension allows.

    Example:
        >>> _short('Wald & Hütten', 2), _short('水', 3), _short('水 2', 4)
        ('Wald_Hutten', 'class_3', 'class_4')
    """
    plain = ''.join(
        one for one in unicodedata.normalize('NFKD', name) if not unicodedata.combining(one)
    )
    foreign = any(one.isalpha() and not one.isascii() for one in plain)
    short = '' if foreign else re.sub(r'[^0-9A-Za-z-]+', '_', plain)
    return short if re.search('[0-9A-Za-z]', short) else f'class_{value}'


def _cell(text: str) -> str:
    """Return a text for a cell of a table in Markdown."""
    return ' '.join(text.split()).replace('|', r'\|')


def _hex(colour: tuple[int, int, int]) -> str:
    return '#{:02x}{:02x}{:02x}'.format(*colour)


def _sides(card: ExportCard) -> list[int]:
    return [-1, -1] if card.size is None else list(card.size)


def _settings(card: ExportCard) -> dict[str, Any]:
    settings = dict(
        threshold=card.threshold,
        value_range=None if card.value_range is None else list(card.value_range),
        window=card.window,
        overlap=card.overlap,
        size_divisor=card.size_divisor,
        least_side=card.least_side,
        precision=card.precision,
        tta=list(card.tta),
        resolution=card.resolution,
        model=[dict(entry) for entry in card.model],
        software=card.software,
    )
    return {key: value for key, value in settings.items() if value is not None}


def agreement_text(calibration: Mapping[str, Any]) -> str:
    """Return how many labels an int8 network shares with float32, as a sentence.

    Args:
        calibration: That of an :class:`~tfinet_mm.deploy.card.ExportCard`.

    Example:
        >>> agreement_text(dict(data='a', pairs=8, layers=9, float_layers=2,
        ...                     agreement=dict(change=99.5, land_cover_from=99.123)))
        'On 8 pairs of a, labels are those of float32 on 99.50 % (change) and 99.12 % (land cover \
from) of the pixels, with 2 of 9 convolutions in float32'
    """
    parts = [
        f'{share:.2f} % ({name.replace("_", " ")})'
        for name, share in calibration['agreement'].items()
    ]
    return (
        f'On {calibration["pairs"]} pairs of {calibration["data"]}, labels are those of float32 on '
        f'{", ".join(parts[:-1])} and {parts[-1]} of the pixels, with '
        f'{calibration["float_layers"]} of {calibration["layers"]} convolutions in float32'
    )


def _precision(card: ExportCard) -> str:
    if card.calibration is None:
        return card.precision
    text = (
        f'{card.precision}, ranges measured on {card.calibration.get("pairs")} pairs of '
        f'{card.calibration.get("data")}'
    )
    # Files of earlier versions don't state it.
    return (
        f'{text}. {agreement_text(card.calibration)}' if 'agreement' in card.calibration else text
    )
