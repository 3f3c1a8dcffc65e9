"""Test that every config builds, trains a step, and agrees with its comments."""

import json
import re
from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine import Config
from mmengine.optim import OptimWrapper, PolyLR, build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from published_reference import DATA

from tfinet_mm.analysis.complexity import count_parts
from tfinet_mm.checkpoints.shipped import DEFAULT
from tfinet_mm.errors import NormalisationError
from tfinet_mm.models.lightweight import SeparableConv
from tfinet_mm.models.normalisation import check_normalisation, expected_normalisation
from tfinet_mm.models.published import CONVERTERS
from tfinet_mm.registry import DATASETS, MODELS
from tfinet_mm.utils.config.check import check_config
from tfinet_mm.utils.config.reading import merge_options, read_config_file

ROOT = Path(__file__).parents[1] / 'configs'
PROJECTS = ROOT.parent / 'projects'
ABLATIONS = '../projects/ablations/configs/'
# Ensembles and recipes are lists of these networks, tested with their tools.
CONFIGS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.rglob('*.py')
    if '_base_' not in path.parts and not path.stem.startswith(('ensemble_', 'recipe_'))
)
CONFIGS += sorted(ABLATIONS + path.name for path in (ROOT / ABLATIONS).glob('*.py'))
NUM_CLASSES = {'landsat': 4, 'hrscd': 5, 'hi-ucd': 9, 'wusu': 11, 'change-masks': 1}
# Training a step takes seconds on the others, so daily tests take one of each kind.
LARGE = {'senseearth/pspnet_hrnet40_lightweight.py'}
DAILY = [
    pytest.param(
        name,
        marks=[] if name in LARGE or not re.search(r'hrnet[3-6]|r101', name) else pytest.mark.slow,
    )
    for name in CONFIGS
]
# Variants of these are compared with them in tests/projects.
STUDY = [
    f'../projects/recipe_study/configs/{name}.py'
    for name in ('senseearth', 'tfinet', 'deeplabv3plus')
]


@pytest.fixture(autouse=True)
def mmseg_scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def _load(name):
    cfg = Config.fromfile(ROOT / name)
    # Pretrained weights need a download; the tests of the backbone load them.
    cfg.model.backbone.init_cfg = None
    return cfg


def make_sample(num_classes, size):
    sample = SegDataSample()
    changed = torch.randint(0, 2, (1, *size))
    sample.gt_sem_seg = PixelData(data=changed)
    for field in ('gt_sem_seg_from', 'gt_sem_seg_to'):
        cover = torch.where(changed == 1, torch.randint(0, num_classes, (1, *size)), 255)
        sample.set_data({field: PixelData(data=cover)})
    return sample


def test_the_configs_a_user_expects_are_there():
    expected = {'tfinet_r18.py', 'published/tfinet_r18.py', 'demo/tfinet_r18_synthetic.py'}
    expected |= {'demo/tfinet_lite0_fpn_finetune.py', 'tfinet_lite0_fpn_change-masks.py'}
    expected |= {f'tfinet_hrnet{width}.py' for width in (18, 40)}
    expected |= {f'tfinet_hrnet18_{data}.py' for data in ('landsat-scd', 'hrscd')}
    expected |= {
        f'tfinet_lite{size}_fpn{data}.py'
        for size in (0, 2)
        for data in ('', '_landsat-scd', '_hrscd', '_synthetic')
    }
    expected |= {f'tfinet_{backbone}_lightweight.py' for backbone in ('r18', 'hrnet18')}
    parts = ('enhancement', 'interaction', 'supervision')
    expected |= {f'{ABLATIONS}tfinet_r18_fpn_without_{part}.py' for part in parts}
    heads = ('fcn_hrnet18', 'pspnet_hrnet18', 'pspnet_hrnet40', 'deeplabv3plus_r18')
    expected |= {f'senseearth/{name}{s}.py' for name in heads for s in ('', '_lightweight')}
    expected |= {'senseearth/fcn_hrnet48.py', 'senseearth/deeplabv3plus_r101.py'}
    assert expected <= set(CONFIGS)


