import numpy as np
from PIL import Image

from tfinet_mm.datasets import SECONDDataset

PIPELINE = [
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.PackPairInputs'),
]


def test_a_raw_download_works_as_it_is(second_samples):
    dataset = SECONDDataset(data_root=str(second_samples), pipeline=PIPELINE)
    assert len(dataset) == 8
    for index in range(8):
        item = dataset[index]
        sample = item['data_samples']
        assert item['inputs'].shape == (6, 140, 140)
        with Image.open(sample.seg_map_path_from) as image:
            colours = np.asarray(image)
        white = (colours == 255).all(axis=2)
        assert np.array_equal(sample.gt_sem_seg.data[0].numpy() == 0, white)
        # Building is stored as (128, 0, 0) and is class 5, so 4 without "unchanged".
        building = (colours == (128, 0, 0)).all(axis=2)
        assert np.array_equal(sample.gt_sem_seg_from.data[0].numpy() == 4, building)


def test_the_layout_of_sense_earth(make_scd, tmp_path):
    make_scd(storage='palette', root='train')
    dataset = SECONDDataset(data_root=str(tmp_path / 'train'), pipeline=PIPELINE)
    assert len(dataset) == 3
    assert dataset[0]['data_samples'].gt_sem_seg_from.data.max() <= 255
