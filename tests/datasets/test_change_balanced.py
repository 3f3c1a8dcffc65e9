import logging
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, DefaultSampler, RepeatDataset
from PIL import Image

from tfinet_mm.datasets import ChangeBalancedDataset, SCDDataset
from tfinet_mm.datasets.change_balanced import places, repeat_factors
from tfinet_mm.engine.randomness import SeededSampler
from tfinet_mm.registry import DATASETS
from tfinet_mm.structures import GT_CHANGE
from tfinet_mm.utils.config.check import check_config

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = [
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.PackPairInputs'),
]
# Changed pixels of 20 and their classes: three of ten pairs changed, one of them to a rare class.
CHANGED = {2: (1, 1, 2), 5: (5, 1, 2), 7: (10, 1, 3)}


@pytest.fixture
def config(tmp_path):
    """Write ten pairs and return the config of their data set."""
    for index in range(10):
        labels = np.zeros((2, 4, 5), np.uint8)
        pixels, *classes = CHANGED.get(index, (0, 0, 0))
        labels.reshape(2, 20)[:, :pixels] = np.array(classes)[:, None]
        for date in range(2):
            for folder, array in (('im', np.full((4, 5, 3), index)), ('label', labels[date])):
                path = tmp_path / f'{folder}{date + 1}' / f'{index}.png'
                path.parent.mkdir(exist_ok=True)
                Image.fromarray(array.astype(np.uint8)).save(path)
    return dict(
        type='tfinet_mm.SCDDataset',
        data_root=str(tmp_path),
        semantic_classes=['same', 'wet', 'dry', 'built'],
        semantic_palette=[[255, 255, 255], [0, 0, 255], [90, 60, 30], [128, 0, 0]],
        pipeline=PIPELINE,
    )


def built(config, **options):
    return DATASETS.build(dict(type='tfinet_mm.ChangeBalancedDataset', dataset=config, **options))


def drawn(dataset):
    """Return how often each pair is in an epoch, by the grey value of its images."""
    return Counter(int(dataset[index]['inputs'][0, 0, 0]) for index in range(len(dataset)))


def test_changed_pairs_are_drawn_three_times(config):
    dataset = built(config)
    assert isinstance(dataset, ChangeBalancedDataset)
    assert len(dataset) == 7 + 3 * 3
    assert drawn(dataset) == {index: 3 if index in CHANGED else 1 for index in range(10)}
    assert dataset.metainfo == SCDDataset(**{k: v for k, v in config.items() if k != 'type'}
                                          ).metainfo  # fmt: skip
    place = dataset.repeat_indices.index(5)
    assert dataset.get_data_info(place)['sample_id'] == '5'
    assert (dataset[place]['data_samples'].get(GT_CHANGE).data == 1).sum() == 5
    assert dataset.get_cat_ids(place) == [0, 1]


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(min_share=0.25), {5: 3, 7: 3}),
        (dict(min_share=0.3), {7: 3}),
        (dict(changed_times=1.5), {5: 2, 2: 1, 7: 1}),
        # Built has f = 0.1, dry 0.2, wet 0.3: r = sqrt(0.9 / f) = 3, 2.12, 1.73.
        (dict(changed_times=1, balance='classes', threshold=0.9), {2: 2, 5: 2, 7: 3}),
        # wet to dry 0.2, wet to built 0.1: r = sqrt(0.4 / f) = 1.41, 2
        (dict(changed_times=1, balance='transitions', threshold=0.4), {2: 1, 5: 1, 7: 2}),
        # The larger of both numbers counts.
        (dict(changed_times=2, balance='classes', threshold=0.9), {2: 2, 5: 2, 7: 3}),
    ],
    ids=['share', 'larger share', 'fraction', 'classes', 'transitions', 'both'],
)
def test_worked_options(config, options, expected):
    found = drawn(built(config, **options))
    assert {pair: number for pair, number in found.items() if pair in CHANGED} == {
        pair: expected.get(pair, 1) for pair in CHANGED
    }
    assert all(found[pair] == 1 for pair in set(range(10)) - set(CHANGED))


