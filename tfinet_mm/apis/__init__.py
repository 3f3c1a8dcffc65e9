"""Predict pairs of images from Python."""

from tfinet_mm.apis.inferencer import SCDInferencer
from tfinet_mm.apis.result import SCDResult
from tfinet_mm.apis.scene import predict_scene
from tfinet_mm.apis.series import predict_series

__all__ = ['SCDInferencer', 'SCDResult', 'predict_scene', 'predict_series']
