import pytest
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import nn

from tfinet_mm.datasets import SECONDDataset
from tfinet_mm.datasets.check import check_dataset
from tfinet_mm.engine.first_step import try_first_step
from tfinet_mm.models import PairDataPreprocessor

LOAD = [dict(type='tfinet_mm.LoadImagePair'), dict(type='tfinet_mm.LoadPairAnnotations')]


class Network(BaseModel):
    """Network that is another one in testing, like some backbones of mmseg."""

    def __init__(self, pooled=False):
        super().__init__(PairDataPreprocessor())
        self.pooled, self.norm = pooled, nn.SyncBatchNorm(6)
        self.batches = []

    def forward(self, inputs, data_samples=None, mode='tensor'):
        self.batches.append(tuple(inputs.shape))
        outputs = (inputs, inputs * 2) if self.training else (inputs,)
        features = inputs.mean((2, 3), keepdim=True) if self.pooled else inputs
        return dict(loss=self.norm(features).sum() + (outputs[1].sum() if not self.pooled else 0))


@pytest.fixture
def problems(make_scd, tmp_path, monkeypatch):
    make_scd(['a', 'b', 'c'], sizes={'a': (8, 9), 'b': (8, 9), 'c': (10, 9)})

    def find(network, split='train', evaluator=(), labels=True, **loader):
        monkeypatch.setattr('tfinet_mm.engine.first_step.MODELS.build', lambda cfg: network)
        prefix = {} if labels else dict(seg_map_path_from=None, seg_map_path_to=None)
        pack = dict(type='tfinet_mm.PackPairInputs')
        dataset = SECONDDataset(
            data_root=str(tmp_path),
            pipeline=[*LOAD, pack],
            data_prefix=prefix,
            test_mode=split != 'train',
        )
        sampler = dict(type='DefaultSampler', shuffle=False)
        settings = dict(batch_size=2, num_workers=3, prefetch_factor=2, sampler=sampler) | loader
        cfg = {f'{split}_dataloader': settings, f'{split}_evaluator': list(evaluator)}
        cfg = Config(dict(model=dict(type='tfinet_mm.Any'), **cfg))
        parts = [(dataset, check_dataset(dataset, progress=iter))]
        return [one.message for one in try_first_step(cfg, split, dataset, parts)]

    return find


def test_losses_are_computed_as_in_training_on_both_sizes(problems):
    network = Network()
    assert problems(network) == []
    assert network.batches[-1] == (2, 6, 10, 9)


def test_a_batch_of_one_that_a_network_can_not_train_on_is_one_error(problems):
    (message,) = problems(Network(pooled=True), batch_size=1)
    assert 'train_dataloader.batch_size is 1, but the layer norm' in message
    assert problems(Network(), batch_size=1) == []


def test_a_loader_that_can_not_be_built_is_named(problems):
    (message,) = problems(Network(), sampler=dict(type='NoSuchSampler'))
    assert 'NoSuchSampler' in message


def test_pairs_to_score_need_labels(problems):
    metric = dict(type='tfinet_mm.SCDMetric')
    (message,) = problems(Network(), 'val', [metric], labels=False)
    assert 'val_evaluator=[]' in message
    assert problems(Network(), 'val', labels=False) == []
