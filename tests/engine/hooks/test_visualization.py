"""Pictures of pairs, in validation and in testing."""

import numpy as np
import pytest
from PIL import Image

from tfinet_mm.engine.hooks import PairVisualizationHook


def pictures(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob('*.png'))


def hook(**options):
    return dict(type='tfinet_mm.PairVisualizationHook', **options)


def shows(path, value, area):
    """Whether a picture has as many pixels of one grey value."""
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


def test_validation_goes_to_the_visualizer_in_steps(new_runner, tmp_path):
    backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
    new_runner([hook(interval=2)], train=True, backends=backends).train()
    (folder,) = (tmp_path / 'work').rglob('vis_image')
    # Five pairs in batches of two: three iterations an epoch.
    assert pictures(folder) == sorted(
        f'val_{name}_{step}.png' for name in ('a.b c', 'sub%2Fünï_x8_y0', 'e') for step in (3, 6)
    )

    events = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    (log,) = (tmp_path / 'work').rglob('*tfevents*')
    seen = events.EventAccumulator(str(log)).Reload()
    assert [image.step for image in seen.Images('val_e')] == [3, 6]


def test_validation_alone_does_not_build_the_training_data(new_runner, tmp_path):
    train = dict(batch_size=1, dataset=dict(type='NoSuchDataset'), sampler=dict(type='NoSampler'))
    backends = [dict(type='LocalVisBackend')]
    new_runner([hook(interval=4)], train=True, backends=backends, train_dataloader=train).val()
    (folder,) = (tmp_path / 'work').rglob('vis_image')
    assert pictures(folder) == ['val_a.b c_0.png', 'val_e_0.png']


def test_validation_can_be_switched_off(new_runner, tmp_path):
    backends = [dict(type='LocalVisBackend')]
    new_runner([hook(interval=0)], train=True, backends=backends).train()
    assert not list((tmp_path / 'work').rglob('*.png'))


def test_the_same_pairs_whatever_the_number_of_ranks(monkeypatch):
    def due(rank, ranks, size=10):
        monkeypatch.setattr(
            'tfinet_mm.engine.hooks.visualization.get_dist_info', lambda: (rank, ranks)
        )
        one = PairVisualizationHook()
        return one._due(list(range(size))[rank::ranks], 3)

    assert due(0, 1) == [0, 3, 6, 9]
    assert sorted(due(0, 2) + due(1, 2)) == [0, 3, 6, 9]


@pytest.mark.parametrize('options', [dict(interval=-1), dict(test_interval=0)])
def test_intervals_that_make_no_sense(options):
    with pytest.raises(ValueError, match='interval must be 0'):
        PairVisualizationHook(**options)
