from tfinet_mm.models.decode_heads.consistency_head import ConsistencyHead
from tfinet_mm.models.decode_heads.deeplabv3plus_head import DeepLabV3PlusHead
from tfinet_mm.models.decode_heads.difference_head import DifferenceHead
from tfinet_mm.models.decode_heads.progressive_head import ProgressiveHead
from tfinet_mm.models.decode_heads.refined_uper_head import RefinedUPerHead

__all__ = [
    'ConsistencyHead',
    'DeepLabV3PlusHead',
    'DifferenceHead',
    'ProgressiveHead',
    'RefinedUPerHead',
]
