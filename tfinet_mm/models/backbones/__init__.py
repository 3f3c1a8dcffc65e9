from tfinet_mm.models.backbones.efficientnet_lite import EfficientNetLite
from tfinet_mm.models.backbones.fused_hrnet import FusedHRNet

__all__ = ['EfficientNetLite', 'FusedHRNet']