def test_factors_are_those_of_mmengine():
    """Before rounding: MMEngine rounds up, here the factors keep their sum."""
    rng = np.random.default_rng(0)
    present = rng.random((50, 6)) < rng.random(6) * 0.4

    class Source(list):
        def get_cat_ids(self, index):
            return np.flatnonzero(present[index]).tolist()

    rule = ClassBalancedDataset.__new__(ClassBalancedDataset)
    rule.dataset = Source(range(50))
    theirs = np.array(rule._get_repeat_factors(rule.dataset, 0.5))
    assert theirs.max() > 1.5
    np.testing.assert_allclose(repeat_factors(present, 0.5), theirs)
    assert places(theirs).sum() == int(theirs.sum())
    assert set(places(theirs) - np.floor(theirs)) == {0, 1}
    assert places(np.full(9, 4 / 3)).tolist() == [1, 1, 2] * 3


def test_mmengines_wrappers_work_around_and_inside(config):
    balanced = DATASETS.build(
        dict(type='mmengine.ClassBalancedDataset', oversample_thr=0.9, dataset=config)
    )
    assert drawn(balanced) == {**dict.fromkeys(range(10), 1), 2: 3, 5: 3, 7: 3}
    assert balanced.get_cat_ids(balanced.repeat_indices.index(7)) == [0, 2]
    twice = dict(type='mmengine.RepeatDataset', times=2, dataset=config)
    assert drawn(DATASETS.build(twice)) == dict.fromkeys(range(10), 2)
    inside = drawn(built(twice))
    assert inside == {index: 6 if index in CHANGED else 2 for index in range(10)}
    joined = dict(type='mmengine.ConcatDataset', datasets=[config, {**config, 'indices': 3}])
    assert drawn(DATASETS.build(joined)) == {i: 1 + (i < 3) for i in range(10)}
    assert drawn(built(joined))[2] == 6
    around = RepeatDataset(config, times=2)
    assert len(around) == 20
    outer = DATASETS.build(
        dict(type='mmengine.ConcatDataset', datasets=[
            dict(type='tfinet_mm.ChangeBalancedDataset', dataset=config), config])
    )  # fmt: skip
    assert len(outer) == 16 + 10
    assert outer.metainfo['semantic_classes'] == ('same', 'wet', 'dry', 'built')
    assert isinstance(outer, ConcatDataset)
    nested = built(dict(type='tfinet_mm.ChangeBalancedDataset', changed_times=2, dataset=config))
    assert drawn(nested)[7] == 6


@pytest.mark.parametrize('ranks', [1, 2, 3])
def test_ranks_share_the_places_of_an_epoch(config, ranks, monkeypatch):
    """Together they draw what one process draws, in the same order."""
    dataset = built(config)
    orders = []
    for rank in range(ranks):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda r=rank: (r, ranks))
        monkeypatch.setattr('tfinet_mm.engine.randomness.get_dist_info', lambda r=rank: (r, ranks))
        sampler = SeededSampler(dict(type='DefaultSampler', shuffle=True), dataset, seed=4)
        sampler.set_epoch(1)
        orders.append(list(sampler))
    monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (0, 1))
    alone = DefaultSampler(dataset, shuffle=True, seed=4)
    alone.set_epoch(1)
    together = [int(one) for row in zip(*orders, strict=True) for one in row]
    assert together[: len(dataset)] == list(alone)
    entropies = [one.entropy for order in orders for one in order]
    assert len(set(entropies)) == len(entropies)


def test_the_log_says_what_is_drawn(config, monkeypatch):
    said = []
    monkeypatch.setattr(
        'tfinet_mm.datasets.change_balanced.print_log',
        lambda message, logger, level: said.append((level, message)),
    )
    built(config, min_share=0.25)
    ((level, message),) = said
    assert level == logging.INFO
    assert '2 of 10 pairs are changed (0.25 of their pixels or more)' in message
    assert 'a changed pair has 3 places' in message
    assert 'an epoch has 14 samples, 42.9 % of them changed in place of 20.0 %' in message
    said.clear()
    built(config, changed_times=1, balance='transitions', threshold=0.4)
    assert 'rare transitions up to 2 places' in said[0][1]
    said.clear()
    built({**config, 'indices': [2, 5]})
    level, message = said[1]
    assert level == logging.WARNING
    assert 'changes nothing' in message


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(changed_times=0.5), 'changed_times has to be a number of 1 or more'),
        (dict(changed_times='3'), 'changed_times'),
        (dict(min_share=1.5), 'min_share has to be a share'),
        (dict(balance='class'), "one of \\('classes', 'transitions'\\)"),
        (dict(threshold=0), 'threshold has to be a share'),
        (dict(min_share=0.9), 'share of changed pixels of 0.9 or more, the largest is 0.5'),
    ],
)
def test_wrong_options_are_refused(config, options, message):
    with pytest.raises(ValueError, match=message):
        built(config, **options)


