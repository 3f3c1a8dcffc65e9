"""Find the weights that come with this package, by name."""

from __future__ import annotations

import os
from pathlib import Path

from tfinet_mm.checkpoints.packages import PACKAGES
from tfinet_mm.utils.near_names import hint

FOLDER = Path(__file__).resolve().parents[1] / 'weights'
"""Folder of the weights: NAME.safetensors, and NAME.md, which describes their training."""
SUFFIX = '.safetensors'
DEFAULT = 'tfinet_lite0_fpn_generated'
"""Weights that are used where none are named."""


def shipped_names() -> list[str]:
    """Return the names of the weights that this installation has."""
    return sorted(path.stem for path in FOLDER.glob(f'*{SUFFIX}'))


def is_shipped(name: str | os.PathLike[str]) -> bool:
    """Return whether weights of this name come with the package."""
    return os.fspath(name) in shipped_names()


def is_weights(name: str | os.PathLike[str]) -> bool:
    """Return whether a name or a path is that of weights without a training's state."""
    return is_shipped(name) or Path(name).suffix.lower() == SUFFIX


def checkpoint_path(name: str | os.PathLike[str]) -> Path:
    """Find the file of a checkpoint.

    Args:
        name: A path, or the name of shipped weights, which takes precedence.

    Raises:
        FileNotFoundError: There is no such file; the message has the nearest name.
    """
    word = os.fspath(name)
    if is_shipped(word):
        return FOLDER / f'{word}{SUFFIX}'
    path = Path(os.path.expanduser(word))
    if path.is_file():
        return path
    message = f'there is no checkpoint {path}'
    if word == DEFAULT:
        message = f'the weights {word} are not in this installation: {FOLDER / word}{SUFFIX}'
        message += '; install the package from its wheel or a whole checkout, or give a checkpoint'
    elif path.name == word:
        message += hint(path.stem, [*shipped_names(), *PACKAGES])
    raise FileNotFoundError(message)
