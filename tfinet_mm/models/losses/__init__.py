from tfinet_mm.models.losses.change_bce import ChangeBCELoss
from tfinet_mm.models.losses.semantic_ce import SemanticCELoss
from tfinet_mm.models.losses.semantic_consistency import SemanticConsistencyLoss

__all__ = ['ChangeBCELoss', 'SemanticCELoss', 'SemanticConsistencyLoss']
