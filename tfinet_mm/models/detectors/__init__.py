from tfinet_mm.models.detectors.ensemble import SCDEnsemble
from tfinet_mm.models.detectors.semantic_change_detector import SemanticChangeDetector

__all__ = ['SCDEnsemble', 'SemanticChangeDetector']
