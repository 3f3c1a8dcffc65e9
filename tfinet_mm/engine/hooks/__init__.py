"""Hooks: predictions as label files, pictures of pairs."""

from tfinet_mm.engine.hooks.prediction_writer import PredictionWriterHook
from tfinet_mm.engine.hooks.visualization import PairVisualizationHook

__all__ = ['PairVisualizationHook', 'PredictionWriterHook']
