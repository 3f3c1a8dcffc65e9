import numpy as np
import pytest
from PIL import Image

from tfinet_mm.datasets import LandsatSCDDataset
from tfinet_mm.structures import LANDSAT_SCD

PIPELINE = [dict(type='tfinet_mm.LoadImagePair'), dict(type='tfinet_mm.LoadPairAnnotations')]
ORIGINALS = ['1_1', '1_2', '1_3', '1_4', '2_1']
COPIES = [
    '1_1rotate90',
    '1_1CropResize0',
    '1_2_Zhedang1',
    '1_3ZheDang2',
    '1_4-crop1',
    '9_9rotate180',
]


@pytest.fixture
def release(tmp_path):
    rng = np.random.default_rng(0)
    written = {}
    for folder in ('A', 'B', 'label'):
        (tmp_path / folder).mkdir()
    for name in ORIGINALS + COPIES:
        for folder in ('A', 'B'):
            pixels = rng.integers(0, 256, (6, 5, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f'{name}.png')
        written[name] = rng.integers(0, 10, (6, 5)).astype(np.uint8)
        Image.fromarray(written[name]).save(tmp_path / 'label' / f'{name}.png')
    return tmp_path, written


def names(dataset):
    return [dataset.get_data_info(index)['sample_id'] for index in range(len(dataset))]


def test_transitions_become_land_cover_of_both_dates(release):
    root, written = release
    dataset = LandsatSCDDataset(data_root=str(root), pipeline=PIPELINE)
    assert dataset.metainfo['semantic_classes'] == LANDSAT_SCD.names
    before, after = [0, 1, 1, 2, 2, 2, 3, 3, 4, 4], [0, 2, 3, 1, 3, 4, 1, 2, 1, 2]
    for index, name in enumerate(names(dataset)):
        results = dataset[index]
        assert np.array_equal(results['gt_seg_map'], written[name] > 0)
        for key, table in (('gt_seg_map_from', before), ('gt_seg_map_to', after)):
            expected = [[(table[t] - 1) % 256 for t in row] for row in written[name]]
            assert results[key].tolist() == expected


def test_labels_of_each_date(make_scd, tmp_path):
    folders = ('A', 'B', 'labelA', 'labelB')
    written = make_scd(table=LANDSAT_SCD, folders=folders)
    dataset = LandsatSCDDataset(labels='per_date', data_root=str(tmp_path), pipeline=PIPELINE)
    results = dataset[0]
    assert np.array_equal(results['gt_seg_map'], written['a']['change'])
    expected = (written['a']['label_to'].astype(int) - 1) % 256
    assert np.array_equal(results['gt_seg_map_to'], expected)


def test_augmented_copies_never_leak(release):
    root, _ = release
    fold = dict(every=2, start=0)

    def build(keep, augmented):
        fold_of = {**fold, 'keep': keep}
        return set(names(LandsatSCDDataset(data_root=str(root), augmented=augmented, fold=fold_of)))

    # Sorted scenes are 1_1, 1_2, 1_3, 1_4, 2_1 and 9_9, so 1_1, 1_3 and 2_1 are held out.
    assert build('held_out', 'exclude') == {'1_1', '1_3', '2_1'}
    assert build('held_out', 'include') == {'1_1', '1_3', '2_1'}
    assert build('rest', 'exclude') == {'1_2', '1_4'}
    assert build('rest', 'include') == {'1_2', '1_4', '1_2_Zhedang1', '1_4-crop1'}


def test_without_a_fold(release):
    root, _ = release
    assert names(LandsatSCDDataset(data_root=str(root))) == ORIGINALS
    included = names(LandsatSCDDataset(data_root=str(root), augmented='include'))
    # A copy without its source can't be assigned to a split.
    assert set(included) == {*ORIGINALS, *COPIES} - {'9_9rotate180'}
    tested = LandsatSCDDataset(data_root=str(root), augmented='include', test_mode=True)
    assert names(tested) == ORIGINALS


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(labels='both'), 'labels'),
        (dict(augmented=True), 'augmented'),
        (dict(data_prefix=dict(seg_map_path_to='label2')), "labels='per_date'"),
    ],
)
def test_options_that_do_not_fit(release, options, message):
    with pytest.raises(ValueError, match=message):
        LandsatSCDDataset(data_root=str(release[0]), **options)
