"""Import MMSegmentation without its messages about missing optional packages."""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Iterator
from typing import TextIO

NOISE = 'Could not import OneDL'
WARNING = 'Fail to import ``MultiScaleDeformableAttention``'


class _WithoutNoise(io.TextIOBase):
    """Stream that passes on everything but the line :data:`NOISE`, which comes in two pieces."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self.dropped = False

    def write(self, text: str) -> int:
        """Write a piece of text, or drop it."""
        if text == NOISE:
            self.dropped = True
        elif text == '\n' and self.dropped:
            self.dropped = False
        else:
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream behind this one."""
        self.stream.flush()


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Drop the messages of MMSegmentation and MMCV about missing packages in the block.

    All other output and warnings in the block pass.
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(_WithoutNoise(sys.stdout)):
        warnings.filterwarnings('ignore', message=WARNING)
        yield


def import_mmseg() -> None:
    """Import all parts of MMSegmentation, as MMEngine does when it looks for one of them."""
    with quiet_imports():
        from mmseg.utils import register_all_modules

        register_all_modules(init_default_scope=False)
