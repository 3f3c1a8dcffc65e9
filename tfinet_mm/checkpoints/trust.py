"""Let checkpoints run code, where the user trusts their origin."""

from __future__ import annotations

import os

TRUST_VARIABLE = 'TFINET_TRUST_CHECKPOINT'
"""Environment variable that, set to 1, lets checkpoints run code when read."""


def trust_checkpoints(trust: bool = True) -> None:
    """Set whether checkpoints may run code, for this process and those it starts."""
    os.environ[TRUST_VARIABLE] = '1' if trust else '0'


def checkpoints_trusted() -> bool:
    """Return whether ``TFINET_TRUST_CHECKPOINT`` says that checkpoints may run code."""
    return os.environ.get(TRUST_VARIABLE, '').lower() in ('1', 'true', 'yes', 'on')
