"""Test files for Deepness: run as that plugin does, they give what the network predicts."""

import json

import numpy as np
import pytest

from tfinet_mm.apis import SCDInferencer
from tfinet_mm.apis.network_export import export_for_deepness
from tfinet_mm.errors import ExportError

pytest.importorskip('onnxscript')
onnxruntime = pytest.importorskip('onnxruntime')
SIDE = 64
# The keys that the plugin's own settings have, from its documentation of model metadata.
KEYS = {
    'model_type', 'class_names', 'resolution', 'tiles_size', 'tiles_overlap', 'seg_thresh',
    'seg_small_segment', 'standardization_mean', 'standardization_std',
}  # fmt: skip


@pytest.fixture(scope='module')
def pair():
    draw = np.random.default_rng(0)
    return draw.integers(0, 256, (2, SIDE // 8, SIDE // 8, 3), np.uint8).repeat(8, 1).repeat(8, 2)


@pytest.fixture(scope='module')
def result(pair):
    return SCDInferencer(tta=False, amp='float32')(*pair)


@pytest.mark.parametrize('shown', ['change', 'after'])
def test_it_predicts_as_the_network_from_the_settings_in_the_file(shown, pair, result, tmp_path):
    path = tmp_path / 'net.onnx'
    export_for_deepness(out=path, shown=shown, size=(SIDE, SIDE), resolution=0.5, tta=False)
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    stated = session.get_modelmeta().custom_metadata_map
    assert stated.keys() >= KEYS
    settings = {key: json.loads(value) for key, value in stated.items()}
    assert settings['model_type'] == 'Segmentor'
    assert (settings['resolution'], settings['tiles_size']) == (50, SIDE)
    # What the plugin's program asks for: the name it reads the side by, no median filter, a
    # standardisation of each band, classes numbered from 0, one output of square masks.
    assert settings['tile_size'] == SIDE
    assert settings['seg_small_segment'] == 0
    assert 0 < settings['tiles_overlap'] < 100
    assert len(settings['standardization_mean']) == len(settings['standardization_std']) == 6
    assert list(map(int, settings['class_names'])) == list(range(len(settings['class_names'])))
    (output,) = session.get_outputs()
    assert output.shape[0] == 1
    assert output.shape[2:] == [SIDE, SIDE]
    # One channel stands for two classes.
    assert len(settings['class_names']) == max(output.shape[1], 2)
    # EfficientNet-Lite was trained on -1..1, so its mean is grey, for the bands of either date.
    np.testing.assert_allclose(settings['standardization_mean'], [0.5] * 6, atol=3e-3)
    (given,) = session.get_inputs()
    assert given.shape == [1, 6, SIDE, SIDE]
    # Deepness: 8 bits to 0..1, standardised, channels first.
    tile = np.concatenate(pair, -1) / np.float32(255)
    tile = (tile - settings['standardization_mean']) / settings['standardization_std']
    (found,) = session.run(None, {given.name: tile.transpose(2, 0, 1)[None].astype(np.float32)})
    if shown == 'change':
        assert found.shape == (1, 1, SIDE, SIDE)
        assert list(settings['class_names'].values()) == ['unchanged', 'changed']
        np.testing.assert_allclose(found[0, 0], result.change_prob, atol=1e-4)
        changed = found[0, 0] >= settings['seg_thresh']
        assert 0 < result.change.mean() < 1
        assert (changed == result.change).mean() > 0.999
    else:
        # 0 turns the threshold off; the likeliest class counts.
        assert settings['seg_thresh'] == 0
        assert list(settings['class_names'].values()) == list(result.class_table.names[1:])
        assert (found[0].argmax(0) + 1 == result.land_cover_to).mean() > 0.999


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(size=(64, 96)), 'square tiles'),
        (dict(shown='both'), 'one of change, before, after'),
        (dict(resolution=None), '--resolution METRES'),
        (dict(out='net.xml'), 'ONNX alone'),
        (dict(value_range=(0, 3000)), '8 bits'),
    ],
)
def test_what_deepness_cannot_run_is_refused(options, message, tmp_path):
    options = dict(size=(64, 64), resolution=0.5, tta=False) | options
    out = tmp_path / options.pop('out', 'net.onnx')
    with pytest.raises(ExportError, match=message):
        export_for_deepness(out=out, **options)
    assert not out.exists()
