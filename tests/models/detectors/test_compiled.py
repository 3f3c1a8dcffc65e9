"""Test that a compiled network computes what the plain one does, and when it is compiled."""

import copy
import io

import pytest
import torch
from mmengine.dist import is_distributed
from mmengine.model import ExponentialMovingAverage, MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from tfinet_mm.models import SCDTTAModel, SemanticChangeDetector
from tfinet_mm.models.detectors import compiled as compiled_module
from tfinet_mm.models.detectors.compiled import (
    MAX_KINDS,
    REPEATS,
    CompiledNetwork,
    compiled_networks,
    set_compile,
)

HEAD = dict(
    type='mmseg.FCNHead', in_channels=8, in_index=0, channels=4, num_convs=1, dropout_ratio=0.1
)
BCE = dict(type='tfinet_mm.ChangeBCELoss')
DETECTOR = dict(
    backbone=dict(
        type='mmseg.ResNet',
        depth=18,
        base_channels=8,
        stem_channels=8,
        num_stages=1,
        strides=(1,),
        dilations=(1,),
        out_indices=(0,),
        norm_cfg=dict(type='BN'),
    ),
    neck=dict(type='tfinet_mm.AbsoluteDifference'),
    semantic_head=dict(HEAD, num_classes=3, loss_decode=dict(type='tfinet_mm.SemanticCELoss')),
    change_head=dict(HEAD, num_classes=1, threshold=0.5, loss_decode=BCE),
    data_preprocessor=dict(
        type='tfinet_mm.PairDataPreprocessor', mean=[0.0] * 3, std=[1.0] * 3, bgr_to_rgb=False
    ),
)


def build(mode='on', **options):
    torch.manual_seed(0)
    return SemanticChangeDetector(**copy.deepcopy({**DETECTOR, **options}), compile=mode)


def batch(seed=0, size=(32, 32), n=2):
    draw = torch.Generator().manual_seed(seed)
    samples = []
    for _ in range(n):
        sample = SegDataSample(metainfo=dict(img_shape=size, ori_shape=size))
        for field, classes in (('', 2), ('_from', 3), ('_to', 3)):
            label = torch.randint(classes, (1, *size), generator=draw)
            sample.set_data({f'gt_sem_seg{field}': PixelData(data=label)})
        samples.append(sample)
    return dict(inputs=list(torch.randn(n, 6, *size, generator=draw)), data_samples=samples)


def train(model, steps, wrap=lambda model: model):
    """The total loss of each step, with the same random numbers for each model."""
    wrapped = wrap(model.train())
    wrapper = OptimWrapper(torch.optim.Adam(model.parameters(), lr=1e-3))
    losses = []
    for step in range(steps):
        torch.manual_seed(step)
        losses.append(float(wrapped.train_step(batch(step), wrapper)['loss'].detach()))
    return losses


class Tiny(nn.Module):
    """A convolution with batch norm and dropout, which compiles in no time."""

    def __init__(self, mode='on', width=2):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(6, width, 3), nn.BatchNorm2d(width), nn.Dropout(0.5), nn.Conv2d(width, 1, 1)
        )
        self.compiled = CompiledNetwork(mode)

    def forward(self, inputs, times=1):
        return self.compiled(run, self, inputs, times=times)


def run(network, inputs, times=1):
    if inputs.shape[1] != 6:
        raise ValueError('six bands, please')
    return network.layers(inputs) * times


def pair(side=8):
    return torch.randn(2, 6, side, 8, generator=torch.Generator().manual_seed(side))


def gradients(network, steps):
    """Gradients after some steps without an optimizer, with the same random numbers each."""
    network.train()
    for step in range(steps):
        torch.manual_seed(step)
        network(pair()).square().sum().backward()
    return [weight.grad for weight in network.parameters()]


@pytest.fixture
def traced(monkeypatch):
    """Compile by torch's tracers alone; a list of what was compiled."""
    compiled = []
    real = torch.compile

    def trace(function, **options):
        compiled.append(function.__name__)
        return real(function, backend='aot_eager', dynamic=options['dynamic'])

    monkeypatch.setattr(torch, 'compile', trace)
    return compiled


@pytest.fixture
def said(monkeypatch):
    """Levels and lines of the log, also those that it got before."""
    lines = []
    monkeypatch.setattr(
        compiled_module, 'say_once', lambda message, level=20: lines.append((level, message))
    )
    return lines


@pytest.mark.parametrize('steps', [6, pytest.param(50, marks=pytest.mark.slow)])
def test_losses_of_a_compiled_training(steps):
    """By torch's own compiler, dropout included."""
    model = build()
    found = train(model, steps)
    assert len(model.compiled._compiled) == 1
    assert found == pytest.approx(train(build('off'), steps), abs=1e-3)
    assert list(model.state_dict()) == list(build('off').state_dict())
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert torch.load(file, weights_only=False).compiled.mode == 'on'


