"""A tiny network that calls some pixels changed and some not, as config, weights and checkpoint."""

import cv2
import numpy as np
import pytest
import torch
from mmengine import Config

from tfinet_mm.models import SemanticChangeDetector
from tfinet_mm.structures import SECOND


def network(bands=3):
    norm = dict(type='BN')
    head = dict(
        type='mmseg.FCNHead', in_channels=16, in_index=1, channels=8, num_convs=1, norm_cfg=norm
    )
    return dict(
        type='tfinet_mm.SemanticChangeDetector',
        data_preprocessor=dict(
            type='tfinet_mm.PairDataPreprocessor', mean=[100.0] * bands, std=[50.0] * bands
        ),
        backbone=dict(
            type='mmseg.ResNet',
            depth=18,
            base_channels=8,
            strides=(1, 2, 2, 2),
            dilations=(1, 1, 1, 1),
            norm_cfg=norm,
            in_channels=bands,
            init_cfg=dict(type='Pretrained', checkpoint='nowhere.pth'),
        ),
        neck=dict(type='tfinet_mm.AbsoluteDifference'),
        semantic_head=dict(**head, num_classes=6),
        change_head=dict(**head, num_classes=1, threshold=0.5),
    )


def member_writer(tmp_path):
    def write(name='a', bands=3, seed=0, load=None, table=SECOND, **model):
        config = network(bands) | model
        pipeline = [
            dict(type='tfinet_mm.LoadImagePair', **(load or {})),
            dict(type='tfinet_mm.LoadPairAnnotations'),
            dict(type='tfinet_mm.PackPairInputs'),
        ]
        root = str(tmp_path / 'data')
        dataset = dict(type='tfinet_mm.SECONDDataset', data_root=root, pipeline=pipeline)
        cfg = Config(
            dict(
                default_scope='mmseg',
                model=config,
                test_dataloader=dict(
                    batch_size=1,
                    num_workers=0,
                    sampler=dict(type='DefaultSampler', shuffle=False),
                    dataset=dict(dataset, test_mode=True),
                ),
                test_evaluator=dict(type='tfinet_mm.SCDMetric'),
            )
        )
        cfg.dump(tmp_path / f'{name}.py')
        torch.manual_seed(seed)
        model = SemanticChangeDetector(**{k: v for k, v in config.items() if k != 'type'})
        for part in (model.semantic_head, model.change_head):
            torch.nn.init.normal_(part.conv_seg.weight, std=2.0)
        meta = dict(cfg=cfg.pretty_text) | (
            {} if table is None else dict(dataset_meta=table.metainfo())
        )
        torch.save(dict(meta=meta, state_dict=model.state_dict()), tmp_path / f'{name}.pth')
        return tmp_path / f'{name}.py', tmp_path / f'{name}.pth'

    return write


@pytest.fixture
def member(tmp_path):
    """A function that writes a config and a checkpoint that carries it, and returns both paths."""
    return member_writer(tmp_path)


@pytest.fixture(scope='session')
def shared_member(tmp_path_factory):
    """One such config and checkpoint, for results that are costly and left as they are."""
    return member_writer(tmp_path_factory.mktemp('shared_member'))()


@pytest.fixture
def image():
    """A function that makes a random image (H, W, B)."""

    def make(seed, height=40, width=56, bands=3, dtype=np.uint8, high=256):
        values = np.random.default_rng(seed).integers(0, high, (height, width, bands))
        return values.astype(dtype)

    return make


@pytest.fixture
def saved(tmp_path):
    """A function that writes an RGB image as PNG and returns its path."""

    def save(name, values):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), values[..., ::-1])
        return path

    return save
