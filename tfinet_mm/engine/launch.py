"""Start the ranks of a distributed run, on machines without a GPU too.

MMEngine's launchers give every rank a GPU. Where there is none,
:func:`prepare_launch` makes the process group itself, over gloo, before the
Runner is built, since MMEngine leaves a group alone that exists already, and
chooses a model wrapper that asks for no device. On GPUs MMEngine does all of it.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, MutableMapping
from datetime import timedelta
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import init_dist
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from torch import distributed, nn

from tfinet_mm.registry import MODEL_WRAPPERS
from tfinet_mm.utils.class_names import class_name

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')

# Variables of each launcher: the rank, the number of ranks, the rank within its machine.
_NAMES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
}


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """MMEngine's distributed model on CPUs: no device, no synchronised batch norm.

    ``SyncBatchNorm`` trains on GPUs only, so it becomes the plain batch norm of
    the same parameters, whose statistics are those of the rank's own samples.

    Args:
        module: The model.
        kwargs: Keyword arguments of ``MMDistributedDataParallel``; a device in
            them is ignored.
    """

    def __init__(self, module: nn.Module, **kwargs: Any) -> None:
        kwargs['device_ids'] = None
        super().__init__(module=revert_sync_batchnorm(module), **kwargs)


def prepare_launch(cfg: Config, launcher: str) -> None:
    """Prepare this process and its config for a distributed run.

    Args:
        cfg: The config; its ``launcher`` is set, and on a machine without a
            GPU its ``model_wrapper_cfg``.
        launcher: ``'none'``, ``'pytorch'`` (torchrun), ``'slurm'`` or ``'mpi'``.

    Raises:
        ValueError: The launcher is unknown, its environment variables are not
            there, or there are more ranks than GPUs.
    """
    if launcher not in LAUNCHERS:
        raise ValueError(f'the launcher must be one of {LAUNCHERS}, got {launcher!r}')
    cfg.launcher = launcher
    if launcher == 'none':
        return
    _set_rank_variables(launcher, os.environ)
    if get_device() != 'cpu':
        local, gpus = int(os.environ['LOCAL_RANK']), torch.cuda.device_count()
        if launcher == 'pytorch' and torch.cuda.is_available() and local >= gpus:
            raise ValueError(
                f'rank {local} of this machine has no GPU: there are {gpus}; start at most '
                f'{gpus} ranks, or set CUDA_VISIBLE_DEVICES=-1 to run on the CPU'
            )
        return
    if not distributed.is_initialized():
        seconds = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout', 1800)
        distributed.init_process_group('gloo', timeout=timedelta(seconds=seconds))
    wrapper = dict(
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    wrapper.update(cfg.get('model_wrapper_cfg') or {})
    if class_name(wrapper.get('type', 'MMDistributedDataParallel')) == 'MMDistributedDataParallel':
        wrapper['type'] = 'tfinet_mm.CPUDistributedDataParallel'
    cfg.model_wrapper_cfg = wrapper


def join_group(cfg: Config, launcher: str) -> None:
    """Join the process group on GPUs as well, before the Runner would do it.

    Args:
        cfg: The config, after :func:`prepare_launch`; ``env_cfg`` has the options.
        launcher: One of :data:`LAUNCHERS`; with ``'none'`` nothing happens.
    """
    if launcher == 'none' or distributed.is_initialized():
        return
    env_cfg = cfg.get('env_cfg') or {}
    if multiprocessing.get_start_method(allow_none=True) is None:
        # MMEngine's init_dist would choose another start method than its Runner does.
        method = env_cfg.get('mp_cfg', {}).get('mp_start_method', 'fork')
        multiprocessing.set_start_method(method)
    init_dist(launcher, **env_cfg.get('dist_cfg', {}))


def finish_launch() -> None:
    """Leave the process group, if this process is in one and no error is being raised.

    Leaving waits for the other ranks, which may wait for this one: an error
    would be seen after a timeout, or never. A process that ends leaves anyway.
    The threads of the group may outlive this, see :mod:`tfinet_mm.utils.ending`.
    """
    if sys.exc_info()[0] is not None:
        return
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def join_cpu_group(launcher: str) -> None:
    """Join processes that share out work but compute independently, with GPUs or without.

    They talk over gloo, and wait for each other as long as it takes: one may have
    hours more to do. The GPU of a process is the one of its ``LOCAL_RANK``.

    Args:
        launcher: One of :data:`LAUNCHERS`; with ``'none'`` nothing happens.

    Raises:
        ValueError: As :func:`prepare_launch`.
    """
    if launcher not in LAUNCHERS:
        raise ValueError(f'the launcher must be one of {LAUNCHERS}, got {launcher!r}')
    if launcher != 'none':
        _set_rank_variables(launcher, os.environ)
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
    if launcher == 'none' or device not in (None, 'cuda') or not torch.cuda.is_available():
        return device
    index = int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()
    torch.cuda.set_device(index)
    return f'cuda:{index}'


def _set_rank_variables(launcher: str, environ: MutableMapping[str, str]) -> None:
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
