"""One table of what the stages have reached."""

import json
import re
import shutil

import pytest
from study import load_study

from tfinet_mm.errors import ManifestError
from tfinet_mm.recipe.table import format_results, write_results

pytest.importorskip('snakemake')


def test_a_row_for_each_test_in_order(done):
    table = write_results(done.plan())
    assert table == (done.path / 'work/table.md').read_text()
    rows = table.splitlines()
    assert rows[0] == '| model | TTA | Score | SeK | mIoU | Fscd | OA |'
    assert rows[2:-2] == [
        '| *trained on the annotation* | | | | | | |',
        '| one |  | 30.00 | 1.00 | 2.00 | 3.00 | 4.00 |',
        '| one | yes | 31.00 | 1.00 | 2.00 | 3.00 | 4.00 |',
        '| two |  | 30.00 | 1.00 | 2.00 | 3.00 | 4.00 |',
        '| two | yes | 31.00 | 1.00 | 2.00 | 3.00 | 4.00 |',
        '| their ensemble (2) |  | 30.00 | 1.00 | 2.00 | 3.00 | 4.00 |',
        '| their ensemble (2) | yes | 31.00 | 1.00 | 2.00 | 3.00 | 4.00 |',
        '| *trained again, with pseudo labels* | | | | | | |',
        '| again |  | 30.00 | 1.00 | 2.00 | 3.00 | 4.00 |',
        '| again | yes | 31.00 | 1.00 | 2.00 | 3.00 | 4.00 |',
        '| their ensemble (1) |  | 30.00 | 1.00 | 2.00 | 3.00 | 4.00 |',
        '| their ensemble (1) | yes | 31.00 | 1.00 | 2.00 | 3.00 | 4.00 |',
    ]
    # As many cells in every row.
    assert {row.count('|') for row in rows[:-2]} == {8}
    assert re.fullmatch(r'Time: 0:00:\d\d \(prepare .*, train .*, test .*, pseudo.*\)\.', rows[-1])


def test_the_json_file_has_everything(done):
    write_results(done.plan())
    results = json.loads((done.path / 'work/table.json').read_text())
    assert len(results['tests']) == 10
    assert results['tests'][5] == {
        'stage': 'test_tta/members',
        'group': 'members_ensemble',
        'networks': ['one', 'two'],
        'tta': True,
        'scores': {'Score': 31.0, 'SeK': 1.0, 'mIoU': 2.0, 'Fscd': 3.0, 'OA': 4.0},
    }
    assert len(results['seconds']) == 15
    assert results['pseudo_labels'] == {'pseudo_labels': {'filled': 0.5}}
    assert results['best']['retrain/again'].endswith('best_Score_epoch_1.pth')


def test_stages_to_come_are_left_out(done):
    plan = done.plan()
    plan.set_aside(plan.with_readers(['test_tta/one', 'train/two']))
    table = write_results(plan)
    assert table.count('| one |') == 1
    assert 'two' not in table
    assert json.loads((done.path / 'work/table.json').read_text())['pseudo_labels'] == {}


def test_others_and_an_ensemble_of_some(folder):
    (folder.path / 'recipe.py').write_text("""
members = ['one.py']
others = ['two.py']
pseudo_labels = [dict(name='vote', method='vote'), dict(name='soft', method='soft')]
retrain = [
    dict(config='again.py', name='by_vote', labels='vote'),
    dict(config='again.py', name='by_soft', labels='soft', ensemble=False),
]
tests = dict.fromkeys(['members', 'others', 'retrained', 'retrained_ensemble'], ['plain'])
tests.update(members_ensemble=[])
""")
    folder.run()
    rows = write_results(folder.plan()).splitlines()
    scores = '| 30.00 | 1.00 | 2.00 | 3.00 | 4.00 |'
    assert rows[2:-2] == [
        '| *trained on the annotation* | | | | | | |',
        f'| one |  {scores}',
        '| *others, not in the ensemble* | | | | | | |',
        f'| two |  {scores}',
        '| *trained again, with pseudo labels* | | | | | | |',
        f'| by_vote |  {scores}',
        f'| by_soft |  {scores}',
        f'| ensemble of by_vote (1) |  {scores}',
    ]
    results = json.loads((folder.path / 'work/table.json').read_text())
    assert results['pseudo_labels'] == {
        'pseudo_labels/vote': {'filled': 0.5},
        'pseudo_labels/soft': {'filled': 0.5},
    }


def test_what_stages_were_done_with_is_the_same_for_every_seed(folder):
    tables = []
    for work_dir, options in (('work', []), ('runs/seed_1', ['--seed', '1'])):
        folder.run('--until', 'test/one', *options, work_dir=work_dir)
        tables.append(json.loads((folder.path / work_dir / 'table.json').read_text()))
    assert [table['seed'] for table in tables] == [None, 1]
    stages, others = (table['stages'] for table in tables)
    assert stages['test/members'] is None
    assert [one['train/one'].pop('seed') for one in (stages, others)] == [None, 1]
    assert stages == others
    assert stages['train/one']['options'] == {}
    assert [one['config']['file'] for one in stages['train/one']['networks']] == ['one.py']


def test_time_by_kind_of_stage():
    seconds = {'train/a': 100.0, 'train/b': 3.0, 'test/a': 4.0, 'test_tta/a': 5.0}
    table = format_results({'tests': [], 'seconds': seconds})
    assert table.endswith('\nTime: 0:01:52 (train 0:01:43, test 0:00:09).\n')


def test_several_runs_are_summed_up(done, tmp_path):
    """The tables of two work directories, by the script of the study."""
    study = load_study('recipe_study/summarize.py')
    shutil.copytree('work', 'work_1', symlinks=True)
    for seed, folder in enumerate(('work', 'work_1')):
        path = tmp_path / folder / 'table.json'
        # A stand-in's report of pseudo labels isn't whole.
        table = json.loads(path.read_text()) | dict(seed=seed, pseudo_labels={})
        path.write_text(json.dumps(table))
    text = study.summarize(study.read_runs(['work', 'work_1']), ['one'], 'Score')
    row = [line for line in text.splitlines() if line.startswith('| one |')][1]
    assert row.startswith('| one | yes | 31.00 ± 0.00 | 1.00 ± 0.00 |')
    assert row.endswith('| +1.00 ± 0.00 |')
    (tmp_path / 'one.py').write_text('model = dict(backbone=dict(width=3))')
    done.run('--only', 'prepare/*', '--only', 'train/one', work_dir='work_2')
    with pytest.raises(ManifestError, match=r'results of train/one .*config was one\.py'):
        study.read_runs(['work', 'work_2'])
