"""All of the project that the cases call: its tools, and the class that predicts."""

import runpy
import sys
from pathlib import Path
from typing import Any

import tfinet_mm
from tfinet_mm.apis import SCDInferencer
from tfinet_mm.engine.resume import newest_checkpoint
from tfinet_mm.errors import TFINetError

__all__ = ['ROOT', 'SCDInferencer', 'TFINetError', 'inferencer', 'is_own_file', 'newest_checkpoint']

ROOT = Path(tfinet_mm.__file__).parents[1]
TESTS = Path(__file__).parents[1]


def is_own_file(path: str) -> bool:
    """Say whether a frame of a traceback is the project's own code, its tests left out."""
    own = path.startswith(f'{ROOT}/') and 'site-packages' not in path
    return own and not path.startswith(f'{TESTS}/')


def run_tool(name: str, *arguments: Any) -> None:
    """Run ``tools/NAME.py`` as its user does, but inside this process.

    Raises:
        SystemExit: The tool ended with another status than 0.
    """
    script = ROOT / 'tools' / f'{name}.py'
    sys.argv = [str(script), *(str(argument) for argument in arguments)]
    try:
        runpy.run_path(str(script), run_name='__main__')
    except SystemExit as end:
        if end.code not in (0, None):
            raise


def inferencer(config: Path, checkpoint: Path | None = None, **options: Any) -> SCDInferencer:
    """Load a network on the CPU; without ``checkpoint``, ``config`` is a checkpoint."""
    weights = () if checkpoint is None else (str(checkpoint),)
    return SCDInferencer(str(config), *weights, device='cpu', **options)
