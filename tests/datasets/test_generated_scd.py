"""Test pairs that are generated on access."""

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from tfinet_mm.datasets import GeneratedSCDDataset, StreamSampler
from tfinet_mm.datasets.synthetic.world import WorldConfig, generate_scene
from tfinet_mm.errors import LabelFormatError
from tfinet_mm.registry import DATASETS, TRANSFORMS

PIPELINE = [dict(type='tfinet_mm.LoadGeneratedPair'), dict(type='tfinet_mm.PackPairInputs')]


def _dataset(**options):
    options = dict(num_pairs=6, world=dict(size=48, seed=2), first=10, pipeline=PIPELINE) | options
    return DATASETS.build(dict(type='tfinet_mm.GeneratedSCDDataset', **options))


def test_a_sample_is_the_scene_of_its_number():
    dataset = _dataset()
    assert len(dataset) == 6
    sample = dataset[3]
    pair = generate_scene(13, WorldConfig(size=48, seed=2))
    images = torch.as_tensor(sample['inputs']).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(images[..., :3], pair.before)
    np.testing.assert_array_equal(images[..., 3:], pair.after)
    maps = sample['data_samples']
    change = maps.gt_sem_seg.data[0].numpy()
    np.testing.assert_array_equal(change, pair.label_from > 0)
    # Classes 0..5 on every pixel, changed or not.
    np.testing.assert_array_equal(maps.gt_sem_seg_from.data[0].numpy(), pair.cover_from - 1)
    np.testing.assert_array_equal(maps.gt_sem_seg_to.data[0].numpy(), pair.cover_to - 1)
    assert (change == 0).any()


def test_its_classes_are_those_of_second():
    assert _dataset().metainfo['semantic_classes'][5] == 'building'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_pairs=0), 'num_pairs has to be a whole number of 1 or more, got 0'),
        (dict(first=-1), 'first has to be a whole number of 0 or more, got -1'),
        (dict(world=dict(size=8)), r'size in 32\.\.1000, got 8'),
        (dict(data_prefix=dict(img_path_from='im1')), 'generated pairs have no folders'),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        GeneratedSCDDataset(**{**dict(num_pairs=2, pipeline=PIPELINE), **options})


def test_an_epoch_is_the_next_piece():
    sampler = StreamSampler(range(10), per_epoch=4)
    pieces = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        pieces.append(list(sampler))
    assert pieces == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1], [2, 3, 4, 5]]
    assert len(sampler) == 4


def test_ranks_share_a_piece(monkeypatch):
    parts = []
    for rank in range(3):
        monkeypatch.setattr(
            'tfinet_mm.datasets.stream_sampler.get_dist_info', lambda rank=rank: (rank, 3)
        )
        sampler = StreamSampler(range(100), per_epoch=12)
        sampler.set_epoch(2)
        assert len(sampler) == 4
        parts.append(list(sampler))
    assert sorted(number for part in parts for number in part) == list(range(24, 36))


def test_an_epoch_of_nothing_is_refused():
    with pytest.raises(ValueError, match='per_epoch has to be 1 or more, got 0'):
        StreamSampler(range(4), per_epoch=0)


def test_a_data_loader_streams_it():
    loader = Runner.build_dataloader(
        dict(
            batch_size=2,
            num_workers=0,
            dataset=dict(
                type='tfinet_mm.GeneratedSCDDataset',
                num_pairs=6,
                world=dict(size=32),
                pipeline=PIPELINE,
            ),
            sampler=dict(type='tfinet_mm.StreamSampler', per_epoch=4),
        )
    )
    loader.sampler.set_epoch(1)
    names = [sample.sample_id for batch in loader for sample in batch['data_samples']]
    assert names == ['00000004', '00000005', '00000000', '00000001']


def test_maps_that_a_transform_moves_apart_are_refused():
    dataset = _dataset(pipeline=PIPELINE[:1])
    results = dataset[0]
    pack = TRANSFORMS.build(PIPELINE[1])
    pack(dict(results))
    # Flipped alone, the change falls on pixels whose class stayed.
    results['gt_seg_map'] = results['gt_seg_map'][:, ::-1].copy()
    with pytest.raises(LabelFormatError, match=r'are packed .* but none were loaded'):
        pack(results)
