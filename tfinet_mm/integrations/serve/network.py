"""Tell which network a server predicts with and which program runs it; torch isn't imported."""

from __future__ import annotations

import argparse
import importlib.metadata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from tfinet_mm.apis.exported_network import check_device, check_options
from tfinet_mm.apis.network_files import is_exported
from tfinet_mm.checkpoints.shipped import DEFAULT
from tfinet_mm.deploy.backends import EXTRAS, PACKAGES, choose_backend
from tfinet_mm.deploy.card_files import read_card
from tfinet_mm.errors import MissingExtraError


@dataclass(frozen=True)
class ServedNetwork:
    """A network and the program that runs it, as clients may know them.

    Attributes:
        name: Name of its file without the folder, or of shipped weights.
        program: Such as ``'ONNX Runtime'``.
        version: Version of the program.
    """

    name: str
    program: str
    version: str

    def public(self) -> dict[str, str]:
        """Return the attributes as values of JSON."""
        return asdict(self)


def served_network(
    words: Sequence[str], chosen: argparse.Namespace, devices: Sequence[str] = ()
) -> ServedNetwork:
    """Describe the network of all jobs, after checks that would end each of them.

    Args:
        words: Words of the command line for the network: none, one or two.
        chosen: Options of the command that predicts: ``backend``, ``tta``,
            ``calibration``, ``compile`` and ``cfg_options``.
        devices: Devices of the jobs, if any are given.

    Raises:
        FileNotFoundError: An exported file isn't there.
        ExportedFileError: It is damaged, of another program, or of a newer format.
        MissingExtraError: No program that runs the network is installed.
        ValueError: An option doesn't go with an exported network.
    """
    exported = [word for word in words if is_exported(word)]
    if not exported:
        program = 'torch' if chosen.backend == 'auto' else chosen.backend
        # Other programs run what torch has exported.
        for needed in ('torch', program):
            if find_spec(needed) is None:
                raise MissingExtraError(
                    f'{words[-1] if words else DEFAULT} needs {PACKAGES[needed]}, which is not '
                    f'installed: pip install "tfinet-mm[{EXTRAS[needed]}]". Without torch, give a '
                    'network that tfinet export wrote, such as network.onnx'
                )
        return ServedNetwork(*_named(words[-1] if words else DEFAULT, program))
    file = Path(exported[0])
    other = [word for word in words if word != exported[0]]
    check_options(
        file,
        dict(
            checkpoint=other[0] if other else None,
            tta=chosen.tta,
            cfg_options=chosen.cfg_options,
            calibration=chosen.calibration,
        ),
    )
    if chosen.compile is not None:
        raise ValueError(
            f'--compile is an option of torch, and {file} runs in another program; leave it out'
        )
    for device in devices:
        check_device(device)
    read_card(file)
    return ServedNetwork(*_named(file.name, choose_backend(file, chosen.backend)))


def _named(word: str, program: str) -> tuple[str, str, str]:
    try:
        version = importlib.metadata.version(program)
    except importlib.metadata.PackageNotFoundError:
        # Installed under another name, such as onnxruntime-gpu.
        version = ''
    return Path(word).name, PACKAGES[program], version
