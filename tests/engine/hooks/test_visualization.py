"""Test pictures of pairs in validation and in testing."""

import importlib.util
import io
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.engine.hooks import PairVisualizationHook, visualization
from tfinet_mm.visualization.overlay import CHANGE_COLOURS

SCRIPT = Path(__file__).with_name('two_ranks_pictures.py')
SPEC = importlib.util.spec_from_file_location('two_ranks_pictures', SCRIPT)
two = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(two)
BACKEND_NAMES = ('LocalVisBackend', 'TensorboardVisBackend')
_, _, MISSED, FALSE, _ = CHANGE_COLOURS


def pictures(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob('*.png'))


def hook(**options):
    return dict(type='tfinet_mm.PairVisualizationHook', **options)


def shows(path, value, area):
    """Return whether a picture has as many pixels of one grey value."""
    with Image.open(path) as image:
        return (np.asarray(image.convert('RGB')) == value).all(-1).sum() >= area


def test_testing_writes_every_pair_with_its_sub_folder(new_runner, tmp_path):
    out = tmp_path / 'pictures'
    new_runner([hook(out_dir=str(out))]).test()
    assert pictures(out) == sorted(f'{name}.png' for name in new_runner.names)
    # Images of 24 x 32 are enlarged six times.
    # The third is a window of larger files.
    for name, value in (('a.b c', 100), ('sub/a.b c', 101), ('sub/ünï_x8_y0', 102)):
        for grey in (value, value + 50):
            assert shows(out / f'{name}.png', grey, 144 * 192)


def test_testing_every_second_pair_and_none(new_runner, tmp_path):
    out = tmp_path / 'pictures'
    new_runner([hook(out_dir=str(out), test_interval=2)]).test()
    assert pictures(out) == sorted(f'{name}.png' for name in new_runner.names[::2])


def test_images_are_not_overwritten(new_runner, tmp_path):
    runner = new_runner([hook(out_dir=str(tmp_path / 'x' / '..' / 'data' / 'im2'))])
    with pytest.raises(ValueError, match='would overwrite its image'):
        runner.test()
    assert shows(tmp_path / 'data' / 'im2' / 'a.b c.png', 150, 24 * 32)


def test_testing_without_a_folder_draws_nothing(new_runner, tmp_path):
    new_runner([hook()]).test()
    assert not [p for p in pictures(tmp_path) if not p.startswith('data/')]


@pytest.mark.parametrize('bands', [1, 4])
def test_images_of_other_bands_without_labels(new_runner, tmp_path, bands):
    dataset = new_runner.pairs(tmp_path / 'data', labels=False, bands=bands)
    new_runner([hook(out_dir=str(tmp_path / 'out'))], dataset=dataset).test()
    assert shows(tmp_path / 'out' / 'd.png', 103, 144 * 192)


class Listed:
    """Pairs with sample_info that needs no loading, as in MMEngine's data sets."""

    def __init__(self, pairs):
        self.pairs, self.metainfo = pairs, pairs.metainfo

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        return self.pairs[index]

    def get_data_info(self, index):
        return self.pairs[index]['data_samples'].metainfo


def backends(number):
    return [dict(type=name) for name in BACKEND_NAMES[:number]]


def events(folder):
    module = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    (log,) = folder.rglob('*tfevents*')
    return module.EventAccumulator(str(log), size_guidance={'images': 0}).Reload()


@pytest.mark.parametrize('by_epoch', [True, False])
def test_validation_goes_to_the_backends_in_steps(new_runner, tmp_path, by_epoch):
    dataset = Listed(new_runner.pairs(tmp_path / 'data'))
    # Five pairs in batches of two: three iterations an epoch.
    loop, steps = dict(by_epoch=True, max_epochs=2), (3, 6)
    if not by_epoch:
        loop, steps = dict(by_epoch=False, max_iters=4, val_interval=2), (2, 4)
    runner = new_runner(
        [hook(number=3)], train=True, dataset=dataset, backends=backends(2), train_cfg=loop
    )
    runner.train()
    (folder,) = (tmp_path / 'work').rglob('vis_image')
    names = ('a.b c', 'sub/ünï_x8_y0', 'e')
    assert pictures(folder) == sorted(f'val/{name}_{step}.png' for name in names for step in steps)

    seen = events(tmp_path / 'work')
    assert sorted(seen.Tags()['images']) == sorted(f'val/{name}' for name in names)
    for index, name in zip((0, 2, 4), names, strict=True):
        images = seen.Images(f'val/{name}')
        assert [image.step for image in images] == list(steps)
        for image in images:
            data = io.BytesIO(image.encoded_image_string)
            path = folder / f'val/{name}_{image.step}.png'
            assert np.array_equal(np.asarray(Image.open(data)), np.asarray(Image.open(path)))
            for grey in (100 + index, 150 + index):
                assert shows(path, grey, 144 * 192)


