"""Import the packages that exporting needs and predicting doesn't."""

from __future__ import annotations

import importlib
from typing import Any

from tfinet_mm.errors import MissingExtraError

EXTRAS = dict(nncf='int8')
"""Extra that brings a package; all others are in ``export``."""


def import_exporter(name: str, what: str) -> Any:
    """Import a package of the extra ``export`` or ``int8``.

    Args:
        name: Name of the module.
        what: Task that needs it, which the message begins with.

    Raises:
        MissingExtraError: It isn't installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        extra = EXTRAS.get(name.partition('.')[0], 'export')
        raise MissingExtraError(
            f'{what} needs {name} ({error}); install the extra: pip install "tfinet-mm[{extra}]"'
        ) from error
