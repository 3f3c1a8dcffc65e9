"""Turn a recipe into commands, in their order."""

from pathlib import Path

import pytest
from mmengine.config import Config

from tfinet_mm.errors import ConfigError, RecipeError
from tfinet_mm.recipe.config import load_recipe
from tfinet_mm.recipe.plan import make_plan

ROOT = Path(__file__).parents[2]
TOOLS = 'checkout/tools'


def _commands(plan):
    return {name: ' '.join(stage.command) for name, stage in plan.stages.items()}


def test_stages_in_their_order(folder, stages):
    plan = folder.plan()
    assert [*plan.stages] == stages
    seen = set()
    for stage in plan.stages.values():
        assert set(stage.needs) <= seen
        seen.add(stage.name)
    assert not (folder.path / 'work').exists()


def test_the_commands_of_one_process(folder):
    commands = _commands(folder.plan())
    train = f'python {TOOLS}/train.py'
    test = f'python {TOOLS}/test.py'
    assert commands['train/one'] == f'{train} one.py --work-dir work/train/one --resume'
    place = '--work-dir work/test_tta/one --json work/test_tta/one/scores.json'
    assert commands['test_tta/one'] == f'{test} one.py work/checkpoints/one.pth {place} --tta'
    place = '--work-dir work/test/members --json work/test/members/scores.json'
    assert commands['test/members'] == f'{test} work/ensembles/members.py {place}'
    pairs = 'one.py work/checkpoints/one.pth two.py work/checkpoints/two.pth'
    assert commands['pseudo_labels'] == (
        f'python {TOOLS}/pseudo_label.py {pairs} --out work/pseudo_labels --method vote --tta'
    )
    assert commands['retrain/again'] == (
        f'{train} again.py --work-dir work/retrain/again --resume '
        '--pseudo-labels work/pseudo_labels'
    )


def test_the_commands_of_four_gpus(folder):
    plan = folder.plan(4)
    commands = _commands(plan)
    assert commands['train/one'] == (
        f'{TOOLS}/dist_train.sh one.py 4 --work-dir work/train/one --resume'
    )
    assert commands['test/one'].startswith(
        f'{TOOLS}/dist_test.sh one.py work/checkpoints/one.pth 4 --work-dir'
    )
    assert commands['test/members'].startswith(
        f'{TOOLS}/dist_test.sh work/ensembles/members.py 4 --work-dir'
    )
    assert commands['pseudo_labels'].startswith(
        f'{TOOLS}/dist_pseudo_label.sh one.py 4 work/checkpoints/one.pth two.py'
    )
    assert commands['prepare/data'] == _commands(folder.plan())['prepare/data']
    # What is done stays done when the number of processes changes.
    alone = {name: stage.made_from for name, stage in folder.plan().stages.items()}
    assert {name: stage.made_from for name, stage in plan.stages.items()} == alone


def test_scripts_of_the_current_folder_are_found(folder, monkeypatch):
    monkeypatch.chdir('checkout/tools')
    plan = make_plan(load_recipe(folder.path / 'recipe.py'), 'work', 2)
    assert plan.stages['train/one'].command[:2] == ['./dist_train.sh', str(folder.path / 'one.py')]
    assert plan.stages['pseudo_labels'].command[0] == './dist_pseudo_label.sh'


def test_the_ensemble_is_a_config_of_its_own(folder):
    (folder.path / 'one.py').write_text("model = dict(type='A', x=1)\ntest_dataloader = dict(b=2)")
    text = (folder.path / 'recipe.py').read_text()
    weighted = text.replace("'two.py'", "dict(config='two.py', weight=2)")
    (folder.path / 'recipe.py').write_text(weighted)
    plan = folder.plan()
    (folder.path / 'ensemble.py').write_text(plan.ensembles['work/ensembles/members.py'])
    cfg = Config.fromfile('ensemble.py')
    assert cfg.test_dataloader == {'b': 2}
    assert cfg.model == {
        'type': 'tfinet_mm.SCDEnsemble',
        'members': [
            {
                'config': str(folder.path / f'{name}.py'),
                'checkpoint': str(folder.path / 'work' / 'checkpoints' / f'{name}.pth'),
                'name': name,
                'weight': weight,
            }
            for name, weight in (('one', 1.0), ('two', 2.0))
        ],
    }
    # Other weights are another ensemble.
    tests = {name: stage.made_from for name, stage in plan.stages.items()}
    (folder.path / 'recipe.py').write_text(text)
    again = {name: stage.made_from for name, stage in folder.plan().stages.items()}
    assert [name for name in tests if tests[name] != again[name]] == [
        'test/members',
        'test_tta/members',
    ]


def test_options_of_a_training_stay_together(folder):
    (folder.path / 'recipe.py').write_text("""
members = ['one.py']
pseudo_labels = dict(method='vote')
retrain = [dict(config='again.py', train_options=['--cfg-options', 'a=1', '--amp'])]
tests = dict(members=['plain'], members_ensemble=[], retrained=[], retrained_ensemble=[])
""")
    plan = folder.plan()
    names = ['train/one', 'test/one', 'pseudo_labels', 'retrain/again']
    assert [*plan.stages] == names
    stage = plan.stages['retrain/again']
    assert stage.command[-4:] == ['work/pseudo_labels', '--cfg-options', 'a=1', '--amp']
    # It is the same stage wherever it is done.
    assert stage.made_from == folder.plan(work_dir='b').stages['retrain/again'].made_from


def test_re_training_without_pseudo_labels_is_refused(folder):
    (folder.path / 'again.py').write_text('train_dataloader = dict()')
    with pytest.raises(ConfigError, match=r'again\.py has 0 tfinet_mm.LoadPseudoLabels'):
        folder.plan()


