"""Test files of weights: their content and their readers."""

import json

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from tfinet_mm.apis import SCDInferencer
from tfinet_mm.apis.exporting import export_weights
from tfinet_mm.errors import (
    CheckpointMismatchError,
    ClassMismatchError,
    ConfigError,
    NotFiniteWeightsError,
    UntrustedCheckpointError,
)
from tfinet_mm.structures import SECOND, ClassTable

AUXILIARY = dict(
    type='mmseg.FCNHead',
    branch='semantic',
    in_channels=64,
    in_index=-1,
    channels=4,
    num_convs=1,
    num_classes=6,
    norm_cfg=dict(type='BN'),
)


@pytest.fixture
def exported(member, tmp_path):
    """A function that exports a network and returns its config, checkpoint and file of weights."""

    def export(dtype='float16', **options):
        config, checkpoint = member(**options)
        out = tmp_path / 'weights.safetensors'
        export_weights(checkpoint, out, dtype=dtype)
        return config, checkpoint, out

    return export


def metadata(path):
    with safetensors.safe_open(path, 'pt') as file:
        return file.metadata()


def test_the_library_reads_the_checkpoint_in_half_precision(exported):
    _, checkpoint, out = exported()
    written = safetensors.torch.load_file(out)
    trained = torch.load(checkpoint)['state_dict']
    assert set(written) == set(trained)
    for key, value in trained.items():
        kind = torch.float16 if value.is_floating_point() else value.dtype
        assert written[key].dtype == kind
        torch.testing.assert_close(written[key], value.to(kind), rtol=0, atol=0)


def test_the_head_says_which_network_it_is(exported):
    found = metadata(exported()[2])
    config = json.loads(found['config'])
    assert config['model']['type'] == 'tfinet_mm.SemanticChangeDetector'
    assert config['model']['data_preprocessor']['mean'] == [100.0] * 3
    assert 'init_cfg' not in found['config']
    types = [step['type'] for step in config['test_pipeline']]
    assert types == ['tfinet_mm.LoadImagePair', 'tfinet_mm.PackPairInputs']
    classes = json.loads(found['dataset_meta'])
    assert tuple(classes['semantic_classes']) == SECOND.names
    assert [tuple(colour) for colour in classes['semantic_palette']] == list(SECOND.palette)
    assert found['tfinet_mm_format'] == '1'
    assert 'license' not in found


@pytest.mark.parametrize(('dtype', 'tolerance'), [('float32', 1e-6), ('float16', 5e-3)])
def test_it_predicts_what_the_checkpoint_does(exported, image, dtype, tolerance):
    config, checkpoint, out = exported(dtype=dtype)
    expected = SCDInferencer(config, checkpoint)(image(1), image(2))
    for network in (SCDInferencer(out), SCDInferencer(config, out)):
        assert next(network.model.parameters()).dtype == torch.float32
        found = network(image(1), image(2))
        np.testing.assert_allclose(found.change_prob, expected.change_prob, atol=tolerance)
        assert (found.land_cover_from == expected.land_cover_from).mean() > 0.99
        assert found.classes == expected.classes
        assert network.window == 512


def test_settings_of_the_pipeline_and_the_windows_stay(member, image, tmp_path):
    config, checkpoint = member(
        load=dict(value_range=(0.0, 1000.0), bands=(3, 2, 1)),
        test_cfg=dict(mode='slide', crop_size=(32, 32), stride=(16, 16), threshold=0.3),
    )
    out = tmp_path / 'w.safetensors'
    export_weights(checkpoint, out, config, dtype='float32')
    found, expected = SCDInferencer(out), SCDInferencer(config, checkpoint)
    assert list(found.bands) == list(expected.bands) == [3, 2, 1]
    assert found.window == expected.window == 32
    assert found.settings['threshold'] == 0.3
    images = [image(seed, dtype=np.uint16, high=1000) for seed in (1, 2)]
    np.testing.assert_array_equal(found(*images).change, expected(*images).change)


def test_views_that_predictions_average_over_stay(member, tmp_path, image):
    config, checkpoint = member()
    out = tmp_path / 'weights.safetensors'
    views = dict(transforms=['identity', 'rotation_90'], scales=[1.0, 0.5])
    export_weights(checkpoint, out, config, cfg_options=dict(default_tta=views))
    assert SCDInferencer(out).settings['tta'] == [
        *('identity', 'rotation_90', 'identity x 0.5', 'rotation_90 x 0.5')
    ]
    pair = image(1), image(2)
    expected = SCDInferencer(config, checkpoint, tta=views)(*pair).change_prob
    np.testing.assert_allclose(SCDInferencer(out)(*pair).change_prob, expected, atol=2e-3)
    with pytest.raises(ValueError, match='sideways'):
        export_weights(
            checkpoint, out, config, cfg_options={'default_tta': dict(transforms=['sideways'])}
        )


