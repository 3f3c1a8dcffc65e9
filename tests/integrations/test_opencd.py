"""Open-CD and this package on the data, networks and metrics of each other.

Run them where Open-CD is installed, see docs/open_cd.md.
"""

import copy
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from tfinet_mm.integrations.opencd import from_opencd, to_opencd
from tfinet_mm.models.backbones.two_images import MAPS, RETURNS
from tfinet_mm.structures import SECOND

pytest.importorskip('opencd', reason='needs Open-CD, see docs/open_cd.md')
from opencd.models import backbones
from opencd.registry import METRICS, MODELS

GIVEN = runpy.run_path(str(Path(__file__).with_name('opencd_options.py')))
OPTIONS, BACKBONES = GIVEN['OPTIONS'], GIVEN['BACKBONES']
ONE_DATE = {'VisionTransformerTurner'}
"""Wrappers of CLIP's and SAM's encoders for detectors of their own; no backbone of a pair."""
SAID = {'dates': 'both dates', 'change': 'the change', MAPS: 'maps of one', None: 'one date'}
RESNET18 = dict(GIVEN['RESNET18'], type='mmseg.ResNetV1c')
WIDTHS = [64, 128, 256, 512]


@pytest.fixture(autouse=True)
def _scope(monkeypatch):
    """Open-CD's parts build others by bare names."""
    monkeypatch.setattr(DefaultScope, '_instance_dict', DefaultScope._instance_dict.copy())
    init_default_scope('opencd')


def detector(backbone=RESNET18, neck=GIVEN['DIFFERENCE'], channels=(512, 512), level=-1):
    head = dict(type='mmseg.FCNHead', channels=8, num_convs=1, concat_input=False, in_index=level)
    config = dict(
        type='tfinet_mm.SemanticChangeDetector',
        backbone=backbone,
        neck=neck,
        semantic_head=dict(
            head,
            in_channels=channels[0],
            num_classes=6,
            loss_decode=dict(type='tfinet_mm.SemanticCELoss'),
        ),
        change_head=dict(
            head,
            in_channels=channels[1],
            num_classes=1,
            threshold=0.5,
            loss_decode=dict(type='tfinet_mm.ChangeBCELoss'),
        ),
    )
    torch.manual_seed(0)
    return MODELS.build(copy.deepcopy(config))


