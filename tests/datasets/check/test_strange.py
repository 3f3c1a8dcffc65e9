import numpy as np

from tfinet_mm.datasets.check.problems import Copy, DatasetReport, PairRow
from tfinet_mm.datasets.check.strange import strangest_pairs
from tfinet_mm.structures import ClassTable

TABLE = ClassTable(('same', 'wet', 'dry'), ((255, 255, 255), (0, 0, 255), (90, 60, 30)))


def report():
    made = DatasetReport(TABLE, pairs=5)
    numbers = [
        # changed, ignored, conflicts, changed_difference, unchanged_difference
        (0.3, 0.0, 0, 30, 10),
        (0.9, 0.0, 0, 30, 10),
        (0.01, 0.0, 7, 30, 12),
        (0.0, 0.5, 0, np.nan, 40),
        (0.2, np.nan, 0, 15, 15),
    ]
    made.rows = [PairRow(i, f'p{i}', *one) for i, one in enumerate(numbers)]
    made.from_to = np.array([[0, 90], [3, 0]])
    made.example = np.array([[-1, 0], [4, -1]])
    made.most = np.array([[0, 50], [2, 0]])
    return made


def test_each_reason_names_its_pair():
    found = {one.name: one.reasons for one in strangest_pairs({'train': report()}, each=1)}
    assert found == {
        'p1': ['the largest share of change: 90.0 %'],
        'p2': [
            'the labels contradict each other at 7 pixels',
            'the smallest share of change that is not 0: 1 %',
        ],
        'p3': [
            'the images differ most where no change is labelled: by 40 grey levels',
            '50.0 % of its pixels are ignored, the most',
        ],
        'p4': [
            'the images differ by 15 grey levels where change is labelled and by 15 elsewhere',
            'the rare transition dry to wet: 2 of its 3 pixels',
        ],
    }


def test_leaks_come_first_and_the_same_pairs_are_shown_once():
    reports = {'train': report(), 'val': report(), 'test': report()}
    reports['val'].rows = reports['test'].rows = reports['val'].rows[:2]
    for one in (reports['val'], reports['test']):
        one.digests = {b'a': 0, b'b': 1}
        one.from_to = np.zeros((2, 2), int)
    leaks = [
        Copy('val', 1, 'p1', 'train', 0, 'p0', False),
        Copy('test', 1, 'p1', 'train', 0, 'p0', False),
    ]
    reports['train'].copies = [Copy('', 4, 'p4', '', 2, 'p2', True)]
    pairs = strangest_pairs(reports, leaks, each=1)
    assert (pairs[0].split, pairs[0].name) == ('val', 'p1')
    assert pairs[0].reasons[0] == 'looks the same as p0 of train, which is trained on'
    assert pairs[0].twin == ('train', 0, 'p0')
    assert pairs[1].reasons[0] == 'identical to p2'
    assert pairs[1].twin == ('train', 2, 'p2')
    assert {one.split for one in pairs} == {'train', 'val'}
