"""Tell the files of networks apart by their suffixes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeGuard

from tfinet_mm.deploy.card_files import EXPORTED_SUFFIXES

CONFIG_SUFFIXES = ('.py', '.json', '.yaml', '.yml')


def is_exported(network: Any) -> TypeGuard[str | os.PathLike[str]]:
    """Return whether a network is given as an exported file.

    Example:
        >>> is_exported('a.onnx'), is_exported('configs/a.py'), is_exported({'model': {}})
        (True, False, False)
    """
    path = isinstance(network, str | os.PathLike)
    return path and Path(network).suffix.lower() in EXPORTED_SUFFIXES
