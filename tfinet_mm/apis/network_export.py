"""Export a trained network as a file for ONNX Runtime, OpenVINO or torch.export."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfinet_mm.apis.calibration import CalibrationSource, calibration_images, source_name
from tfinet_mm.apis.loading import ConfigLike
from tfinet_mm.apis.network_files import is_exported
from tfinet_mm.apis.torch_network import TorchNetwork
from tfinet_mm.apis.views import Augmentation
from tfinet_mm.deploy.archive_file import write_archive
from tfinet_mm.deploy.card import INPUT_TYPES, PRECISIONS, ExportCard
from tfinet_mm.deploy.deepness import (
    DeepnessGraph,
    deepness_model,
    metadata,
    standardisation,
    write_deepness,
)
from tfinet_mm.deploy.float_layers import MAPS
from tfinet_mm.deploy.graph import ExportGraph
from tfinet_mm.deploy.half import halve_weights
from tfinet_mm.deploy.model_card import write_cards
from tfinet_mm.deploy.onnx_file import onnx_model, write_onnx
from tfinet_mm.deploy.openvino_file import openvino_model, write_openvino
from tfinet_mm.deploy.optional import import_exporter
from tfinet_mm.deploy.quantization import AGREEMENT, quantized
from tfinet_mm.deploy.tracing import trace
from tfinet_mm.errors import ExportError
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.windows import height_width

SUFFIXES = dict(onnx='.onnx', openvino='.xml', pt2='.pt2')
"""Formats and the suffix of each one's file."""
PACKAGES = dict(onnx=('onnx', 'onnxscript'), openvino=('onnx', 'onnxscript', 'openvino'), pt2=())
"""Packages that writing each format needs."""
FITTING = {
    *((kind, 'fp32') for kind in SUFFIXES),
    ('onnx', 'fp16'),
    *(('openvino', precision) for precision in PRECISIONS),
}
"""Precisions that each format can have."""
FIXES = dict(
    fp16='use --to onnx or openvino',
    bf16='use --to openvino',
    int8='use --to openvino with --calibrate',
)
"""Advice on a precision that a format can't have."""
FEWEST_STEPS = 64
"""Fewest whole numbers of a value range that images of whole numbers are taken to have."""


class ExportedNetwork(NamedTuple):
    """Network that was exported.

    Attributes:
        path: The file.
        card: What it says about itself.
        size: Bytes of the file, for OpenVINO of both files.
        described: Files beside it that describe it: a STAC item, and a page in Markdown.
    """

    path: Path
    card: ExportCard
    size: int
    described: tuple[Path, ...]


