"""tools/analysis/summarize_recipes.py prints the summary, or one line about what is wrong."""

import json
import re

import pytest

from tfinet_mm.errors import RecipeError


@pytest.fixture
def runs(tmp_path):
    """Two runs of one network, of SeK 10 and 12."""
    for seed, sek in ((0, 10.0), (1, 12.0)):
        scores = dict(Score=30.0, SeK=sek, mIoU=50.0, Fscd=40.0)
        test = dict(stage='test/a', group='members', networks=['a'], tta=False, scores=scores)
        stages = {'test/a': dict(command='test', configs={})}
        folder = tmp_path / f'seed_{seed}'
        folder.mkdir()
        table = dict(tests=[test], pseudo_labels={}, seed=seed, stages=stages)
        (folder / 'table.json').write_text(json.dumps(table))
    return sorted(str(folder) for folder in tmp_path.iterdir())


@pytest.fixture
def main(load_tool):
    return load_tool('analysis/summarize_recipes.py').main


def test_it_prints_the_table(main, runs, capsys):
    main([*runs, '--baseline', 'a', '--baseline', 'test/a', '--score', 'mIoU'])
    lines = capsys.readouterr().out.splitlines()
    assert '| mIoU over a | mIoU over test/a |' in lines[2]
    assert lines[-1].startswith('| a |  | 30.00 ± 0.00 | 11.00 ± 1.41 | 50.00 ± 0.00 |')


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['nowhere'], 'there is no nowhere/table.json'),
        (['--baseline', 'b'], "no test that is done is called 'b'"),
    ],
)
def test_mistakes_are_named(main, runs, words, message):
    with pytest.raises((FileNotFoundError, RecipeError), match=message):
        main([*runs, *words])


def test_the_options_are_documented(load_tool, capsys, tools):
    with pytest.raises(SystemExit):
        load_tool('analysis/summarize_recipes.py').parse_args(['--help'])
    options = set(re.findall(r'^  (--[a-z-]+)', capsys.readouterr().out, re.MULTILINE))
    docs = (tools.parent / 'docs' / 'tools.md').read_text()
    docs = docs[docs.index('## A recipe over several seeds') :].removeprefix('## ')
    section = docs.partition('\n## ')[0]
    assert options - {'--traceback'} == set(re.findall(r'^\| `(--[a-z-]+)', section, re.MULTILINE))
