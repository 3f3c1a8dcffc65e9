"""Test the usable devices, and the fastest type on made-up ones and once on the real CPU."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tfinet_mm.utils import device as module
from tfinet_mm.utils import processor
from tfinet_mm.utils.device import (
    autocast,
    best_precision,
    check_precision,
    default_device,
    resolve_precision,
    resolve_precisions,
    surrounding_autocast,
    usable_device,
)

# Lines of /proc/cpuinfo: an AMD EPYC of 2019, an Intel Xeon of 2023, an AWS Graviton 3.
AVX2 = 'processor\t: 0\nflags\t\t: fpu sse4_2 fma avx2 f16c\nbugs\t\t: x\n'
AMX = 'flags\t\t: avx2 avx512f avx512bw avx512_bf16 amx_bf16 amx_tile\n'
GRAVITON = 'processor\t: 0\nFeatures\t: fp asimd sve i8mm bf16 dgh\n'


@pytest.fixture
def cpu(monkeypatch, tmp_path):
    """A function that makes up a CPU of Linux; by default its torch tells nothing."""

    def make(
        machine='x86_64', used='AVX512', capabilities=None, cpuinfo='', system='linux', **environ
    ):
        for name in ('ONEDNN_MAX_CPU_ISA', 'DNNL_MAX_CPU_ISA'):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(module.platform, 'machine', lambda: machine)
        monkeypatch.setattr(module.sys, 'platform', system)
        monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: used)
        for name in ('_is_avx512_bf16_supported', '_is_amx_tile_supported', 'get_capabilities'):
            monkeypatch.delattr(torch.cpu, name, raising=False)
        if capabilities is not None:
            monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: capabilities, raising=False)
        monkeypatch.setattr(torch.backends.mkldnn, 'is_available', lambda: True)
        (tmp_path / 'cpuinfo').write_text(cpuinfo)
        monkeypatch.setattr(processor, 'CPUINFO', tmp_path / 'cpuinfo')

    return make


@pytest.mark.parametrize(
    ('made', 'dtype', 'reason'),
    [
        (dict(capabilities=dict(amx_bf16=True, avx512_bf16=True)), 'bfloat16', 'AMX, AVX512-BF16'),
        (dict(capabilities=dict(avx512_bf16=True)), 'bfloat16', r'\(AVX512-BF16\)'),
        (dict(capabilities=dict(avx512_f=True, avx512_vnni=True)), 'float32', r'units \(AVX512\)'),
        # Only converts between the types.
        (dict(capabilities=dict(avx_ne_convert=True), used='AVX2'), 'float32', r'units \(AVX2\)'),
        (dict(cpuinfo=AMX), 'bfloat16', 'AMX, AVX512-BF16'),
        (dict(cpuinfo=AVX2, used='AVX2'), 'float32', 'AVX2'),
        (dict(cpuinfo=AVX2), 'float32', 'no bfloat16 units'),
        # Limits of torch's and of oneDNN's own.
        (dict(cpuinfo=AMX, used='AVX2'), 'float32', 'AVX2'),
        (dict(cpuinfo=AMX, used='NO AVX'), 'float32', 'NO AVX'),
        (dict(cpuinfo=AMX, ONEDNN_MAX_CPU_ISA='AVX2'), 'float32', 'ONEDNN_MAX_CPU_ISA=AVX2'),
        (dict(cpuinfo=AMX, DNNL_MAX_CPU_ISA='avx512_core_vnni'), 'float32', 'DNNL_MAX_CPU_ISA'),
        (dict(cpuinfo=AMX, ONEDNN_MAX_CPU_ISA='AVX2_VNNI_2'), 'float32', 'AVX2_VNNI_2'),
        (dict(cpuinfo=AMX, ONEDNN_MAX_CPU_ISA='AVX512_CORE_BF16'), 'bfloat16', 'AVX512-BF16'),
        (dict(cpuinfo=AMX, ONEDNN_MAX_CPU_ISA='ALL', DNNL_MAX_CPU_ISA='AVX2'), 'bfloat16', 'AMX'),
        # ARM.
        (dict(machine='aarch64', used='SVE256', capabilities=dict(bf16=True)), 'bfloat16', 'ARM'),
        (dict(machine='aarch64', used='DEFAULT', capabilities=dict(neon=1)), 'float32', 'ARM'),
        (
            dict(machine='arm64', system='darwin', used='DEFAULT', capabilities=dict(bf16=True)),
            'float32',
            'ARM',
        ),
    ],
)
def test_cpus(cpu, made, dtype, reason):
    cpu(**made)
    found = best_precision('cpu')
    assert found.dtype == dtype
    assert re.search(reason, found.reason), found.reason
    assert best_precision(torch.device('cpu')) == found


def test_older_torch_is_asked_by_its_own_functions(cpu, monkeypatch):
    cpu(cpuinfo=AVX2)
    monkeypatch.setattr(torch.cpu, '_is_avx512_bf16_supported', lambda: True, raising=False)
    assert best_precision('cpu') == (
        'bfloat16',
        'this CPU has bfloat16 units (AVX512-BF16)',
    )
    monkeypatch.setattr(torch.cpu, '_is_avx512_bf16_supported', lambda: False)
    assert best_precision('cpu').dtype == 'float32'
    monkeypatch.setattr(torch.cpu, '_is_amx_tile_supported', lambda: True, raising=False)
    assert best_precision('cpu').dtype == 'bfloat16'


@pytest.mark.parametrize(('cpuinfo', 'dtype'), [(GRAVITON, 'bfloat16'), (AVX2, 'float32')])
def test_older_torch_on_arm(cpu, monkeypatch, cpuinfo, dtype):
    cpu(machine='aarch64', used='DEFAULT', cpuinfo=cpuinfo)
    monkeypatch.setattr(module.torch, 'ops', object())
    assert best_precision('cpu').dtype == dtype


def test_a_torch_without_onednn(cpu, monkeypatch):
    cpu(cpuinfo=AMX)
    monkeypatch.setattr(torch.backends.mkldnn, 'is_available', lambda: False)
    assert best_precision('cpu') == ('float32', 'this torch computes without oneDNN on the CPU')


def test_no_cpuinfo(cpu, monkeypatch, tmp_path):
    cpu()
    monkeypatch.setattr(processor, 'CPUINFO', tmp_path / 'nowhere')
    assert best_precision('cpu').dtype == 'float32'


@pytest.mark.parametrize(
    ('capability', 'dtype'),
    [((9, 0), 'bfloat16'), ((8, 0), 'bfloat16'), ((7, 5), 'float16'), ((6, 1), 'float16')],
)
def test_gpus(made_up_gpu, capability, dtype):
    made_up_gpu(*capability)
    for device in ('cuda', 'cuda:1', torch.device('cuda', 1)):
        found = best_precision(device)
        assert found.dtype == dtype
        assert f'capability {capability[0]}.{capability[1]}' in found.reason


@pytest.mark.parametrize('device', ['mps', 'npu', 'meta', 'xpu:1'])
def test_other_devices(device):
    assert best_precision(device).dtype == 'float32'
    assert resolve_precision('auto', device) == 'float32'


def test_the_device_of_the_machine(made_up_gpu, monkeypatch):
    made_up_gpu(8, 0)
    assert default_device() == 'cuda'
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert default_device() == 'cpu'


PRINT = """
from tfinet_mm.utils.device import best_precision
print(best_precision('cpu').dtype)
"""


def test_this_cpu_and_the_emulation(monkeypatch):
    emulated = {'ONEDNN_MAX_CPU_ISA': 'AVX2', 'ATEN_CPU_CAPABILITY': 'avx2'}
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', PRINT],
        env=os.environ | emulated,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == 'float32'
    limits = ('ATEN_CPU_CAPABILITY', 'ONEDNN_MAX_CPU_ISA', 'DNNL_MAX_CPU_ISA')
    flags = Path('/proc/cpuinfo')
    if not flags.is_file() or any(name in os.environ for name in limits):
        pytest.skip('nothing to compare with: no /proc/cpuinfo, or this process is limited itself')
    words = set(flags.read_text().split())
    units = words & {'avx512_bf16', 'amx_bf16', 'bf16'}
    assert best_precision('cpu').dtype == ('bfloat16' if units else 'float32')


def test_auto_is_logged_once_with_its_reason(cpu, said):
    cpu(cpuinfo=AMX)
    assert [resolve_precision('auto', 'cpu') for _ in range(3)] == ['bfloat16'] * 3
    assert said == [
        (
            logging.INFO,
            "Computing in bfloat16 on the device 'cpu' ('auto'): this CPU has bfloat16 units "
            '(AMX, AVX512-BF16)',
        )
    ]


def test_explicit_types_are_obeyed_with_one_warning_where_slower(cpu, made_up_gpu, said):
    cpu(cpuinfo=AVX2, used='AVX2')
    made_up_gpu(7, 5)
    for device, dtype, slower in (
        ('cpu', 'bfloat16', True),
        ('cpu', 'float16', True),
        ('cuda', 'bfloat16', True),
        ('cuda', 'float16', False),
        ('cpu', 'float32', False),
        ('cpu', None, False),
    ):
        before = len(said)
        for _ in range(2):
            assert resolve_precision(dtype, device) == (dtype or 'float32')
        assert len(said) - before == slower
    assert {level for level, _ in said} == {logging.WARNING}
    cpu(cpuinfo=AMX)
    made_up_gpu(8, 6)
    del said[:]
    resolve_precision('bfloat16', 'cpu')
    resolve_precision('bfloat16', 'cuda')
    assert said == []


def test_float16_by_auto_only_where_the_loss_is_scaled(made_up_gpu, said):
    made_up_gpu(7, 0)
    assert resolve_precision('auto', 'cuda') == 'float16'
    assert resolve_precision('auto', 'cuda', scaled=False) == 'float32'
    assert 'AmpOptimWrapper' in said[-1][1]
    made_up_gpu(8, 0)
    assert resolve_precision('auto', 'cuda', scaled=False) == 'bfloat16'


def test_several_networks(cpu, said):
    cpu(cpuinfo=AMX)
    assert resolve_precisions(['auto', 'bfloat16'], 'cpu') == 'bfloat16'
    assert resolve_precisions([None, 'auto'], 'cpu', log=False) == ['float32', 'bfloat16']
    assert len(said) == 1


def test_names_of_types():
    assert check_precision('float32') is None
    assert check_precision(None) is None
    assert check_precision('auto') == 'auto'
    with pytest.raises(ValueError, match="'auto', 'bfloat16', 'float16', 'float32', got 'int8'"):
        check_precision('int8')


def test_contexts():
    x = torch.ones(2, 2)
    with autocast('bfloat16', x.device):
        assert (x @ x).dtype == torch.bfloat16
        assert surrounding_autocast(x.device) == 'bfloat16'
        with torch.autocast('cpu', enabled=False):
            assert surrounding_autocast('cpu') is None
    with autocast('float32', 'cpu'):
        assert (x @ x).dtype == torch.float32
    assert surrounding_autocast('cpu') is None
    assert surrounding_autocast('meta') is None


def test_the_cpu_can_be_used():
    assert usable_device('cpu') == torch.device('cpu')
    assert usable_device(torch.device('cpu')) == torch.device('cpu')


@pytest.mark.parametrize('name', ['gpu', 'cuda:99', 'meta', 'cpu:x'])
def test_what_cannot_be_used_is_named(name):
    with pytest.raises(ValueError, match=f"device '{name}' can't be used"):
        usable_device(name)