@cache
def _table():
    """Return parameters (M) and GFLOP by config, from the READMEs of configs and ablations."""
    found = {}
    for page, folder in ((ROOT / 'README.md', ''), (PROJECTS / 'ablations/README.md', ABLATIONS)):
        text = page.read_text(encoding='utf-8')
        row = r'^\| `(\S+\.py)` \|[^|]*\| ([\d.]+) \| ([\d.]+) \|'
        for name, parameters, gflop in re.findall(row, text, re.MULTILINE):
            found[folder + name] = float(parameters), float(gflop)
    return found


@cache
def _without_memory(name):
    """Return the model with shapes only, on the device 'meta', which has no autocast."""
    cfg = _load(name)
    cfg.model.autocast = None
    with torch.device('meta'):
        return MODELS.build(cfg.model)


@pytest.mark.parametrize('name', CONFIGS)
def test_it_builds_as_large_as_the_table_says(name):
    parameters = sum(p.numel() for p in _without_memory(name).parameters())
    assert name in _table(), 'the README beside it has no row for it'
    assert _table()[name][0] == round(parameters / 1e6, 2)


# One of each head in daily tests.
COUNTED = {
    'tfinet_lite0_fpn.py',
    'tfinet_r18.py',
    'senseearth/fcn_hrnet18.py',
    'senseearth/pspnet_hrnet40.py',
    'senseearth/deeplabv3plus_r18_lightweight.py',
}


@pytest.mark.parametrize(
    'name', [pytest.param(n, marks=[] if n in COUNTED else pytest.mark.slow) for n in CONFIGS]
)
def test_it_computes_what_the_table_says(name):
    whole = count_parts(_without_memory(name), torch.zeros(1, 6, 512, 512, device='meta'))[0]
    assert _table()[name][1] == round(whole.flop / 1e9, 1)


# By width: parameters of FCN and PSPNet, with and without lightweight heads, and of TFINet, as
# counted when every width had a config with its numbers written out.
HRNETS = {
    18: (9888624, 9605124, 10123124, 9698924, 13920871),
    30: (26720715, 25924215, 27374795, 26181815, 30292927),
    32: (30343663, 29432623, 31093423, 29726863, 33794287),
    40: (47142873, 45716073, 48314073, 46173873, 50042367),
    44: (56936662, 55208782, 58353682, 55761862, 59511991),
    48: (67659907, 65602147, 69346147, 66259507, 69878671),
    64: (119847447, 116182167, 122844567, 117346647, 120315951),
}
# The same for DeepLabV3+ by depth.
RESNETS = {
    18: (13591207, 11553399),
    34: (23699367, 21661559),
    50: (49788327, 27766199),
    101: (68780455, 46758327),
}
SUFFIXES = ('', '_lightweight')
NETWORKS = [f'{head}_hrnet18{suffix}' for head in ('fcn', 'pspnet') for suffix in SUFFIXES]
LIGHTWEIGHT = {
    f'model.{head}.conv_cfg.type': 'tfinet_mm.LightweightConv'
    for head in ('semantic_head', 'change_head')
}


def _built(name, options):
    """Return the detector of a config with ``--cfg-options``, checked and built."""
    cfg = read_config_file(ROOT / name)
    merge_options(cfg, options)
    check_config(cfg)
    with torch.device('meta'):
        return MODELS.build(cfg.model)


