import json

import numpy as np
import pytest

from tfinet_mm.errors import ReportError
from tfinet_mm.evaluation.comparison import COLUMNS, compare_scores, read_scores
from tfinet_mm.evaluation.confusion import SCDConfusion
from tfinet_mm.evaluation.score_table import scores_report
from tfinet_mm.structures import SECOND
from tfinet_mm.utils.json_text import json_text


def report(right, pairs=40):
    """Return a report in which ``right`` of 100 changed pixels were found with their class."""
    annotated = np.ones((3, 200), np.uint8)
    annotated[0, 100:] = 0
    found = annotated[0].copy()
    found[right:] = 0
    counts = SCDConfusion.from_maps(*annotated, found, *annotated[1:] + 1, 6)
    return scores_report(counts, SECOND, pairs)


def test_what_a_test_writes_is_compared(tmp_path):
    for name, right in (('a', 50), ('b', 80)):
        (tmp_path / name).write_text(json_text(report(right), indent=None))
    lines = compare_scores({name: read_scores(tmp_path / name) for name in 'ab'}).splitlines()
    assert [line.split()[0] for line in lines] == ['pairs', 'a', 'b', 'difference']
    assert lines[1].split()[1] == '40'
    # F1 of 50 and of 80 hits among 100, without false alarms, by hand.
    assert [line.split()[-1] for line in lines[1:]] == ['66.67', '88.89', '+22.22']
    assert [line.split()[-2] for line in lines[1:]] == ['50.00', '80.00', '+30.00']
    assert len({len(line) for line in lines}) == 1


def test_scores_that_an_evaluation_lacks_are_left_out(tmp_path):
    annotated, found = np.array([1, 1, 0, 0]), np.array([1, 0, 0, 0])
    counts = SCDConfusion.from_maps(annotated, None, None, found, None, None, 6)
    (tmp_path / 'a').write_text(json_text(scores_report(counts, SECOND, 40), indent=None))
    masks = read_scores(tmp_path / 'a')
    lines = compare_scores(dict(masks=masks, both=report(50))).splitlines()
    assert lines[1].split() == ['masks', '40', '-', '-', '-', '-', '-', '66.67']
    assert lines[3].split()[1:] == ['-', '-', '-', '-', '-', '+0.00']


def test_other_pairs_have_no_difference():
    assert len(compare_scores(dict(a=report(50), b=report(50, pairs=8))).splitlines()) == 3
    assert len(compare_scores(dict(a=report(50), b=report(60), c=report(70))).splitlines()) == 4


@pytest.mark.parametrize(
    'content',
    ['', '[]', '{}', json.dumps(dict(scores=dict.fromkeys(COLUMNS, 'x'), num_samples=1))],
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / 'x.json').write_text(content)
    with pytest.raises(ReportError, match=r'x\.json holds no scores .*tools/test\.py --json'):
        read_scores(tmp_path / 'x.json')