COMPARISON = """
members = ['one.py', 'two.py']
others = ['three.py']
pseudo_labels = [dict(name='vote', method='vote'), dict(name='soft', method='soft', tta=True)]
retrain = [
    dict(config='again.py', name='again_vote', labels='vote'),
    dict(config='again.py', name='again_soft', labels='soft', ensemble=False),
]
tests = dict(members=['plain'], others=['plain'], retrained=['plain'], retrained_ensemble=['tta'])
"""


@pytest.fixture
def comparison(folder):
    (folder.path / 'three.py').write_text((folder.path / 'two.py').read_text())
    (folder.path / 'recipe.py').write_text(COMPARISON)
    return folder


def test_stages_of_a_comparison(comparison):
    plan = comparison.plan()
    commands = _commands(plan)
    assert list(commands) == [
        *('train/one', 'test/one', 'train/two', 'test/two', 'test/members', 'test_tta/members'),
        *('train/three', 'test/three', 'pseudo_labels/vote', 'pseudo_labels/soft'),
        *('retrain/again_vote', 'test/again_vote', 'retrain/again_soft', 'test/again_soft'),
        'test_tta/retrained',
    ]
    pairs = 'one.py work/checkpoints/one.pth two.py work/checkpoints/two.pth'
    for name, options in (('vote', '--method vote'), ('soft', '--method soft --tta')):
        assert commands[f'pseudo_labels/{name}'] == (
            f'python {TOOLS}/pseudo_label.py {pairs} --out work/pseudo_labels/{name} {options}'
        )
        assert commands[f'retrain/again_{name}'].endswith(f'-labels work/pseudo_labels/{name}')
    needs = {name: tuple(stage.needs) for name, stage in plan.stages.items()}
    assert needs['pseudo_labels/soft'] == ('train/one', 'train/two')
    assert needs['retrain/again_soft'] == ('pseudo_labels/soft',)
    assert needs['test_tta/retrained'] == ('retrain/again_vote',)
    groups = {
        name: (stage.test['group'], tuple(stage.test['networks']))
        for name, stage in plan.stages.items()
        if stage.test
    }
    assert groups['test/three'] == ('others', ('three',))
    assert groups['test_tta/members'] == ('members_ensemble', ('one', 'two'))
    assert groups['test_tta/retrained'] == ('retrained_ensemble', ('again_vote',))


def test_without_a_network_in_it_there_is_no_final_ensemble(comparison):
    text = COMPARISON.replace("labels='vote'", "labels='vote', ensemble=False")
    (comparison.path / 'recipe.py').write_text(text)
    assert [*comparison.plan().stages][-1] == 'test/again_soft'


def test_a_seed_is_that_of_every_training(comparison):
    plan = make_plan(load_recipe(comparison.path / 'recipe.py'), 'work', seed=0)
    trainings = [stage for name, stage in plan.stages.items() if 'train/' in name]
    assert len(trainings) == 5
    for stage in trainings:
        assert stage.made_from['seed'] == 0
        assert '--resume --seed 0' in ' '.join(stage.command)
    others = [stage.command for name, stage in plan.stages.items() if 'train/' not in name]
    assert not any('--seed' in command for command in others)
    # Beside other options, and through the launcher as well.
    text = COMPARISON + "train_options = ['--cfg-options', 'a=1']"
    (comparison.path / 'recipe.py').write_text(text)
    recipe = load_recipe(comparison.path / 'recipe.py')
    plan = make_plan(recipe, 'work', 2, seed=7)
    assert plan.stages['train/one'].command == [
        *(f'{TOOLS}/dist_train.sh', 'one.py', '2', '--work-dir', 'work/train/one', '--resume'),
        *('--seed', '7', '--cfg-options', 'a=1'),
    ]


@pytest.mark.parametrize('words', [['--seed', '1'], ['--amp', '--seed=1']])
def test_a_seed_beside_one_of_the_recipe_is_refused(folder, words):
    (folder.path / 'recipe.py').write_text(
        f"members = ['one.py', dict(config='two.py', train_options={words})]"
    )
    recipe = load_recipe(folder.path / 'recipe.py')
    assert make_plan(recipe, 'work').seed is None
    with pytest.raises(RecipeError, match='the recipe gives two a seed of its own'):
        make_plan(recipe, 'work', seed=0)


def test_the_published_recipe(monkeypatch):
    monkeypatch.chdir(ROOT)
    recipe = load_recipe('configs/senseearth/recipe_second.py')
    assert len(recipe.members) == 5
    assert (recipe.pseudo_labels[0].method, recipe.pseudo_labels[0].tta) == ('vote', True)
    assert {network.name for network in recipe.retrain} == {
        'pspnet_hrnet18_lightweight_pseudo',
        'pspnet_hrnet40_lightweight_pseudo',
    }
    plan = make_plan(recipe, 'w')
    first, *_, last = plan.stages.values()
    assert first.command[:2] == ['python', 'tools/train.py']
    assert last.name == 'test_tta/retrained'
    assert all(network.config.is_file() for network in (*recipe.members, *recipe.retrain))


def test_the_small_recipe_makes_its_data_first(monkeypatch):
    monkeypatch.chdir(ROOT)
    plan = make_plan(load_recipe('configs/senseearth/recipe_synthetic.py'), 'w')
    assert plan.stages['prepare/data'].command[:3] == [
        *('python', 'tools/dataset/make_synthetic.py', 'data/synthetic'),
    ]
    trained = [
        Config.fromfile(stage.command[2]) for name, stage in plan.stages.items() if 'train/' in name
    ]
    assert len(trained) == 5
    for cfg in trained:
        assert cfg.train_dataloader.dataset.data_root == 'data/synthetic/train'