def test_auxiliary_heads_stay_behind(member, tmp_path, image):
    config, checkpoint = member(auxiliary_head=AUXILIARY)
    out = tmp_path / 'w.safetensors'
    written = export_weights(checkpoint, out, dtype='float32')
    assert 'auxiliary_heads.0.conv_seg.weight' in written.dropped
    assert not any('auxiliary' in key for key in safetensors.torch.load_file(out))
    assert 'auxiliary_head' not in json.loads(metadata(out)['config'])['model']
    expected = SCDInferencer(config, checkpoint)(image(1), image(2))
    np.testing.assert_array_equal(SCDInferencer(out)(image(1), image(2)).change, expected.change)


def test_averages_are_taken(member, tmp_path):
    """MMEngine's EMAHook saves them as the state dict, and the plain weights beside it."""
    _, checkpoint = member()
    stored = torch.load(checkpoint)
    plain = {f'module.{key}': torch.zeros_like(v) for key, v in stored['state_dict'].items()}
    stored |= dict(ema_state_dict=plain | dict(steps=torch.tensor(5)), optimizer=dict(state={}))
    stored['meta'] |= dict(epoch=7, iter=70)
    torch.save(stored, checkpoint)
    written = export_weights(checkpoint, tmp_path / 'w.safetensors', license='Apache-2.0')
    assert written.averaged
    found = safetensors.torch.load_file(tmp_path / 'w.safetensors')
    key = 'semantic_head.conv_seg.weight'
    torch.testing.assert_close(found[key], stored['state_dict'][key].half(), rtol=0, atol=0)
    head = metadata(tmp_path / 'w.safetensors')
    assert json.loads(head['training']) == dict(epoch=7, iter=70)
    assert head['license'] == 'Apache-2.0'


def test_what_can_not_be_exported(member, tmp_path, monkeypatch):
    config, checkpoint = member()
    out = tmp_path / 'w.safetensors'
    with pytest.raises(ValueError, match=r'must be called NAME\.safetensors, got w\.pth'):
        export_weights(checkpoint, tmp_path / 'w.pth')
    with pytest.raises(ValueError, match=r"dtype must be one of .* got 'int8'"):
        export_weights(checkpoint, out, dtype='int8')
    with pytest.raises(CheckpointMismatchError, match='of another shape'):
        export_weights(checkpoint, out, config, cfg_options={'model.semantic_head.num_classes': 5})
    options = {'model.data_preprocessor.pad_val': {1, 2}}
    with pytest.raises(ConfigError, match='JSON does not have'):
        export_weights(checkpoint, out, config, cfg_options=options)
    stored = torch.load(checkpoint)
    stored['state_dict']['semantic_head.conv_seg.bias'][0] = 1e6
    torch.save(stored, checkpoint)
    with pytest.raises(NotFiniteWeightsError, match=r'semantic_head\.conv_seg\.bias .* float16'):
        export_weights(checkpoint, out)
    assert not out.exists()
    export_weights(checkpoint, out, dtype='float32')


def test_classes_come_from_the_config_where_the_checkpoint_is_silent(member, tmp_path):
    config, checkpoint = member(table=None)
    out = tmp_path / 'w.safetensors'
    export_weights(checkpoint, out, config)
    assert SCDInferencer(out).class_table == SECOND
    other = ClassTable(('unchanged', 'a'), ((0, 0, 0), (1, 1, 1)))
    with pytest.raises(ClassMismatchError):
        SCDInferencer(out, class_table=other)


def test_the_normalisation_is_stated_though_the_config_leaves_it_out(member, tmp_path):
    _, checkpoint = member(data_preprocessor=dict(type='tfinet_mm.PairDataPreprocessor'))
    export_weights(checkpoint, tmp_path / 'w.safetensors')
    config = json.loads(metadata(tmp_path / 'w.safetensors')['config'])
    assert config['model']['data_preprocessor']['mean'] == [123.675, 116.28, 103.53]
    assert config['model']['data_preprocessor']['std'] == [58.395, 57.12, 57.375]


def test_a_head_with_other_types_is_not_built(exported, tmp_path):
    out = exported()[2]
    head = metadata(out)
    config = json.loads(head['config'])
    config['model']['backbone']['type'] = 'os.system'
    head['config'] = json.dumps(config)
    safetensors.torch.save_file(safetensors.torch.load_file(out), out, head)
    with pytest.raises(UntrustedCheckpointError, match=r"'os\.system', which is registered"):
        SCDInferencer(out)
