"""Compare the verdict of tools/check_dataset.py on a fault with that of a training."""

import shutil

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from tfinet_mm.utils.command import is_expected

LOAD = [dict(type='tfinet_mm.LoadImagePair'), dict(type='tfinet_mm.LoadPairAnnotations')]
PACK = dict(type='tfinet_mm.PackPairInputs')


def crop(size, keep=False):
    step = dict(type='tfinet_mm.RandomCropWithChange', crop_size=size, keep_smaller=keep)
    return pipeline([*LOAD, step, PACK])


def pipeline(steps, **more):
    return dict(train_dataloader=dict(dataset=dict(pipeline=steps)), **more)


def fill(folder, values, name='*', size=64):
    def write(root):
        for path in sorted((root / folder).glob(f'{name}.png')):
            Image.fromarray(np.full((size, size), values, np.uint8)).save(path)

    return write


def both(*parts):
    return lambda root: [part(root) for part in parts]


def damage(folder):
    return lambda root: (root / folder / '00001.png').write_bytes(b'nonsense')


def smaller(split, name='00001'):
    """Cut all files of a pair to 48 x 48 pixels, so that pairs differ in size."""

    def write(root):
        for path in sorted((root / split).glob(f'*/{name}.png')):
            image = Image.open(path)
            image.crop((0, 0, 48, 48)).save(path)

    return write


def joined(**options):
    """Join the training pairs and a data set of the same folder with other options."""

    def change(own):
        other = dict(type='tfinet_mm.SCDDataset', pipeline=own['pipeline'], **options)
        other['data_root'] = own['data_root']
        dataset = dict(_delete_=True, type='ConcatDataset', datasets=[own, other])
        return dict(train_dataloader=dict(dataset=dataset))

    return change


LABELS = 'train/label1', 'train/label2'
NO_LABELS = dict(seg_map_path_from=None, seg_map_path_to=None)
FAULTS = {
    # name: (change of the data, change of the config or a function that makes it of the training
    # data set, the word of the error; None: accepted)
    'nothing': (None, {}, None),
    'damaged image': (damage('train/im2'), {}, 'im2/00001'),
    'damaged label': (damage('train/label2'), {}, 'label2/00001'),
    'label of another size': (fill(LABELS[0], 1, '00002', 32), {}, 'one size'),
    'class that is not there': (
        fill(LABELS[0], 9, '00002'),
        dict(train_dataloader=dict(dataset=dict(label_storage='index'))),
        '100.00 % of its pixels as 9',
    ),
    'nothing is changed': (both(*(fill(one, 0) for one in LABELS)), {}, 'changed'),
    'everything is changed': (both(*(fill(one, 3) for one in LABELS)), {}, 'unchanged|every pixel'),
    'no change between classes': (
        lambda root: [shutil.copy(path, root / LABELS[1]) for path in (root / LABELS[0]).iterdir()],
        {},
        'the same class on both dates',
    ),
    'land cover without masks': (
        None,
        dict(train_dataloader=dict(dataset=dict(label_semantics='land_cover'))),
        'change masks',
    ),
    'classes and heads': (
        None,
        dict(model=dict(semantic_head=dict(num_classes=7))),
        'num_classes',
    ),
    'crop larger than an image': (smaller('train'), crop(64), 'larger than the image'),
    'crop that keeps smaller images': (smaller('train'), crop(64, keep=True), None),
    'pairs of two sizes': (smaller('train', '00000'), {}, None),
    'pairs of two sizes in a batch to validate': (
        smaller('val'),
        dict(val_dataloader=dict(batch_size=2)),
        'batch_size=1',
    ),
    'validation without labels': (
        None,
        dict(val_dataloader=dict(dataset=dict(data_prefix=NO_LABELS))),
        'no labels',
    ),
    'pipeline without labels': (None, pipeline([LOAD[0], PACK]), 'LoadPairAnnotations'),
    'pipeline without packing': (None, pipeline(LOAD), 'PackPairInputs'),
    'transform that mixes classes': (
        None,
        pipeline(
            [*LOAD, dict(type='mmseg.RandomRotFlip', rotate_prob=1, flip_prob=0, degree=20), PACK]
        ),
        'when it is packed',
    ),
    'one band and means of three': (
        None,
        pipeline([dict(type='tfinet_mm.LoadImagePair', bands=[1]), LOAD[1], PACK]),
        'mean and std',
    ),
    'change masks that state no classes': (
        None,
        joined(data_prefix=dict(NO_LABELS, seg_map_path='label1'), change_storage='0/1'),
        'which has change masks alone, the same classes',
    ),
    'no batch is left': (
        None,
        dict(train_dataloader=dict(batch_size=8, drop_last=True)),
        'no batch is left',
    ),
}


@pytest.fixture
def verdicts(tiny, load_tool, tmp_path, capsys, monkeypatch):
    """Return the error of a training, or None, and the output and exit code of the check."""
    monkeypatch.setenv('LOCAL_RANK', '0')

    def find(spoil, changes):
        shutil.copytree(tiny.parent / 'data', tmp_path / 'data')
        if spoil is not None:
            spoil(tmp_path / 'data')
        text = tiny.read_text().replace(str(tiny.parent / 'data'), str(tmp_path / 'data'))
        (tmp_path / 'tiny.py').write_text(text)
        config = tmp_path / 'config.py'
        if callable(changes):
            base = Config.fromfile(tmp_path / 'tiny.py')
            changes = changes(base.train_dataloader.dataset.to_dict())
        changes = {
            'train_cfg': dict(max_epochs=1, val_interval=1),
            'default_hooks': dict(checkpoint=None, visualization=None),
            'log_level': 'ERROR',
            **changes,
        }
        Config(dict(_base_=str(tmp_path / 'tiny.py'), **changes)).dump(config)
        check = load_tool('check_dataset.py')
        code = check.main([str(config), '--workers', '0'])
        printed = capsys.readouterr().out
        try:
            load_tool('train.py').main([str(config), '--work-dir', str(tmp_path / 'w')])
        except Exception as error:
            return error, printed, code
        return None, printed, code

    return find


@pytest.mark.parametrize('fault', FAULTS)
def test_check_and_training_agree(verdicts, fault):
    spoil, changes, word = FAULTS[fault]
    error, printed, code = verdicts(spoil, changes)
    assert code == (error is not None), f'{error}\n{printed}'
    assert (word is None) == (error is None), error
    if word is not None:
        said = [line for line in printed.splitlines() if 'error: ' in line]
        assert any(one in line for one in word.split('|') for line in said), printed
        assert is_expected(error), error