def export_network(
    config: ConfigLike | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] = 'network.onnx',
    *,
    to: str | None = None,
    size: Sequence[int] | None = None,
    precision: str = 'fp32',
    tta: Augmentation = None,
    threshold: float | None = None,
    calibration: bool | None = None,
    input_type: str | None = None,
    resolution: float | None = None,
    calibrate: CalibrationSource | None = None,
    calibration_pairs: int = 64,
    agreement: float = AGREEMENT,
    bands: Sequence[int] | None = None,
    value_range: Sequence[float] | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> ExportedNetwork:
    """Write a network as one file that predicts without this package's models.

    Args:
        config: As :class:`~tfinet_mm.apis.SCDInferencer` takes it, and so are ``checkpoint``,
            ``tta``, ``threshold``, ``bands``, ``value_range`` and ``cfg_options``.
        checkpoint: Weights of the network.
        out: The file to write, with the suffix of its format.
        to: Format, a key of :data:`SUFFIXES`; by default that of the suffix.
        size: Fixed (height, width); by default any.
        precision: Type to compute in, see :class:`~tfinet_mm.deploy.card.ExportCard`.
        tta: Views that the graph averages; by default those of the weights.
        threshold: P(changed) from which a pixel counts as changed.
        calibration: False for P(changed) as the network predicts it; by default the graph
            calibrates it where the weights have a calibration.
        input_type: Type of the inputs; by default uint8, uint16 where the value range goes
            beyond 255, and float32 where it isn't one of whole numbers from 0 to 65535.
        resolution: Metres a pixel that suit the network, to be stated in the file.
        calibrate: For int8, the pairs whose values are measured: a config with a data set, or
            two folders of images.
        calibration_pairs: Number of these pairs.
        agreement: For int8, percent of the pixels of each map that have to keep the label of
            float32 on these pairs; layers return to float32 until they do.
        bands: Bands to take of each image, counted from 1.
        value_range: Stored values that become 0 and 255, scaled within the graph.
        cfg_options: Values by dotted key that replace the config's.
        overwrite: Replace a file that is there.

    Raises:
        ExportError: An option can't be used, or a part of the network can't be exported.
        FileExistsError: ``out`` is there.
        MissingExtraError: A package of the extra ``export`` isn't installed.
    """
    out = Path(out)
    kind = _format(out, to)
    if input_type is not None and input_type not in INPUT_TYPES:
        raise ExportError(f'input_type is one of {", ".join(INPUT_TYPES)}, got {input_type!r}')
    if precision not in PRECISIONS:
        raise ExportError(f'precision is one of {", ".join(PRECISIONS)}, got {precision!r}')
    if (kind, precision) not in FITTING:
        others = [one for one in PRECISIONS if (kind, one) in FITTING]
        raise ExportError(
            f'a file of the format {kind} can not compute in {precision}, only in '
            f'{", ".join(others)}; {FIXES[precision]}'
        )
    fixed = None if size is None else _size(size)
    if (precision == 'int8') != (calibrate is not None):
        raise ExportError(
            'int8 needs images to measure the ranges of values on; give --calibrate CONFIG, or two '
            'folders of images'
            if calibrate is None
            else f'--calibrate is only for --precision int8, got {precision}; leave it out'
        )
    _check_numbers(threshold, resolution)
    if not 0 <= agreement <= 100:
        raise ExportError(f'agreement is a percentage from 0 to 100, got {agreement:g}')
    if out.exists() and not overwrite:
        raise FileExistsError(f'{out} is there already; choose another name, or add --overwrite')
    # Before the network is traced, which takes a while.
    for package in (*PACKAGES[kind], *(('nncf',) if precision == 'int8' else ())):
        import_exporter(package, f'Exporting to {kind}')
    inferencer, graph = _traceable(
        config,
        checkpoint,
        fixed,
        tta=tta,
        threshold=threshold,
        calibration=calibration,
        bands=bands,
        value_range=value_range,
        cfg_options=cfg_options,
    )
    card = export_card(
        inferencer, graph, _name(inferencer, config), input_type, precision, resolution
    )
    program = trace(graph, card.network_bands, card.input_type)
    if kind == 'pt2':
        with whole_file(out) as partial:
            write_archive(program, card, partial)
    elif kind == 'onnx':
        model = onnx_model(program)
        if precision == 'fp16':
            halve_weights(model)
        with whole_file(out) as partial:
            write_onnx(model, card, partial)
    else:
        converted = openvino_model(onnx_model(program))
        if calibrate is not None:
            pairs = list(calibration_images(inferencer, card, calibrate, calibration_pairs))
            mixed = quantized(converted, pairs, agreement)
            converted = mixed.model
            found = dict(
                data=source_name(calibrate),
                pairs=len(pairs),
                agreement=dict(zip(MAPS, (round(one, 2) for one in mixed.agreement), strict=True)),
                layers=mixed.layers,
                float_layers=mixed.float_layers,
            )
            card = dataclasses.replace(card, calibration=found)
        write_openvino(converted, card, out)
    files = (out, out.with_suffix('.bin')) if kind == 'openvino' else (out,)
    return ExportedNetwork(
        out, card, sum(path.stat().st_size for path in files), write_cards(out, card)
    )


