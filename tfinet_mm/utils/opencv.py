"""Import OpenCV at its first use: exported networks predict without it."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from tfinet_mm.errors import MissingExtraError


class _OpenCV:
    """Stand for the module ``cv2``, whose names are looked up when they are used."""

    def __getattr__(self, name: str) -> Any:
        try:
            module = importlib.import_module('cv2')
        except ImportError as error:
            raise MissingExtraError(
                'OpenCV is not installed, which the alignment of pictures, pictures of more than '
                '8 bit and labels need: pip install "tfinet-mm[opencv]"; the extra mm has it as '
                'well'
            ) from error
        return getattr(module, name)


cv2: Any = _OpenCV()


@functools.cache
def has_opencv() -> bool:
    """Return whether OpenCV is installed."""
    try:
        importlib.import_module('cv2')
    except ImportError:
        return False
    return True
