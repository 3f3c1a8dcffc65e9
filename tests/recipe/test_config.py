"""Recipes are read and checked before anything runs."""

import re
from pathlib import Path

import pytest

from tfinet_mm.errors import RecipeError
from tfinet_mm.recipe.config import load_recipe


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
others = ['nets/c.py']
retrain = [dict(config='nets/b.py', ensemble=False)]
tests = dict(members=['plain'], retrained=[])
train_options = ['--amp']
test_options = ['--split', 'val']
""")
    assert [(one.name, one.command) for one in recipe.prepare] == [('data', ('make', 'data/x'))]
    first, second = recipe.members
    assert (first.name, first.config, first.weight) == ('a', tmp_path / 'nets' / 'a.py', 1.0)
    assert (second.name, second.train_options) == ('a2', ('--amp', '--seed', '2'))
    assert second.weight == 3.0
    (labels,) = recipe.pseudo_labels
    assert (labels.name, labels.method, labels.tta) == ('', 'soft', True)
    assert labels.options == ('--threshold', '0.9')
    assert [(one.name, one.labels, one.ensemble) for one in recipe.retrain] == [('b', '', False)]
    assert [(one.name, one.train_options) for one in recipe.others] == [('c', ('--amp',))]
    assert recipe.retrain[0].train_options == ('--amp',)
    assert vars(recipe.tests) == {
        'members': ('plain',),
        'members_ensemble': ('plain', 'tta'),
        'others': ('plain', 'tta'),
        'retrained': (),
        'retrained_ensemble': ('plain', 'tta'),
    }
    assert recipe.test_options == ('--split', 'val')


def test_only_members_are_needed(read):
    recipe = read("members = ['nets/a.py']")
    assert recipe.pseudo_labels == recipe.retrain == recipe.prepare == recipe.others == ()


TWO_SETS = """
members = ['nets/a.py']
pseudo_labels = [dict(name='vote', method='vote'), dict(name='soft', method='soft', tta=True)]
"""


def test_several_pseudo_labels_have_names(read):
    recipe = read(
        TWO_SETS
        + """
retrain = [
    dict(config='nets/b.py', name='b_soft', labels='soft'),
    dict(config='nets/b.py', name='b_vote', labels='vote', ensemble=False),
]
"""
    )
    assert [(one.name, one.method, one.tta) for one in recipe.pseudo_labels] == [
        ('vote', 'vote', False),
        ('soft', 'soft', True),
    ]
    assert [(one.name, one.labels, one.ensemble) for one in recipe.retrain] == [
        ('b_soft', 'soft', True),
        ('b_vote', 'vote', False),
    ]


@pytest.mark.parametrize('labels', ['', ", labels='mine'"])
def test_the_name_of_the_only_pseudo_labels_may_be_left_out(read, labels):
    recipe = read(f"""
