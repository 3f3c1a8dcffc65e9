"""Add the options of runs to the command lines of tools; nothing here needs torch."""

from __future__ import annotations

import argparse
from typing import Any

from tfinet_mm.engine.ranks import LAUNCHERS

AMP_TYPES = ('auto', 'bfloat16', 'float16', 'float32')
"""Values of ``--amp``."""

COMPILE_MODES = ('auto', 'on', 'off')
"""Values of ``--compile``, those of :data:`tfinet_mm.utils.compiler.MODES`."""


def add_launch_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust-checkpoint``, ``--launcher`` and ``--local_rank`` to a tool's options."""
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read checkpoints that could run code; only for files whose origin you trust',
    )
    parser.add_argument(
        '--launcher', choices=LAUNCHERS, default='none', help='program that started the processes'
    )
    # torch.distributed.launch of torch >= 2 passes --local-rank, older ones --local_rank.
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='set by launchers'
    )


def add_amp_option(parser: Any) -> None:
    """Add ``--amp`` to the options of a tool.

    Args:
        parser: An argument parser, or a group of one.
    """
    parser.add_argument(
        '--amp',
        nargs='?',
        const='auto',
        choices=AMP_TYPES,
        help='type to compute in; auto (--amp alone) is 16 bits where the device has units for it',
    )


def add_compile_option(parser: Any) -> None:
    """Add ``--compile`` to the options of a tool.

    Args:
        parser: An argument parser, or a group of one.
    """
    parser.add_argument(
        '--compile',
        choices=COMPILE_MODES,
        help='compile the network: on, off, or auto where the run is long enough to gain by it '
        '(default: model.compile of the config, or else auto)',
    )
