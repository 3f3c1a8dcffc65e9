"""Test the study of the recipe: its stages, and networks that differ in one step."""

from mmengine.config import Config
from study import PROJECTS

from tfinet_mm.recipe.config import load_recipe
from tfinet_mm.recipe.plan import make_plan

ROOT = PROJECTS.parent
FOLDER = 'projects/recipe_study/configs'


def test_the_study_stage_by_stage(monkeypatch):
    monkeypatch.chdir(ROOT)
    plan = make_plan(load_recipe(f'{FOLDER}/recipe.py'), 'w', seed=2)
    commands = {name: ' '.join(stage.command) for name, stage in plan.stages.items()}
    expected = ['prepare/data']
    members = ['senseearth', 'tfinet', 'deeplabv3plus']
    for name in members:
        expected += [f'train/{name}', f'test/{name}', f'test_tta/{name}']
    expected += ['test/members', 'test_tta/members']
    for variant in ('unweighted', 'online'):
        for name in ('senseearth', 'tfinet'):
            expected += [f'train/{name}_{variant}', f'test/{name}_{variant}']
    expected += ['pseudo_labels/vote', 'pseudo_labels/soft']
    for labels in ('vote', 'soft'):
        for name in ('senseearth', 'tfinet'):
            one = f'{name}_{labels}'
            expected += [f'retrain/{one}', f'test/{one}', f'test_tta/{one}']
    expected += ['test/retrained', 'test_tta/retrained']
    assert list(commands) == expected

    assert commands['prepare/data'] == (
        'python tools/dataset/make_synthetic.py data/study --train 320 --val 120 --size 128 '
        '--seed 1'
    )
    for name, command in commands.items():
        kind, _, one = name.partition('/')
        assert ('--tta' in command) == (kind in ('test_tta', 'pseudo_labels')), name
        assert ('--seed 2' in command) == (kind in ('train', 'retrain')), name
        if kind == 'train':
            assert command.startswith(f'python tools/train.py {FOLDER}/{one}.py ')
        elif kind == 'retrain':
            network, _, labels = one.partition('_')
            assert f' {FOLDER}/{network}_pseudo.py ' in command
            assert command.endswith(f' --pseudo-labels w/pseudo_labels/{labels}')
        elif kind == 'pseudo_labels':
            for member in members:
                assert f' {FOLDER}/{member}.py w/checkpoints/{member}.pth ' in command
            assert command.count('.pth') == 3
            assert f'--out w/pseudo_labels/{one} --method {one} --tta' in command
    ensembles = {
        name: tuple(stage.test['networks'])
        for name, stage in plan.stages.items()
        if stage.test and len(stage.test['networks']) > 1
    }
    assert ensembles == {
        'test/members': tuple(members),
        'test_tta/members': tuple(members),
        'test/retrained': ('senseearth_vote', 'tfinet_vote'),
        'test_tta/retrained': ('senseearth_vote', 'tfinet_vote'),
    }


def test_the_networks_of_the_study_differ_in_what_their_names_say(monkeypatch):
    """A difference between two rows of the table then has one cause."""
    monkeypatch.chdir(ROOT)
    folder = ROOT / FOLDER
    for name, weights in (('senseearth', (2, 1, 2, 2, 1, 1)), ('tfinet', (2, 2, 3, 3, 2, 1))):
        weighted = Config.fromfile(folder / f'{name}.py').to_dict()
        assert tuple(weighted['model']['semantic_head']['loss_decode']['class_weight']) == weights
        plain = Config.fromfile(folder / f'{name}_unweighted.py').to_dict()
        weighted['model']['semantic_head']['loss_decode']['class_weight'] = None
        assert weighted == plain

        again = Config.fromfile(folder / f'{name}_pseudo.py').to_dict()
        pipeline = again['train_dataloader']['dataset']['pipeline']
        assert pipeline.pop(2)['type'] == 'tfinet_mm.LoadPseudoLabels'
        del again['train_pipeline'], plain['train_pipeline']
        assert again == plain

        online = Config.fromfile(folder / f'{name}_online.py').to_dict()
        (hook,) = online.pop('custom_hooks')
        assert hook['type'] == 'tfinet_mm.MeanTeacherHook'
        del online['train_pipeline']
        assert online == plain


def test_the_recipe_of_the_default_network_stage_by_stage(monkeypatch):
    monkeypatch.chdir(ROOT)
    plan = make_plan(load_recipe(f'{FOLDER}/flagship/recipe.py'), 'w', seed=2)
    expected = ['prepare/data']
    for name in ('lite0', 'lite1', 'lite2'):
        expected += [f'train/{name}', f'test/{name}']
    expected += ['test/members', 'train/lite0_long', 'test/lite0_long']
    expected += ['pseudo_labels/vote', 'pseudo_labels/soft']
    for labels in ('vote', 'soft'):
        expected += [f'retrain/lite0_{labels}', f'test/lite0_{labels}']
    assert list(plan.stages) == expected
    for labels in ('vote', 'soft'):
        command = ' '.join(plan.stages[f'retrain/lite0_{labels}'].command)
        assert f' {FOLDER}/flagship/lite0_pseudo.py ' in command
        assert command.endswith(f' --seed 2 --pseudo-labels w/pseudo_labels/{labels}')


def test_the_pyramids_differ_in_what_their_names_say():
    folder = ROOT / FOLDER / 'flagship'
    plain, again, longer, lite1, lite2 = (
        Config.fromfile(folder / f'{name}.py').to_dict()
        for name in ('lite0', 'lite0_pseudo', 'lite0_long', 'lite1', 'lite2')
    )
    pipeline = again['train_dataloader']['dataset']['pipeline']
    assert pipeline.pop(2)['type'] == 'tfinet_mm.LoadPseudoLabels'
    again['train_pipeline'] = plain['train_pipeline']
    assert again == plain
    assert longer['param_scheduler'][1].pop('end') == longer['train_cfg'].pop('max_iters') == 800
    assert longer['train_cfg'].pop('val_interval') == 800
    assert longer['default_hooks']['checkpoint'].pop('interval') == 800
    for cfg in (plain, lite1, lite2):
        assert cfg['param_scheduler'][1].pop('end') == cfg['train_cfg'].pop('max_iters') == 180
        assert cfg['train_cfg'].pop('val_interval') == 180
        assert cfg['default_hooks']['checkpoint'].pop('interval') == 180
    assert longer == plain
    for cfg, arch in ((lite1, 'lite1'), (lite2, 'lite2')):
        backbone = cfg['model'].pop('backbone')
        assert backbone['arch'] == arch
        assert backbone['init_cfg'] == dict(type='Pretrained', checkpoint=f'efficientnet_{arch}')
    assert lite2['model']['neck'].pop('in_channels') == (24, 48, 120, 352)
    plain['model'].pop('backbone')
    assert lite1 == plain
    del plain['model']['neck']['in_channels']
    assert lite2 == plain
