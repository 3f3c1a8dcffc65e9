"""The type that a detector computes in is chosen, used, logged once, and float16 is scaled."""

import contextlib
import copy
import logging
import re

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from tfinet_mm.models import SCDEnsemble, SemanticChangeDetector
from tfinet_mm.utils import device
from tfinet_mm.utils.device import Precision


@pytest.fixture
def make(detector_config):
    """A function that builds the same network, with the same weights, for any autocast."""

    def build(autocast=None):
        torch.manual_seed(0)
        config = detector_config('fcn', autocast=autocast)
        config['backbone']['norm_cfg'] = dict(type='BN')  # SyncBN trains on GPUs only
        config['change_head']['loss_decode'] = dict(type='mmseg.CrossEntropyLoss', use_sigmoid=True)
        return SemanticChangeDetector(**{k: v for k, v in config.items() if k != 'type'})

    return build


@pytest.fixture
def older_gpu(monkeypatch):
    """A device on which float16 is the fastest type, for the decision alone."""
    found = Precision('float16', 'made up')
    monkeypatch.setattr(device, 'best_precision', lambda device: found)


def inputs():
    return torch.randn(2, 6, 32, 32, generator=torch.Generator().manual_seed(1))


def samples():
    generator = torch.Generator().manual_seed(2)
    made = []
    for _ in range(2):
        sample = SegDataSample(metainfo=dict(img_shape=(32, 32), ori_shape=(32, 32)))
        for field, high in (('gt_sem_seg', 2), ('gt_sem_seg_from', 6), ('gt_sem_seg_to', 6)):
            label = torch.randint(0, high, (1, 32, 32), generator=generator)
            sample.set_data({field: PixelData(data=label)})
        made.append(sample)
    return made


def losses(model):
    found = model.train()(inputs(), samples(), mode='loss')
    return torch.stack([value for name, value in found.items() if 'loss' in name]).detach()


def change(model):
    with torch.no_grad():
        return model.eval()(inputs()).change


def data():
    generator = torch.Generator().manual_seed(3)
    raw = torch.randint(0, 256, (2, 6, 32, 32), generator=generator, dtype=torch.uint8)
    return dict(inputs=list(raw), data_samples=samples())


@pytest.mark.parametrize(('units', 'dtype'), [(True, 'bfloat16'), (False, None)])
def test_auto_computes_in_what_is_fastest(make, made_up_cpu, said, units, dtype):
    made_up_cpu(units)
    for compute in (change, losses):
        auto, expected = compute(make('auto')), compute(make(dtype))
        assert torch.equal(auto, expected)
    assert not torch.equal(change(make('bfloat16')), change(make(None)))
    ((level, message),) = [one for one in said if 'Computing' in one[1]]
    assert level == logging.INFO
    assert (dtype or 'float32') in message
    assert ('has bfloat16 units' if units else 'has no bfloat16 units (AVX2)') in message


def test_an_explicit_type_warns_once_where_it_is_slower(make, made_up_cpu, said):
    made_up_cpu(False)
    for _ in range(2):
        change(make('bfloat16'))
    ((level, message),) = said
    assert level == logging.WARNING
    assert 'slower than float32: this CPU has no bfloat16 units (AVX2)' in message
    made_up_cpu(True)
    said.clear()
    change(make('bfloat16'))
    assert said == []


def test_float32_is_none(make):
    assert make('float32').autocast is None
    assert torch.equal(change(make('float32')), change(make(None)))


def test_float16_without_a_scaled_loss_is_refused(make):
    model = make('float16').train()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    before = copy.deepcopy(model.state_dict())
    way_out = re.escape(
        "optim_wrapper=dict(type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16')"
    )
    with pytest.raises(ValueError, match=way_out):
        model.train_step(data(), wrapper)
    # Where the model is wrapped, as on several GPUs, only its forward sees it.
    with pytest.raises(ValueError, match=way_out):
        losses(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_float16_is_allowed_where_nothing_is_lost(make, said):
    model = make('float16')
    with torch.no_grad():
        assert torch.isfinite(losses(model)).all()
    assert torch.isfinite(change(model)).all()
    # As AmpOptimWrapper does around the forward of a model that it scales the loss of.
    with torch.autocast('cpu', torch.float16):
        assert torch.isfinite(losses(model)).all()
    assert len(said) == 1


def test_a_step_with_a_scaler(make):
    """Do what AmpOptimWrapper does on a GPU, with torch's scaler of CPUs."""

    class Scaling(OptimWrapper):
        loss_scaler = torch.amp.GradScaler('cpu', init_scale=1024.0)

        @contextlib.contextmanager
        def optim_context(self, model):
            with super().optim_context(model), torch.autocast('cpu', torch.float16):
                yield

        def backward(self, loss, **kwargs):
            self.loss_scaler.scale(loss).backward(**kwargs)

        def step(self, **kwargs):
            self.loss_scaler.step(self.optimizer)

    model = make('float16').train()
    before = model.semantic_head.conv_seg.weight.clone()
    wrapper = Scaling(optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    assert torch.isfinite(model.train_step(data(), wrapper)['loss'])
    change = (model.semantic_head.conv_seg.weight - before).abs().max()
    assert 0 < change < 1


def test_auto_obeys_the_autocast_around_it(make, made_up_cpu, said):
    """The autocast of AmpOptimWrapper, or of a test loop with fp16, takes precedence."""
    made_up_cpu(True)
    with torch.autocast('cpu', torch.float16):
        found, expected = change(make('auto')), change(make(None))
    assert torch.equal(found, expected)
    assert not torch.equal(found, change(make('auto')))
    assert [' float16' in message for _, message in said] == [True, False]
    # MMEngine's test loop without fp16.
    with torch.autocast('cpu', enabled=False):
        assert torch.equal(change(make('auto')), change(make('bfloat16')))


def test_auto_trains_in_float32_where_float16_would_need_a_scaler(make, older_gpu, said):
    assert torch.equal(losses(make('auto')), losses(make(None)))
    assert ['AmpOptimWrapper' in message for _, message in said] == [True]
    assert torch.equal(change(make('auto')), change(make('float16')))


def test_of_all_members(save_member):
    members = [save_member('a', autocast='float16'), save_member('b')]
    for autocast, expected in (
        ('auto', ['auto', 'auto']),
        ('float32', [None, None]),
        (None, ['float16', None]),
    ):
        model = SCDEnsemble(members, autocast=autocast)
        assert [member.autocast for member in model.members] == expected
    with pytest.raises(ValueError, match='int8'):
        SCDEnsemble([dict(config='nowhere.py', checkpoint='x.pth')], autocast='int8')
