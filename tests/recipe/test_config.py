"""Recipes are read and checked before anything runs."""

import re
from pathlib import Path

import pytest

from tfinet_mm.errors import RecipeError
from tfinet_mm.recipe import load_recipe


@pytest.fixture
def read(tmp_path):
    """Read a recipe of this text, in a folder with three configs."""

    def _read(text):
        (tmp_path / 'nets').mkdir(exist_ok=True)
        for name in ('a', 'b', 'c'):
            (tmp_path / 'nets' / f'{name}.py').touch()
        path = tmp_path / 'recipe.py'
        path.write_text(text)
        return load_recipe(path)

    return _read


def test_everything_that_can_be_said(read, tmp_path):
    recipe = read("""
root = 'data/x'
prepare = [dict(name='data', command=['make', root])]
members = ['nets/a.py', dict(config='nets/a.py', name='a2', train_options=['--seed', 2], weight=3)]
pseudo_labels = dict(method='soft', tta=True, options=['--threshold', 0.9])
retrain = ['nets/b.py']
tests = dict(members=['plain'], retrained=[])
train_options = ['--amp']
test_options = ['--split', 'val']
""")
    assert [(one.name, one.command) for one in recipe.prepare] == [('data', ('make', 'data/x'))]
    first, second = recipe.members
    assert (first.name, first.config, first.weight) == ('a', tmp_path / 'nets' / 'a.py', 1.0)
    assert (second.name, second.train_options) == ('a2', ('--amp', '--seed', '2'))
    assert second.weight == 3.0
    assert recipe.pseudo_label_options == ('--method', 'soft', '--tta', '--threshold', '0.9')
    assert [one.name for one in recipe.retrain] == ['b']
    assert recipe.retrain[0].train_options == ('--amp',)
    assert recipe.tests == {
        'members': ('plain',),
        'members_ensemble': ('plain', 'tta'),
        'retrained': (),
        'retrained_ensemble': ('plain', 'tta'),
    }
    assert recipe.test_options == ('--split', 'val')


def test_only_members_are_needed(read):
    recipe = read("members = ['nets/a.py']")
    assert recipe.pseudo_label_options is None
    assert recipe.retrain == recipe.prepare == ()


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('members = []', 'lists no network'),
        ("members = ['nets/a.py']\nretrian = ['nets/b.py']", "['retrian'] is none of the keys"),
        ("members = ['nets/a.py']\nretrain = ['nets/b.py']", 'makes no pseudo labels'),
        ("members = ['nets/a.py', 'nets/a.py']", 'need names of their own'),
        ("members = [dict(config='nets/a.py', name='a/b')]", 'need names of their own'),
        ("members = [dict(config='nets/a.py', name='members')]", 'the name of an ensemble'),
        ("members = [dict(config='nets/a.py', weight=0)]", 'weight of a.py must be above 0, got 0'),
        ("members = [dict(name='a')]", 'a network must be a config'),
        ("members = [dict(config='nets/a.py', wieght=2)]", "['wieght'] is none of"),
        ("members = ['nets/a.py']\npseudo_labels = dict(tta=True)", "dict(method='vote' or 'soft'"),
        ("members = ['nets/a.py']\ntrain_options = '--amp'", "a list of words, like ['--amp']"),
        ("members = ['nets/a.py']\ntests = dict(members=['tat'])", "got ('tat',)"),
        ("members = ['nets/a.py']\ntests = dict(member=['tta'])", "['member'] is none of"),
        ("members = ['nets/a.py']\nprepare = [dict(name='x')]", 'prepare must list dict(name='),
        ("members = ['nets/a.py']\nprepare = [dict(name='x', command=[])]", 'x is empty'),
    ],
)
def test_what_cannot_be_carried_out_is_refused(read, text, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        read(text)


def test_missing_files_are_named(read, tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no recipe'):
        load_recipe(tmp_path / 'nowhere.py')
    with pytest.raises(FileNotFoundError, match=r'no config .*nets.z\.py.*folder of the recipe'):
        read("members = ['nets/z.py']")


def test_the_example_of_the_docs(tmp_path):
    page = Path(__file__).parents[2] / 'docs' / 'recipe.md'
    (example,) = re.findall(r'```python\n(.*?)```', page.read_text(encoding='utf-8'), re.DOTALL)
    for name in re.findall(r"'(\w+\.py)'", example):
        (tmp_path / name).touch()
    (tmp_path / 'recipe.py').write_text(example)
    recipe = load_recipe(tmp_path / 'recipe.py')
    assert recipe.members[1].train_options == ('--amp', '--seed', '1')
    assert recipe.tests['members_ensemble'] == ('tta',)
