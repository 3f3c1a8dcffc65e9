"""Test every tool on a config in MMEngine's new style: classes for names, bases by import."""

import json

import pytest
import torch
from lazy_config import write_configs
from mmengine import Config
from PIL import Image
from study import load_study

from tfinet_mm.apis import SCDInferencer
from tfinet_mm.apis.command import main as predict
from tfinet_mm.datasets.synthetic import SyntheticConfig, write_dataset
from tfinet_mm.models import SemanticChangeDetector
from tfinet_mm.models.members import load_member


@pytest.fixture(scope='module')
def folder(tmp_path_factory, load_tool):
    """Return a folder with configs, data, and a training of one epoch in w."""
    folder = tmp_path_factory.mktemp('lazy')
    write_dataset(folder / 'data', 4, 2, SyntheticConfig(size=64))
    network = write_configs(folder, folder / 'data', folder / 'w/epoch_1.pth', folder / 'pseudo')
    load_tool('train.py').main([str(network), '--work-dir', str(folder / 'w'), '--seed', '1'])
    load_tool('pseudo_label.py').main(
        [str(network), str(folder / 'w/epoch_1.pth'), '--out', str(folder / 'pseudo')]
    )
    return folder


def test_training_stored_classes_by_path(folder):
    assert (folder / 'w' / 'epoch_1.pth').is_file()
    assert Config.fromfile(folder / 'lazy_network.py').model.type is SemanticChangeDetector
    stored = torch.load(folder / 'w/epoch_1.pth', weights_only=False)['meta']['cfg']
    assert 'tfinet_mm.models.SemanticChangeDetector' in stored


# Words with @ are paths in the folder; others are taken as they are.
COMMANDS = {
    'train, resumed': 'train.py @lazy_network.py --work-dir @w2 --resume @w/epoch_1.pth '
    '--cfg-options train_cfg.max_epochs=2',
    'train on pseudo labels in 16 bits': 'train.py @lazy_pseudo.py --work-dir @w3 --amp',
    'test with all': 'test.py @lazy_network.py @w/epoch_1.pth --tta --time-budget 100 --out @maps '
    '--show-dir @pictures --report @report.html --json @scores.json --work-dir @t',
    'test in 16 bits': 'test.py @lazy_network.py @w/epoch_1.pth --amp --split val --work-dir @t',
    'test an ensemble': 'test.py @lazy_ensemble.py --tta --amp --work-dir @t',
    'pseudo labels of an ensemble': 'pseudo_label.py @lazy_ensemble.py --out @soft --workers 0 '
    '--method soft --amp --device cpu',
    'check': 'check_dataset.py @lazy_pseudo.py --workers 0 --json @check.json',
    'browse': 'browse_dataset.py @lazy_pseudo.py --out @browse --number 2',
    'flops': 'analysis/get_flops.py @lazy_network.py --shape 64',
    'flops of an ensemble': 'analysis/get_flops.py @lazy_ensemble.py --shape 64',
    'benchmark': 'analysis/benchmark.py @lazy_network.py --shape 64 --repeats 1',
    'benchmark of a scene': 'analysis/benchmark_scene.py @lazy_network.py --folder @scene '
    '--size 100 --window 64 --overlap 16 --bare 1 --device cpu --no-polygons',
    'recipe': 'recipe.py @recipe.py --work-dir @recipe --dry-run',
    'naive baselines': '../projects/naive_baselines/run.py @data',
}


SLOW = {'benchmark', 'benchmark of a scene', 'flops of an ensemble', 'test in 16 bits'}


