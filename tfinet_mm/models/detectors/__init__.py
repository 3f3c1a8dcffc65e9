from tfinet_mm.models.detectors.ensemble import SCDEnsemble
from tfinet_mm.models.detectors.semantic_change_detector import SemanticChangeDetector
from tfinet_mm.models.detectors.tta import SCDTTAModel

__all__ = ['SCDEnsemble', 'SCDTTAModel', 'SemanticChangeDetector']
