"""Export every kind of network that the configs describe, and compare with torch."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from lively import lively
from mmengine.config import Config
from mmengine.registry import DefaultScope

from tfinet_mm.deploy.card import INPUTS
from tfinet_mm.deploy.graph import ExportGraph
from tfinet_mm.deploy.onnx_file import onnx_model
from tfinet_mm.deploy.tracing import trace
from tfinet_mm.registry import MODELS

onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs' / 'export.md').read_text(encoding='utf-8')
LISTED = re.findall(r'^\| .* \| `(configs/\S+\.py)` \|$', PAGE, re.MULTILINE)
# One for each kind of backbone and head; all others are run by `make test-export`.
SLOW = (
    'configs/tfinet_lite0_fpn.py',
    'configs/tfinet_hrnet18_lightweight.py',
    'configs/senseearth/deeplabv3plus_r18_lightweight.py',
)
QUICK = ('configs/published/tfinet_r18.py', 'configs/baselines/scd_upernet_r18.py')


def read_model(path):
    model = Config.fromfile(path).get('model') or {}
    return None if 'backbone' not in model else without_init(model.to_dict())


def without_init(value):
    if isinstance(value, dict):
        return {key: without_init(part) for key, part in value.items() if key != 'init_cfg'}
    return [without_init(part) for part in value] if isinstance(value, list | tuple) else value


def family(model):
    """Return what an exporter sees of a config: types of parts, and of convolutions."""
    parts = [model[key] for key in ('backbone', 'neck', 'semantic_head', 'change_head')]
    return tuple((part['type'], str((part.get('conv_cfg') or {}).get('type'))) for part in parts)


def test_the_page_lists_every_family():
    listed = {family(read_model(ROOT / config)) for config in LISTED}
    assert len(listed) > 9
    configs = [path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts]
    missing = {
        path.name: family(model)
        for path in configs
        if (model := read_model(path)) is not None and family(model) not in listed
    }
    assert missing == {}
    assert {*QUICK, *SLOW} < set(LISTED)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    'config',
    [
        pytest.param(
            one,
            marks=()
            if one in QUICK
            else (pytest.mark.slow if one in SLOW else pytest.mark.families),
        )
        for one in LISTED
    ],
)
def test_onnx_runtime_predicts_the_same(config):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = lively(MODELS.build(read_model(ROOT / config)))
    model.autocast = None
    graph = ExportGraph(model, 0.5)
    exported = onnx_model(trace(graph, 3)).SerializeToString()
    session = onnxruntime.InferenceSession(exported)
    # Of random networks torch's own rounding in float32 may reach 0.0001.
    model.double().channels_last = False
    draw = torch.Generator().manual_seed(1)
    for shape in ((1, 6, 96, 128), (3, 6, 70, 33)):
        inputs = torch.randint(0, 256, shape, generator=draw, dtype=torch.uint8)
        made = session.run(
            None, dict(zip(INPUTS, (one.numpy() for one in inputs.chunk(2, 1)), strict=True))
        )
        with torch.no_grad():
            normalised = model.data_preprocessor(dict(inputs=inputs.double()))['inputs']
            right = model.predict_probabilities(normalised)
        for one, other in zip(made[:3], right, strict=True):
            assert np.abs(one - other.numpy().reshape(one.shape)).max() < 1e-4
        labels = [right.change[:, 0] >= 0.5, right[0].argmax(1) + 1, right[1].argmax(1) + 1]
        for one, other in zip(made[3:], labels, strict=True):
            assert (one == other.numpy()).mean() > 0.999
