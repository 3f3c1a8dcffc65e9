"""Test that the configs of public data sets read their downloads, on tiny copies of them."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from layouts import LAYOUTS, RECTANGLES
from mmengine import Config

from tfinet_mm.datasets.check import check_dataset, find_leaks
from tfinet_mm.registry import DATASETS
from tfinet_mm.utils.config.check import check_config

ROOT = Path(__file__).parents[2]
BASES = ROOT / 'configs/_base_/datasets'
SPLITS = ('train', 'val', 'test')


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """Return the folder of all data sets, and the layout of each, written once."""
    root = tmp_path_factory.mktemp('layouts')
    return root, {name: write(root / 'data') for name, write in LAYOUTS.items()}


@pytest.fixture
def build(written, monkeypatch):
    """Return a function that builds the data set of a split in its folder, and the layout."""
    root, layouts = written
    monkeypatch.chdir(root)

    def make(name, split):
        config = Config.fromfile(BASES / f'{name}.py')[f'{split}_dataloader'].dataset
        for step in config.pipeline:
            # The files are smaller than the crops of the real ones.
            if step.type == 'tfinet_mm.LoadCroppedPair':
                step.crop_size = 16
            if step.type == 'tfinet_mm.LoadMadePair':
                step.update(crop_size=16, method='places')
        return DATASETS.build(config), layouts[name]

    return make


def meanings_of(layout, name):
    """Return (change, before, after) of each rectangle as the values of label maps."""
    index = {None: 255, **{known: number for number, known in enumerate(layout.classes)}}
    return [
        (change, index[before], index[after])
        for before, after, change in layout.extra.get(name, layout.meanings)
    ]


def some(number):
    """Return up to eight indices, the first and the last among them."""
    return [*range(0, number - 1, -(-number // 7)), number - 1]


def maps_of(sample):
    """Return (H, W, 3) of change, before and after; all 255 for a date without labels."""
    change = sample.gt_sem_seg.data[0].numpy()
    covers = [
        getattr(sample, key).data[0].numpy() if key in sample else np.full_like(change, 255)
        for key in ('gt_sem_seg_from', 'gt_sem_seg_to')
    ]
    return np.stack([change, *covers], axis=-1)


@pytest.mark.parametrize('name', LAYOUTS)
def test_every_pair_is_read_as_its_makers_mean_it(build, name):
    for split in SPLITS[1:]:
        dataset, layout = build(name, split)
        assert list(dataset.class_table.land_cover) == list(layout.classes)
        names = [dataset.get_data_info(index)['sample_id'] for index in range(len(dataset))]
        assert set(names) == layout.splits[split]
        assert len(names) == len(layout.splits[split])
        for index in some(len(names)):
            sample_id, result = names[index], dataset[index]
            maps = maps_of(result['data_samples'])
            expected = np.zeros_like(maps)
            for area, meaning in zip(RECTANGLES, meanings_of(layout, sample_id), strict=True):
                expected[area] = meaning
            assert np.array_equal(maps, expected), (split, sample_id)


@pytest.mark.parametrize('name', LAYOUTS)
def test_training_sees_the_same_pixels_and_images(build, name):
    dataset, layout = build(name, 'train')
    for index in some(len(dataset)):
        result = dataset[index]
        sample_id = result['data_samples'].sample_id
        assert sample_id in layout.splits['train']
        # Flips and turns keep the number of pixels of each meaning.
        found = Counter(map(tuple, maps_of(result['data_samples']).reshape(-1, 3).tolist()))
        expected = Counter()
        for area, meaning in zip(RECTANGLES, meanings_of(layout, sample_id), strict=True):
            expected[meaning] += np.zeros((16, 16))[area].size
        assert found == expected, sample_id
    assert len(dataset) == len(layout.splits['train'])
    images = result['inputs'].numpy()
    assert images.shape == (6, 16, 16)
    # The noise keeps the medians; a JPEG rounds.
    found = np.median(images, axis=(1, 2))
    assert np.abs(found - np.concatenate(layout.colours)).max() <= 2


@pytest.mark.parametrize('name', LAYOUTS)
def test_the_check_accepts_it(build, name):
    reports = {}
    for split in SPLITS:
        dataset, layout = build(name, split)
        if not dataset.labelled_dates:
            continue  # The test pairs of BANDON have change alone.
        report = reports[split] = check_dataset(dataset, progress=iter)
        assert report.ok, [problem.message for problem in report.problems]
        assert report.pairs == len(layout.splits[split])
        expected = np.zeros((len(layout.classes),) * 2, int)
        for sample_id in layout.splits[split]:
            for area, (change, before, after) in zip(
                RECTANGLES, meanings_of(layout, sample_id), strict=True
            ):
                if change == 1 and 255 not in (before, after):
                    expected[before, after] += np.zeros((16, 16))[area].size
        assert np.array_equal(report.from_to, expected)
        # The images are noise, which no labels fit.
        told = [one for one in report.problems if 'fits the images' not in one.message]
        copies = [one for one in told if 'images' in one.message]
        assert not copies, copies
    assert not find_leaks(reports)


@pytest.mark.parametrize(
    ('name', 'split', 'dates'),
    [
        ('wusu', 'train', ('from', 'to')),
        ('hi_ucd', 'train', ('from', 'to')),
        ('jl1', 'train', ('from', 'to')),
        ('cnam_cd', 'train', ('to',)),
        ('bandon', 'test', ()),
    ],
)
def test_the_dates_that_labels_have(build, name, split, dates):
    assert build(name, split)[0].labelled_dates == dates


def test_the_page_lists_every_data_set_with_its_number_of_classes(written):
    page = (ROOT / 'docs/datasets.md').read_text(encoding='utf-8')
    section = page[page.index('### More public data sets') : page.index('### Data sets of one')]
    rows = re.findall(r'^\| .* \| (\d+) \| `(\w+)\.py` \|', section, re.MULTILINE)
    assert {name: int(classes) for classes, name in rows} == {
        name: len(layout.classes) for name, layout in written[1].items()
    }


def test_the_config_of_the_page_trains_the_classes_of_its_data_set(tmp_path):
    page = (ROOT / 'docs/datasets.md').read_text(encoding='utf-8')
    section = page[page.index('### More public data sets') :]
    block = re.search(r'```python\n(.*?)```', section, re.DOTALL).group(1)
    file = tmp_path / 'config.py'
    file.write_text(block.replace("'_base_/", f"'{ROOT}/configs/_base_/"))
    config = Config.fromfile(file)
    check_config(config)
    classes = config.train_dataloader.dataset.semantic_classes
    assert config.model.semantic_head.num_classes == len(classes) - 1
