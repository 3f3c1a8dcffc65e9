"""One table of what the stages have reached."""

import json
import re

from tfinet_mm.recipe import format_results, write_results


def test_a_row_for_each_test_in_order(folder):
    folder.run()
    table = write_results(folder.plan())
    assert table == (folder.path / 'work/table.md').read_text()
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


def test_the_json_file_has_everything(folder):
    folder.run()
    write_results(folder.plan())
    results = json.loads((folder.path / 'work/table.json').read_text())
    assert len(results['tests']) == 10
    assert results['tests'][5] == {
        'stage': 'test_tta/members',
        'group': 'members_ensemble',
        'networks': ['one', 'two'],
        'tta': True,
        'scores': {'Score': 31.0, 'SeK': 1.0, 'mIoU': 2.0, 'Fscd': 3.0, 'OA': 4.0},
    }
    assert len(results['seconds']) == 15
    assert results['pseudo_labels'] == {'filled': 0.5}
    assert results['best']['retrain/again'].endswith('best_Score_epoch_1.pth (30.50)')


def test_stages_to_come_are_left_out(folder):
    folder.run(until='test/one')
    table = write_results(folder.plan())
    assert table.count('| one |') == 1
    assert 'two' not in table
    assert json.loads((folder.path / 'work/table.json').read_text())['pseudo_labels'] is None


def test_time_by_kind_of_stage():
    seconds = {'train/a': 100.0, 'train/b': 3.0, 'test/a': 4.0, 'test_tta/a': 5.0}
    table = format_results({'tests': [], 'seconds': seconds})
    assert table.endswith('\nTime: 0:01:52 (train 0:01:43, test 0:00:09).\n')
