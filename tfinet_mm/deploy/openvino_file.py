"""Write an exported network as OpenVINO's intermediate representation, two files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tfinet_mm.deploy.backends import openvino_core
from tfinet_mm.deploy.card import CARD_KEY, OUTPUTS, THRESHOLD, WEIGHTS_KEY, ExportCard
from tfinet_mm.deploy.optional import import_exporter
from tfinet_mm.errors import ExportError
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.fingerprints import file_hash


def openvino_model(onnx_model: Any) -> Any:
    """Convert an ONNX graph.

    Args:
        onnx_model: As :func:`tfinet_mm.deploy.onnx_file.onnx_model` returns it.

    Returns:
        An ``openvino.Model``.

    Raises:
        ExportError: OpenVINO can't read the graph.
        MissingExtraError: OpenVINO isn't installed.
    """
    import_exporter('openvino', 'Writing OpenVINO files')
    try:
        model = openvino_core().read_model(onnx_model.SerializeToString())
    except RuntimeError as error:
        raise ExportError(
            f'OpenVINO can not read the network ({str(error).splitlines()[-1]}); use --to onnx'
        ) from error
    model.set_friendly_name('tfinet_mm')
    for output, name in zip(model.outputs, OUTPUTS, strict=True):
        output.get_tensor().set_names({name})
    return model


def write_openvino(model: Any, card: ExportCard, path: Path) -> None:
    """Write a converted graph with its card.

    Args:
        model: As :func:`openvino_model` returns it; it gets the card.
        card: What the file says about itself; ``fp16`` stores weights in 16 bits.
        path: The ``.xml``; the ``.bin`` beside it holds the weights.
    """
    openvino = import_exporter('openvino', 'Writing OpenVINO files')
    model.set_rt_info(card.to_json(), [CARD_KEY])
    keep_threshold(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix='.export-') as folder:
        made = Path(folder) / 'network.xml'
        half = card.precision == 'fp16'
        openvino.save_model(model, made, compress_to_fp16=half)
        # The .bin of another export would fit as well. It is the same in the second writing.
        model.set_rt_info(file_hash(made.with_suffix('.bin')), [WEIGHTS_KEY])
        openvino.save_model(model, made, compress_to_fp16=half)
        # The weights first: the .xml is what a reader looks for.
        for suffix in ('.bin', '.xml'):
            with whole_file(path.with_suffix(suffix)) as partial:
                made.with_suffix(suffix).replace(partial)


def keep_threshold(model: Any) -> None:
    """Name the constant that P(changed) is compared with, which users may change.

    Raises:
        ExportError: The graph has no such constant.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() == 'Constant' and node.get_friendly_name() == THRESHOLD:
            return
    raise ExportError(f'the converted graph has no constant {THRESHOLD!r}; use --to onnx')
