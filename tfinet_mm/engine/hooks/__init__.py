"""Check, resume, label, predict, draw and report within MMEngine's Runner."""

from tfinet_mm.engine.hooks.calibration import CalibrationHook
from tfinet_mm.engine.hooks.checkpoint_check import CheckpointCheckHook
from tfinet_mm.engine.hooks.class_check import ClassCheckHook
from tfinet_mm.engine.hooks.compiling import CompileHook
from tfinet_mm.engine.hooks.data_epoch import DataEpochHook
from tfinet_mm.engine.hooks.finite_loss import FiniteLossHook
from tfinet_mm.engine.hooks.foreign_model import ForeignModelHook
from tfinet_mm.engine.hooks.label_check import LabelCheckHook
from tfinet_mm.engine.hooks.label_convention import LabelConventionHook
from tfinet_mm.engine.hooks.land_cover import LandCoverHook
from tfinet_mm.engine.hooks.prediction_writer import PredictionWriterHook
from tfinet_mm.engine.hooks.randomness import RandomnessHook
from tfinet_mm.engine.hooks.resume import ResumeHook
from tfinet_mm.engine.hooks.step_log import StepLogHook
from tfinet_mm.engine.hooks.time_budget import TimeBudgetHook
from tfinet_mm.engine.hooks.visualization import PairVisualizationHook

__all__ = [
    'CalibrationHook',
    'CheckpointCheckHook',
    'ClassCheckHook',
    'CompileHook',
    'DataEpochHook',
    'FiniteLossHook',
    'ForeignModelHook',
    'LabelCheckHook',
    'LabelConventionHook',
    'LandCoverHook',
    'PairVisualizationHook',
    'PredictionWriterHook',
    'RandomnessHook',
    'ResumeHook',
    'StepLogHook',
    'TimeBudgetHook',
]
