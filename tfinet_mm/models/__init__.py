from tfinet_mm.utils.check_env import explain_missing
from tfinet_mm.utils.quiet import quiet_imports

with explain_missing(), quiet_imports():
    import mmseg.models  # noqa: F401

from tfinet_mm.models.backbones import EfficientNetLite, FusedHRNet, TwoImageBackbone
from tfinet_mm.models.data_preprocessor import PairDataPreprocessor
from tfinet_mm.models.decode_heads import (
    ConsistencyHead,
    DeepLabV3PlusHead,
    DifferenceHead,
    ProgressiveHead,
    RefinedUPerHead,
)
from tfinet_mm.models.detectors import SCDEnsemble, SCDTTAModel, SemanticChangeDetector
from tfinet_mm.models.lightweight import LightweightConv
from tfinet_mm.models.losses import ChangeBCELoss, SemanticCELoss, SemanticConsistencyLoss
from tfinet_mm.models.necks import AbsoluteDifference, FeatureInteraction, OneDateNeck

__all__ = [
    'AbsoluteDifference',
    'ChangeBCELoss',
    'ConsistencyHead',
    'DeepLabV3PlusHead',
    'DifferenceHead',
    'EfficientNetLite',
    'FeatureInteraction',
    'FusedHRNet',
    'LightweightConv',
    'OneDateNeck',
    'PairDataPreprocessor',
    'ProgressiveHead',
    'RefinedUPerHead',
    'SCDEnsemble',
    'SCDTTAModel',
    'SemanticCELoss',
    'SemanticChangeDetector',
    'SemanticConsistencyLoss',
    'TwoImageBackbone',
]
