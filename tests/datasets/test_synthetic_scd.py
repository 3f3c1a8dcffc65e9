import numpy as np
import pytest

from tfinet_mm.datasets import SyntheticSCDDataset
from tfinet_mm.structures import SECOND

PIPELINE = [dict(type='tfinet_mm.LoadImagePair'), dict(type='tfinet_mm.LoadPairAnnotations')]


@pytest.fixture
def embedded(make_scd, tmp_path):
    from PIL import Image

    written = make_scd(storage='palette', root='train')
    rng = np.random.default_rng(5)
    for name, arrays in written.items():
        for folder, key in (('cover1', 'label_from'), ('cover2', 'label_to')):
            # Full cover agrees with the labels where something changed.
            cover = np.where(arrays[key] > 0, arrays[key], rng.integers(1, 7, arrays[key].shape))
            arrays[folder] = cover.astype(np.uint8)
            image = Image.fromarray(arrays[folder], mode='P')
            image.putpalette([value for colour in SECOND.palette for value in colour])
            (tmp_path / 'train' / folder).mkdir(exist_ok=True)
            image.save(tmp_path / 'train' / folder / f'{name}.png')
    return tmp_path / 'train', written


def test_labels_of_second(embedded):
    root, written = embedded
    dataset = SyntheticSCDDataset(data_root=str(root), pipeline=PIPELINE)
    results = dataset[1]
    assert np.array_equal(results['gt_seg_map'], written['b']['change'])
    assert (results['gt_seg_map_from'] == 255).any()


def test_full_cover(embedded):
    root, written = embedded
    dataset = SyntheticSCDDataset(full_cover=True, data_root=str(root), pipeline=PIPELINE)
    results = dataset[1]
    assert np.array_equal(results['gt_seg_map'], written['b']['change'])
    assert np.array_equal(results['gt_seg_map_from'], written['b']['cover1'] - 1)
    assert np.array_equal(results['gt_seg_map_to'], written['b']['cover2'] - 1)
