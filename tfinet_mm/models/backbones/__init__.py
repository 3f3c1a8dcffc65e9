from tfinet_mm.models.backbones.fused_hrnet import FusedHRNet

__all__ = ['FusedHRNet']