def test_every_step_is_told_in_its_picture(new_runner, tmp_path):
    new_runner([hook(number=1)], train=True, backends=backends(1)).train()
    (folder,) = (tmp_path / 'work').rglob('vis_image')
    first, second = (np.asarray(Image.open(folder / f'val/sub/ünï_x8_y0_{i}.png')) for i in (3, 6))
    rows = np.flatnonzero((first != second).any(axis=(1, 2)))
    # Nothing is learnt here, so that only the number over the panels differs.
    assert rows.size
    assert rows.max() < 30


def test_the_same_pairs_when_the_order_changes(new_runner, tmp_path):
    dataset = Listed(new_runner.pairs(tmp_path / 'data'))
    loader = dict(
        batch_size=2,
        dataset=dataset,
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='pseudo_collate'),
    )
    new_runner(
        [hook(number=2)],
        True,
        dataset,
        backends(1),
        val_dataloader=loader,
        randomness=dict(seed=1),
    ).train()
    (folder,) = (tmp_path / 'work').rglob('vis_image')
    assert pictures(folder) == [
        f'val/{name}_{step}.png' for name in ('d', 'sub/a.b c') for step in (3, 6)
    ]


def test_validation_alone_does_not_build_the_training_data(new_runner, tmp_path):
    train = dict(batch_size=1, dataset=dict(type='NoSuchDataset'), sampler=dict(type='NoSampler'))
    runner = new_runner(
        [hook(interval=4)], train=True, backends=backends(1), train_dataloader=train
    )
    runner.val()
    (folder,) = (tmp_path / 'work').rglob('vis_image')
    assert pictures(folder) == ['val/a.b c_0.png', 'val/e_0.png']


@pytest.mark.parametrize('options', [dict(number=0), dict(interval=0)])
def test_validation_can_be_switched_off(new_runner, tmp_path, monkeypatch, options):
    # It costs nothing: no image is read, and no sample is used.
    monkeypatch.setattr(visualization, 'read_image', None)
    monkeypatch.setattr(visualization, 'sample_key', None)
    new_runner([hook(**options)], train=True, backends=backends(1)).train()
    assert not list((tmp_path / 'work').rglob('*.png'))


def write_images(root, name, suffix='.png', shape=(24, 32), grey=60):
    for date in ('im1', 'im2'):
        path = root / date / f'{name}{suffix}'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*shape, 3), grey, np.uint8)).save(path)


