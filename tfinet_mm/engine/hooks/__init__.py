"""Hooks: predictions as label files, pictures of pairs."""

from tfinet_mm.engine.hooks.class_check import ClassCheckHook
from tfinet_mm.engine.hooks.prediction_writer import PredictionWriterHook
from tfinet_mm.engine.hooks.visualization import PairVisualizationHook

__all__ = ['ClassCheckHook', 'PairVisualizationHook', 'PredictionWriterHook']
