"""Predict pairs of images from Python."""

from tfinet_mm.apis.inferencer import SCDInferencer
from tfinet_mm.apis.result import SCDResult

__all__ = ['SCDInferencer', 'SCDResult']
