from tfinet_mm.models.decode_heads.difference_head import DifferenceHead
from tfinet_mm.models.decode_heads.progressive_head import ProgressiveHead

__all__ = ['DifferenceHead', 'ProgressiveHead']