def trained_and_predicted(model):
    """Compute gradients on two pairs, and return the prediction of one."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2, 6, 64, 64, generator=generator)
    samples = []
    for _ in range(2):
        sample = SegDataSample(metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64)))
        change = torch.randint(0, 2, (1, 64, 64), generator=generator)
        sample.set_field(PixelData(data=change), 'gt_sem_seg')
        for date in ('from', 'to'):
            cover = torch.randint(0, 6, (1, 64, 64), generator=generator)
            sample.set_field(PixelData(data=cover), f'gt_sem_seg_{date}')
        samples.append(sample)
    losses = model.train()(inputs, samples, mode='loss')
    total = sum(value for name, value in losses.items() if 'loss' in name)
    total.backward()
    assert torch.isfinite(total)
    assert any(p.grad is not None and p.grad.any() for p in model.backbone.parameters())
    model.eval()
    with torch.no_grad():
        (found,) = model(inputs[:1], samples[:1], mode='predict')
    assert found.pred_sem_seg_from.data.shape == (1, 64, 64)


def test_the_table_of_the_docs_has_every_backbone():
    page = (Path(__file__).parents[2] / 'docs/open_cd.md').read_text(encoding='utf-8')
    rows = re.findall(r'^\| (`.*?) \| (.*?) \| (.*?) \|$', page.split('## Backbones')[1], re.M)
    table = {name: row[1:] for row in rows for name in re.findall(r'`(\w+)`', row[0])}
    theirs = {
        name
        for name, kind in MODELS.module_dict.items()
        if kind.__module__.startswith(backbones.__name__)
    }
    assert theirs - ONE_DATE == set(table)
    for name, (returns, use) in table.items():
        owners = [one.__name__ for one in MODELS.get(f'opencd.{name}').__mro__]
        kind = next((RETURNS[one] for one in owners if one in RETURNS), None)
        said = {
            'dates': 'both dates',
            'change': 'the change',
            MAPS: 'maps of one',
            None: 'one date',
        }
        assert returns.startswith(said[kind]), name
        assert use.startswith('refused') == (kind == MAPS), name
        assert ('neck=None' in use) == (kind == 'change'), name
        assert (name in BACKBONES) == (kind != MAPS), name


@pytest.mark.parametrize('name', BACKBONES)
def test_backbones(name):
    backbone, neck, channels = BACKBONES[name]
    trained_and_predicted(detector(backbone, neck, (channels, channels)))


@pytest.mark.parametrize('name', [name for name, kind in RETURNS.items() if kind == MAPS])
def test_backbones_that_decode_the_change_are_refused_before_they_load_weights(name):
    with pytest.raises(ValueError, match=f'^{name} decodes the change itself'):
        detector(dict(type=f'opencd.{name}'), None)


def test_scopes_of_parts_that_build_others_by_bare_names():
    init_default_scope('mmseg')
    backbone = dict(GIVEN['RESNET18'], type='opencd.IA_ResNetV1c')
    assert type(detector(backbone).backbone.backbone).__name__ == 'IA_ResNetV1c'


FPN = dict(in_channels=WIDTHS, out_channels=16, num_outs=4)
NORM = dict(type='BN')
SIMPLE = dict(type='opencd.SimpleFPN', out_channels=16, num_outs=4, norm_cfg=NORM)
CONCATENATION = dict(type='FeatureFusionNeck', policy='concat', out_indices=(3,))
SEQUENCE = [
    CONCATENATION,
    dict(SIMPLE, type='SimpleFPN', backbone_channel=1024, in_channels=[256, 512, 1024, 1024]),
]
NECKS = {
    'concat': (dict(type='opencd.FeatureFusionNeck', policy='concat'), (512, 1024), -1),
    'difference': (dict(type='opencd.FeatureFusionNeck', policy='diff'), (512, 512), -1),
    'scene embedding': (dict(FPN, type='opencd.FarSegFPN', policy='concat'), (512, 32), 3),
    'tiny': (dict(FPN, type='opencd.TinyFPN'), (16, 16), -1),
    'of the last level': (
        dict(SIMPLE, backbone_channel=512, in_channels=[128, 256, 512, 512]),
        (16, 16),
        -1,
    ),
    'sequence': (dict(type='opencd.SequentialNeck', necks=SEQUENCE), (512, 16), -1),
    "mmseg's": (dict(FPN, type='mmseg.FPN'), (16, 16), -1),
}


@pytest.mark.parametrize('name', NECKS)
def test_necks(name):
    neck, channels, level = NECKS[name]
    trained_and_predicted(detector(neck=neck, channels=channels, level=level))


def test_a_neck_of_one_date_after_a_backbone_that_fuses():
    tiny = dict(type='opencd.TinyNet', output_early_x=False)
    widths = [16, 24, 32, 48]
    model = detector(tiny, dict(FPN, type='opencd.TinyFPN', in_channels=widths), (16, 16))
    trained_and_predicted(model)


# ---------------------------------------------------------------- one network in both worlds


UPERNET = dict(
    type='mmseg.UPerHead',
    in_channels=WIDTHS,
    in_index=[0, 1, 2, 3],
    pool_scales=(1, 2, 3, 6),
    channels=16,
    norm_cfg=NORM,
    align_corners=False,
    loss_decode=dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True),
)
STATISTICS = dict(mean=[123.675, 116.28, 103.53] * 2, std=[58.395, 57.12, 57.375] * 2)


def theirs(option='cover_semantic'):
    return dict(
        type='opencd.SiamEncoderMultiDecoder',
        data_preprocessor=dict(
            **STATISTICS,
            type='opencd.DualInputSegDataPreProcessor',
            bgr_to_rgb=True,
            size_divisor=32,
            test_cfg=dict(size_divisor=32),
        ),
        backbone=RESNET18,
        decode_head=dict(
            type='opencd.GeneralSCDHead',
            binary_cd_neck=dict(type='opencd.FeatureFusionNeck', policy='abs_diff'),
            binary_cd_head=dict(UPERNET, num_classes=2),
            semantic_cd_head=dict(UPERNET, num_classes=6),
        ),
        postprocess_pred_and_label=option,
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )


def ours(option=None):
    return dict(
        type='tfinet_mm.SemanticChangeDetector',
        data_preprocessor=dict(type='tfinet_mm.PairDataPreprocessor'),
        backbone=RESNET18,
        neck=dict(type='tfinet_mm.AbsoluteDifference'),
        semantic_head=dict(UPERNET, num_classes=6),
        change_head=dict(UPERNET, num_classes=2),
        postprocess_pred_and_label=option,
    )


@pytest.fixture(scope='module')
def second(tmp_path_factory):
    """Four pairs as Open-CD reads SECOND, which this package reads too."""
    root = tmp_path_factory.mktemp('second')
    generator = np.random.default_rng(3)
    for index in range(4):
        change = np.zeros((64, 64), np.uint8)
        change[8:40, 5 + index : 40 + index] = 1
        arrays = dict(label=change)
        for date in '12':
            block = np.kron(generator.integers(1, 7, (8, 8)), np.ones((8, 8)))
            arrays[f'label{date}'] = (block * change).astype(np.uint8)
            colour = np.stack([block * 30, 255 - block * 35, block * 11], -1)
            arrays[f'im{date}'] = (colour + generator.integers(0, 9, colour.shape)).astype(np.uint8)
        for folder, array in arrays.items():
            (root / folder).mkdir(exist_ok=True)
            Image.fromarray(array).save(root / folder / f'pair {index}.png')
    return root


def loader(world, root):
    pipelines = dict(
        opencd=('MultiImgLoadImageFromFile', 'MultiImgMultiAnnLoadAnnotations'),
        tfinet_mm=('LoadImagePair', 'LoadPairAnnotations'),
    )
    packing = dict(opencd='MultiImgPackSegInputs', tfinet_mm='PackPairInputs')
    folders = dict(
        img_path_from='im1',
        img_path_to='im2',
        seg_map_path='label',
        seg_map_path_from='label1',
        seg_map_path_to='label2',
    )
    kind = dict(opencd='SECOND_Dataset', tfinet_mm='SECONDDataset')
    dataset = dict(
        type=f'{world}.{kind[world]}',
        data_root=str(root),
        data_prefix=folders,
        pipeline=[dict(type=f'{world}.{step}') for step in (*pipelines[world], packing[world])],
        test_mode=True,
    )
    sampler = dict(type='DefaultSampler', shuffle=False)
    config = dict(dataset=dataset, batch_size=1, num_workers=0, sampler=sampler)
    return Runner.build_dataloader(config, seed=0)


def scores(model, data, metric):
    """Return SeK, Score and mIoU of the change, in percent, in the names of either metric."""
    metric = METRICS.build(metric)
    metric.dataset_meta = SECOND.metainfo()
    with torch.no_grad():
        for batch in data:
            metric.process({}, [sample.to_dict() for sample in model.eval().val_step(batch)])
    found = metric.evaluate(len(data))
    names = (('SeK', 'semantic/Sek'), ('Score', 'semantic/SCD_Score'), ('mIoU', 'binary/mIoU'))
    return [float(found[one] if one in found else found[two]) for one, two in names]


def build(config):
    # As a config of text does: Open-CD's detectors read options as attributes.
    return MODELS.build(Config(dict(model=copy.deepcopy(config))).model)


def test_a_network_scores_the_same_in_both_worlds_and_crossed(second):
    torch.manual_seed(1)
    model = build(theirs())
    for head in (model.decode_head.binary_cd_head, model.decode_head.semantic_cd_head):
        torch.nn.init.normal_(head.conv_seg.weight, std=2.0)  # else one class wins everywhere
    weights = model.state_dict()
    own = dict(type='tfinet_mm.SCDMetric', resamples=0)
    other = dict(type='opencd.SCDMetric', iou_metrics=['mFscore', 'mIoU'], cal_sek=True)
    expected = scores(model, loader('opencd', second), other)
    assert len(set(expected)) == 3
    assert abs(expected[0]) > 0.01

    detector = build(ours())
    detector.load_state_dict(from_opencd(weights))
    assert {k: v.tolist() for k, v in to_opencd(detector.state_dict()).items()} == {
        k: v.tolist() for k, v in weights.items()
    }
    found = {'ours in ours': scores(detector, loader('tfinet_mm', second), own)}

    moved = build(ours('cover_semantic') | dict(data_preprocessor=theirs()['data_preprocessor']))
    moved.load_state_dict(from_opencd(weights))
    found['ours in theirs'] = scores(moved, loader('opencd', second), other)
    found['ours in theirs, our metric'] = scores(moved, loader('opencd', second), own)

    preprocessor = dict(type='tfinet_mm.PairDataPreprocessor')
    for option, convention in (('cover_semantic', 'cover_semantic'), (None, 'land_cover')):
        crossed = build(theirs(option) | dict(data_preprocessor=preprocessor))
        crossed.load_state_dict(to_opencd(detector.state_dict()))
        told = dict(own, convention=convention)
        found[f'theirs in ours, {option}'] = scores(crossed, loader('tfinet_mm', second), told)
    for name, values in found.items():
        np.testing.assert_allclose(values, expected, atol=0.01, err_msg=name)


def test_weights_without_a_place_are_named():
    with pytest.raises(RuntimeError, match=r'decode_head\.other\.weight has no place'):
        from_opencd({'decode_head.other.weight': torch.zeros(1)})
    with pytest.raises(RuntimeError, match=r'neck\.levels\.0 has no place'):
        to_opencd({'neck.levels.0': torch.zeros(1)})
    heads = {
        'decode_head.semantic_cd_head.x': torch.zeros(1),
        'decode_head.semantic_cd_head_aux.x': torch.ones(1),
    }
    with pytest.raises(RuntimeError, match='for the second date alone'):
        from_opencd(heads)


def test_label_files_for_both(second, tmp_path):
    """Open-CD's loader reads the grey class numbers that this package writes."""
    from opencd.registry import TRANSFORMS

    from tfinet_mm.visualization.prediction_files import PredictionFiles

    labels = torch.arange(7, dtype=torch.uint8).repeat(8, 1)[None]
    sample = SegDataSample()
    for name, values in (('', (labels > 0).to(torch.uint8)), ('_from', labels), ('_to', labels)):
        sample.set_field(PixelData(data=values), f'pred_sem_seg{name}')
    storage = OPTIONS['writer for Open-CD']['storage']
    PredictionFiles(tmp_path, storage).write(sample, 'pair', SECOND.palette)
    results = dict(
        label_map=None,
        semantic_label_map=None,
        format_seg_map=None,
        reduce_semantic_zero_label=False,
        seg_fields=[],
    )
    for key, folder in (('', 'change'), ('_from', 'label1'), ('_to', 'label2')):
        results[f'seg_map_path{key}'] = str(tmp_path / folder / 'pair.png')
    read = TRANSFORMS.build(dict(type='opencd.MultiImgMultiAnnLoadAnnotations'))(results)
    assert (read['gt_seg_map_from'] == labels[0].numpy()).all()
    assert (read['gt_seg_map'] == (labels[0] > 0).numpy()).all()
