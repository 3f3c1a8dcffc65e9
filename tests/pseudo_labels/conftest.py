"""Networks of single pixels, whose predictions a line of NumPy can compute."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from small_run import new_runner  # noqa: F401, a fixture
from torch import nn

from tfinet_mm.pseudo_labels.pairs import PairsToLabel
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import SECOND, SCDProbabilities


@MODELS.register_module(force=True)
class PixelDetector(BaseModel):
    """Predict class and change of a pixel from its colours; see :func:`pixel_probabilities`."""

    def __init__(self, num_classes=6, test_cfg=None, data_preprocessor=None, autocast=None):
        super().__init__(data_preprocessor)
        self.autocast = autocast
        self.num_classes = num_classes
        self.test_cfg = test_cfg
        self.semantic = nn.Conv2d(3, num_classes, 1)
        self.change = nn.Conv2d(6, 1, 1)

    def forward(self, inputs):
        raise NotImplementedError

    def predict_probabilities(self, inputs):
        before, after = inputs.chunk(2, 1)
        return SCDProbabilities(
            self.semantic(before).softmax(1),
            self.semantic(after).softmax(1),
            self.change(inputs).sigmoid(),
        )


PREPROCESSOR = dict(type='tfinet_mm.PairDataPreprocessor', mean=[128.0] * 3, std=[64.0] * 3)


def pixel_probabilities(state, image):
    """Return a PixelDetector's probabilities (K, H, W) float64 of one date (H, W, 3)."""
    weight = state['semantic.weight'].numpy().astype(np.float64)[:, :, 0, 0]
    normalised = (image.astype(np.float64) - 128) / 64
    logits = np.einsum('kc,hwc->khw', weight, normalised)
    logits += state['semantic.bias'].numpy()[:, None, None]
    powers = np.exp(logits - logits.max(0))
    return powers / powers.sum(0)


def pixel_change(state, before, after):
    """Return P(changed) by a PixelDetector, (H, W)."""
    weight = state['change.weight'].numpy().astype(np.float64)[0, :, 0, 0]
    both = (np.concatenate([before, after], 2).astype(np.float64) - 128) / 64
    return 1 / (1 + np.exp(-(both @ weight + state['change.bias'].item())))


@pytest.fixture
def members(tmp_path):
    """Return a function that saves M networks: it returns an ensemble's entries, and weights."""

    def save(number=3, num_classes=6, classes=SECOND, first_seed=0):
        config = tmp_path / f'pixels{num_classes}.py'
        config.write_text(
            f'model = dict(type="tfinet_mm.PixelDetector", num_classes={num_classes}, '
            f'data_preprocessor={PREPROCESSOR!r})\n'
        )
        entries, states = [], []
        for seed in range(first_seed, first_seed + number):
            torch.manual_seed(seed)
            model = MODELS.build(Config.fromfile(config).model)
            nn.init.normal_(model.semantic.weight, std=1.5)
            state = model.state_dict()
            path = tmp_path / f'member {seed}.pth'
            meta = {} if classes is None else dict(dataset_meta=classes.metainfo())
            torch.save(dict(state_dict=state, meta=meta), path)
            entries.append(dict(config=str(config), checkpoint=str(path)))
            states.append(state)
        return dict(type='tfinet_mm.SCDEnsemble', members=entries), states

    return save


@pytest.fixture
def make_config():
    """Return a function that makes the config of a data set and a pipeline for tests."""

    def make(dataset, test_pipeline=None, split='train'):
        test_pipeline = test_pipeline or [
            dict(type='tfinet_mm.LoadImagePair'),
            dict(type='tfinet_mm.LoadPairAnnotations'),
            dict(type='tfinet_mm.PackPairInputs'),
        ]
        loaders = {'train_dataloader': dict(dataset=dataset)}
        if split == 'train':
            tested = dict(type='tfinet_mm.SECONDDataset', data_root='x', pipeline=test_pipeline)
            loaders['test_dataloader'] = dict(dataset=tested)
        else:
            loaders = {f'{split}_dataloader': dict(dataset=dataset)}
        return Config(loaders)

    return make


AUGMENTED = [
    dict(type='tfinet_mm.LoadImagePair'),
    dict(type='tfinet_mm.LoadPairAnnotations'),
    dict(type='tfinet_mm.RandomFlipOrRotate'),
    dict(type='mmseg.RandomCrop', crop_size=(4, 4)),
    dict(type='tfinet_mm.PackPairInputs'),
]


@pytest.fixture
def second(tmp_path, make_scd, make_config):
    """Return pairs in SECOND's layout below tmp_path/data, and all arrays by name."""
    names = ('a', 'sub dir/b.c d', 'sub dir/e', 'f', 'g')
    sizes = {'a': (12, 16), 'sub dir/b.c d': (9, 7), 'sub dir/e': (9, 7), 'f': (12, 16)}
    written = make_scd(names, {**sizes, 'g': (5, 20)}, root='data')
    dataset = dict(
        type='tfinet_mm.SECONDDataset', data_root=str(tmp_path / 'data'), pipeline=AUGMENTED
    )
    return PairsToLabel(make_config(dataset)), written
