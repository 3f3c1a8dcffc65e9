"""Tell which units for bfloat16 a CPU has, and whether they may be used; needs no torch."""

from __future__ import annotations

import os
import re
from pathlib import Path

CPUINFO = Path('/proc/cpuinfo')
UNITS = {'amx_bf16': 'AMX', 'avx512_bf16': 'AVX512-BF16'}
"""Names of the units that multiply bfloat16: in the sources, and in messages.

avx_ne_convert is not among them: it only converts.
"""
LIMITS = ('ONEDNN_MAX_CPU_ISA', 'DNNL_MAX_CPU_ISA')
"""Environment variables that limit the units that oneDNN uses, the first one first."""
ISA_WITHOUT = {
    *('sse41', 'avx', 'avx2', 'avx2_vnni', 'avx2_vnni_2'),
    *('avx512_core', 'avx512_core_vnni'),
}
"""Values of the limits that end below the units; oneDNN ignores words it doesn't know."""


def features() -> set[str]:
    """Return the features of the CPU as Linux lists them; none on other systems."""
    try:
        text = CPUINFO.read_text()
    except OSError:
        return set()
    line = re.search(r'^(?:flags|Features)\s*:(.*)$', text, re.MULTILINE)
    return set(line.group(1).split()) if line else set()


def limit() -> str | None:
    """Return the setting that leaves units for bfloat16 unused, such as ``NAME=avx2``, or None."""
    for name in LIMITS:
        word = os.environ.get(name)
        if word is not None:
            return f'{name}={word}' if word.lower() in ISA_WITHOUT else None
    return None