def export_for_deepness(
    config: ConfigLike | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] = 'change.onnx',
    *,
    shown: str = 'change',
    size: Sequence[int] = (512, 512),
    resolution: float | None = None,
    overwrite: bool = False,
    **options: Any,
) -> ExportedNetwork:
    """Write a network for Deepness, the plugin of QGIS that runs an ONNX file on one raster.

    The raster has 8 bits and the bands of before and then of after.

    Args:
        config: As :func:`export_network` takes it, and so is ``checkpoint``.
        checkpoint: Weights of the network.
        out: The file to write, ``NAME.onnx``.
        shown: ``'change'``, or ``'before'`` or ``'after'`` for the land cover of a date.
        size: Height and width of a tile in pixels, which are equal.
        resolution: Metres a pixel that suit the network, to which Deepness resamples.
        overwrite: Replace a file that is there.
        **options: ``tta``, ``threshold``, ``calibration``, ``bands`` and ``cfg_options`` of
            :func:`export_network`.

    Raises:
        ExportError: An option can't be used, or a part of the network can't be exported.
        FileExistsError: ``out`` is there.
        MissingExtraError: A package of the extra ``export`` isn't installed.
    """
    out = Path(out)
    if _format(out, None) != 'onnx':
        raise ExportError(f'Deepness reads ONNX alone; call the file NAME.onnx, not {out.name}')
    _check_numbers(options.get('threshold'), resolution)
    if out.exists() and not overwrite:
        raise FileExistsError(f'{out} is there already; choose another name, or add --overwrite')
    inferencer, graph = _traceable(config, checkpoint, _size(size), **options)
    if inferencer.value_range not in (None, (0, 255)):
        raise ExportError(
            f'the network takes values from {inferencer.value_range[0]:g} to '
            f'{inferencer.value_range[1]:g}, and Deepness gives 8 bits; map such scenes with '
            'tfinet predict'
        )
    card = export_card(inferencer, graph, _name(inferencer, config), None, 'fp32', resolution)
    wrapped = DeepnessGraph(graph, shown, *standardisation(graph, card.network_bands))
    model = deepness_model(wrapped, card.network_bands, metadata(card, wrapped))
    with whole_file(out) as partial:
        write_deepness(model, partial)
    return ExportedNetwork(out, card, out.stat().st_size, ())


def _traceable(
    config: ConfigLike | None,
    checkpoint: str | os.PathLike[str] | None,
    size: tuple[int, int] | None,
    **options: Any,
) -> tuple[TorchNetwork, ExportGraph]:
    """Return a network and the graph around it."""
    if is_exported(config):
        raise ExportError(
            f'{config} is an exported network already; give its config and checkpoint'
        )
    network = TorchNetwork(config, checkpoint, 'cpu', amp='float32', **options)
    if network.other_transforms:
        raise ExportError(
            f'the test pipeline changes images with {network.other_transforms[0]}, which is not '
            'part of an exported network; remove it from the pipeline, and prepare images before'
        )
    bands = network.bands
    if bands is not None and len(bands) != network.network_bands:
        raise ExportError(
            f'the network takes {network.network_bands} bands of each image, got bands='
            f'{list(bands)}; choose as many'
        )
    threshold = float(network.model.test_cfg['threshold'])
    return network, ExportGraph(
        network.model,
        threshold,
        network.value_range,
        *network.views,
        size=size,
        calibration=network.calibration,
    )


