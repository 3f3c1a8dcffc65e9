"""TFINet-MM: semantic change detection for MMEngine."""

from tfinet_mm.version import __version__

__all__ = ['__version__']