def test_land_cover_is_needed_to_balance_it(config, tmp_path):
    for name in (tmp_path / 'label1').iterdir():
        mask = tmp_path / 'mask' / name.name
        mask.parent.mkdir(exist_ok=True)
        Image.fromarray((np.asarray(Image.open(name)) > 0).astype(np.uint8)).save(mask)
    masks = dict(seg_map_path_from=None, seg_map_path_to=None, seg_map_path='mask')
    alone = {**config, 'data_prefix': masks, 'change_storage': '0/1'}
    assert drawn(built(alone))[5] == 3
    with pytest.raises(ValueError, match="balance='classes' needs land cover"):
        built(alone, balance='classes')
    after = {**alone, 'data_prefix': dict(seg_map_path_from=None, seg_map_path='mask')}
    assert drawn(built(after, balance='classes'))[7] == 3
    with pytest.raises(ValueError, match='land cover of both dates'):
        built(after, balance='transitions')


def test_pairs_without_change_balance_classes_alone(config, tmp_path):
    unchanged = {**config, 'indices': [0, 1]}
    with pytest.raises(ValueError, match='no pixel of 2 pairs is changed; set changed_times=1'):
        built(unchanged)
    covers = dict(seg_map_path_from='label1', seg_map_path_to=None)
    before = {
        **config,
        **dict(data_prefix=covers, label_semantics='land_cover', change_storage='unknown'),
    }
    with pytest.raises(ValueError, match='no pixel of 10 pairs is labelled as changed or'):
        built(before)
    # Of ten pairs, three have wet before and none another class: r = sqrt(0.9 / 0.3) = 1.73.
    found = drawn(built(before, changed_times=1, balance='classes', threshold=0.9))
    assert sum(found.values()) == 7 + int(3 * 1.73)
    assert {pair for pair in found if found[pair] > 1} <= set(CHANGED)


@pytest.mark.parametrize('made', [True, False])
def test_made_pairs_are_not_counted(config, made):
    load = [dict(type='tfinet_mm.LoadMadePair')] if made else PIPELINE[:2]
    single = dict(
        config,
        type='tfinet_mm.SingleDateDataset',
        data_prefix=dict(img_path='im1', seg_map_path='label1'),
        redraw=not made,
        pipeline=[*load, PIPELINE[2]],
    )
    reason = 'LoadMadePair makes them' if made else 'redraw=True draws others'
    with pytest.raises(ValueError, match=f'can not be counted, since {reason}'):
        built(dict(type='mmengine.ConcatDataset', datasets=[config, single]))
    joined = dict(
        type='mmengine.ConcatDataset',
        datasets=[dict(type='tfinet_mm.ChangeBalancedDataset', dataset=config), single],
    )
    assert len(DATASETS.build(joined)) == 16 + 10


def test_labels_are_counted_at_the_first_use(config):
    lazy = built({**config, 'lazy_init': True}, lazy_init=True)
    assert not lazy.dataset._fully_initialized
    assert len(lazy) == 16
    with pytest.raises(NotImplementedError):
        lazy.get_subset(3)


def test_the_config_of_the_page_wraps_the_data_set_of_its_base(tmp_path, config):
    page = (ROOT / 'docs/datasets.md').read_text(encoding='utf-8')
    section = page[page.index('## Drawing changed pairs') : page.index('## Label formats')]
    block = re.search(r'```python\n(.*?)```', section, re.DOTALL).group(1)
    file = tmp_path / 'config.py'
    file.write_text(block.replace('tfinet_mm::', f'{ROOT}/configs/'))
    found = Config.fromfile(file)
    check_config(found)
    base = Config.fromfile(ROOT / 'configs/tfinet_lite0_fpn_hi-ucd.py')
    balanced = found.train_dataloader.dataset
    assert balanced.dataset == base.train_dataloader.dataset
    assert found.train_dataloader.batch_size == base.train_dataloader.batch_size
    balanced.dataset = config
    assert drawn(DATASETS.build(balanced))[7] == 3
    for option in ('changed_times', 'min_share', 'balance', 'threshold'):
        assert f'`{option}=' in section
