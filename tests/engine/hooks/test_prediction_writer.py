"""Predictions as label files."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from tfinet_mm.engine.hooks import PairVisualizationHook, PredictionWriterHook
from tfinet_mm.errors import LabelValueError
from tfinet_mm.structures import SECOND


def read(path):
    with Image.open(path) as image:
        return image.mode, np.asarray(image)


def test_maps_of_every_pair_as_palette_png(new_runner, tmp_path):
    out = tmp_path / 'out'
    new_runner([dict(type='tfinet_mm.PredictionWriterHook', out_dir=str(out))]).test()
    for index, name in enumerate(new_runner.names):
        change, label1, label2, *_ = (m.numpy() for m in new_runner.prediction(index))
        for folder, labels in (('label1', label1), ('label2', label2)):
            mode, values = read(out / folder / f'{name}.png')
            assert mode == 'P'
            np.testing.assert_array_equal(values, labels)
        mode, values = read(out / 'change' / f'{name}.png')
        assert mode == 'L'
        np.testing.assert_array_equal(values, change * 255)
    assert len([p for p in out.rglob('*') if p.is_file()]) == 3 * len(new_runner.names)


def test_land_cover_and_probability(new_runner, tmp_path):
    hook = dict(
        type='tfinet_mm.PredictionWriterHook',
        out_dir=str(tmp_path),
        land_cover=True,
        probability=True,
    )
    new_runner([hook]).test()
    name = new_runner.names[1]
    *_, cover1, cover2, prob = (m.numpy() for m in new_runner.prediction(1))
    np.testing.assert_array_equal(read(tmp_path / 'cover1' / f'{name}.png')[1], cover1)
    np.testing.assert_array_equal(read(tmp_path / 'cover2' / f'{name}.png')[1], cover2)
    stored = read(tmp_path / 'change_prob' / f'{name}.png')[1]
    assert np.abs(stored / 255 - prob).max() <= 0.5 / 255 + 1e-6


def test_untrained_land_cover_is_one_class(new_runner, tmp_path):
    hook = dict(type='tfinet_mm.PredictionWriterHook', out_dir=str(tmp_path), land_cover=True)
    runner = new_runner([hook])
    runner.model.semantic_num_classes = 6
    roles = dict(meta=dict(trained_roles=['change']))
    runner.call_hook('after_load_checkpoint', checkpoint=roles)
    runner.test()
    change, label1, *_ = (m.numpy() for m in new_runner.prediction(1))
    assert len(np.unique(label1)) > 2
    for folder, expected in (('label1', change), ('label2', change), ('cover1', 1), ('cover2', 1)):
        _, values = read(tmp_path / folder / f'{new_runner.names[1]}.png')
        assert (values == expected).all()


def test_as_rgb(new_runner, tmp_path):
    hook = dict(type='tfinet_mm.PredictionWriterHook', out_dir=str(tmp_path), storage='rgb')
    new_runner([hook]).test()
    mode, colours = read(tmp_path / 'label1' / 'd.png')
    labels = new_runner.prediction(3)[1].numpy()
    assert mode == 'RGB'
    np.testing.assert_array_equal(colours, np.array(SECOND.palette)[labels])


def test_needs_no_labels(new_runner, tmp_path):
    dataset = new_runner.pairs(tmp_path / 'data', labels=False)
    hook = dict(type='tfinet_mm.PredictionWriterHook', out_dir=str(tmp_path / 'out'))
    new_runner([hook], dataset=dataset).test()
    assert (tmp_path / 'out' / 'label1' / 'sub' / 'a.b c.png').exists()


def written(runner, sample, tmp_path):
    PredictionWriterHook(str(tmp_path)).after_test_iter(runner, 0, outputs=[sample])


def test_as_grey_class_numbers_that_open_cd_reads(new_runner, tmp_path):
    runner = new_runner([])
    sample = SegDataSample(metainfo={'img_path': ['im1/a.b.png', 'im2/a.b.png']})
    labels = torch.tensor([[[0, 1, 6]]], dtype=torch.uint8)
    sample.set_data(
        {
            'pred_sem_seg': PixelData(data=(labels > 0).to(torch.uint8)),
            'pred_sem_seg_from': PixelData(data=labels),
            'pred_sem_seg_to': PixelData(data=labels),
        }
    )
    hook = PredictionWriterHook(str(tmp_path), storage='index')
    hook.after_test_iter(runner, 0, outputs=[sample])
    for folder, expected in (('label1', [0, 1, 6]), ('label2', [0, 1, 6]), ('change', [0, 1, 1])):
        with Image.open(tmp_path / folder / 'a.b.png') as image:
            # As mmcv reads a label with flag='grayscale'.
            assert np.asarray(image.convert('L')).tolist() == [expected]
    with pytest.raises(ValueError, match=r"storage must be one of .*, got 'grey'"):
        PredictionWriterHook(str(tmp_path), storage='grey')


def test_what_cannot_be_written_is_named(new_runner, tmp_path):
    runner = new_runner([])
    sample = SegDataSample(metainfo={'img_path': ['x', 'y']})
    with pytest.raises(LabelValueError, match="sample x has no 'pred_sem_seg'"):
        written(runner, sample, tmp_path)
    sample.pred_sem_seg = PixelData(data=torch.zeros(1, 2, 2, dtype=torch.uint8))
    sample.set_metainfo({'sample_id': 'one', 'img_path': None})
    with pytest.raises(LabelValueError, match="sample one has no 'pred_sem_seg_from'"):
        written(runner, sample, tmp_path)
    sample.set_metainfo({'sample_id': ''})
    with pytest.raises(ValueError, match=r"no 'sample_id'.*img_path"):
        written(runner, sample, tmp_path)
    sample.set_metainfo({'sample_id': '../one'})
    sample.pred_sem_seg_from = PixelData(data=torch.zeros(1, 2, 2, dtype=torch.uint8))
    with pytest.raises(ValueError, match='inside its folder'):
        written(runner, sample, tmp_path / 'out')
    assert not (tmp_path / 'one.png').exists()


@pytest.mark.parametrize(
    ('dataset', 'out', 'refused'),
    [
        ({'data_root': 'data/mine'}, 'data/mine', True),
        ({'data_root': 'data/mine'}, 'data/mine/predicted', False),
        ({'data_prefix': {'seg_map_path_from': 'mine/label1'}}, 'mine', True),
        ({'data_root': 'data', 'data_prefix': {'seg_map_path': 'a/change'}}, 'data/a', True),
        ({'data_root': 'data', 'data_prefix': {'seg_map_path': None}}, 'out', False),
        ({'datasets': [{'data_root': 'one'}, {'dataset': {'data_root': 'two'}}]}, 'two', True),
    ],
)
@pytest.mark.parametrize('split', ['train', 'test'])
def test_labels_of_the_data_are_not_overwritten(
    dataset, out, refused, split, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    runner = SimpleNamespace(
        cfg=Config({f'{split}_dataloader': {'dataset': dataset}}),
        test_dataloader=SimpleNamespace(dataset=None),
    )
    # Another way to write the same folder.
    hook = PredictionWriterHook(str(tmp_path / 'x' / '..' / out))
    if not refused:
        hook.before_test(runner)
        return
    with pytest.raises(ValueError, match=rf'overwrite labels .* of the {split}_dataloader'):
        hook.before_test(runner)


class Named(list):
    """A data set of samples of these names."""

    def get_data_info(self, index):
        return {'sample_id': self[index]}


@pytest.mark.parametrize('hook', [PredictionWriterHook, PairVisualizationHook])
def test_two_data_sets_of_one_name(hook, tmp_path):
    def start(*datasets):
        loader = SimpleNamespace(dataset=SimpleNamespace(datasets=datasets))
        runner = SimpleNamespace(cfg=Config(), test_dataloader=loader)
        one = hook(out_dir=str(tmp_path))
        one.before_test(runner)
        one.before_test_epoch(runner)

    start(Named(['a', 'b']), Named(['c']))
    with pytest.raises(ValueError, match=r'1 samples of the test data sets share their names.* b;'):
        start(Named(['a', 'b']), Named(['c', 'b']))
