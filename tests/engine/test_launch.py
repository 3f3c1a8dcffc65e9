"""Test the start of ranks; two real ones run in tests/tools/test_dist.py."""

import os

import pytest
import torch
from mmengine.config import Config
from mmengine.model import is_model_wrapper
from torch import distributed, nn

from tfinet_mm.engine import launch
from tfinet_mm.engine.launch import CPUDistributedDataParallel, join_group, prepare_launch
from tfinet_mm.engine.ranks import finish_launch, join_cpu_group, rank_device
from tfinet_mm.registry import MODEL_WRAPPERS
from tfinet_mm.utils.dist import on_first_rank

VARIABLES = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """No launcher's variables, no GPU, and no process group left behind."""
    for name in list(os.environ):
        if name in VARIABLES or name.startswith(('SLURM_', 'OMPI_')):
            monkeypatch.delenv(name)
    monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
    # Variables that the tested code sets must be undone as well.
    for name in VARIABLES:
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    yield
    finish_launch()


@pytest.fixture
def one_rank(monkeypatch):
    """torchrun's variables of a run of one rank."""
    store = distributed.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False)
    port, _ = store.port, store
    del store
    values = ('0', '1', '0', '127.0.0.1', str(port))
    for name, value in zip(VARIABLES, values, strict=True):
        monkeypatch.setenv(name, value)


def test_no_launcher_changes_nothing():
    cfg = Config(dict())
    prepare_launch(cfg, 'none')
    assert dict(cfg) == {'launcher': 'none'}
    assert not distributed.is_initialized()


def test_gloo_where_there_is_no_gpu(one_rank):
    cfg = Config(dict(find_unused_parameters=True))
    prepare_launch(cfg, 'pytorch')
    assert distributed.get_backend() == 'gloo'
    wrapper = cfg.model_wrapper_cfg
    assert wrapper == dict(
        type='tfinet_mm.CPUDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=True,
    )
    assert MODEL_WRAPPERS.get(wrapper.type.split('.')[1]) is CPUDistributedDataParallel

    model = nn.Sequential(nn.Linear(2, 3), nn.SyncBatchNorm(3))
    model[1].running_mean.fill_(7)
    weight = model[1].weight
    # The Runner passes the rank as a device.
    wrapped = CPUDistributedDataParallel(model, device_ids=[0])
    assert is_model_wrapper(wrapped)
    norm = wrapped.module[1]
    assert not isinstance(norm, nn.SyncBatchNorm)
    assert norm.weight is weight
    assert norm.running_mean.tolist() == [7, 7, 7]
    wrapped(torch.randn(4, 2)).sum().backward()
    assert wrapped.module[0].weight.grad is not None
    finish_launch()
    assert not distributed.is_initialized()


def test_a_wrapper_of_the_config_is_kept(one_rank):
    cfg = Config(dict(model_wrapper_cfg=dict(type='My', broadcast_buffers=True)))
    prepare_launch(cfg, 'pytorch')
    assert cfg.model_wrapper_cfg.type == 'My'
    assert cfg.model_wrapper_cfg.broadcast_buffers is True


def test_gpus_are_left_to_mmengine(monkeypatch):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    for name, value in zip(VARIABLES, ('1', '2', '0', 'x', '1'), strict=True):
        monkeypatch.setenv(name, value)
    cfg = Config(dict())
    prepare_launch(cfg, 'pytorch')
    assert dict(cfg) == {'launcher': 'pytorch'}
    assert not distributed.is_initialized()
    monkeypatch.setenv('LOCAL_RANK', '1')
    with pytest.raises(ValueError, match=r'rank 1 .* has no GPU: there are 1'):
        prepare_launch(cfg, 'pytorch')


def test_slurm_variables_become_torchs(monkeypatch):
    monkeypatch.setattr(distributed, 'init_process_group', lambda *args, **kwargs: None)
    for name, value in {
        'SLURM_PROCID': '3',
        'SLURM_NTASKS': '8',
        'SLURM_LOCALID': '1',
        'SLURM_NNODES': '1',
        'SLURM_JOB_ID': '45678',
    }.items():
        monkeypatch.setenv(name, value)
    prepare_launch(Config(dict()), 'slurm')
    assert [os.environ[name] for name in VARIABLES] == ['3', '8', '1', '127.0.0.1', '25678']


