"""Test the table of several runs of one recipe against worked numbers."""

import json
import re
import statistics

import pytest
from study import PROJECTS, load_study

from tfinet_mm.errors import ManifestError, RecipeError

STUDY = load_study('recipe_study/summarize.py')
read_runs, summarize = STUDY.read_runs, STUDY.summarize
NETWORKS = {'test/a': ['a'], 'test_tta/a': ['a'], 'test/b': ['b'], 'test/members': ['a', 'b']}
SEK = {
    'test/a': (10.0, 14.0, 12.0),
    'test_tta/a': (11.0, 15.0, 13.0),
    'test/b': (12.0, 15.0, 15.0),
    'test/members': (20.0, 20.0, 20.0),
}
REPORTS = {
    # For each run: share of pixels filled, share of these that is right.
    'pseudo_labels/vote': ((80.0, 70.0), (84.0, 74.0), (82.0, 72.0)),
    'pseudo_labels/soft': ((50.0, 90.0), (54.0, 95.0), (52.0, 91.0)),
}


def _report(filled, correct, precision):
    return dict(
        method='soft',
        filled=filled,
        agreement=dict(all=60.0),
        classes=dict(water=dict(filled=filled / 2), tree=dict(filled=filled / 2)),
        accuracy=dict(
            correct=correct,
            classes=dict(
                water=dict(precision=precision, recall=30.0),
                tree=dict(precision=correct, recall=40.0),
            ),
        ),
    )


def _stage(name, seed=0, content='x', **options):
    networks = [dict(name='a', config=dict(file='a.py', sha256=content))]
    return dict(tool=name.partition('/')[0], options=options, networks=networks, seed=seed)


def table(run, seed):
    """Return the table that tools/recipe.py writes, with scores that are easy to average."""
    tests = [
        dict(
            stage=stage,
            group='members_ensemble' if len(names) > 1 else 'members',
            networks=names,
            tta=stage.startswith('test_tta'),
            scores=dict(Score=2 * SEK[stage][run], SeK=SEK[stage][run], mIoU=50.0, Fscd=40.0),
        )
        for stage, names in NETWORKS.items()
    ]
    stages = ['train/a', *NETWORKS, *REPORTS]
    return dict(
        tests=tests,
        pseudo_labels={
            # In the first run no pixel is labelled water.
            stage: _report(*values[run], None if run == 0 else 10.0 * run)
            for stage, values in REPORTS.items()
        },
        seed=seed,
        stages={name: _stage(name, seed) for name in stages},
    )


@pytest.fixture
def folders(tmp_path):
    """Return a function that writes three runs, after a change to their tables."""

    def _folders(change=lambda tables: None, seeds=(0, 1, 2)):
        tables = [table(run, seed) for run, seed in enumerate(seeds)]
        change(tables)
        made = []
        for number, content in enumerate(tables):
            made.append(tmp_path / f'run_{number}')
            made[-1].mkdir()
            (made[-1] / 'table.json').write_text(json.dumps(content))
        return made

    return _folders


def _rows(text, first_cell):
    return [line for line in text.splitlines() if line.startswith(f'| {first_cell} |')]


def test_mean_spread_and_paired_differences(folders):
    text = summarize(read_runs(folders()), ['a', 'test_tta/a'])
    lines = text.splitlines()
    assert lines[0] == (
        '3 runs, seeds 0, 1, 2: mean ± sample standard deviation, in percent. '
        'Differences are by run.'
    )
    assert lines[2:9] == [
        '| model | TTA | Score | SeK | mIoU | Fscd | SeK over a | SeK over test_tta/a |',
        '| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |',
        # 10, 14, 12: deviations -2, 2, 0. A seed moves a and its TTA equally: no deviation.
        '| a |  | 24.00 ± 4.00 | 12.00 ± 2.00 | 50.00 ± 0.00 | 40.00 ± 0.00 |  | -1.00 ± 0.00 |',
        '| a | yes | 26.00 ± 4.00 | 13.00 ± 2.00 | 50.00 ± 0.00 | 40.00 ± 0.00 | +1.00 ± 0.00 |  |',
        # 12, 15, 15 and, less a, 2, 1, 3.
        '| b |  | 28.00 ± 3.46 | 14.00 ± 1.73 | 50.00 ± 0.00 | 40.00 ± 0.00 '
        '| +2.00 ± 1.00 | +1.00 ± 1.00 |',
        '| ensemble of a, b |  | 40.00 ± 0.00 | 20.00 ± 0.00 | 50.00 ± 0.00 | 40.00 ± 0.00 '
        '| +8.00 ± 2.00 | +7.00 ± 2.00 |',
        '',
    ]


