from tfinet_mm.models.necks.absolute_difference import AbsoluteDifference
from tfinet_mm.models.necks.feature_interaction import FeatureInteraction
from tfinet_mm.models.necks.one_date import OneDateNeck

__all__ = ['AbsoluteDifference', 'FeatureInteraction', 'OneDateNeck']
