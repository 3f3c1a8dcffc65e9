import pytest
from mmengine.config import Config, ConfigDict
from mmengine.config.lazy import LazyObject
from mmengine.registry import MODELS as ROOT
from mmseg.models.decode_heads import FCNHead

from tfinet_mm.evaluation import SCDMetric
from tfinet_mm.registry import METRICS
from tfinet_mm.utils.class_names import class_name, find_class, is_class, with_paths, written_name

WAYS = [
    'tfinet_mm.SCDMetric',
    'tfinet_mm.evaluation.metric.SCDMetric',
    SCDMetric,
    LazyObject('tfinet_mm.evaluation', 'SCDMetric'),
]


@pytest.mark.parametrize('kind', WAYS, ids=str)
def test_each_way_to_write_a_class(kind):
    assert class_name(kind) == 'SCDMetric'
    assert written_name(kind).startswith('tfinet_mm.')
    assert written_name(kind).endswith('.SCDMetric')
    assert find_class(METRICS, kind) is SCDMetric
    for part in (kind, dict(type=kind), ConfigDict(type=kind)):
        assert is_class(part, 'tfinet_mm.SCDMetric')
        assert not is_class(part, 'mmseg.SCDMetric')
        assert not is_class(part, 'tfinet_mm.Metric')


def test_a_name_without_package_is_of_the_scope():
    assert is_class('SCDMetric', 'tfinet_mm.SCDMetric')
    assert not is_class({}, 'tfinet_mm.SCDMetric')
    assert find_class(ROOT, 'NoSuchModel') is None
    assert written_name(FCNHead) == 'mmseg.FCNHead'


def test_a_config_of_classes_as_text(tmp_path):
    values = with_paths(Config(dict(a=[dict(type=FCNHead, size=(1, 2))], b=len, c='x')))
    assert values['a'] == [dict(type='mmseg.models.decode_heads.fcn_head.FCNHead', size=(1, 2))]
    assert values['c'] == 'x'
    assert find_class(ROOT, values['a'][0]['type']) is FCNHead
