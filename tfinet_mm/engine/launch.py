"""Start the ranks of a distributed run, on machines without a GPU too.

MMEngine's launchers give every rank a GPU. Where there is none,
:func:`prepare_launch` makes the process group itself, over gloo, before the
Runner is built, since MMEngine leaves a group alone that exists already, and
chooses a model wrapper that asks for no device. On GPUs MMEngine does all of it.
"""

from __future__ import annotations

import multiprocessing
import os
from datetime import timedelta
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import init_dist
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from torch import distributed, nn

from tfinet_mm.engine.ranks import LAUNCHERS, set_rank_variables
from tfinet_mm.registry import MODEL_WRAPPERS
from tfinet_mm.utils.class_names import class_name


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
    set_rank_variables(launcher, os.environ)
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
