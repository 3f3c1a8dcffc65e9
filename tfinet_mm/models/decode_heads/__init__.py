from tfinet_mm.models.decode_heads.deeplabv3plus_head import DeepLabV3PlusHead
from tfinet_mm.models.decode_heads.difference_head import DifferenceHead
from tfinet_mm.models.decode_heads.progressive_head import ProgressiveHead

__all__ = ['DeepLabV3PlusHead', 'DifferenceHead', 'ProgressiveHead']
