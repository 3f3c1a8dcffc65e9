"""Write a config in MMEngine's new style, as users do: classes, not names; bases by import."""

BASE = """
from mmengine.dataset import DefaultSampler
from mmengine.hooks import (
    CheckpointHook, DistSamplerSeedHook, IterTimerHook, LoggerHook, ParamSchedulerHook,
    SyncBuffersHook)
from mmengine.optim import OptimWrapper, PolyLR
from mmengine.runner import EpochBasedTrainLoop, TestLoop, ValLoop
from mmengine.visualization import LocalVisBackend, Visualizer
from torch.optim import Adam

from tfinet_mm.datasets import SyntheticSCDDataset
from tfinet_mm.datasets.transforms import LoadImagePair, LoadPairAnnotations, PackPairInputs
from tfinet_mm.engine.hooks import (
    CheckpointCheckHook, ClassCheckHook, LabelCheckHook, PairVisualizationHook)
from tfinet_mm.engine.runner import SCDRunner
from tfinet_mm.evaluation import SCDMetric

default_scope = 'mmseg'
runner_type = SCDRunner
data_root = {data!r}
train_pipeline = [
    dict(type=LoadImagePair), dict(type=LoadPairAnnotations), dict(type=PackPairInputs)]
test_pipeline = train_pipeline
tta_pipeline = test_pipeline
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type=DefaultSampler, shuffle=True),
    dataset=dict(type=SyntheticSCDDataset, data_root=data_root + '/train', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(
        type=SyntheticSCDDataset, data_root=data_root + '/val', pipeline=test_pipeline,
        test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type=SCDMetric)
test_evaluator = val_evaluator
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=Adam, lr=1e-3))
param_scheduler = dict(type=PolyLR, power=1.0, eta_min=0.0, begin=0, end=52, by_epoch=True)
train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=1, val_interval=1)
val_cfg = dict(type=ValLoop)
test_cfg = dict(type=TestLoop)
default_hooks = dict(
    timer=dict(type=IterTimerHook),
    logger=dict(type=LoggerHook, interval=1),
    param_scheduler=dict(type=ParamSchedulerHook),
    checkpoint=dict(
        type=CheckpointHook, by_epoch=True, interval=1, save_best='Score', rule='greater'),
    sampler_seed=dict(type=DistSamplerSeedHook),
    class_check=dict(type=ClassCheckHook),
    label_check=dict(type=LabelCheckHook),
    checkpoint_check=dict(type=CheckpointCheckHook),
    sync_buffers=dict(type=SyncBuffersHook),
    visualization=dict(type=PairVisualizationHook, number=1),
)
visualizer = dict(type=Visualizer, name='visualizer', vis_backends=[dict(type=LocalVisBackend)])
env_cfg = dict(cudnn_benchmark=False)
log_level = 'WARNING'
load_from = None
resume = False
"""

NETWORK = """
from mmengine.config import read_base

with read_base():
    from .lazy_base import *

from mmseg.models.backbones import ResNet

from tfinet_mm.models import (
    ChangeBCELoss, DifferenceHead, FeatureInteraction, LightweightConv, PairDataPreprocessor,
    ProgressiveHead, SCDTTAModel, SemanticCELoss, SemanticChangeDetector)

norm = dict(type='BN')
tta_model = dict(type=SCDTTAModel, transforms=['rotation_90'])
model = dict(
    type=SemanticChangeDetector,
    data_preprocessor=dict(type=PairDataPreprocessor),
    backbone=dict(
        type=ResNet, depth=18, base_channels=8, stem_channels=8, strides=(1, 2, 1, 1),
        dilations=(1, 1, 1, 1), out_indices=(3,), norm_cfg=norm),
    neck=dict(type=FeatureInteraction, in_channels=64, norm_cfg=norm),
    semantic_head=dict(
        type=ProgressiveHead, in_channels=64, blocks=((16,), (8,)), num_classes=6,
        conv_cfg=dict(type=LightweightConv), norm_cfg=norm,
        loss_decode=dict(type=SemanticCELoss)),
    change_head=dict(
        type=ProgressiveHead, in_channels=128, blocks=((16,), (8,)), num_classes=1,
        norm_cfg=norm, loss_decode=dict(type=ChangeBCELoss)),
    auxiliary_head=dict(
        type=DifferenceHead, branch='difference', loss_decode=dict(type=ChangeBCELoss)),
)
"""

ENSEMBLE = """
from mmengine.config import read_base

with read_base():
    from .lazy_network import *

from tfinet_mm.models import SCDEnsemble

model = dict(
    type=SCDEnsemble, members=[dict(config={config!r}, checkpoint={checkpoint!r})])
"""

PSEUDO = """
from mmengine.config import read_base

with read_base():
    from .lazy_network import *

from tfinet_mm.pseudo_labels.transforms import LoadPseudoLabels

train_dataloader.dataset.pipeline = [
    dict(type=LoadImagePair), dict(type=LoadPairAnnotations),
    dict(type=LoadPseudoLabels, data_root={pseudo!r}), dict(type=PackPairInputs)]
"""

ITERATIONS = """
from mmengine.config import read_base

with read_base():
    from .lazy_network import *

from mmengine.dataset import InfiniteSampler
from mmengine.runner import IterBasedTrainLoop

train_dataloader.sampler = dict(type=InfiniteSampler)
train_cfg = dict(type=IterBasedTrainLoop, max_iters=9, val_interval=1000)
param_scheduler = dict(type=PolyLR, begin=0, end=9, by_epoch=False)
"""

RECIPE = """
members = [dict(config='lazy_network.py', name='net')]
pseudo_labels = dict(method='vote')
retrain = [dict(config='lazy_pseudo.py', name='again')]
tests = dict(members=['plain'], members_ensemble=['tta'], retrained=[], retrained_ensemble=[])
"""


def write_configs(folder, data, checkpoint='', pseudo=''):
    """Write the configs into a folder, and return the path of the network's."""
    network = folder / 'lazy_network.py'
    (folder / 'lazy_base.py').write_text(BASE.format(data=str(data)))
    network.write_text(NETWORK)
    (folder / 'lazy_ensemble.py').write_text(
        ENSEMBLE.format(config=str(network), checkpoint=str(checkpoint))
    )
    (folder / 'lazy_pseudo.py').write_text(PSEUDO.format(pseudo=str(pseudo)))
    (folder / 'lazy_iterations.py').write_text(ITERATIONS)
    (folder / 'recipe.py').write_text(RECIPE)
    return network
