import numpy as np

from tfinet_mm.datasets.check import DatasetReport, Problem, format_report
from tfinet_mm.structures import ClassTable


def test_the_report_says_all_numbers_in_percent():
    table = ClassTable(('same', 'wet', 'dry'), ((255, 255, 255), (0, 0, 255), (90, 60, 30)))
    report = DatasetReport(table, pairs=3)
    report.sizes[(10, 20)] = 3
    report.storages = {'from': {'rgb': 3}}
    report.storages['from'] = type(report.sizes)({'rgb': 3})
    report.class_counts = np.array([[3, 1], [2, 2]])
    report.from_to = np.array([[1, 2], [1, 0]])
    report.change_counts = np.array([6, 2, 2])
    text = format_report(report, 'train')
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ['train']
    assert '20 x 10 (3)' in text
    assert 'from: rgb (3)' in text
    assert '25.00 % of the pixels, 20.00 % ignored' in text
    assert ['wet', '75.00', '50.00'] in lines
    assert ['wet', '25.00', '50.00'] in lines
    assert ['dry', '25.00', '0.00'] in lines
    assert 'no problems found' in text


def test_problems_are_counted_and_the_first_ones_listed():
    table = ClassTable(('same', 'wet'), ((255, 255, 255), (0, 0, 255)))
    report = DatasetReport(table)
    report.problems = [Problem('error', 'a', 'bad'), *[Problem('warning', '', 'odd')] * 4]
    text = format_report(report, 'val', limit=2)
    assert '1 error, 4 warnings' in text
    assert 'error: a: bad' in text
    assert text.count('odd') == 1
    assert 'and 3 more' in text
