"""Read the card of an exported file without a program that runs networks."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

from tfinet_mm.deploy.card import CARD_FILE, CARD_KEY, WEIGHTS_KEY, ExportCard
from tfinet_mm.errors import ExportedFileError
from tfinet_mm.utils.fingerprints import file_hash

EXPORTED_SUFFIXES = ('.onnx', '.xml', '.pt2')
"""Suffixes of exported networks: ONNX, OpenVINO's IR and archives of torch.export."""
EXPORTED_BACKENDS = ('openvino', 'onnxruntime')
"""Programs beside torch that run exported networks."""
METADATA = 14
"""Number of the field of an ONNX model that holds its metadata."""
KEY, VALUE = 1, 2
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
"""Kinds of fields in a protobuf message."""


def read_card(file: str | os.PathLike[str]) -> ExportCard:
    """Read what an exported network says about itself.

    Args:
        file: ``.onnx``, ``.xml`` (with its ``.bin`` beside it) or ``.pt2``.

    Raises:
        FileNotFoundError: There is no such file, or an ``.xml`` lacks its ``.bin``.
        ExportedFileError: It is damaged, of another program, or of a newer format, or the
            ``.bin`` is that of another export.
    """
    path = Path(os.path.expanduser(file))
    if path.suffix.lower() not in EXPORTED_SUFFIXES:
        raise ExportedFileError(
            f'{path} is no exported network; expected a file {", ".join(EXPORTED_SUFFIXES)} that '
            'tools/export.py wrote'
        )
    if not path.is_file():
        raise FileNotFoundError(f'there is no exported network {path}')
    if not path.stat().st_size:
        raise ExportedFileError(f'{path} is empty; copy it again, or export it again')
    reader = {'.onnx': _onnx_card, '.xml': _openvino_card, '.pt2': _torch_card}
    text = reader[path.suffix.lower()](path)
    if text is None:
        raise ExportedFileError(
            f'{path} holds a network, but not what it takes and predicts ({CARD_KEY} in its '
            'metadata); export it with tools/export.py'
        )
    return ExportCard.from_json(text, str(path))


def _damaged(path: Path, kind: str, reason: object) -> ExportedFileError:
    return ExportedFileError(
        f'{path} can not be read as {kind} ({reason}); copy it again, or export it again'
    )


def _openvino_card(path: Path) -> str | None:
    if not path.with_suffix('.bin').is_file():
        raise FileNotFoundError(
            f'{path} lacks its weights: there is no {path.with_suffix(".bin")}; copy both files'
        )
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise _damaged(path, "OpenVINO's IR", error) from None
    stated = root.find(f'rt_info/{WEIGHTS_KEY}')
    weights = path.with_suffix('.bin')
    if stated is not None and stated.get('value') != file_hash(weights):
        raise ExportedFileError(
            f'{weights} is not the file that was exported with {path.name}; copy both files of one '
            'export again, or export the network again'
        )
    found = root.find(f'rt_info/{CARD_KEY}')
    return None if found is None else found.get('value')


def _torch_card(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [one for one in archive.namelist() if one.rpartition('/')[2] == CARD_FILE]
            return archive.read(names[0]).decode() if names else None
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise _damaged(path, 'an archive of torch.export', error) from None


def _onnx_card(path: Path) -> str | None:
    """Return the entry of an ONNX model's metadata, past its graph, which isn't read."""
    with path.open('rb') as file:
        try:
            entries = [_entry(file, end) for number, end in _fields(file, path.stat().st_size)]
        except (EOFError, UnicodeDecodeError) as error:
            raise _damaged(path, 'ONNX', error) from None
    return dict(one for one in entries if one is not None).get(CARD_KEY)


def _entry(file: BinaryIO, end: int) -> tuple[str, str] | None:
    found = {}
    for number, stop in _fields(file, end, every=True):
        found[number] = file.read(stop - file.tell()).decode()
    return (found[KEY], found.get(VALUE, '')) if KEY in found else None


def _fields(file: BinaryIO, end: int, every: bool = False) -> Iterator[tuple[int, int]]:
    """Yield number and end of the fields of a message that hold bytes, with the file at each.

    Args:
        file: The file, at the start of the message.
        end: The message's end.
        every: All of them; otherwise those of metadata.

    Raises:
        EOFError: The message isn't one.
    """
    while (place := file.tell()) < end:
        tag = _number(file)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            _number(file)
            continue
        if kind in (EIGHT_BYTES, FOUR_BYTES):
            file.seek(8 if kind == EIGHT_BYTES else 4, os.SEEK_CUR)
            continue
        if kind != LENGTH or not number:
            raise EOFError(f'byte {place} begins no field')
        stop = _number(file) + file.tell()
        if stop > end:
            raise EOFError(f'the file ends {stop - end} bytes too early')
        if every or number == METADATA:
            yield number, stop
        file.seek(stop)


def _number(file: BinaryIO) -> int:
    """Read a whole number of variable length."""
    value = shift = 0
    while byte := file.read(1):
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7
        if shift > 63:
            break
    raise EOFError('a number has no end')
