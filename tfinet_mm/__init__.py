"""TFINet-MM: semantic change detection for MMEngine."""

from tfinet_mm.utils.check_env import check_stack
from tfinet_mm.version import __version__

check_stack()

__all__ = ['__version__']