def test_another_score_is_compared_on_request(folders):
    text = summarize(read_runs(folders()), ['members'], 'Score')
    assert '| Score over members |' in text
    assert _rows(text, 'b')[0].endswith('| -12.00 ± 3.46 |')


def test_without_a_baseline_there_is_no_column_of_differences(folders):
    text = summarize(read_runs(folders()))
    assert 'over a' not in text
    assert {row.count('|') for row in text.splitlines()[2:8]} == {7}


def test_pseudo_labels_side_by_side(folders):
    text = summarize(read_runs(folders()))
    lines = text[text.index('Pseudo labels:') :].splitlines()[2:]
    assert lines == [
        '|  | vote | soft | soft over vote |',
        '| --- | ---: | ---: | ---: |',
        '| filled, of the unchanged pixels without a class '
        '| 82.00 ± 2.00 | 52.00 ± 2.00 | -30.00 ± 0.00 |',
        # 90, 95, 91 less 70, 74, 72.
        f'| right, of those filled | 72.00 ± 2.00 | 92.00 ± {statistics.stdev([90, 95, 91]):.2f} '
        '| +20.00 ± 1.00 |',
        '| unchanged pixels with one class for all networks '
        '| 60.00 ± 0.00 | 60.00 ± 0.00 | +0.00 ± 0.00 |',
        '| water: filled | 41.00 ± 1.00 | 26.00 ± 1.00 | -15.00 ± 0.00 |',
        # Of the two runs that have one: 10 and 20.
        '| water: precision | 15.00 ± 7.07 | 15.00 ± 7.07 | +0.00 ± 0.00 |',
        '| water: recall | 30.00 ± 0.00 | 30.00 ± 0.00 | +0.00 ± 0.00 |',
        '| tree: filled | 41.00 ± 1.00 | 26.00 ± 1.00 | -15.00 ± 0.00 |',
        '| tree: precision | 72.00 ± 2.00 | 92.00 ± 2.65 | +20.00 ± 1.00 |',
        '| tree: recall | 40.00 ± 0.00 | 40.00 ± 0.00 | +0.00 ± 0.00 |',
    ]


def test_the_only_pseudo_labels_are_called_by_their_method(folders):
    def change(tables):
        for content in tables:
            content['stages'] = {'pseudo_labels': None, **content['stages']}
            report = content['pseudo_labels']['pseudo_labels/soft']
            report['accuracy'] = None
            content['pseudo_labels'] = {'pseudo_labels': report}

    text = summarize(read_runs(folders(change)))
    assert '\n|  | soft |\n| --- | ---: |\n' in text
    # Without known land cover, nothing is right or wrong.
    assert 'right' not in text
    assert 'precision' not in text


def test_runs_that_are_not_at_their_end(folders):
    def change(tables):
        for content, last in zip(tables, ('test/members', 'test/b', 'test/a'), strict=True):
            order = list(NETWORKS)
            content['tests'] = content['tests'][: order.index(last) + 1]
            content['pseudo_labels'] = {}
            for stage in (*order[order.index(last) + 1 :], *REPORTS):
                content['stages'][stage] = None

    text = summarize(read_runs(reversed(folders(change))), ['a'])
    assert _rows(text, 'b')[0].split(' | ')[3] == '13.50 ± 2.12'
    assert _rows(text, 'b')[0].endswith('| +1.50 ± 0.71 |')
    assert _rows(text, 'ensemble of a, b')[0].endswith('| 20.00 | 50.00 | 40.00 | +10.00 |')
    assert text.endswith(
        '\nDone in some of the 3 runs only: test_tta/a (2), test/b (2), test/members (1).\n'
    )


def test_one_run_has_no_spread(folders):
    text = summarize(read_runs(folders()[:1]), ['a'])
    assert text.startswith('1 run, seed 0, in percent.\n')
    assert '±' not in text
    assert _rows(text, 'b') == ['| b |  | 24.00 | 12.00 | 50.00 | 40.00 | +2.00 |']


