"""Let processes share out work; torch is imported where there are several."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, MutableMapping
from datetime import timedelta
from typing import Any

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')

# Variables of each launcher: the rank, the number of ranks, the rank within its machine.
_NAMES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
}


def finish_launch() -> None:
    """Leave the process group, if this process is in one and no error is being raised.

    Leaving waits for the other ranks, which may wait for this one: an error
    would be seen after a timeout, or never. A process that ends leaves anyway.
    The threads of the group may outlive this, see :mod:`tfinet_mm.utils.ending`.
    """
    if sys.exc_info()[0] is not None:
        return
    # A process without torch has joined no group.
    torch: Any = sys.modules.get('torch')
    if torch is None or not torch.distributed.is_available():
        return
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def join_cpu_group(launcher: str) -> None:
    """Join processes that share out work but compute independently, with GPUs or without.

    They talk over gloo, and wait for each other as long as it takes: one may have
    hours more to do. The GPU of a process is the one of its ``LOCAL_RANK``.

    Args:
        launcher: One of :data:`LAUNCHERS`; with ``'none'`` nothing happens.

    Raises:
        ValueError: As :func:`tfinet_mm.engine.launch.prepare_launch`.
    """
    if launcher not in LAUNCHERS:
        raise ValueError(f'the launcher must be one of {LAUNCHERS}, got {launcher!r}')
    if launcher != 'none':
        from torch import distributed

        set_rank_variables(launcher, os.environ)
        if not distributed.is_initialized():
            distributed.init_process_group('gloo', timeout=timedelta(days=365))


def rank_device(launcher: str, device: str | None = None) -> str | None:
    """Find the device of a process that :func:`join_cpu_group` let join.

    Args:
        launcher: One of :data:`LAUNCHERS`.
        device: Device that the user asks for; None for a GPU where there is one.

    Returns:
        Under a launcher the GPU of this process, by its ``LOCAL_RANK``, which
        becomes the current one; more processes than GPUs share them. Without a
        launcher or a GPU, or where the user names one device, ``device``.
    """
    if launcher == 'none' or device not in (None, 'cuda'):
        return device
    import torch

    if not torch.cuda.is_available():
        return device
    index = int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()
    torch.cuda.set_device(index)
    return f'cuda:{index}'


def set_rank_variables(launcher: str, environ: MutableMapping[str, str]) -> None:
    """Set the variables that torch reads from those of the launcher."""
    names = _NAMES[launcher]
    missing = [name for name in names if name not in environ]
    if missing:
        starter = {'pytorch': 'tools/dist_*.sh', 'slurm': 'tools/slurm_*.sh', 'mpi': 'mpirun'}
        raise ValueError(
            f'launcher {launcher!r} needs the environment variables {", ".join(missing)}; '
            f'start through {starter[launcher]}, or without --launcher'
        )
    for ours, theirs in zip(_NAMES['pytorch'], names, strict=True):
        environ[ours] = environ[theirs]
    if launcher == 'slurm':
        # Two jobs on one machine get two ports, all tasks of a job the same.
        job = int(environ.get('SLURM_JOB_ID', '0') or 0)
        environ.setdefault('MASTER_PORT', str(20000 + job % 20000))
        if 'MASTER_ADDR' not in environ:
            environ['MASTER_ADDR'] = _first_host(environ)
    elif launcher == 'mpi':
        environ.setdefault('MASTER_PORT', '29500')
        if environ.get('OMPI_COMM_WORLD_LOCAL_SIZE') == environ['WORLD_SIZE']:
            environ.setdefault('MASTER_ADDR', '127.0.0.1')
        elif 'MASTER_ADDR' not in environ:
            raise ValueError(
                'mpirun started ranks on several machines; set MASTER_ADDR to the address '
                'of the one with rank 0'
            )


def _first_host(environ: Mapping[str, str]) -> str:
    """Return the machine of a slurm job's first task."""
    if environ.get('SLURM_NNODES', '1') == '1':
        return '127.0.0.1'
    hosts = subprocess.run(
        ['scontrol', 'show', 'hostnames', environ.get('SLURM_NODELIST', '')],
        capture_output=True,
        text=True,
        check=True,
    )
    return hosts.stdout.split()[0]