def test_slurm_on_several_machines_asks_for_the_first(monkeypatch, tmp_path):
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text('#!/bin/sh\n[ "$3" = "n[1-2]" ] && printf "n1\\nn2\\n"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}{os.pathsep}{os.environ["PATH"]}')
    monkeypatch.setattr(distributed, 'init_process_group', lambda *args, **kwargs: None)
    for name, value in {
        'SLURM_PROCID': '0',
        'SLURM_NTASKS': '2',
        'SLURM_LOCALID': '0',
        'SLURM_NNODES': '2',
        'SLURM_NODELIST': 'n[1-2]',
        'MASTER_PORT': '1234',
    }.items():
        monkeypatch.setenv(name, value)
    prepare_launch(Config(dict()), 'slurm')
    assert (os.environ['MASTER_ADDR'], os.environ['MASTER_PORT']) == ('n1', '1234')


def test_mpi_variables_become_torchs(monkeypatch):
    monkeypatch.setattr(distributed, 'init_process_group', lambda *args, **kwargs: None)
    for name, value in {
        'OMPI_COMM_WORLD_RANK': '1',
        'OMPI_COMM_WORLD_SIZE': '2',
        'OMPI_COMM_WORLD_LOCAL_RANK': '1',
        'OMPI_COMM_WORLD_LOCAL_SIZE': '1',
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match='MASTER_ADDR'):
        prepare_launch(Config(dict()), 'mpi')
    monkeypatch.setenv('OMPI_COMM_WORLD_LOCAL_SIZE', '2')
    prepare_launch(Config(dict()), 'mpi')
    assert [os.environ[name] for name in VARIABLES] == ['1', '2', '1', '127.0.0.1', '29500']


@pytest.mark.parametrize(
    ('launcher', 'hint'),
    [('pytorch', 'tools/dist_'), ('slurm', 'tools/slurm_'), ('mpi', 'mpirun'), ('x', "got 'x'")],
)
def test_what_is_missing_is_said(launcher, hint):
    with pytest.raises(ValueError, match=hint):
        prepare_launch(Config(dict()), launcher)


def test_processes_that_share_work_out(one_rank):
    """A single process uses gloo on any machine, with a long timeout."""
    join_cpu_group('none')
    assert not distributed.is_initialized()
    assert on_first_rank(lambda: 5) == 5
    join_cpu_group('pytorch')
    assert distributed.get_backend() == 'gloo'
    join_cpu_group('pytorch')
    assert on_first_rank(lambda: dict(a=1)) == dict(a=1)
    with pytest.raises(OSError, match='disk full'):
        on_first_rank(_fail)
    with pytest.raises(ValueError, match='launcher must be one of'):
        join_cpu_group('ssh')


def test_an_error_on_its_way_is_not_held_up(one_rank):
    """Leaving the group would wait for ranks that wait for this one."""
    join_cpu_group('pytorch')
    with pytest.raises(OSError, match='disk full'):
        _fail_and_leave()
    assert distributed.is_initialized()
    finish_launch()
    assert not distributed.is_initialized()


def test_each_process_of_a_machine_has_a_gpu(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, 'set_device', chosen.append)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setenv('LOCAL_RANK', '3')
    assert rank_device('pytorch') is None
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert rank_device('none') is None
    assert rank_device('slurm', 'cpu') == 'cpu'
    assert chosen == []
    assert rank_device('pytorch') == rank_device('slurm', 'cuda') == 'cuda:1'
    assert chosen == [1, 1]


def _fail():
    raise OSError('disk full')


def test_the_group_is_joined_as_the_config_says(monkeypatch):
    joined = []
    monkeypatch.setattr(launch, 'init_dist', lambda *args, **kwargs: joined.append((args, kwargs)))
    join_group(Config(), 'none')
    assert joined == []
    cfg = Config(dict(env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=60))))
    join_group(cfg, 'pytorch')
    assert joined == [(('pytorch',), dict(backend='nccl', timeout=60))]
    with monkeypatch.context() as patch:
        patch.setattr(launch.distributed, 'is_initialized', lambda: True)
        join_group(cfg, 'pytorch')
    assert len(joined) == 1


def _fail_and_leave():
    try:
        _fail()
    finally:
        finish_launch()