def test_images_of_other_sizes_and_without_annotation_in_one_run(tmp_path):
    sizes = {'a/x': (24, 32), 'b/x': (48, 16), 'c': (600, 300)}
    for name, shape in sizes.items():
        write_images(tmp_path, name, shape=shape)
    samples = two.Samples(
        two.new_sample(tmp_path, name, shape=shape, labels=name != 'b/x')
        for name, shape in sizes.items()
    )
    runner = two.new_runner(samples, tmp_path / 'work', BACKEND_NAMES)
    two.validate(runner)
    runner.visualizer.close()
    folder = tmp_path / 'work/vis_data/vis_image'
    assert pictures(folder) == ['val/a/x_7.png', 'val/b/x_7.png', 'val/c_7.png']
    seen = events(tmp_path / 'work')
    # Columns of images, annotation, prediction and errors, 8 pixels between them; no panel is
    # narrower than the heading over it.
    panels = {'a/x': (4, 192, 144), 'b/x': (3, 144, 192), 'c': (4, 256, 512)}
    for name, (columns, width, height) in panels.items():
        (image,) = seen.Images(f'val/{name}')
        assert image.width == 8 + columns * (width + 8)
        assert 2 * height < image.height < 2 * height + 160
        with Image.open(folder / f'val/{name}_7.png') as picture:
            assert picture.size == (image.width, image.height)
    # A quarter of the pixels each, where there is an annotation.
    for name, area in (('a/x', 192 * 144 // 4), ('b/x', 0), ('c', 256 * 512 // 4)):
        shown = np.asarray(Image.open(folder / f'val/{name}_7.png'))
        for colour in (MISSED, FALSE):
            assert area <= (shown == colour).all(-1).sum() <= area + (400 if area else 0)


def test_many_bands_of_16_bit_are_stretched(tmp_path):
    rasterio = pytest.importorskip('rasterio')
    values = np.zeros((5, 24, 32), np.uint16)
    values[:3, :, :16], values[:3, :, 16:] = 400, 3000
    for date in ('im1', 'im2'):
        (tmp_path / date).mkdir()
        path, profile = tmp_path / date / 'a.tif', dict(height=24, width=32, count=5)
        with rasterio.open(path, 'w', driver='GTiff', dtype='uint16', **profile) as raster:
            raster.write(values)
    samples = two.Samples([two.new_sample(tmp_path, 'a', '.tif')])
    two.validate(two.new_runner(samples, tmp_path / 'work'))
    picture = np.asarray(Image.open(tmp_path / 'work/vis_data/vis_image/val/a_7.png'))
    top = np.flatnonzero((picture[:, 8:200] == 0).all(-1).sum(axis=1) == 96)
    assert len(top) == 2 * 144
    assert (picture[top[0], 8:104] == 0).all()
    assert (picture[top[0], 104:200] == 255).all()


def test_data_sets_put_together_with_names_in_common(tmp_path):
    for root in ('one', 'two'):
        write_images(tmp_path / root, 'a')
    samples = two.Samples(two.new_sample(tmp_path / root, 'a') for root in ('one', 'two'))
    two.validate(two.new_runner(samples, tmp_path / 'work'))
    assert pictures(tmp_path / 'work/vis_data/vis_image') == ['val/a_7.png', 'val/a~2_7.png']


def test_weights_and_biases_gets_each_picture(tmp_path, monkeypatch):
    # Stands for the package, which is not installed where the tests run.
    logged = []
    package = ModuleType('wandb')
    package.init = lambda **options: None
    package.Image = np.array
    package.log = lambda values, commit: logged.append(values)
    package.finish = package.join = lambda: None
    monkeypatch.setitem(sys.modules, 'wandb', package)
    for name in ('a', 'sub/a'):
        write_images(tmp_path, name)
    samples = two.Samples(two.new_sample(tmp_path, name) for name in ('a', 'sub/a'))
    two.validate(two.new_runner(samples, tmp_path / 'work', ('WandbVisBackend',)))
    assert [list(values) for values in logged] == [['val/a'], ['val/sub/a']]
    for values in logged:
        (picture,) = values.values()
        assert picture.dtype == np.uint8
        assert (picture == MISSED).all(-1).sum() >= 192 * 144 // 4


def test_two_ranks_draw_what_one_draws(tmp_path):
    one, both = tmp_path / 'one', tmp_path / 'both'
    for folder in (one, both):
        for index, name in enumerate(two.NAMES):
            write_images(folder, name, grey=60 + index)
    samples = two.Samples(two.new_sample(one, name) for name in two.NAMES)
    two.validate(two.new_runner(samples, one / 'work'), number=5)
    two.test(two.new_runner(samples, one / 'work'), one / 'out')
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, both, str(rank), '2'], stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors

    for part in ('work/vis_data/vis_image', 'out'):
        files = pictures(one / part)
        assert len(files) == 5
        assert pictures(both / part) == files
        for file in files:
            assert np.array_equal(*(np.asarray(Image.open(x / part / file)) for x in (one, both)))
    # No picture of testing was written by both, none went to TensorBoard twice.
    written = [(both / f'rank{rank}.txt').read_text().splitlines() for rank in range(2)]
    assert sorted(written[0] + written[1]) == sorted(f'out/{name}.png' for name in two.NAMES)
    assert all(written)
    seen = events(both)
    assert sorted(seen.Tags()['images']) == sorted(f'val/{name}' for name in two.NAMES)
    assert all(len(seen.Images(f'val/{name}')) == 1 for name in two.NAMES)


@pytest.mark.parametrize('options', [dict(number=-1), dict(interval=-1), dict(test_interval=0)])
def test_numbers_that_make_no_sense(options):
    with pytest.raises(ValueError, match='number and interval must be 0'):
        PairVisualizationHook(**options)
