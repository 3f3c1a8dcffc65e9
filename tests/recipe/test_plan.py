"""Which commands a recipe becomes, in which order."""

from pathlib import Path

import pytest
from mmengine.config import Config

from tfinet_mm.errors import RecipeError
from tfinet_mm.recipe import Launch, load_recipe, make_plan

ROOT = Path(__file__).parents[2]
TOOLS = 'checkout/tools'


def _commands(plan):
    return {stage.name: ' '.join(stage.command) for stage in plan.stages}


def test_stages_in_their_order(folder, stages):
    plan = folder.plan()
    assert [stage.name for stage in plan.stages] == stages
    seen = set()
    for stage in plan.stages:
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
    # The loader of pseudo labels is found in the pipeline and pointed to those of this recipe.
    option = '--cfg-options train_dataloader.dataset.pipeline.1.data_root=work/pseudo_labels'
    assert commands['retrain/again'] == (
        f'{train} again.py --work-dir work/retrain/again --resume {option}'
    )


def test_the_commands_of_four_gpus(folder):
    plan = folder.plan(Launch('pytorch', 4))
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
        f'{TOOLS}/dist_pseudo_label.sh 4 one.py work/checkpoints/one.pth two.py'
    )
    assert commands['prepare/data'] == _commands(folder.plan())['prepare/data']
    # What is done stays done when the number of processes changes.
    alone = {stage.name: stage.identity for stage in folder.plan().stages}
    assert {stage.name: stage.identity for stage in plan.stages} == alone


def test_scripts_of_the_current_folder_are_found(folder, stand_ins, monkeypatch):
    monkeypatch.chdir(stand_ins)
    plan = make_plan(load_recipe(folder.path / 'recipe.py'), 'work', Launch('pytorch', 2))
    assert plan.stages[1].command[:2] == ('./dist_train.sh', str(folder.path / 'one.py'))
    assert plan.stages[9].command[0] == './dist_pseudo_label.sh'


@pytest.mark.parametrize(
    ('launch', 'message'),
    [(('slurm', 1), "got 'slurm'"), (('none', 2), 'use --launcher pytorch'), (('pytorch', 0), '0')],
)
def test_launches_that_cannot_be(launch, message):
    with pytest.raises(RecipeError, match=message):
        Launch(*launch)


def test_the_ensemble_is_a_config_of_its_own(folder):
    (folder.path / 'one.py').write_text("model = dict(type='A', x=1)\ntest_dataloader = dict(b=2)")
    text = (folder.path / 'recipe.py').read_text()
    weighted = text.replace("'two.py'", "dict(config='two.py', weight=2)")
    (folder.path / 'recipe.py').write_text(weighted)
    plan = folder.plan()
    plan.write_ensembles()
    cfg = Config.fromfile(folder.path / 'work' / 'ensembles' / 'members.py')
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
    tests = {stage.name: stage.identity for stage in plan.stages}
    (folder.path / 'recipe.py').write_text(text)
    again = {stage.name: stage.identity for stage in folder.plan().stages}
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
    assert [stage.name for stage in plan.stages] == names
    option = 'train_dataloader.dataset.pipeline.1.data_root=work/pseudo_labels'
    assert plan.stages[-1].command[-4:] == ('--cfg-options', option, 'a=1', '--amp')


def test_a_loader_within_wrappers_is_found(folder):
    loader = "dict(pipeline=[dict(type='LoadPseudoLabels')])"
    wrapped = f"dict(type='ConcatDataset', datasets=[dict(pipeline=[]), {loader}])"
    (folder.path / 'again.py').write_text(f'train_dataloader = dict(dataset={wrapped})')
    (stage,) = (stage for stage in folder.plan().stages if stage.name == 'retrain/again')
    assert 'train_dataloader.dataset.datasets.1.pipeline.0.data_root=' in stage.command[-1]


def test_re_training_without_pseudo_labels_is_refused(folder):
    (folder.path / 'again.py').write_text('train_dataloader = dict()')
    with pytest.raises(RecipeError, match=r'again\.py has 0 tfinet_mm.LoadPseudoLabels'):
        folder.plan()


def test_the_published_recipe(monkeypatch):
    monkeypatch.chdir(ROOT)
    recipe = load_recipe('configs/senseearth/recipe_second.py')
    assert len(recipe.members) == 5
    assert recipe.pseudo_label_options[:3] == ('--method', 'vote', '--tta')
    assert {network.name for network in recipe.retrain} == {
        'pspnet_hrnet18_lightweight_pseudo',
        'pspnet_hrnet40_lightweight_pseudo',
    }
    plan = make_plan(recipe, 'w', Launch())
    assert plan.stages[0].command[:2] == ('python', 'tools/train.py')
    assert plan.stages[-1].name == 'test_tta/retrained'
    assert all(network.config.is_file() for network in (*recipe.members, *recipe.retrain))


def test_the_small_recipe_makes_its_data_first(monkeypatch):
    monkeypatch.chdir(ROOT)
    plan = make_plan(load_recipe('configs/senseearth/recipe_synthetic.py'), 'w', Launch())
    assert plan.stages[0].command[:3] == (
        *('python', 'tools/dataset/make_synthetic.py', 'data/synthetic'),
    )
    trained = [Config.fromfile(s.configs[0]) for s in plan.stages if 'train/' in s.name]
    assert len(trained) == 5
    for cfg in trained:
        assert cfg.train_dataloader.dataset.data_root == 'data/synthetic/train'
