"""A small run to test hooks in, with everything but a network."""

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image
from torch.utils.data import Dataset

from tfinet_mm.structures import SECOND

NAMES = ('a.b c', 'sub/a.b c', 'sub/ünï_x8_y0', 'd', 'e')
SHAPE = (24, 32)


class Pairs(Dataset):
    """Pairs with image files of known grey values."""

    metainfo = SECOND.metainfo()

    def __init__(self, root, names=NAMES, labels=True, bands=3):
        self.root, self.names, self.labels, self.bands = root, names, labels, bands

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        window = (8, 0, SHAPE[1], SHAPE[0]) if '_x8_' in self.names[index] else None
        paths = []
        for date in range(2):
            path = self.root / f'im{date + 1}' / f'{self.names[index]}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            image = np.full((*SHAPE, self.bands), 100 + 50 * date + index, np.uint8)
            if window:  # the sample is a part of a larger file
                image = np.pad(image, ((0, 30), (8, 20), (0, 0)), constant_values=7)
            Image.fromarray(image.squeeze()).save(path)
            paths.append(str(path))
        sample = SegDataSample(
            metainfo=dict(
                sample_id=self.names[index],
                img_path=paths,
                ori_shape=SHAPE,
                window=window,
            )
        )
        if self.labels:
            change = torch.zeros(1, *SHAPE, dtype=torch.int64)
            change[:, :12] = 1
            for name, value in (('', change), ('_from', change * 4), ('_to', change * 2)):
                sample.set_data({f'gt_sem_seg{name}': PixelData(data=value)})
        return dict(inputs=torch.full((6, *SHAPE), index), data_samples=sample)


def prediction(index):
    """Return change map, classes and land cover of both dates, and P(changed) of pair ``index``."""
    generator = torch.Generator().manual_seed(index)
    covers = torch.randint(1, 7, (2, *SHAPE), generator=generator)
    prob = torch.rand(SHAPE, generator=generator)
    change = (prob >= 0.5).to(torch.uint8)
    return change, covers[0] * change, covers[1] * change, covers[0], covers[1], prob


class Oracle(BaseModel):
    """Predict the maps of :func:`prediction`."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            return dict(loss=self.weight**2)
        fields = ('pred_sem_seg', 'pred_sem_seg_from', 'pred_sem_seg_to')
        fields += ('pred_land_cover_from', 'pred_land_cover_to', 'pred_change_prob')
        for one, sample in zip(inputs, data_samples, strict=True):
            for name, value in zip(fields, prediction(int(one.max())), strict=True):
                sample.set_data({name: PixelData(data=value[None])})
        return data_samples


@pytest.fixture
def new_runner(tmp_path):
    """Make a runner with hooks, for testing or for two epochs of training."""

    def loader(dataset):
        return dict(
            batch_size=2,
            num_workers=0,
            dataset=dataset,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate'),
        )

    def make(hooks, train=False, dataset=None, backends=(), **more):
        dataset = dataset or Pairs(tmp_path / 'data')
        stages = ('train', 'val') if train else ('test',)
        options = {f'{stage}_dataloader': loader(dataset) for stage in stages}
        if train:
            options |= dict(
                train_cfg=dict(by_epoch=True, max_epochs=2),
                val_cfg=dict(),
                val_evaluator=dict(type='tfinet_mm.SCDMetric'),
                optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            )
        else:
            options |= dict(test_cfg=dict(), test_evaluator=[])
        options |= more
        return Runner(
            model=Oracle(),
            work_dir=str(tmp_path / 'work'),
            custom_hooks=hooks,
            default_scope='mmseg',
            default_hooks=dict(checkpoint=None),
            visualizer=dict(type='Visualizer', vis_backends=list(backends)),
            experiment_name=tmp_path.name,
            **options,
        )

    make.pairs = Pairs
    make.prediction = prediction
    make.names = NAMES
    return make
