"""Test what is said of MMEngine's wrappers that can't hold their data sets."""

import numpy as np
import pytest
from mmengine.registry import DATASETS
from PIL import Image

from tfinet_mm.engine.randomness import seeded_loader
from tfinet_mm.engine.runner import SCDRunner
from tfinet_mm.errors import ConfigError
from tfinet_mm.utils.config.building import building
from tfinet_mm.utils.config.wrappers import wrapper_fault

CLASSES = ['same', 'wet', 'dry', 'built']
PALETTE = [[255, 255, 255], [0, 0, 255], [90, 60, 30], [128, 0, 0]]
TABLE = dict(semantic_classes=CLASSES, semantic_palette=PALETTE)


@pytest.fixture
def config(tmp_path):
    """Write two pairs, and return a function that makes the config of a data set of them."""
    labels = {'im1': None, 'im2': None, 'label1': [1, 0], 'label2': [2, 0], 'mask': [1, 0]}
    for folder, row in labels.items():
        for name in 'ab':
            path = tmp_path / folder / f'{name}.png'
            path.parent.mkdir(exist_ok=True)
            values = np.zeros((2, 2, 3)) if row is None else np.array([row, row])
            Image.fromarray(values.astype(np.uint8)).save(path)

    def make(masks=False, **options):
        if masks:
            none = dict(seg_map_path_from=None, seg_map_path_to=None)
            options['data_prefix'] = dict(none, seg_map_path='mask')
        return dict(type='tfinet_mm.SCDDataset', data_root=str(tmp_path), pipeline=[], **options)

    return make


def joined(*datasets, **options):
    return dict(type='ConcatDataset', datasets=list(datasets), **options)


def fault(config):
    """Return the words for the error of building a data set."""
    with pytest.raises(ConfigError) as caught, building('train', config):
        DATASETS.build(config)
    found = wrapper_fault(caught.value.__cause__)
    assert str(caught.value) == f"train can't be built: {found}"
    return found


def test_change_masks_without_classes(config, tmp_path):
    data = [config(**TABLE), config(masks=True)]
    assert fault(joined(*data)) == (
        'the data sets of ConcatDataset differ in semantic_classes: '
        f"datasets[0] (SCDDataset {tmp_path}) has ['same', 'wet', 'dry', 'built'], "
        f"datasets[1] (SCDDataset {tmp_path}) has ['unchanged', 'changed']; "
        'give datasets[1], which has change masks alone, the same classes in the same order: '
        'semantic_classes=[...] and semantic_palette=[...]'
    )
    assert 'give datasets[0], which has' in fault(joined(*data[::-1]))
    repeated = dict(type='RepeatDataset', times=2, dataset=data[1])
    assert 'datasets[2] (RepeatDataset)' in (said := fault(joined(data[0], data[0], repeated)))
    assert 'give datasets[2], which has' in said
    assert DATASETS.build(joined(data[0], config(masks=True, **TABLE))).metainfo


def test_classes_in_another_order_or_colour(config):
    turned = dict(semantic_classes=['same', 'dry', 'wet', 'built'], semantic_palette=PALETTE)
    said = fault(joined(config(**TABLE), config(**turned)))
    assert "has ['same', 'dry', 'wet', 'built']; give each the same classes" in said
    masks = dict(TABLE, semantic_palette=[*PALETTE[:-1], [9, 9, 9]])
    said = fault(joined(config(**TABLE), config(masks=True, **masks)))
    assert 'differ in semantic_palette: ' in said
    assert '(9, 9, 9)]; give datasets[1], which has' in said


def test_other_metainfo(config):
    marked = config(**TABLE, metainfo=dict(sensor='x'))
    for data in ([config(**TABLE), marked], [marked, config(**TABLE)]):
        said = fault(joined(*data))
        assert 'differ in sensor: ' in said
        assert 'has nothing' in said
        assert "ignore_keys=['sensor']" in said
        assert len(DATASETS.build(joined(*data, ignore_keys=['sensor']))) == 4


def test_the_loader_of_a_training_says_so(config):
    loader = dict(
        batch_size=1,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=joined(config(**TABLE), config(masks=True)),
    )
    with pytest.raises(ConfigError, match=r"^a dataloader can't be built: the data sets .*alone"):
        SCDRunner.build_dataloader(seeded_loader(loader, 0), seed=0)


def test_wrappers_that_class_balanced_data_sets_can_not_hold(config):
    def balanced(dataset):
        return dict(type='ClassBalancedDataset', oversample_thr=0.5, dataset=dataset)

    def repeated(dataset):
        return dict(type='RepeatDataset', times=2, dataset=dataset)

    data = config(**TABLE)
    said = fault(balanced(repeated(data)))
    assert said.startswith('ClassBalancedDataset holds a RepeatDataset, which does not tell')
    assert 'RepeatDataset(ClassBalancedDataset(...))' in said
    assert len(DATASETS.build(repeated(balanced(data)))) == 4
    said = fault(joined(balanced(joined(data, data))))
    assert 'put a ClassBalancedDataset around each of its data sets' in said
    assert len(DATASETS.build(joined(balanced(data), balanced(data)))) == 4
    own = dict(type='tfinet_mm.ChangeBalancedDataset', changed_times=1, balance='classes')
    for held in (repeated(data), joined(data, data)):
        assert len(DATASETS.build(dict(own, dataset=held))) == 4


def test_errors_of_a_data_set_within_are_not_those_of_the_wrapper(config):
    # The third data set fails before the wrapper compares any.
    for wrong in (dict(type='RepeatDataset', times=2, dataset=5), 5):
        wrapped = joined(config(**TABLE), config(masks=True), wrong)
        with (
            pytest.raises(ConfigError, match=r'elements in datasets .*its config is'),
            building('train', wrapped),
        ):
            DATASETS.build(wrapped)
    assert wrapper_fault(ValueError('not raised')) is None
