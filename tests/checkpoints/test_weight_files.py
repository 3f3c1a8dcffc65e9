"""Files of weights are written and read, and changes in them are found."""

import io
import json
import struct

import pytest
import safetensors.torch
import torch

from tfinet_mm.checkpoints.addresses import read_checkpoint
from tfinet_mm.checkpoints.reading import load_checkpoint_file
from tfinet_mm.checkpoints.weight_files import is_weight_file, write_weight_file
from tfinet_mm.errors import DamagedCheckpointError, NotFiniteWeightsError
from tfinet_mm.structures import SECOND
from tfinet_mm.version import __version__

CONFIG = dict(model=dict(type='A', size=[1, 2]), default_scope='mmseg')


@pytest.fixture
def weights():
    torch.manual_seed(0)
    return {
        'a.weight': torch.randn(3, 2, 2, 2).to(memory_format=torch.channels_last),
        'a.bias': torch.tensor([0.1, 1e-6, 3.0]),
        'a.num_batches_tracked': torch.tensor(7),
        'view': torch.randn(4, 4)[:, 1],
    }


@pytest.fixture
def path(weights, tmp_path):
    file = tmp_path / 'w.safetensors'
    write_weight_file(file, weights, CONFIG, SECOND, dict(epoch=3), license='Apache-2.0')
    return file


def test_what_is_written_is_read(path, weights):
    found = read_checkpoint(path)
    assert set(found['state_dict']) == set(weights)
    for key, value in weights.items():
        read = found['state_dict'][key]
        if value.is_floating_point():
            assert read.dtype == torch.float32
            torch.testing.assert_close(read, value.half().float(), rtol=0, atol=0)
        else:
            torch.testing.assert_close(read, value, rtol=0, atol=0)
    assert found['meta'] == dict(
        epoch=3,
        cfg=CONFIG,
        tfinet_mm_format=1,
        tfinet_mm_version=__version__,
        license='Apache-2.0',
        dataset_meta=SECOND.metainfo(),
    )


@pytest.mark.parametrize(('dtype', 'tolerance'), [('bfloat16', 1e-2), ('float32', 0)])
def test_other_types(weights, tmp_path, dtype, tolerance):
    file = tmp_path / 'w.safetensors'
    write_weight_file(file, weights, CONFIG, SECOND, {}, dtype)
    stored = safetensors.torch.load_file(file)
    assert stored['a.weight'].dtype == getattr(torch, dtype)
    read = load_checkpoint_file(file, map_location='cpu')['state_dict']
    torch.testing.assert_close(read['a.weight'], weights['a.weight'], rtol=tolerance, atol=0)
    assert read['a.weight'].dtype == torch.float32


def test_the_file_has_usual_permissions(path, tmp_path):
    usual = tmp_path / 'usual'
    usual.write_bytes(b'')
    assert path.stat().st_mode == usual.stat().st_mode


def test_an_open_file_is_read(path):
    with io.BytesIO(path.read_bytes()) as file:
        assert is_weight_file(file)
        assert load_checkpoint_file(file)['meta']['epoch'] == 3


def test_a_weight_too_large_is_not_written(weights, tmp_path):
    weights['a.bias'][0] = 1e5
    file = tmp_path / 'w.safetensors'
    with pytest.raises(NotFiniteWeightsError, match=r'a\.bias and 0 more .* --dtype float32'):
        write_weight_file(file, weights, CONFIG, SECOND, {})
    assert not file.exists()


def test_every_changed_byte_is_noticed(path):
    content = path.read_bytes()
    (length,) = struct.unpack('<Q', content[:8])
    # Some change a text of the head, in which no value is checked: only tensors have a hash.
    for place in (3, 8, *range(8 + length, len(content), 5)):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(DamagedCheckpointError, match=r'w\.safetensors'):
            read_checkpoint(path)


@pytest.mark.parametrize('kept', [0, 5, 40, 300, -1])
def test_a_file_that_is_cut_off_is_noticed(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DamagedCheckpointError, match=r'w\.safetensors'):
        read_checkpoint(path)


def change_head(path, **changes):
    with safetensors.safe_open(path, 'pt') as file:
        head = file.metadata() | changes
    head = {key: value for key, value in head.items() if value is not None}
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, head)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(tfinet_mm_format='2', tfinet_mm_version='9.1'), r'has format 2 .* \(9\.1\) or a new'),
        (dict(config=None), "KeyError: 'config'"),
        (dict(config='[]'), 'must be JSON dictionaries'),
        (dict(config='{"model": 3}'), 'must be JSON dictionaries'),
        (dict(training='{'), 'JSONDecodeError'),
        (dict(config='[' * 100_000), 'RecursionError'),
        (dict(dataset_meta='{}'), 'lacks'),
        (dict(dataset_meta=json.dumps(dict(semantic_classes=3, semantic_palette=4))), 'be a list'),
        (dict(sha256='0'), 'the hash of its weights is not the one in its head'),
        (dict(tfinet_mm_format=None), 'is a safetensors file that tools/export_weights.py did not'),
    ],
)
def test_heads_that_mean_nothing(path, changes, message):
    change_head(path, **changes)
    with pytest.raises(DamagedCheckpointError, match=message):
        read_checkpoint(path)


def test_weights_that_are_not_finite_are_refused(path, weights):
    weights['a.bias'] = torch.tensor([1.0, float('nan'), 0.0])
    stored = {key: value.contiguous() for key, value in weights.items()}
    with safetensors.safe_open(path, 'pt') as file:
        head = file.metadata()
    from tfinet_mm.checkpoints.weight_files import digest

    safetensors.torch.save_file(stored, path, head | dict(sha256=digest(stored)))
    with pytest.raises(NotFiniteWeightsError, match=r'a\.bias'):
        read_checkpoint(path)
