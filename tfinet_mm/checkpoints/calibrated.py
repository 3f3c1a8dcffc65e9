"""Write a checkpoint again with calibrations of P(changed)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load, save

from tfinet_mm.calibration import Calibration
from tfinet_mm.checkpoints.addresses import read_checkpoint
from tfinet_mm.checkpoints.contents import CALIBRATIONS_KEY, stored_calibrations
from tfinet_mm.checkpoints.shipped import SUFFIX, checkpoint_path, is_weights
from tfinet_mm.errors import CalibrationError
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.json_text import json_text

JSON_SUFFIX = '.json'


def check_calibrated_file(
    out: str | os.PathLike[str], checkpoint: str | os.PathLike[str] | None
) -> None:
    """Check that calibrations can be written, before they are fitted.

    Args:
        out: The file to write.
        checkpoint: As for :func:`write_calibrated`.

    Raises:
        FileExistsError: ``out`` is there.
        CalibrationError: Its suffix fits neither JSON nor the checkpoint.
    """
    path = Path(out)
    if path.exists():
        raise FileExistsError(f'{path} is there already; choose another name with --calibrated')
    fitting = [JSON_SUFFIX]
    if checkpoint is not None:
        fitting.append(SUFFIX if is_weights(checkpoint) else '.pth')
    if path.suffix not in fitting:
        raise CalibrationError(
            f'the calibrated file of {checkpoint or "an ensemble"} ends in '
            f'{" or ".join(fitting)}, got {path.name}'
        )


def write_calibrated(
    out: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str] | None,
    calibrations: Sequence[Calibration],
) -> None:
    """Write a checkpoint with calibrations in place of those that it has.

    Args:
        out: The file to write: a JSON file of the calibrations alone, or a whole checkpoint
            of the same kind. Weights, and the state of a training, stay as they are.
        checkpoint: A file, an address or the name of shipped weights; None for an ensemble.
        calibrations: One for the same views at most.
    """
    records = [one.record() for one in calibrations]
    path = Path(out)
    with whole_file(path) as partial:
        if path.suffix == JSON_SUFFIX:
            partial.write_text(json_text(records), encoding='utf-8')
        elif checkpoint is not None and path.suffix == SUFFIX:
            _write_weights(partial, checkpoint_path(checkpoint), records)
        else:
            assert checkpoint is not None
            loaded = read_checkpoint(str(checkpoint))
            whole = loaded if 'state_dict' in loaded else dict(state_dict=loaded)
            meta = dict(whole.get('meta') or {}) | {CALIBRATIONS_KEY: records}
            torch.save({**whole, 'meta': meta}, partial)


def checkpoint_calibrations(checkpoint: str | os.PathLike[str] | None) -> tuple[Calibration, ...]:
    """Return the calibrations of a checkpoint; none for None."""
    if checkpoint is None:
        return ()
    return stored_calibrations(read_checkpoint(str(checkpoint)), str(checkpoint))


def _write_weights(partial: Path, path: Path, records: list[dict[str, Any]]) -> None:
    """Write a file of weights with the same tensors, in the types that they are stored in."""
    with safe_open(path, 'pt') as file:
        metadata = dict(file.metadata())
    training = json.loads(metadata['training']) | {CALIBRATIONS_KEY: records}
    metadata['training'] = json.dumps(training, allow_nan=False, ensure_ascii=False)
    # safetensors' own writer makes files that only their owner can read.
    partial.write_bytes(save(load(path.read_bytes()), metadata))
