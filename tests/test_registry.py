"""Test that parts are found by name from any scope, without imports."""

import json
import subprocess
import sys

import pytest

FIND = """
from mmengine.registry import {root}, DefaultScope, Registry
scope = {scope!r}
if scope == 'opencd':  # as Open-CD makes its registries
    registry = Registry('part', parent={root}, scope=scope)
elif scope == 'mmseg':
    from mmseg.registry import {root} as registry
else:
    registry = {root}
with DefaultScope.overwrite_default_scope(scope):
    print(registry.get('tfinet_mm.{name}').__module__)
"""
# MMEngine alone is imported once for all cases. Each then looks for its part in its own process.
EACH = """
import json, os, sys
import mmengine.registry
assert not any(name.partition('.')[0] in ('tfinet_mm', 'mmseg') for name in sys.modules)
for number, case in enumerate(json.loads(sys.argv[1])):
    process = os.fork()
    if process == 0:
        with open(str(number), 'w') as file:
            os.dup2(file.fileno(), 1)
            os.dup2(1, 2)
        exec(case)
        break
    os.waitpid(process, 0)
"""
SCOPES = ('mmengine', 'mmseg', 'opencd')
PARTS = {
    'FusedHRNet': ('MODELS', 'tfinet_mm.models'),
    'ReliabilityMetric': ('METRICS', 'tfinet_mm.evaluation'),
    'LoadImagePair': ('TRANSFORMS', 'tfinet_mm.datasets.transforms'),
}
CASES = [(scope, name) for scope in SCOPES for name in PARTS]


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    """Return the output of each case."""
    folder = tmp_path_factory.mktemp('found')
    programs = [FIND.format(scope=scope, root=PARTS[name][0], name=name) for scope, name in CASES]
    subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', EACH, json.dumps(programs)], cwd=folder, check=True
    )
    return {case: (folder / str(number)).read_text() for number, case in enumerate(CASES)}


@pytest.mark.parametrize(('scope', 'name'), CASES)
def test_found_in_a_fresh_process(found, scope, name):
    # mmseg may print the optional parts that it lacks before that.
    assert found[scope, name].splitlines()[-1].startswith(PARTS[name][1]), found[scope, name]


@pytest.mark.parametrize(
    ('registry', 'names'),
    [
        (
            'MODELS',
            'SemanticChangeDetector FusedHRNet FeatureInteraction AbsoluteDifference '
            'ProgressiveHead DifferenceHead ConsistencyHead SemanticCELoss ChangeBCELoss '
            'SemanticConsistencyLoss PairDataPreprocessor',
        ),
        ('DATASETS', 'SCDDataset SECONDDataset LandsatSCDDataset HRSCDDataset SyntheticSCDDataset'),
        (
            'TRANSFORMS',
            'LoadImagePair LoadPairAnnotations RandomFlipOrRotate RandomCropWithChange '
            'PairPhotoMetricDistortion MatchRadiometry ExchangeDates PackPairInputs',
        ),
        ('METRICS', 'SCDMetric'),
        ('HOOKS', 'PredictionWriterHook PairVisualizationHook ClassCheckHook CheckpointCheckHook'),
    ],
)
def test_everything_promised_is_registered(registry, names):
    import tfinet_mm.registry

    for name in names.split():
        assert getattr(tfinet_mm.registry, registry).get(f'tfinet_mm.{name}') is not None, name
