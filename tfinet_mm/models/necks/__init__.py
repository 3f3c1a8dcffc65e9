from tfinet_mm.models.necks.absolute_difference import AbsoluteDifference
from tfinet_mm.models.necks.feature_interaction import FeatureInteraction

__all__ = ['AbsoluteDifference', 'FeatureInteraction']
