from tfinet_mm.models.backbones.efficientnet_lite import EfficientNetLite
from tfinet_mm.models.backbones.fused_hrnet import FusedHRNet
from tfinet_mm.models.backbones.two_images import TwoImageBackbone

__all__ = ['EfficientNetLite', 'FusedHRNet', 'TwoImageBackbone']
