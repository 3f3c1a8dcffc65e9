"""Parts are found by name from any scope, with nothing to import first."""

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


@pytest.mark.parametrize('scope', ['mmengine', 'mmseg', 'opencd'])
@pytest.mark.parametrize(
    ('root', 'name', 'module'),
    [
        ('MODELS', 'FusedHRNet', 'tfinet_mm.models'),
        ('TRANSFORMS', 'LoadImagePair', 'tfinet_mm.datasets.transforms'),
    ],
)
def test_found_in_a_fresh_process(scope, root, name, module):
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', FIND.format(scope=scope, root=root, name=name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # mmseg may print what optional parts it lacks before that.
    assert done.stdout.splitlines()[-1].startswith(module)


@pytest.mark.parametrize(
    ('registry', 'names'),
    [
        (
            'MODELS',
            'SemanticChangeDetector FusedHRNet FeatureInteraction AbsoluteDifference '
            'ProgressiveHead DifferenceHead SemanticCELoss ChangeBCELoss PairDataPreprocessor',
        ),
        ('DATASETS', 'SCDDataset SECONDDataset LandsatSCDDataset HRSCDDataset SyntheticSCDDataset'),
        (
            'TRANSFORMS',
            'LoadImagePair LoadPairAnnotations RandomFlipOrRotate RandomCropWithChange '
            'PairPhotoMetricDistortion ExchangeDates PackPairInputs',
        ),
        ('METRICS', 'SCDMetric'),
        ('HOOKS', 'PredictionWriterHook PairVisualizationHook ClassCheckHook CheckpointCheckHook'),
    ],
)
def test_everything_promised_is_registered(registry, names):
    import tfinet_mm.registry

    for name in names.split():
        assert getattr(tfinet_mm.registry, registry).get(f'tfinet_mm.{name}') is not None, name