def _size(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize('width', HRNETS)
@pytest.mark.parametrize('index', range(4))
def test_heads_follow_the_width_of_hrnet(index, width):
    """FCN heads have int(C / 4) channels; PSPNet adds four pooled branches of as many to C."""
    model = _built(f'senseearth/{NETWORKS[index]}.py', {'model.backbone.width': width})
    channels, quarter = 15 * width, int(15 * width / 4)
    assert _size(model) == HRNETS[width][index]
    assert model.backbone.out_channels == channels
    fcn = index < 2
    heads = [model.semantic_head, model.change_head] if fcn else [model.semantic_head]
    for head in heads:
        conv = head.convs[0].conv
        assert (conv.in_channels, conv.out_channels) == (channels, quarter)
        assert (head.in_channels, head.channels) == (channels, quarter)
    if not fcn:
        conv = model.change_head.bottleneck.conv
        assert (conv.in_channels, conv.out_channels) == (channels + 4 * quarter, quarter)


@pytest.mark.parametrize('width', [width for width in HRNETS if width > 18])
def test_the_neck_of_tfinet_follows_the_width_of_hrnet(width):
    """The neck reduces every width to the 270 channels that the decoders of W18 read."""
    model = _built('tfinet_hrnet40.py', {'model.backbone.width': width})
    assert _size(model) == HRNETS[width][4]
    assert model.neck.reduce[0].conv.in_channels == 15 * width
    assert model.semantic_head.in_channels == 270


@pytest.mark.parametrize(
    ('depth', 'lightweight'), [(depth, light) for depth in RESNETS for light in (False, True)]
)
def test_deeplab_of_any_depth_is_one_of_two_configs(depth, lightweight):
    base = 'senseearth/deeplabv3plus_r18.py' if depth < 50 else 'senseearth/deeplabv3plus_r101.py'
    options = {'model.backbone.depth': depth, **(LIGHTWEIGHT if lightweight else {})}
    assert _size(_built(base, options)) == RESNETS[depth][lightweight]


@pytest.mark.parametrize('kind', ['fcn', 'pspnet'])
def test_another_width_is_one_line_of_inheritance(kind, tmp_path):
    """The lines of the configs' page build the same network as options do, with its weights."""
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    (block,) = re.findall(r"```python\n(_base_ = 'tfinet_mm::senseearth/.*?)```", text, re.DOTALL)
    assert len(block.splitlines()) == 2
    file = tmp_path / 'wide.py'
    file.write_text(block.replace('pspnet', kind))
    cfg = read_config_file(file)
    check_config(cfg)
    assert cfg.model.backbone.init_cfg == dict(
        type='Pretrained', checkpoint='pretrained/hrnet_w30.pth'
    )
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    name = f'{kind}_hrnet18_lightweight'
    same = _built(f'senseearth/{name}.py', {'model.backbone.width': 30})
    assert _size(model) == HRNETS[30][NETWORKS.index(name)]
    assert {k: v.shape for k, v in model.state_dict().items()} == {
        k: v.shape for k, v in same.state_dict().items()
    }


def test_the_options_of_the_page_build_what_its_tables_say():
    """Check every command under "Other widths and depths", and every number of its tables."""
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    text = text[text.index('## Other widths and depths') : text.index('## Folders')]
    commands = re.findall(r'train\.py configs/(\S+) --cfg-options (.*)', text)
    assert len(commands) == 3
    for name, words in commands:
        options = dict(word.split('=') for word in words.split())
        key = (
            'model.backbone.depth' if 'model.backbone.depth' in options else 'model.backbone.width'
        )
        number = options[key] = int(options[key])
        # The weights are named after the width or depth that the options set.
        assert options['model.backbone.init_cfg.checkpoint'].endswith(str(number))
        counts = (RESNETS if 'deeplab' in name else HRNETS)[number]
        assert _size(_built(name, options)) == counts[4 if name.startswith('tfinet') else 0]
    cells = {
        int(row[0]): re.findall(r'[\d.]+', ' '.join(row[1:]))
        for row in (
            line.strip('| ').split('|')
            for line in text.splitlines()
            if re.match(r'\| \d+ \|', line)
        )
        if len(row) == 4
    }
    shown = {w: [f'{n / 1e6:.2f}' for n in counts] for w, counts in HRNETS.items()}
    shown[18].append(f'{11347061 / 1e6:.2f}')
    assert cells == shown
    for depth, counts in RESNETS.items():
        assert f'| {depth} | {counts[0] / 1e6:.2f} / {counts[1] / 1e6:.2f} |' in text


def test_weights_of_another_width_are_refused(tmp_path):
    """Another width with the weights of this one stops before the first step."""
    narrow = _load('senseearth/fcn_hrnet18.py').model
    narrow.backbone.width = 4
    file = tmp_path / 'narrow.pth'
    torch.save({'state_dict': MODELS.build(narrow).backbone.state_dict()}, file)
    wide = _load('senseearth/fcn_hrnet18.py').model
    wide.backbone.update(width=8, init_cfg=dict(type='Pretrained', checkpoint=str(file)))
    with pytest.raises(ValueError, match=r'does not fit this HRNet.*Check width'):
        MODELS.build(wide).init_weights()


@pytest.mark.parametrize('data', ['', '_landsat-scd', '_hrscd', '_synthetic'])
def test_the_default_is_the_pyramid_of_resnet18_on_other_weights(data):
    """Interaction, heads and losses are the same; the features and their normalisation differ."""
    ours = Config.fromfile(ROOT / f'tfinet_lite0_fpn{data}.py').model.to_dict()
    other = Config.fromfile(ROOT / 'tfinet_r18_fpn.py').model.to_dict()
    larger = Config.fromfile(ROOT / f'tfinet_lite2_fpn{data}.py').model.to_dict()
    assert ours['backbone']['init_cfg']['checkpoint'] == 'efficientnet_lite0'
    assert larger['backbone']['init_cfg']['checkpoint'] == 'efficientnet_lite2'
    assert larger['data_preprocessor'] == ours['data_preprocessor']
    for cfg in (ours, other, larger):
        del cfg['backbone'], cfg['data_preprocessor'], cfg['neck']['in_channels']
        cfg.pop('autocast', None)
    assert ours == larger
    if data in ('_landsat-scd', '_hrscd'):
        ours['semantic_head'].update(
            num_classes=6, loss_decode=other['semantic_head']['loss_decode']
        )
    assert ours == other


@pytest.mark.parametrize(('depth', 'fine', 'coarse'), [(18, 64, 512), (101, 256, 2048)])
def test_deeplab_is_dilated_and_follows_resnet(depth, fine, coarse):
    model = _without_memory(f'senseearth/deeplabv3plus_r{depth}.py')
    conv = model.semantic_head.convs[0].conv
    assert (conv.in_channels, conv.out_channels) == (coarse, coarse // 4)
    aspp = model.change_head.aspp.branches[1].conv
    assert (aspp.in_channels, aspp.out_channels) == (coarse, coarse // 8)
    assert model.change_head.reduce.conv.in_channels == fine
    # The first block of a dilated layer has the dilation of the layer before.
    name = 'conv1' if depth == 18 else 'conv2'
    for layer, first, others in ((2, 1, 1), (3, 1, 2), (4, 2, 4)):
        blocks = [getattr(block, name) for block in getattr(model.backbone, f'layer{layer}')]
        assert [block.dilation[0] for block in blocks] == [first] + [others] * (len(blocks) - 1)
        assert blocks[0].stride[0] == (2 if layer == 2 else 1)


@pytest.mark.parametrize('name', [name for name in CONFIGS if '_lightweight' in name])
def test_lightweight_is_one_switch_for_both_heads(name):
    """No 3x3 convolution of a head is left that sees all channels at once."""
    model = _without_memory(name)
    for head in (model.semantic_head, model.change_head):
        assert any(isinstance(module, SeparableConv) for module in head.modules())
        for module in head.modules():
            if isinstance(module, torch.nn.Conv2d) and module.kernel_size != (1, 1):
                assert module.groups == module.in_channels


@cache
def _published(fixture):
    return json.loads((DATA / f'{fixture}.json').read_text())['state_dict'].keys()


def _published_keys(network, backbone, lightweight):
    """Return the keys of a published checkpoint, combined from those of three stored ones."""
    pspnet = _published('pspnet_hrnet_w18_lightweight')
    keys = {key for key in pspnet if key.startswith('head.')}
    if network == 'fcn':
        keys |= {key.replace('head.', 'head_bin.', 1) for key in keys}
    else:
        one = pspnet if network == 'pspnet' else _published('deeplabv3plus_resnet18_lightweight')
        keys = {key for key in one if not key.startswith('backbone.')}
    if not lightweight:
        # In place of conv.0 (depthwise), conv.1 (norm) and conv.3 (pointwise), one convolution.
        keys = {re.sub(r'\.conv\.3\.', '.', key) for key in keys}
        keys = {key for key in keys if not re.search(r'\.conv\.[01]\.', key)}
    if network == 'deeplabv3plus':
        return keys | {f'backbone.{key}' for key in backbone} | {'backbone.fc.weight'}
    return keys | {key for key in pspnet if key.startswith('backbone.')}


def test_published_keys_are_put_together_as_they_are():
    assert _published_keys('fcn', (), lightweight=False) == _published('fcn_hrnet_w18')


@pytest.mark.parametrize(
    'name', [n for n in CONFIGS if Path(n).parent.name == 'senseearth' and '_pseudo' not in n]
)
def test_the_converter_fills_every_network_of_senseearth(name):
    """Published keys, as of PSPNet-HRNet-W40, convert to exactly the keys of the config."""
    model = _without_memory(name)
    network, *_ = Path(name).stem.split('_')
    published = _published_keys(network, model.backbone.state_dict(), '_lightweight' in name)
    converted = CONVERTERS['senseearth']({key: torch.zeros(1) for key in published})
    assert converted.keys() == model.state_dict().keys()


@pytest.mark.parametrize('name', [name for name in CONFIGS if name.startswith('senseearth/')])
def test_class_weights_of_senseearth(name):
    """Weights are 2, 1, 2, 2, 1, 1 in the first training, and none with pseudo labels."""
    weights = _load(name).model.semantic_head.loss_decode.class_weight
    assert weights == (None if '_pseudo' in name else (2, 1, 2, 2, 1, 1))


@pytest.mark.parametrize('name', [*DAILY, *STUDY])
def test_forward_and_backward(name):
    torch.manual_seed(0)
    cfg = _load(name)
    expected = next((k for part, k in NUM_CLASSES.items() if part in name), 6)
    model = MODELS.build(cfg.model)
    model.init_weights()
    assert model.num_classes == expected
    size = (64, 64)
    raw = {
        'inputs': [torch.randint(0, 256, (6, *size), dtype=torch.uint8) for _ in range(2)],
        'data_samples': [make_sample(expected, size) for _ in range(2)],
    }
    data = model.data_preprocessor(raw, training=True)
    total, log = model.parse_losses(model(**data, mode='loss'))
    assert {'semantic_from.loss_ce', 'semantic_to.loss_ce', 'change.loss_bce'} <= set(log)
    total.backward()
    assert torch.isfinite(total)
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


PRETRAINED = [n for n in CONFIGS if Config.fromfile(ROOT / n).model.backbone.get('init_cfg')]


@pytest.mark.parametrize('name', PRETRAINED)
def test_images_are_normalised_as_the_weights_expect(name, monkeypatch):
    """Check every network that starts from pretrained weights; another mean is refused."""
    cfg = Config.fromfile(ROOT / name)
    backbone = _without_memory(name).backbone
    monkeypatch.setattr(backbone, 'init_cfg', cfg.model.backbone.init_cfg)
    assert expected_normalisation(backbone) is not None
    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    check_normalisation(backbone, preprocessor, 3)
    preprocessor.mean += 1
    with pytest.raises(NormalisationError):
        check_normalisation(backbone, preprocessor, 3)


@pytest.mark.parametrize('name', CONFIGS)
def test_data_sets_build_and_name_their_classes(name):
    cfg = _load(name)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        dataset = DATASETS.build({**loader.dataset, 'lazy_init': True})
        names = dataset.metainfo['semantic_classes']
        assert len(names) - 1 == cfg.model.semantic_head.num_classes


OTHER_SCHEDULES = ('corrections', 'demo', 'hi-ucd', 'hrscd', 'senseearth', 'synthetic')


@pytest.mark.parametrize('name', [n for n in CONFIGS if not any(o in n for o in OTHER_SCHEDULES)])
def test_the_published_schedule(name):
    """Adam starts at 2e-4; the rate of epoch e is 2e-4 * (1 - e / 51)."""
    cfg = _load(name)
    assert cfg.optim_wrapper.optimizer.type == 'Adam'
    assert cfg.optim_wrapper.optimizer.weight_decay == 1e-4
    assert cfg.train_dataloader.batch_size == 8
    assert cfg.train_cfg.max_epochs == 50
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([parameter], lr=cfg.optim_wrapper.optimizer.lr)
    wrapper = OptimWrapper(optimizer)
    scheduler = PARAM_SCHEDULERS.build({**cfg.param_scheduler, 'optimizer': wrapper})
    for epoch in range(50):
        assert optimizer.param_groups[0]['lr'] == pytest.approx(2e-4 * (1 - epoch / 51))
        wrapper.step()
        scheduler.step()


@pytest.mark.parametrize('name', [n for n in CONFIGS if Path(n).parent.name == 'senseearth'])
def test_the_schedule_of_senseearth(name):
    """The backbone has 1.5e-4, the heads ten times that, falling as (1 - i / total) ** 0.9."""
    cfg = _load(name)
    assert cfg.train_cfg.max_epochs == 30
    model = torch.nn.ModuleDict(
        {part: torch.nn.Conv2d(1, 1, 1) for part in ('backbone', 'semantic_head', 'change_head')}
    )
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    groups = wrapper.optimizer.param_groups
    assert [group['lr'] for group in groups] == pytest.approx([1.5e-4] * 2 + [1.5e-3] * 4)
    scheduler_cfg = {**cfg.param_scheduler, 'optimizer': wrapper}
    assert scheduler_cfg.pop('convert_to_iter_based')
    scheduler_cfg.pop('type')
    epoch_length = 20
    scheduler = PolyLR.build_iter_from_epoch(epoch_length=epoch_length, **scheduler_cfg)
    for iteration in range(30 * epoch_length):
        # MMEngine's polynomial reaches 0 at the last iteration, one step early.
        expected = 1.5e-4 * (1 - iteration / (30 * epoch_length - 1)) ** 0.9
        assert groups[0]['lr'] == pytest.approx(expected, abs=1e-12)
        wrapper.step()
        scheduler.step()


@pytest.mark.parametrize('name', CONFIGS)
def test_hooks_of_every_run(name):
    """Score, or change without land cover, chooses the best checkpoint; classes are compared."""
    cfg = _load(name)
    types = [hook.type for hook in cfg.default_hooks.values()]
    assert {'tfinet_mm.ClassCheckHook', 'tfinet_mm.LabelCheckHook'} <= set(types)
    best = 'change/IoU' if 'change-masks' in name else 'Score'
    assert cfg.default_hooks.checkpoint.save_best == best
    assert cfg.default_hooks.checkpoint.rule == 'greater'


def test_the_demo_fine_tunes_the_weights_of_the_package():
    """Its network is that of the weights, and its schedule ends near 0 at the last epoch."""
    cfg = Config.fromfile(ROOT / 'demo/tfinet_lite0_fpn_finetune.py')
    assert cfg.load_from == DEFAULT
    base = Config.fromfile(ROOT / 'tfinet_lite0_fpn.py').model
    assert cfg.model.pop('autocast') == 'auto'
    assert cfg.model == base
    assert cfg.param_scheduler.end == cfg.train_cfg.max_epochs + 2
    assert cfg.train_cfg.max_epochs % cfg.train_cfg.val_interval == 0


def test_the_model_index_is_that_of_the_table():
    yaml = pytest.importorskip('yaml')
    top = ROOT.parent
    files = yaml.safe_load((top / 'model-index.yml').read_text())['Import']
    assert {top / file for file in files} == set(ROOT.rglob('metafile.yml'))
    found = {}
    for file in files:
        content = yaml.safe_load((top / file).read_text())
        collections = {one['Name'] for one in content['Collections']}
        for model in content['Models']:
            assert model['In Collection'] in collections
            assert (top / model.get('Weights', file)).is_file()
            name = model['Config'].removeprefix('configs/')
            assert Path(name).parent == (top / file).parent.relative_to(ROOT)
            size = model['Metadata']['Parameters'] / 1e6, model['Metadata']['FLOPs'] / 1e9
            assert found.setdefault(name, size) == size
    assert found == {
        name: pytest.approx(size)
        for name, size in _table().items()
        if not name.startswith(ABLATIONS)
    }
