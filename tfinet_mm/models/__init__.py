from tfinet_mm.models.backbones import FusedHRNet
from tfinet_mm.models.data_preprocessor import PairDataPreprocessor
from tfinet_mm.models.decode_heads import DifferenceHead, ProgressiveHead
from tfinet_mm.models.detectors import SemanticChangeDetector
from tfinet_mm.models.losses import ChangeBCELoss, SemanticCELoss
from tfinet_mm.models.necks import AbsoluteDifference, FeatureInteraction

__all__ = [
    'AbsoluteDifference',
    'ChangeBCELoss',
    'DifferenceHead',
    'FeatureInteraction',
    'FusedHRNet',
    'PairDataPreprocessor',
    'ProgressiveHead',
    'SemanticCELoss',
    'SemanticChangeDetector',
]
