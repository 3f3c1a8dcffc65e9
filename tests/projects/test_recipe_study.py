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
