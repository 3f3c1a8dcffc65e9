import numpy as np
import pytest

from tfinet_mm.datasets import HRSCDDataset

rasterio = pytest.importorskip('rasterio')
PIPELINE = [dict(type='tfinet_mm.LoadImagePair'), dict(type='tfinet_mm.LoadPairAnnotations')]


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = dict(width=values.shape[2], height=values.shape[1], count=len(values))
    blocks = dict(tiled=True, blockxsize=16, blockysize=16)
    with rasterio.open(path, 'w', driver='GTiff', dtype=values.dtype, **profile, **blocks) as file:
        file.write(values)


@pytest.fixture
def release(tmp_path):
    rng = np.random.default_rng(0)
    written = {}
    for region, first, tile in (('D14', 2005, '0415-6890'), ('D35', 2006, '0305-6780')):
        number = region[1:]
        arrays = dict(
            before=rng.integers(0, 256, (3, 40, 48)).astype(np.uint8),
            after=rng.integers(0, 256, (3, 40, 48)).astype(np.uint8),
            cover_from=rng.integers(0, 6, (1, 40, 48)).astype(np.uint8),
            cover_to=rng.integers(0, 6, (1, 40, 48)).astype(np.uint8),
            change=rng.integers(0, 2, (1, 40, 48)).astype(np.uint8),
        )
        old = f'{region}/{number}-{first}-{tile}-LA93.tif'
        new = f'{region}/{number}-2012-{tile}-LA93-0M50-E080.tif'
        write(tmp_path / 'images_2006/2006' / old, arrays['before'])
        write(tmp_path / 'images_2012/2012' / new, arrays['after'])
        write(tmp_path / 'labels_land_cover_2006/2006' / old, arrays['cover_from'])
        write(tmp_path / 'labels_land_cover_2012/2012' / new, arrays['cover_to'])
        write(tmp_path / 'labels_change/change' / new, arrays['change'])
        written[old.removesuffix('.tif')] = arrays
    return tmp_path, written


def test_names_of_both_years_are_one_tile(release):
    root, written = release
    dataset = HRSCDDataset(data_root=str(root), pipeline=PIPELINE)
    names = [dataset.get_data_info(index)['sample_id'] for index in range(len(dataset))]
    assert names == list(written)


def test_windows_read_images_and_labels_alike(release):
    root, written = release
    dataset = HRSCDDataset(data_root=str(root), window=(16, 16), pipeline=PIPELINE)
    assert len(dataset) == 2 * 3 * 3
    results = dataset[5]
    assert results['sample_id'] == 'D14/14-2005-0415-6890-LA93_x32_y16'
    arrays = written['D14/14-2005-0415-6890-LA93']
    rows, columns = slice(16, 32), slice(32, 48)
    assert results['img'].shape == (16, 16, 6)
    assert np.array_equal(
        results['img'][..., 3:], arrays['after'][:, rows, columns].transpose(1, 2, 0)
    )
    assert np.array_equal(results['gt_seg_map'], arrays['change'][0, rows, columns])
    cover = arrays['cover_from'][0, rows, columns].astype(int)
    assert np.array_equal(results['gt_seg_map_from'], np.where(cover == 0, 255, cover - 1))


def test_all_windows_together_are_the_tile(release):
    root, written = release
    dataset = HRSCDDataset(data_root=str(root), window=(16, 16), pipeline=PIPELINE, indices=9)
    seen = np.zeros((40, 48, 6), np.uint8)
    for index in range(9):
        results = dataset[index]
        left, top, width, height = results['window']
        seen[top : top + height, left : left + width] = results['img']
    arrays = next(iter(written.values()))
    whole = np.concatenate([arrays['before'], arrays['after']]).transpose(1, 2, 0)
    assert np.array_equal(seen, whole)


def test_folds_hold_out_whole_tiles(release):
    root, _ = release
    fold = dict(every=2, start=0, keep='held_out')
    dataset = HRSCDDataset(data_root=str(root), window=16, fold=fold, window_edge='drop')
    names = {dataset.get_data_info(index)['sample_id'][:3] for index in range(len(dataset))}
    assert names == {'D14'}
    assert len(dataset) == 2 * 3
