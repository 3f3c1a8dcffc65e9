"""Test tools/export_weights.py, and its files in place of checkpoints in the other tools."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from PIL import Image

from tfinet_mm.apis import SCDInferencer, predict_scene
from tfinet_mm.apis.command import main as predict
from tfinet_mm.checkpoints import shipped
from tfinet_mm.registry import DATASETS, HOOKS

NAME = 'tfinet_lite0_fpn_generated'
WEIGHT, BIAS = (f'semantic_head.conv_seg.{kind}' for kind in ('weight', 'bias'))


@pytest.fixture(scope='module')
def weights(trained, load_tool, tmp_path_factory):
    """Return the trained network as a file of weights, in float32."""
    folder = tmp_path_factory.mktemp('weights')
    file = folder / f'{NAME}.safetensors'
    load_tool('export_weights.py').main(
        [str(trained[0] / 'epoch_2.pth'), str(file), '--dtype', 'float32']
    )
    return file


@pytest.fixture
def installed(weights, monkeypatch):
    """Use these weights as the weights of the package."""
    monkeypatch.setattr(shipped, 'FOLDER', weights.parent)


@pytest.fixture
def pair(tiny):
    """Return the two images of a held-out pair."""
    data = tiny.parent / 'data' / 'val'
    name = sorted(path.name for path in (data / 'im1').iterdir())[0]
    return [str(data / part / name) for part in ('im1', 'im2')]


def test_the_tool_says_what_it_wrote(trained, tiny, tools, run, tmp_path):
    source = trained[0] / 'epoch_2.pth'
    printed = run(tools / 'export_weights.py', source, tmp_path / 'w.safetensors')
    assert ' MB, written to ' in printed
    stored = torch.load(source, weights_only=False)['state_dict']
    found = safetensors.torch.load_file(tmp_path / 'w.safetensors')
    assert {k for k in stored if not k.startswith('auxiliary')} == set(found)
    for key, value in found.items():
        torch.testing.assert_close(value, stored[key].to(value.dtype), rtol=0, atol=0)
        assert value.dtype in (torch.float16, torch.int64)
    words = (source, '--config', tiny, tmp_path / 'w.pth')
    refused = run(tools / 'export_weights.py', *words, code=2)
    assert 'must be called NAME.safetensors, got w.pth' in refused


def test_the_averages_of_mmengines_hook_are_taken(tiny, load_tool, tmp_path, capsys):
    """The exported weights are those of the validation, not those of the last step."""
    config = tmp_path / 'averaged.py'
    config.write_text(
        f'_base_ = {str(tiny)!r}\n'
        "custom_hooks = [dict(type='EMAHook', momentum=0.5), dict(type='tfinet_mm.Seen')]\n"
    )
    seen = []

    @HOOKS.register_module(name='Seen', force=True)
    class Seen(Hook):
        priority = 'LOWEST'

        def before_val_epoch(self, runner):
            seen.append({key: value.clone() for key, value in runner.model.state_dict().items()})

    load_tool('train.py').main([str(config), '--work-dir', str(tmp_path / 'w')])
    source, out = tmp_path / 'w/epoch_2.pth', tmp_path / 'w.safetensors'
    load_tool('export_weights.py').main([str(source), str(out), '--dtype', 'float32'])
    assert 'The weights are the averages of EMAHook' in capsys.readouterr().out
    last = torch.load(source, weights_only=False)['ema_state_dict'][f'module.{WEIGHT}']
    found = safetensors.torch.load_file(out)[WEIGHT]
    torch.testing.assert_close(found, seen[-1][WEIGHT], rtol=0, atol=0)
    assert not torch.equal(found, last)


def test_it_scores_as_the_checkpoint_does(tiny, trained, weights, installed, load_tool, tmp_path):
    scores = []
    for number, checkpoint in enumerate((trained[0] / 'epoch_2.pth', weights, NAME)):
        out = tmp_path / f'{number}.json'
        words = [tiny, checkpoint, '--work-dir', tmp_path / 'w', '--json', out]
        load_tool('test.py').main(list(map(str, words)))
        scores.append(json.loads(out.read_text()))
    assert scores[0] == scores[1] == scores[2]
    assert scores[0]['scores']['OA'] > 0


def test_two_pictures_are_enough(tiny, trained, installed, pair, tmp_path, capsys):
    predict([*pair, '--out', str(tmp_path / 'out')])
    printed = capsys.readouterr().out
    line = f'No config or checkpoint was given: using the weights {NAME}'
    assert printed.count(line) == 1
    expected = SCDInferencer(tiny, trained[0] / 'epoch_2.pth')(*pair)
    found = SCDInferencer()(*pair)
    np.testing.assert_array_equal(found.change_prob, expected.change_prob)
    (written,) = (tmp_path / 'out' / 'change_prob').iterdir()
    np.testing.assert_array_equal(Image.open(written), np.round(255 * expected.change_prob))
    # The same by name; a misspelt name is reported as such, not as a missing image.
    predict([NAME, *pair, '--out', str(tmp_path / 'out')])
    assert 'Predicted 0 pairs, 1 finished before' in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match=f'did you mean {NAME!r}'):
        predict([NAME[:-1], *pair, '--out', str(tmp_path / 'out')])


def test_two_scenes_are_enough(installed, tmp_path, capsys):
    rasterio = pytest.importorskip('rasterio')
    pytest.importorskip('pyogrio')
    paths = [tmp_path / f'{number}.tif' for number in (1, 2)]
    for number, path in enumerate(paths):
        values = np.random.default_rng(number).integers(1, 256, (3, 40, 50)).astype(np.uint8)
        shape = dict(count=3, height=40, width=50, dtype='uint8', crs='EPSG:32633')
        place = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
        with rasterio.open(path, 'w', driver='GTiff', transform=place, **shape) as file:
            file.write(values)
    predict([*map(str, paths), '--out', str(tmp_path / 'out')])
    predict_scene(None, *paths, tmp_path / 'one')
    assert capsys.readouterr().out.count(f'using the weights {NAME}') == 2
    for file in ('change_prob.tif', 'change.tif'):
        made = [(folder / file).read_bytes() for folder in (tmp_path / 'out/1', tmp_path / 'one')]
        assert made[0] == made[1]


def classes_of(tiny):
    cfg = Config.fromfile(tiny)
    return DATASETS.get(cfg.train_dataloader.dataset.type.split('.')[1]).METAINFO


def training(tiny, folder, names, load_from, **model):
    """Return a config of one epoch on classes of these names."""
    meta = dict(semantic_classes=names, semantic_palette=classes_of(tiny)['semantic_palette'])
    loader = dict(dataset=dict(metainfo=meta))
    cfg = dict(
        train_dataloader=loader,
        val_dataloader=loader,
        train_cfg=dict(max_epochs=1),
        load_from=str(load_from),
        optim_wrapper=dict(optimizer=dict(lr=1e-30)),
        model=model,
    )
    config = folder / 'mine.py'
    lines = [f'_base_ = {str(tiny)!r}', *(f'{key} = {value!r}' for key, value in cfg.items())]
    config.write_text('\n'.join(lines))
    return config


def test_a_training_starts_from_them_with_other_classes(
    tiny, weights, installed, load_tool, tmp_path
):
    trained = classes_of(tiny)['semantic_classes']
    names = (trained[0], *reversed(trained[2:]), 'lake')
    backbone = dict(init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='not/at/hand.pth'))
    config = training(tiny, tmp_path, names, NAME, backbone=backbone)
    load_tool('train.py').main([str(config), '--work-dir', str(tmp_path / 'w')])
    (log,) = (tmp_path / 'w').glob('*/*.log')
    line = f'{NAME}: these start fresh: {WEIGHT} and {BIAS} of lake\n'
    assert log.read_text().count(line) == 1
    # With a learning rate of 0, only the statistics of batch norm change.
    found = torch.load(tmp_path / 'w' / 'epoch_1.pth', weights_only=False)['state_dict']
    source = safetensors.torch.load_file(weights)
    expected = [source[WEIGHT][trained.index(name) - 1] for name in names[1:-1]]
    torch.testing.assert_close(found[WEIGHT][:-1], torch.stack(expected), rtol=0, atol=1e-6)
    key = 'backbone.conv1.weight'
    torch.testing.assert_close(found[key], source[key], rtol=0, atol=1e-6)


def test_what_training_refuses(tiny, weights, tools, run, tmp_path):
    words = (tools / 'train.py', tiny, '--work-dir', tmp_path / 'w')
    refused = run(*words, '--resume', weights, code=2)
    assert 'holds no message_hub, optimizer, which resuming needs; start a new' in refused
    names = classes_of(tiny)['semantic_classes']
    preprocessor = dict(mean=[0.0] * 3, std=[1.0] * 3)
    config = training(tiny, tmp_path, names, weights, data_preprocessor=preprocessor)
    refused = run(tools / 'train.py', config, '--work-dir', tmp_path / 'v', code=2)
    assert 'model.data_preprocessor has mean=[0, 0, 0] and std=[1, 1, 1], but ' in refused
    assert 'was trained with mean=[' in refused
    options = ('--cfg-options', 'load_from=efficientnet_lit0')
    refused = run(*words, *options, code=2)
    assert "there is no checkpoint efficientnet_lit0; did you mean 'efficientnet_lite0'?" in refused