@pytest.mark.parametrize(
    'name',
    [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in COMMANDS],
)
def test_a_tool_runs(folder, load_tool, name, capsys):
    tool, *words = COMMANDS[name].split()
    if name == 'benchmark of a scene':
        pytest.importorskip('rasterio')
    words = [str(folder / word[1:]) if word.startswith('@') else word for word in words]
    assert load_tool(tool).main(words) in (None, 0)
    printed = capsys.readouterr().out
    if name == 'test with all':
        # The config's hook, metric and report were used, and no second ones.
        assert len(list((folder / 'pictures').glob('*.png'))) == 2
        assert len(list((folder / 'maps').rglob('*.png'))) == 6
        assert json.loads((folder / 'scores.json').read_text())['scores']
    elif name == 'recipe':
        assert '--pseudo-labels' in printed


@pytest.mark.parametrize('sources', [('lazy_network.py', 'w/epoch_1.pth'), ('w/epoch_1.pth',)])
def test_prediction_with_the_config_and_with_the_one_stored(folder, sources, tmp_path):
    """Compare with the detector itself; a stored config is read without running it."""
    files = [str(folder / source) for source in sources]
    images = [str(folder / 'data/val' / name) for name in ('im1', 'im2')]
    predict([*files, *images, '--out', str(tmp_path / 'out'), '--device', 'cpu'])
    assert len(list((tmp_path / 'out/label2').glob('*.png'))) == 2
    name = sorted((folder / 'data/val/im1').iterdir())[0].name
    pair = [f'{date}/{name}' for date in images]
    result = SCDInferencer(*files, device='cpu')(*pair)
    plain = load_member(folder / 'lazy_network.py', folder / 'w/epoch_1.pth').model
    from tfinet_mm.io.images import join_dates, read_image

    values = torch.from_numpy(join_dates(*(read_image(path) for path in pair))).permute(2, 0, 1)
    with torch.no_grad():
        data = plain.data_preprocessor(dict(inputs=[values]), False)
        expected = plain.predict_probabilities(data['inputs']).change[0, 0].numpy()
    assert abs(result.change_prob - expected).max() < 1e-5


@pytest.mark.parametrize('config', [[], ['--config', 'lazy_network.py']])
def test_weights_with_the_config_and_with_the_one_stored(folder, config, load_tool, tmp_path):
    words = [str(folder / word) if word.endswith('.py') else word for word in config]
    source, out = folder / 'w/epoch_1.pth', tmp_path / 'w.safetensors'
    load_tool('export_weights.py').main([str(source), str(out), '--dtype', 'float32', *words])
    image = [str(sorted((folder / 'data/val' / name).iterdir())[0]) for name in ('im1', 'im2')]
    expected = SCDInferencer(str(source), device='cpu')(*image)
    found = SCDInferencer(str(out), device='cpu')(*image)
    assert abs(found.change_prob - expected.change_prob).max() < 1e-5


def test_the_recipes_ensemble_is_a_config_of_text(folder, tmp_path, monkeypatch):
    from tfinet_mm.recipe.config import load_recipe
    from tfinet_mm.recipe.plan import ensemble_config

    monkeypatch.chdir(folder)
    members = load_recipe(folder / 'recipe.py').members
    path = tmp_path / 'members.py'
    path.write_text(ensemble_config(members, [folder / 'w/epoch_1.pth']))
    cfg = Config.fromfile(path)
    assert cfg.model.type == 'tfinet_mm.SCDEnsemble'
    image = str(folder / 'data/val/im1' / sorted((folder / 'data/val/im1').iterdir())[0].name)
    result = SCDInferencer(str(path), device='cpu')(image, image)
    assert result.change_prob.shape == Image.open(image).size[::-1]


@pytest.mark.slow
def test_equal_time_combines_and_measures(folder, load_tool, tmp_path):
    module = load_study('equal_time/run.py')
    network, setting = (
        module.load_config(folder / f'lazy_{name}.py') for name in ('network', 'iterations')
    )
    cfg = module.combine(network, setting)
    assert module.measure_speed(cfg, repeats=1).pairs == 2
    path = tmp_path / 'config.py'
    module.with_steps(cfg, 3).dump(str(path))
    load_tool('train.py').main([str(path), '--work-dir', str(tmp_path / 'w')])