def test_flips_and_windows_of_a_detector(traced):
    inputs = torch.randn(1, 6, 64, 64)
    options = dict(test_cfg=dict(mode='slide', crop_size=(32, 32), stride=(32, 32)))
    found = []
    for mode in ('on', 'off'):
        model = SCDTTAModel(build(mode, **options).eval(), ['identity', 'rotation_90'])
        with torch.no_grad():
            found.append(model.predict_probabilities(inputs))
    assert traced == ['full_size_logits']
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_a_detector_in_a_distributed_wrapper(traced, tmp_path):
    assert not is_distributed()
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1
    )
    try:
        found = train(
            build(), REPEATS + 1, lambda model: MMDistributedDataParallel(model, device_ids=None)
        )
    finally:
        torch.distributed.destroy_process_group()
    assert traced == ['head_outputs']
    assert found == pytest.approx(train(build('off'), REPEATS + 1), abs=1e-5)


def test_gradients_and_predictions(traced):
    network, plain = Tiny(), Tiny('off')
    for one, other in zip(gradients(network, 4), gradients(plain, 4), strict=True):
        torch.testing.assert_close(one, other)
    network.eval()
    plain.eval()
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            for _ in range(REPEATS):
                found = network(pair())
            torch.testing.assert_close(found, plain(pair()))
    assert traced == ['run'] * 3


def test_only_sizes_that_repeat_are_compiled(traced, said):
    network, plain = Tiny().eval(), Tiny('off').eval()
    with torch.no_grad():
        for side in range(8, 16):
            network(pair(side))
        assert traced == []
        for _ in range(REPEATS):
            for side in range(8, 16):
                torch.testing.assert_close(network(pair(side)), plain(pair(side)))
    assert len(traced) == MAX_KINDS
    assert f'No more than {MAX_KINDS} sizes are compiled' in said[-1][1]


def test_options_and_autocast_are_kinds_of_their_own(traced):
    network = Tiny().eval()
    with torch.no_grad():
        for _ in range(REPEATS):
            once, twice = network(pair()), network(pair(), times=2)
            with torch.autocast('cpu', torch.bfloat16):
                half = network(pair())
    assert len(traced) == 3
    torch.testing.assert_close(twice, 2 * once)
    assert (once.dtype, half.dtype) == (torch.float32, torch.bfloat16)
    torch.testing.assert_close(half.float(), once, atol=0.05, rtol=0.05)


@pytest.mark.parametrize('where', ['forward', 'backward'])
def test_what_cannot_be_compiled_runs_as_it_is(monkeypatch, said, where):
    from functorch.compile import nop
    from torch._dynamo.backends.common import aot_autograd

    def failing(graph, inputs):
        raise RuntimeError('no compiler here\nand a second line')

    backends = dict(forward=failing, backward=aot_autograd(fw_compiler=nop, bw_compiler=failing))
    real = torch.compile
    monkeypatch.setattr(
        torch, 'compile', lambda function, **options: real(function, backend=backends[where])
    )
    found = gradients(Tiny(), 5)
    for one, other in zip(found, gradients(Tiny('off'), 5), strict=True):
        torch.testing.assert_close(one, other)
    ((level, message),) = said
    assert level == 30
    assert 'runs as it is: ' in message
    assert 'no compiler here' in message
    assert 'second line' not in message


def test_errors_of_the_network_itself_are_raised(traced):
    network = Tiny().eval()
    with torch.no_grad():
        for _ in range(REPEATS + 1):
            with pytest.raises(ValueError, match='six bands, please'):
                network(pair()[:, :4])


def test_a_copy_computes_with_its_own_weights(traced):
    """As the averages of EMAHook, which copies the network."""
    network = Tiny().eval()
    with torch.no_grad():
        for _ in range(REPEATS):
            before = network(pair())
        average = ExponentialMovingAverage(network)
        for weight in average.module.parameters():
            weight.mul_(2)
        for _ in range(REPEATS + 1):
            copied = average(pair())
        assert torch.equal(network(pair()), before)
        plain = Tiny('off').eval()
        plain.load_state_dict(average.module.state_dict())
        torch.testing.assert_close(copied, plain(pair()))
        for weight in network.parameters():
            weight.mul_(2)
        torch.testing.assert_close(network(pair()), copied)
    assert len(traced) == 2


def test_auto_waits_for_a_plan_that_pays(traced, monkeypatch):
    monkeypatch.setattr('tfinet_mm.utils.compiler.LEAST_CALLS', {('cpu', True): 100})
    network = Tiny('auto')
    gradients(network, REPEATS)
    network.compiled.plan(training=True, calls=99)
    gradients(network, REPEATS)
    assert traced == []
    network.compiled.plan(training=True, calls=100)
    gradients(network, REPEATS)
    assert len(traced) == 1
    with torch.no_grad():
        for _ in range(REPEATS):
            network.eval()(pair())
    assert len(traced) == 1


def test_modes():
    with pytest.raises(ValueError, match="compile must be one of 'auto', 'on', 'off', got True"):
        CompiledNetwork(True)
    with pytest.raises(ValueError, match=r"got 'fast'"):
        build('fast')
    both = nn.ModuleList([Tiny('auto'), Tiny('off')])
    set_compile(both, 'on')
    assert [one.mode for one in compiled_networks(both)] == ['on', 'on']
    with pytest.raises(ValueError, match='Identity has no part that --compile applies to'):
        set_compile(nn.Identity(), 'on')


def test_more_than_eight_networks_are_compiled(traced):
    """torch itself stops after 8 for one function."""
    with torch.no_grad():
        for width in range(1, 11):
            network = Tiny(width=width).eval()
            for _ in range(REPEATS):
                network(pair())
            assert len(network.compiled._compiled) == 1
    assert len(traced) == 10
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] >= 10