def export_card(
    inferencer: TorchNetwork,
    graph: ExportGraph,
    name: str,
    input_type: str | None = None,
    precision: str = 'fp32',
    resolution: float | None = None,
) -> ExportCard:
    """Return what the file of a network says about itself."""
    settings, value_range = inferencer.settings, inferencer.value_range
    input_type = _input_type(value_range, input_type)
    table = inferencer.class_table
    return ExportCard(
        name=name,
        class_names=tuple(table.names),
        palette=tuple((int(r), int(g), int(b)) for r, g, b in table.palette),
        threshold=settings['threshold'],
        bands=None if inferencer.bands is None else tuple(inferencer.bands),
        value_range=value_range,
        network_bands=inferencer.network_bands,
        window=inferencer.window if graph.size is None else min(graph.size),
        overlap=inferencer.overlap if graph.size is None else min(graph.size) // 4,
        least_side=graph.least_side,
        size=graph.size,
        sliding=sliding_windows(inferencer.model),
        input_type=input_type,
        precision=precision,
        tta=tuple(settings['tta']),
        model=tuple(settings['model']),
        trained_roles=tuple(getattr(inferencer.model, 'trained_roles', ())),
        change_calibration=settings.get('calibration'),
        resolution=resolution,
    )


def sliding_windows(model: Any) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return window and stride of a network that predicts pictures in windows, or None.

    Raises:
        ExportError: Members of an ensemble differ in them.
    """
    found: set[tuple[tuple[int, int], tuple[int, int]] | None] = set()
    for one in getattr(model, 'members', [model]):
        options = one.test_cfg
        slides = options.get('mode') == 'slide'
        found.add(
            (height_width(options['crop_size']), height_width(options['stride']))
            if slides
            else None
        )
    if len(found) > 1:
        raise ExportError(
            'the members of the ensemble predict in different windows, which one file can not; '
            "give all of them the same test_cfg.mode, crop_size and stride, by a member's "
            'cfg_options'
        )
    return found.pop()


def _input_type(value_range: Sequence[float] | None, wanted: str | None) -> str:
    """Return the type of the inputs: the smallest that holds the values as they are stored.

    Raises:
        ExportError: ``wanted`` doesn't hold the whole range.
    """
    low, high = value_range or (0, 255)
    held = [
        name for name in INPUT_TYPES if name == 'float32' or 0 <= low < high <= np.iinfo(name).max
    ]
    if wanted is not None:
        if wanted not in held:
            raise ExportError(
                f'inputs of {wanted} do not hold the value range, {low:g} to {high:g}; give '
                f'--input-type {held[0]}'
            )
        return wanted
    # A range such as 0 to 1 is one of real numbers.
    whole = low == int(low) and high == int(high) and high - low >= FEWEST_STEPS
    return held[0] if whole else 'float32'


def _format(out: Path, to: str | None) -> str:
    by_suffix = {suffix: kind for kind, suffix in SUFFIXES.items()}
    kind = to or by_suffix.get(out.suffix)
    if kind not in SUFFIXES:
        raise ExportError(
            f'the format is one of {", ".join(SUFFIXES)}, got {to or out.name!r}; give --to, or a '
            f'file that ends in {", ".join(by_suffix)}'
        )
    if out.suffix != SUFFIXES[kind]:
        raise ExportError(
            f'a file of the format {kind} is called NAME{SUFFIXES[kind]}, got {out.name}'
        )
    return kind


def _check_numbers(threshold: float | None, resolution: float | None) -> None:
    """Refuse numbers that a card can't have, before the network is read.

    Raises:
        ExportError: A number is out of range.
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise ExportError(f'threshold is a probability from 0 to 1, got {threshold:g}')
    if resolution is not None and not 0 < resolution < float('inf'):
        raise ExportError(f'resolution is in metres a pixel and above 0, got {resolution:g}')


def _size(size: Sequence[int]) -> tuple[int, int]:
    if len(size) != 2 or min(size) < 1:
        raise ExportError(f'size is height and width in pixels, got {tuple(size)}')
    return int(size[0]), int(size[1])


def _name(inferencer: TorchNetwork, config: ConfigLike | None) -> str:
    """Return the names of the networks: of their configs, or else of their files of weights."""
    entries = inferencer.settings['model']
    if config is None or (len(entries) == 1 and str(config) == entries[0]['checkpoint']):
        return Path(entries[0]['checkpoint']).stem
    return ' + '.join(str(entry['name']) for entry in entries)