def test_runs_without_a_seed_are_runs_of_their_own(folders):
    assert summarize(read_runs(folders(seeds=(None, None, None)))).startswith('3 runs: mean ±')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda t: t[2].update(seed=0), r'run_0 and \S*run_2 are both of seed 0'),
        (lambda t: t[1]['stages'].update({'train/c': None}), r'only \S*run_1 has train/c$'),
        (lambda t: t[2]['stages'].pop('test/b'), r'run_0 and \S*run_2 are of .* run_0 has test/b$'),
        (
            lambda t: t[1]['stages'].update({'train/a': _stage('train/a', **{'--amp': ''})}),
            r"run_0 holds results of train/a .*: options.--amp was None, is ''. Give .*run_1 is of",
        ),
        (
            # The first run has no such stage yet; the others still have to agree.
            lambda t: (
                t[0]['stages'].update({'train/a': None}),
                t[1]['stages'].update({'train/a': _stage('train/a', content='y')}),
            ),
            r'run_1 holds results of train/a .*networks\[0\].config was a.py .*run_2 is of',
        ),
        (lambda t: t[1].pop('stages'), r'run_1/table.json is no table .*start the recipe again'),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(folders, change, message):
    made = [str(folder) for folder in folders(change)]
    expected = message.replace(' run_0 has', r' \S*run_0 has')
    with pytest.raises((RecipeError, ManifestError), match=expected):
        read_runs(made)


def test_mistakes_are_named(folders, tmp_path):
    made = folders()
    with pytest.raises(RecipeError, match='run_0 is given twice'):
        read_runs([made[0], tmp_path / 'run_1' / '..' / 'run_0'])
    with pytest.raises(RecipeError, match='at least one'):
        read_runs([])
    with pytest.raises(FileNotFoundError, match=r'no \S*table\.json; give work directories'):
        read_runs([tmp_path])
    (made[0] / 'table.json').write_text('{"tests": [')
    with pytest.raises(RecipeError, match='no table as'):
        read_runs(made)
    with pytest.raises(
        RecipeError, match=r"called 'x' or test/x; there are test/a, test_tta/a, test/b, test/mem"
    ):
        summarize(read_runs(made[1:]), ['x'])


@pytest.fixture
def runs(tmp_path):
    """Two runs of one network, of SeK 10 and 12."""
    for seed, sek in ((0, 10.0), (1, 12.0)):
        scores = dict(Score=30.0, SeK=sek, mIoU=50.0, Fscd=40.0)
        test = dict(stage='test/a', group='members', networks=['a'], tta=False, scores=scores)
        stages = {'test/a': _stage('test/a', seed)}
        folder = tmp_path / f'seed_{seed}'
        folder.mkdir()
        table = dict(tests=[test], pseudo_labels={}, seed=seed, stages=stages)
        (folder / 'table.json').write_text(json.dumps(table))
    return sorted(str(folder) for folder in tmp_path.iterdir())


def test_it_prints_the_table(runs, capsys):
    STUDY.main([*runs, '--baseline', 'a', '--baseline', 'test/a', '--score', 'mIoU'])
    lines = capsys.readouterr().out.splitlines()
    assert '| mIoU over a | mIoU over test/a |' in lines[2]
    assert lines[-1].startswith('| a |  | 30.00 ± 0.00 | 11.00 ± 1.41 | 50.00 ± 0.00 |')


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['nowhere'], 'there is no nowhere/table.json'),
        (['--baseline', 'b'], "no finished test is called 'b'"),
    ],
)
def test_wrong_words_are_named(runs, words, message):
    with pytest.raises((FileNotFoundError, RecipeError), match=message):
        STUDY.main([*runs, *words])


def test_the_options_are_documented(capsys):
    with pytest.raises(SystemExit):
        STUDY.parse_args(['--help'])
    options = set(re.findall(r'^  (--[a-z-]+)', capsys.readouterr().out, re.MULTILINE))
    page = (PROJECTS / 'recipe_study' / 'README.md').read_text()
    assert options - {'--traceback'} == set(re.findall(r'^\| `(--[a-z-]+)', page, re.MULTILINE))