members = ['nets/a.py']
pseudo_labels = [dict(name='mine', method='vote')]
retrain = [dict(config='nets/b.py'{labels})]
""")
    assert recipe.retrain[0].labels == 'mine'
    assert recipe.pseudo_labels[0].name == 'mine'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ("retrain = ['nets/b.py']", 'b needs labels=..., the name of the pseudo labels it is'),
        ("retrain = [dict(config='nets/b.py', labels='sfot')]", "['vote', 'soft'], got 'sfot'"),
        (
            "retrain = [dict(config='nets/b.py', labels='soft', ensemble=1)]",
            'ensemble of nets/b.py of retrain must be True or False, got 1',
        ),
        ("pseudo_labels = [dict(method='vote')] * 2", 'pseudo labels need names of'),
        ("pseudo_labels = [dict(name='x', tta=True)]", 'pseudo_labels must be dict(method=..., '),
        ("pseudo_labels = [dict(name='x', method='vote')] * 2", 'pseudo labels need names of'),
        ("pseudo_labels = [dict(name='../x', method='vote')]", 'that can be file names'),
        (
            "others = [dict(config='nets/b.py', weight=2)]",
            "nets/b.py of others: ['weight'] is none of",
        ),
        ("others = ['nets/a.py']", 'networks need names of their own'),
        ("others = [dict(config='nets/a.py', name='retrained')]", 'the name of an ensemble'),
        (
            "pseudo_labels = dict(method='vote')\n"
            "retrain = [dict(config='nets/b.py', labels='vote')]",
            "b needs labels=..., the name of the pseudo labels it is trained on: one of [''], got",
        ),
    ],
)
def test_labels_and_others_that_cannot_be(read, text, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        read(TWO_SETS + text)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('members = []', 'lists no network'),
        ("members = ['nets/a.py']\nretrian = ['nets/b.py']", "['retrian'] is none of the keys"),
        ("members = ['nets/a.py']\nretrian = 'nets/b.py'", "did you mean 'retrain'?"),
        ("members = ['nets/a.py']\nretrain = ['nets/b.py']", 'makes no pseudo labels'),
        ("members = ['nets/a.py', 'nets/a.py']", 'need names of their own'),
        ("members = [dict(config='nets/a.py', name='a/b')]", 'need names of their own'),
        ("members = [dict(config='nets/a.py', name='members')]", 'the name of an ensemble'),
        (
            "members = [dict(config='nets/a.py', weight=0)]",
            'weight of nets/a.py of members must be a number above 0, got 0',
        ),
        ("members = [dict(config='nets/a.py', weight='2')]", "above 0, got '2'"),
        ("members = [dict(config='nets/a.py', weight=float('nan'))]", 'above 0, got nan'),
        ("members = [dict(config='nets/a.py', weight=True)]", 'above 0, got True'),
        (r"members = [dict(config='nets/a.py', name='a\nb')]", 'that can be file names'),
        ("members = [dict(config='nets/a.py', name='{a}')]", 'that can be file names'),
        ("members = [dict(config='nets/a.py', name='a' * 101)]", 'that can be file names'),
        ("members = [dict(config='nets/a.py', name=' ')]", 'that can be file names'),
        (
            "members = [dict(config='nets/a.py', name=5)]",
            'name of nets/a.py of members must be a word',
        ),
        ('members = [dict(config=5)]', 'config of 5 of members must be the name of a'),
        ("members = 'nets/a.py'", "recipe.py must be a list, got 'nets/a.py'"),
        ("members = ['nets/a.py']\nprepare = dict(name='x')", 'recipe.py must be a list, got {'),
        ("members = ['nets/a.py']\ntests = ['plain']", 'recipe.py must be like dict(members='),
        (
            "members = ['nets/a.py']\npseudo_labels = dict(method='votes')",
            "method of pseudo_labels must be one of 'vote', 'soft', got 'votes'",
        ),
        (
            "members = ['nets/a.py']\npseudo_labels = dict(method='vote', tta='no')",
            "tta of pseudo_labels must be True or False, got 'no'",
        ),
        ("members = [dict(name='a')]", 'a network of members must be dict(config=..., ...), got'),
        ("members = [dict(config='nets/a.py', wieght=2)]", "['wieght'] is none of"),
        (
            "members = ['nets/a.py']\npseudo_labels = dict(tta=True)",
            'must be dict(method=..., ...)',
        ),
        ("members = ['nets/a.py']\ntrain_options = '--amp'", 'a list, each a word or a number'),
        (
            "members = ['nets/a.py']\ntests = dict(members=['tat'])",
            "must be a list, each one of 'plain', 'tta', got",
        ),
        ("members = ['nets/a.py']\ntests = dict(member=['tta'])", "['member'] is none of"),
        (
            "members = ['nets/a.py']\nprepare = [dict(name='x')]",
            'each of prepare must be dict(name=',
        ),
        (
            "members = ['nets/a.py']\nprepare = [dict(name='x', command=[])]",
            'command of each of prepare must be a list, each a word or a number, got []',
        ),
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


PAGE = Path(__file__).parents[2] / 'docs' / 'recipe.md'
EXAMPLES = re.findall(r'```python\n(.*?)```', PAGE.read_text(encoding='utf-8'), re.DOTALL)


@pytest.fixture
def example(tmp_path):
    """Read an example of the docs, beside configs of the names it has."""

    def _example(number):
        for name in re.findall(r"'(\w+\.py)'", EXAMPLES[number]):
            (tmp_path / name).touch()
        (tmp_path / 'recipe.py').write_text(EXAMPLES[number])
        return load_recipe(tmp_path / 'recipe.py')

    return _example


def test_the_example_of_the_docs(example):
    recipe = example(0)
    assert recipe.members[1].train_options == ('--amp', '--seed', '1')
    assert recipe.tests.members_ensemble == ('tta',)


def test_the_comparison_of_the_docs(example):
    assert len(EXAMPLES) == 2
    recipe = example(1)
    assert [one.name for one in recipe.pseudo_labels] == ['vote', 'soft']
    assert [one.labels for one in recipe.retrain if one.ensemble] == ['vote']
    assert recipe.tests.others == ('plain',)
